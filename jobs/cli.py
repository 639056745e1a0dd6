"""The command line: parses and prints. What the commands do is in the modules that they call.

Exit codes: 0 done, 1 failed while running, 2 bad input or settings, 3 finished but something needs attention.
Commands are in jobs/commands, one module a topic; adding one is a function there and its name in `register`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import typer

from jobs.commands import core
from jobs.errors import EciError

app = typer.Typer(
    name="eci",
    help="Rank sources of hard negatives for dense retrievers before any training.",
    epilog="New here: `eci demo --out demo-out`, then `eci run --triples 'lake/*.parquet' --out OUT`, then `eci rank --out OUT`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for topic in (core,):
    topic.register(app)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"eci: {message}", err=True)
    # Nothing is left to do but to end: worker processes have been closed by the blocks that opened them.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every failure is one line and an exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(standalone_mode=True)
    except EciError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("stopped; finished tasks are kept, the same command goes on from there", 1)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error} {error.filename or ''}".strip(), 1)
    except Exception as error:
        if os.environ.get("ECI_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (a bug in eci-lake; ECI_TRACEBACK=1 shows where)", 1)


if __name__ == "__main__":
    main()
