"""Reading committed runs: the ranking for `eci rank`, and rows of any query in the formats of `eci sql`."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, TextIO

from jobs import commit
from jobs.console import make_console, to_json
from jobs.errors import InputError, nearest
from jobs.store import Store

if TYPE_CHECKING:
    import duckdb

ROW_FORMATS = ("table", "csv", "json")
MOST_ROWS = 200


def ranking_of(out: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a run's ranking: run_id, rows of source_eci in order, rows of source_pairs, totals.

    Raises:
        InputError: there is no such run.
    """
    import pyarrow.parquet as pq

    store = Store(out)
    run_id = run_id or commit.latest(store)
    manifest = commit.read_manifest(store, run_id)
    rows = {}
    for name in ("source_eci", "source_pairs"):
        with store.open(f"runs/{run_id}/{name}.parquet") as source:
            rows[name] = pq.read_table(source).to_pylist()
    return {
        "run_id": run_id,
        "ranking": rows["source_eci"],
        "pairs": rows["source_pairs"],
        "totals": manifest["totals"],
        "rejects": manifest["rejects"],
    }


def write_rows(relation: duckdb.DuckDBPyRelation, kind: str, stream: TextIO) -> None:
    """Write a query's rows as a table (the first MOST_ROWS), CSV, or JSON (an array, a row a line)."""
    if kind not in ROW_FORMATS:
        raise InputError(f"--format {kind!r} is not known{nearest(kind, ROW_FORMATS)} ({', '.join(ROW_FORMATS)})")
    names = relation.columns
    if kind == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        while rows := relation.fetchmany(10_000):
            writer.writerows(rows)
    elif kind == "json":
        lead = "["
        while rows := relation.fetchmany(10_000):
            for row in rows:
                stream.write(f"{lead}{to_json(dict(zip(names, row, strict=True)))}")
                lead = ",\n"
        stream.write("[]\n" if lead == "[" else "]\n")
    else:
        _write_table(relation, names, stream)


def _write_table(relation: duckdb.DuckDBPyRelation, names: list[str], stream: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = relation.fetchmany(MOST_ROWS + 1)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = make_console()
    console.print(table)
    if len(rows) > MOST_ROWS:
        stream.write(f"... the first {MOST_ROWS} rows; --format csv or json gives all\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict, bytes)):
        text = to_json(value)
        return text if len(text) <= 120 else text[:119] + "…"
    return str(value)
