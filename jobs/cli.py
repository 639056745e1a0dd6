"""The command line: parses and prints. What the commands do is in the modules that they call.

Exit codes: 0 done, 1 failed while running, 2 bad input or settings, 3 finished but something needs attention.
Commands are in jobs/commands, one module a topic; adding one is a function there and its name in `register`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version as distribution_version
from typing import Annotated, NoReturn

import typer

from jobs.addresses import without_secrets
from jobs.commands import deciding, encoders, publishing, reading, running, upkeep, validating
from jobs.commands.boundary import take_in
from jobs.commands.overview import Grouped, print_overview
from jobs.errors import EciError, is_full
from jobs.machine import keep_memory
from jobs.terminal.absent import leave_out
from jobs.terminal.escape import ShownFormatter, shown, shown_lines

app = typer.Typer(
    name="eci",
    cls=Grouped,
    help="Rank sources of hard negatives for dense retrievers before any training.",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for topic in (running, reading, deciding, publishing, validating, encoders, upkeep):
    topic.register(app)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log lines of the libraries, and where an error came from.")
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", envvar="NO_COLOR", help="Plain text on a terminal, too.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Rank sources of hard negatives for dense retrievers before any training."""
    if logging.lastResort is not None:  # what warnings go to where nothing else was set up
        logging.lastResort.setFormatter(ShownFormatter())
    if version:
        typer.echo(f"eci-lake {distribution_version('eci-lake')}")
        raise typer.Exit
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(ShownFormatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        os.environ["ECI_TRACEBACK"] = "1"
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if context.invoked_subcommand is None:
        print_overview(context)


def _fail(message: str, code: int, below: Sequence[str] = ()) -> NoReturn:
    with suppress(BrokenPipeError):
        for line in (f"eci: {without_secrets(message)}", *map(without_secrets, below)):
            typer.echo(shown(line), err=True)
    _end(code)


def _end(code: int) -> NoReturn:
    # Nothing is left to do but to end: worker processes have been closed by the blocks that opened them. The interpreter's own
    # way out takes libraries down while their threads still run, which has ended finished runs with an abort.
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    with suppress(BrokenPipeError):
        sys.stderr.flush()
    os._exit(code)


class _StoppedError(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt: typer would end with an exit code and words of its own."""


def _stop(*_: object) -> NoReturn:
    # a second one does not wait for the workers to be closed
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    raise _StoppedError


def main() -> None:
    """Run the command line; every failure is one line and an exit code."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    # hashes tell of damage, not of somebody who writes files and hashes anew: nothing is made that all may write to
    os.umask(os.umask(0o022) | 0o002)
    try:
        keep_memory()
        sys.argv[1:] = take_in(sys.argv[1:], os.environ)
        app(standalone_mode=True)
    except EciError as error:
        if os.environ.get("ECI_TRACEBACK") == "1" and error.__cause__ is not None:
            typer.echo(shown_lines("".join(traceback.format_exception(error.__cause__))).rstrip(), err=True)
        _fail(str(error), error.exit_code, error.below)
    except (_StoppedError, KeyboardInterrupt):
        _fail("stopped; finished tasks are kept, the same command goes on from there", 1)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        where = error.filename or ""
        if is_full(error):
            _fail(f"the disk is full {where}; free some space and give the same command again", 1)
        _fail(f"{error.strerror or error} {where}".strip(), 1)
    except Exception as error:
        if os.environ.get("ECI_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (a bug in eci-lake; ECI_TRACEBACK=1 shows where)", 1)


def program() -> NoReturn:
    """Run the command line as a process of its own."""
    if sys.argv[1:2] not in (["encoders"], ["validate"]):  # they use libraries that want it
        leave_out("pandas")
    try:
        main()
        _end(0)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer ends with 1 where `| head` has seen enough
            os._exit(0)
        _end(ended.code if isinstance(ended.code, int) else 0)


if __name__ == "__main__":
    program()
