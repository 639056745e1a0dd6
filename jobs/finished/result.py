"""Reading committed runs: the ranking for `eci rank`, and rows of any query in the formats of `eci sql`."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any, TextIO

from jobs.errors import InputError, nearest
from jobs.output.runs import latest, read_manifest
from jobs.output.store import Store
from jobs.terminal.console import make_console, to_json

if TYPE_CHECKING:
    import pyarrow as pa

    from jobs.pipeline.run import RunResult

ROW_FORMATS = ("table", "csv", "json", "parquet")
MOST_ROWS = 200


def ranking_of(out: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a run's ranking: run_id, rows of source_eci in order, rows of source_pairs, totals, what a whole run costs.

    Raises:
        InputError: there is no such run.
    """
    import pyarrow.parquet as pq

    store = Store(out)
    run_id = run_id or latest(store)
    manifest = read_manifest(store, run_id)
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
        "sample": manifest["sample"],
        "left_to_embed": left_to_embed(manifest),
        "formats": manifest.get("formats", {}),
    }


def left_to_embed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the texts that a run over all queries would embed beyond those that this run has, and about how long.

    `texts` is an upper bound: earlier runs may have some of them in the cache. `seconds` follows from this run's own
    embedding, None where it embedded nothing.
    """
    from jobs.config import available_cores

    totals, stage = manifest["totals"], manifest["stages"].get("embed")
    texts = max(0, totals["texts"] - totals["texts_embedded"] - totals["cache_hits"]) if stage else 0
    seconds = None
    if texts and totals["texts_embedded"]:
        workers = manifest["settings"].get("workers") or available_cores()
        seconds = round(texts * stage["seconds"] / totals["texts_embedded"] / workers)
    return {"texts": texts, "seconds": seconds}


def rank(out: str, run_id: str | None = None) -> RunResult:
    """Return a committed run (default: the newest) as `jobs.run` returned it.

    Raises:
        InputError: there is no such run.
    """
    from jobs.pipeline.run import result_of

    store = Store(out)
    return result_of(store, run_id or latest(store))


def write_rows(reader: pa.RecordBatchReader, kind: str, stream: TextIO, output: str | None = None) -> None:
    """Write a query's rows: a table (the first MOST_ROWS), CSV, JSON (an array, a row a line), or a Parquet file.

    Raises:
        InputError: the format is unknown, or `parquet` has no `output`.
    """
    if kind not in ROW_FORMATS:
        raise InputError(f"--format {kind!r} is not known{nearest(kind, ROW_FORMATS)} ({', '.join(ROW_FORMATS)})")
    if kind == "parquet":
        if output is None:
            raise InputError("--format parquet is no text: give --output FILE")
        _write_parquet(reader, output)
    elif kind == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(reader.schema.names)
        for batch in reader:
            writer.writerows(["" if v is None else v for v in row.values()] for row in batch.to_pylist())
    elif kind == "json":
        lead = "["
        for batch in reader:
            for row in batch.to_pylist(maps_as_pydicts="lossy"):
                stream.write(f"{lead}{to_json(row)}")
                lead = ",\n"
        stream.write("[]\n" if lead == "[" else "]\n")
    else:
        _write_table(reader, stream)


def _write_parquet(reader: pa.RecordBatchReader, output: str) -> None:
    import pyarrow as pa

    from jobs.work.files import write_parquet

    folder, name = os.path.split(os.path.abspath(output))
    with Store(folder).attempt(name) as path:
        write_parquet(path, (pa.Table.from_batches([batch]) for batch in reader), reader.schema)


def _write_table(reader: pa.RecordBatchReader, stream: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for field in reader.schema:
        table.add_column(field.name, overflow="fold", justify="right" if _is_number(str(field.type)) else "left")
    shown = 0
    for batch in reader:
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            shown += 1
            if shown <= MOST_ROWS:
                table.add_row(*(Text(_cell(value)) for value in row.values()))
        if shown > MOST_ROWS:
            break
    make_console().print(table)
    if shown > MOST_ROWS:
        stream.write(f"... the first {MOST_ROWS} rows; --format csv or json gives all\n")


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
