"""SQL of users over the published tables, run in a process of its own that reads and nothing else (query_process.py).

The process ends with this one's wish: a query that takes too long or too much memory costs that process, and Ctrl-C, a
time-out or a reader that has seen enough ends it at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.errors import EciError, InputError, notice
from jobs.machine import available_cores, available_memory
from jobs.output.store import Store

PACKAGES = Path(__file__).parents[2]
"""Where this package and its neighbours lie."""


def query(store: Store, sql: str, memory: int | None = None, timeout: float | None = None) -> pa.RecordBatchReader:
    """Run one SELECT (or DESCRIBE, SHOW, EXPLAIN of a SELECT) over the catalog and return its rows as they come.

    Args:
        memory: bytes that the query may take (default: a quarter of this machine's, 256 MiB at least).
        timeout: seconds after which it is ended.

    Raises:
        InputError: the SQL is wrong, is more than one statement, would change something, or takes more than it may.
            While rows are read, too.
    """
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise InputError("SQL: the statement is no UTF-8") from None
    given = {"out": store.root, "sql": sql, "memory": memory or max(available_memory() // 4, 256 << 20),
             "threads": available_cores()}  # fmt: skip
    process = _Process(given, timeout)
    try:
        stream = pa.ipc.open_stream(process.pipe)
    except (pa.ArrowInvalid, OSError):  # it ended before it said what columns there are
        raise process.failure() from None
    except BaseException:  # Ctrl-C
        process.end()
        raise
    batches = _batches(process, stream)
    next(batches)  # from here on it ends the process, even where nobody ever reads a row
    return pa.RecordBatchReader.from_batches(stream.schema, batches)


def _batches(process: _Process, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch | None]:
    """Yield None first, then the rows; its end is the process's."""
    try:
        yield None
        while True:
            try:
                batch = stream.read_next_batch()
            except StopIteration:
                if process.ended_well():
                    return
                raise process.failure() from None
            except (pa.ArrowInvalid, OSError):
                raise process.failure() from None
            yield batch
    finally:
        process.end()


def _refusal(said: str) -> InputError:
    """Return the error that the process has told of in a line."""
    try:
        message, *below = json.loads(said)
    except ValueError:
        return InputError(said or "SQL: refused")
    error = InputError(message)
    error.below = tuple(below)
    return error


class _Process:
    """The process of one query. `pipe`: its rows, as an Arrow stream."""

    def __init__(self, given: dict[str, Any], timeout: float | None) -> None:
        self._given, self._timeout, self._late = given, timeout, False
        # -P: the package `jobs` is this one, not a folder of that name where the user stands
        command = [sys.executable, "-P", "-c", "from jobs.output.query_process import main; main()"]
        path = os.pathsep.join([str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
        # a session of its own: Ctrl-C in a terminal is this process's to answer
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        self._said: list[bytes] = []
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        self._timer = threading.Timer(timeout, self._stop) if timeout else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        assert self._child.stdin is not None and self._child.stdout is not None
        with suppress(BrokenPipeError):  # it says why in `failure`
            # the pipe stays open: its end is how the process learns that nobody waits any more
            self._child.stdin.write(json.dumps(given).encode() + b"\n")
            self._child.stdin.flush()
        self.pipe = self._child.stdout

    def _listen(self) -> None:
        assert self._child.stderr is not None
        self._said.append(self._child.stderr.read())

    def _stop(self) -> None:
        self._late = True
        self._child.kill()

    def ended_well(self) -> bool:
        """Wait for its end; return whether it has sent all rows. What it has said is passed on."""
        if self._child.wait() != 0:
            return False
        self._listening.join(10)
        for line in b"".join(self._said).decode(errors="replace").splitlines():
            notice(line)
        return True

    def failure(self) -> EciError:
        """Return what to tell of a process that has not sent all rows."""
        code = self._child.wait()
        self._listening.join(10)
        said = b"".join(self._said).decode(errors="replace").strip()
        self.end()
        if self._late:
            return InputError(f"SQL: not done after {self._timeout:g} s; ask for less, or give --timeout more seconds")
        if code == 2:
            return _refusal(said.splitlines()[-1] if said else "")
        if code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
            mebibytes = self._given["memory"] >> 20
            return InputError(
                f"SQL: its process was killed, perhaps for taking more than {mebibytes} MiB; ask for less, or give more --memory"
            )
        why = said.splitlines()[-1] if said else "without a word"
        return EciError(f"SQL: the process of the query ended with exit code {code}: {why}")

    def end(self) -> None:
        """End it, and let go of everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
