"""The process that runs a user's query: it takes one from standard input, and sends an Arrow stream to standard output.

What it is kept from, by what:

- statements that are not looks: a parse (`one_look`), with what EXPLAIN explains;
- files outside the published tables: DuckDB's settings (catalog.py), locked before the query runs;
- writing, whatever DuckDB is led to do: no file may grow in this process (RLIMIT_FSIZE), so that nothing spills either, and
  an object store is read through a filesystem without the functions that write;
- memory: DuckDB's limit, and the kernel's for what DuckDB does not count (RLIMIT_DATA);
- living on when nobody waits: the end of standard input ends it.

Exit codes: 0 all rows are sent, 2 the query is refused or wrong, with one line on standard error: a JSON list of the message
and the lines that show the place in the query.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from typing import Any

import duckdb
import pyarrow as pa

from jobs.errors import EciError, InputError
from jobs.output.catalog import check_tables, open_catalog, tables_in
from jobs.output.store import Store

OVERHEAD = 1 << 30
"""Bytes of data that this process may have beside what DuckDB counts: libraries, threads, result batches."""
THREAD = 16 << 20
"""Bytes of a thread's stack, and some."""
BATCH_ROWS = 10_000
ASKED = "eci sql takes one SELECT (or WITH, FROM, DESCRIBE, SHOW, EXPLAIN of a SELECT) and changes nothing"


def main() -> None:
    """Answer one query; ends the process."""
    said: list[str] = []
    given = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.dont_write_bytecode = True
    _limit_memory(int(given["memory"]) + OVERHEAD + int(given["threads"]) * THREAD)
    try:
        _answer(given)
        code = 0
    except BrokenPipeError:
        code = 0
    except (duckdb.OutOfMemoryException, MemoryError):
        code, said = 2, [f"SQL: takes more than {given['memory'] >> 20} MiB; ask for less, or give more --memory"]
    except EciError as error:
        code, said = 2, [" ".join(str(error).split())]
    except (duckdb.Error, PermissionError) as error:
        code, said = 2, told(str(error))
    if said:
        sys.stderr.write(json.dumps(said) + "\n")
        sys.stderr.flush()
    os._exit(code)  # DuckDB's threads need not be waited for


def told(error: str) -> list[str]:
    """Return an error of DuckDB as a message of one line, and the lines that show the place in the query, the last one carets."""
    message, mark, place = error.rstrip().replace("\t", " ").partition("\n\nLINE ")
    lines = f"{mark.strip()} {place}".split("\n") if mark else []
    # nothing but the query's line and the mark below it is a place
    if len(lines) != 2 or set(lines[1].strip()) != {"^"}:
        return [f"SQL: {' '.join(error.split())}"]
    return [f"SQL: {' '.join(message.split())}", *lines]


def _answer(given: dict[str, object]) -> None:
    sql = str(given["sql"])
    store = Store(str(given["out"]))
    check_tables(store, tables_in(sql))  # before nothing can be written any more: verdicts are kept
    _limit_files()
    if not store.local:
        _read_only(store.filesystem()[0])
    con = open_catalog(store, int(str(given["memory"])), int(str(given["threads"])))
    one_look(con, sql)
    reader = con.sql(sql).to_arrow_reader(BATCH_ROWS)
    with os.fdopen(1, "wb") as out, pa.ipc.new_stream(out, reader.schema) as stream:
        while (batch := _next(reader)) is not None:
            stream.write_batch(batch)


def _next(reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """Return the next rows. Raises InputError for what is found wrong after the first ones: Arrow has its own errors."""
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise (MemoryError() if "Out of Memory" in said else InputError(f"SQL: {said}")) from None


def one_look(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise InputError for what is not one look at the tables, duckdb.Error for what is no SQL."""
    statements = con.extract_statements(sql)
    kinds = duckdb.StatementType
    if len(statements) != 1 or statements[0].type not in (kinds.SELECT, kinds.EXPLAIN):
        raise InputError(ASKED)
    # EXPLAIN ANALYZE runs what it explains
    if statements[0].type == kinds.EXPLAIN and not any(_is_select(con, inner) for inner in explained(sql)):
        raise InputError(ASKED)


def _is_select(con: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error:
        return False
    return len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT


def explained(sql: str) -> list[str]:
    """Return what an EXPLAIN may explain: what is left without that word and ANALYZE, and the same without a bracket.

    A bracket holds options, or is the SELECT's own: only one of the two is SQL.
    """
    tokens = [(start, kind) for start, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    raw = sql.encode()  # positions are those of bytes
    words = [raw[start : start + 7].decode(errors="replace").upper() for start, _ in tokens]
    at = 2 if words[1:2] == ["ANALYZE"] else 1
    found = [raw[start:].decode() for start, _ in tokens[at : at + 1]]
    if words[at : at + 1] and words[at].startswith("("):
        end = next((i for i in range(at, len(words)) if words[i].startswith(")")), len(words))
        found += [raw[start:].decode() for start, _ in tokens[end + 1 : end + 2]]
    return found


def _limit_files() -> None:
    """Take from this process what a look does not need: files that grow."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_memory(data: int) -> None:
    """Take from this process memory without end (`data`: bytes)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    least = data if most == resource.RLIM_INFINITY else min(data, most)
    resource.setrlimit(resource.RLIMIT_DATA, (least, least))


def _read_only(filesystem: Any) -> None:
    """Make the fsspec filesystem that this process has of an object store refuse to write."""
    opened = filesystem.open

    def open_to_read(path: str, mode: str = "rb", **options: Any) -> Any:
        if set(mode) & set("wax+"):
            raise PermissionError(f"{path}: eci sql changes nothing")
        return opened(path, mode, **options)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("eci sql changes nothing")

    filesystem.open = open_to_read
    for name in (
        "rm",
        "rm_file",
        "mv",
        "cp_file",
        "pipe",
        "pipe_file",
        "put",
        "put_file",
        "touch",
        "mkdir",
        "makedirs",
    ):
        setattr(filesystem, name, refuse)


def _end_with_input() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(0)
