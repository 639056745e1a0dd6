"""Rows of any query in the formats of `eci sql`."""

from __future__ import annotations

import csv
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len

from jobs.errors import InputError, nearest
from jobs.output.store import file_at
from jobs.terminal.console import PLAIN_WIDTH, terminal_of, to_json
from jobs.terminal.escape import shown, shown_lines
from jobs.terminal.fitting import GAP, wrapped

if TYPE_CHECKING:
    import pyarrow as pa


ROW_FORMATS = ("table", "tsv", "csv", "json", "parquet")

MOST_ROWS = 200


def write_rows(reader: pa.RecordBatchReader, kind: str | None, stream: TextIO, output: str | None = None) -> None:
    """Write a query's rows: a table (the first MOST_ROWS), TSV, CSV, JSON (an array, a row a line), or a Parquet file.

    Args:
        kind: one of ROW_FORMATS; None for a table where `stream` is a terminal, else for TSV, or for what `output` ends in.
        stream: where text goes.  output: a file, in its place; it appears when it is whole.

    Raises:
        InputError: the format is unknown, `parquet` has no `output`, or a table has one.
    """
    if kind is None:
        ending = output.rsplit(".", 1)[-1].lower() if output is not None else ""
        kind = ending if ending in ROW_FORMATS else "table" if output is None and stream.isatty() else "tsv"
    if kind not in ROW_FORMATS:
        raise InputError(f"--format {kind!r} is not known{nearest(kind, ROW_FORMATS)} ({', '.join(ROW_FORMATS)})")
    if kind == "parquet":
        if output is None:
            raise InputError("--format parquet is no text: give --output FILE")
        _write_parquet(reader, output)
    elif output is not None:
        if kind == "table":
            raise InputError(
                "--output writes all rows to a file, a table shows some: give --format tsv, csv, json or parquet"
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


def _write_tsv(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    stream.write("\t".join(map(_field, reader.schema.names)) + "\n")
    for batch in reader:
        rows = batch.to_pylist(maps_as_pydicts="lossy")
        stream.writelines("\t".join(map(_field, row.values())) + "\n" for row in rows)


def _write_table(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    names = list(map(shown, reader.schema.names))
    numeric = [_is_number(str(field.type)) for field in reader.schema]
    rows: list[list[str]] = []
    for batch in reader:
        rows += [list(map(_cell, row.values())) for row in batch.to_pylist(maps_as_pydicts="lossy")]
        if len(rows) > MOST_ROWS:
            break
    console = terminal_of()
    for line in table_lines(names, rows[:MOST_ROWS], numeric, console.width if console else PLAIN_WIDTH):
        stream.write(line + "\n")
    if len(rows) > MOST_ROWS:
        stream.write(f"... the first {MOST_ROWS} rows; --format tsv, csv or json gives all\n")


def table_lines(names: list[str], rows: list[list[str]], numeric: list[bool], width: int) -> list[str]:
    """Return rows as lines of at most `width` cells: a table, or a list of rows where it has no room.

    Texts are broken between words within their columns; numbers, and words however long, are never broken. A list's
    lines may be longer than `width` where a single word is.
    """
    columns = list(zip(names, *rows, strict=True)) if rows else [(name,) for name in names]
    whole = [max(map(cell_len, (line for cell in column for line in cell.split("\n")))) for column in columns]
    least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    least = [size if number else short for size, short, number in zip(whole, least, numeric, strict=True)]
    room = width - len(GAP) * (len(names) - 1)
    if sum(least) > room and rows:
        return _records(names, rows, width)
    sizes = _shared(whole, least, room)
    return [line for row in ([*names], *rows) for line in _row(row, sizes, numeric)]


def _shared(whole: list[int], least: list[int], room: int) -> list[int]:
    """Return each column's width: what it takes, or where there is no room for that a share of what is left over its least."""
    if sum(whole) <= room:
        return whole
    left, wanted = room - sum(least), sum(whole) - sum(least)
    return [a + (b - a) * left // wanted for a, b in zip(least, whole, strict=True)]


def _row(row: list[str], sizes: list[int], numeric: list[bool]) -> list[str]:
    cells = [
        [part for line in cell.split("\n") for part in wrapped(line, size)]
        for cell, size in zip(row, sizes, strict=True)
    ]
    lines = []
    for at in range(max(map(len, cells))):
        parts = []
        for cell, size, number in zip(cells, sizes, numeric, strict=True):
            text = cell[at] if at < len(cell) else ""
            space = " " * (size - cell_len(text))
            parts.append(space + text if number else text + space)
        lines.append(GAP.join(parts).rstrip())
    return lines


def _records(names: list[str], rows: list[list[str]], width: int) -> list[str]:
    """Return rows one below the other, a line or more for each column, rows apart by an empty line."""
    size = max(map(cell_len, names))
    lines: list[str] = []
    for row in rows:
        lines += [""] * bool(lines)
        for name, cell in zip(names, row, strict=True):
            head = name + " " * (size - cell_len(name)) + GAP
            parts = [part for line in cell.split("\n") for part in wrapped(line, max(width - size - len(GAP), 1))]
            lines += [(head if not number else " " * len(head)) + part for number, part in enumerate(parts)]
    return [line.rstrip() if not line.strip() else line for line in lines]


_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _field(value: Any) -> str:
    """Return a value as a field of a TSV: a tab, an end of line and a backslash become `\\t`, `\\n`, `\\r`, `\\\\`; null is empty."""
    if value is None:
        return ""
    text = to_json(value) if isinstance(value, (list, dict, bytes)) else str(value)
    return text.translate(_ESCAPED)


WRITERS = {"tsv": _write_tsv, "csv": _write_csv, "json": _write_json, "table": _write_table}


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
    return shown_lines(str(value))
