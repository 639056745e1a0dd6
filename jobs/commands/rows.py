"""Rows of any query in the formats of `eci sql`."""

from __future__ import annotations

import csv
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TextIO

from jobs.errors import InputError, nearest
from jobs.output.store import file_at
from jobs.terminal.console import make_console, to_json
from jobs.terminal.escape import shown

if TYPE_CHECKING:
    import pyarrow as pa


ROW_FORMATS = ("table", "csv", "json", "parquet")

MOST_ROWS = 200


def write_rows(reader: pa.RecordBatchReader, kind: str, stream: TextIO, output: str | None = None) -> None:
    """Write a query's rows: a table (the first MOST_ROWS), CSV, JSON (an array, a row a line), or a Parquet file.

    Args:
        stream: where text goes.  output: a file, in its place; it appears when it is whole.

    Raises:
        InputError: the format is unknown, `parquet` has no `output`, or a table has one.
    """
    if kind not in ROW_FORMATS:
        raise InputError(f"--format {kind!r} is not known{nearest(kind, ROW_FORMATS)} ({', '.join(ROW_FORMATS)})")
    if kind == "parquet":
        if output is None:
            raise InputError("--format parquet is no text: give --output FILE")
        _write_parquet(reader, output)
    elif output is not None:
        if kind == "table":
            raise InputError(
                "--output writes all rows to a file, a table shows some: give --format csv, json or parquet"
            )
        with _attempt(output) as path, open(path, "w", encoding="utf-8", newline="") as file:
            WRITERS[kind](reader, file)
    else:
        WRITERS[kind](reader, stream)


def _write_csv(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    terminal = stream.isatty()  # a file or a program gets what is there

    def cell(value: Any) -> Any:
        return "" if value is None else shown(value) if terminal and isinstance(value, str) else value

    writer.writerow(map(cell, reader.schema.names))
    for batch in reader:
        writer.writerows(map(cell, row.values()) for row in batch.to_pylist())


def _write_json(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    lead = "["
    for batch in reader:
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            stream.write(f"{lead}{to_json(row)}")
            lead = ",\n"
    stream.write("[]\n" if lead == "[" else "]\n")


def _write_parquet(reader: pa.RecordBatchReader, output: str) -> None:
    import pyarrow as pa

    from jobs.output.parquet import write_parquet

    with _attempt(output) as path:
        write_parquet(path, (pa.Table.from_batches([batch]) for batch in reader), reader.schema)


def _attempt(output: str) -> AbstractContextManager[str]:
    store, name = file_at(output)
    return store.attempt(name)


def _write_table(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for field in reader.schema:
        table.add_column(
            Text(shown(field.name)), overflow="fold", justify="right" if _is_number(str(field.type)) else "left"
        )
    count = 0
    for batch in reader:
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            count += 1
            if count <= MOST_ROWS:
                table.add_row(*(Text(shown(_cell(value))) for value in row.values()))
        if count > MOST_ROWS:
            break
    make_console().print(table)
    if count > MOST_ROWS:
        stream.write(f"... the first {MOST_ROWS} rows; --format csv or json gives all\n")


WRITERS = {"csv": _write_csv, "json": _write_json, "table": _write_table}


def _is_number(kind: str) -> bool:
    return kind.startswith(("int", "uint", "double", "float"))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict, bytes)):
        text = to_json(value)
        return text if len(text) <= 120 else text[:119] + "…"
    return str(value)
