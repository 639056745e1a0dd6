"""Scripts without a main guard: a worker process imports the script that started it, and would start the run once more.

The worker leaves at that moment, by a file, the word that it did, so that the driver can say what to add. Notebooks,
`python -c`, scripts on standard input and pytest have no such script, or one with a guard.
"""

from __future__ import annotations

import multiprocessing.process
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.errors import InputError

_WORD = "ECI_STARTING_WORKERS"


def leave_if_imported() -> None:
    """End this process where it is a starting worker that imports an unguarded script. To be called before anything else.

    Raises:
        InputError: it is a process of the user's own that imports the script.
    """
    if not getattr(multiprocessing.process.current_process(), "_inheriting", False):
        return
    if _WORD in os.environ:
        with suppress(OSError):
            Path(os.environ[_WORD]).touch()
        # no exception: the script may catch it, and Python would print it once for each worker
        os._exit(1)
    raise _unguarded()


@contextmanager
def noticing() -> Iterator[None]:
    """Start workers in this block. Raises InputError where they found a script without a guard, whatever else failed."""
    with tempfile.TemporaryDirectory(prefix="eci-") as folder:
        word = Path(folder) / "unguarded"
        os.environ[_WORD] = str(word)
        try:
            yield
        except Exception:
            if word.exists():
                raise _unguarded() from None
            raise
        finally:
            del os.environ[_WORD]


def _unguarded() -> InputError:
    script = getattr(sys.modules["__main__"], "__file__", None) or "the script"
    return InputError(
        f"{script}: worker processes import this script, and it starts the run again in each of them: in a script of your own, "
        "call jobs.run below `if __name__ == '__main__':`"
    )
