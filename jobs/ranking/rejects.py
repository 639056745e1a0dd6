"""Stage `rejects`: the rejects of all stages, published by file and row."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa

from eci_sql.connection import connect, statement
from jobs.ids import from_arrow
from jobs.output import layout
from jobs.output.leftovers import scratch
from jobs.output.tables import REJECTS
from jobs.work.files import publish, read_unfinished, reading
from jobs.work.job import Job
from jobs.work.layout import REJECTS_OF
from jobs.work.summaries import Rejects

DETAILS = {
    "negative_is_positive": "negative and positive are the same text",
    "negative_is_labelled_positive": "the negative is a positive of this query elsewhere in the input",
    "bad_vector": "no usable vector for the query, the positive or the negative",
}
WITHOUT_TEXT = "the query, the positive or the negative is an id (a number in the place of a text is one), and no file has its text"
"""Why a vector is missing where an encoder makes them."""


def rejects_task(
    job: Job,
    name: str,
    read: list[tuple[str, str, str]],
    files: list[str],
    folded: list[tuple[str, str]],
) -> Rejects:
    """Publish the rejects of all stages, by file and row.

    Args:
        read: (stage, task, file) of the rejects that readers found.
        files: the file of each ingest task, by its number.
        folded: (stage, task) of the rejects that name their ingest task by number.
    """

    def tables() -> Iterator[pa.Table]:
        for stage, task, file in read:
            with reading(job, REJECTS_OF[stage], task) as source:
                yield _with_run(job, source.read_all(), [file])
        for stage, task in folded:
            with reading(job, REJECTS_OF[stage], task) as source:
                table = source.read_all()
            yield _with_run(job, _explained(job, table), [files[u] for u in table["unit"].to_pylist()])

    batches = (batch for table in tables() for batch in table.to_batches())
    reader = pa.RecordBatchReader.from_batches(REJECTS.schema, batches)
    with scratch() as spill, connect(job.share // 2, 1, spill) as con:
        con.register("found", reader)
        ordered = con.sql(statement("rejects")).to_arrow_reader(10_000)
        parts = (pa.Table.from_batches([batch]) for batch in ordered)
        published = publish(job, layout.REJECTS, parts, REJECTS.schema)
    columns = read_unfinished(job, layout.REJECTS, columns=["source", "reason"])
    by_reason = columns.group_by("reason").aggregate([([], "count_all")]).to_pylist()
    by_source = columns.group_by("source").aggregate([([], "count_all")]).to_pylist()
    return {
        "rows": published["rows"],
        "by_reason": {row["reason"]: row["count_all"] for row in by_reason},
        "by_source": {row["source"]: row["count_all"] for row in by_source if row["source"] is not None},
        "published": [published],
    }


def _with_run(job: Job, table: pa.Table, files: list[str]) -> pa.Table:
    file = pa.array(files if len(files) == len(table) else files * len(table), pa.string())
    table = table.append_column("file", file).append_column("run_id", pa.repeat(job.run_id, len(table)))
    return table.select(REJECTS.schema.names).cast(REJECTS.schema)


def _explained(job: Job, table: pa.Table) -> pa.Table:
    """Give rows that were rejected by their ids the columns detail and record (the ids: the texts are in `texts`)."""
    names = ("query_id", "positive_id", "negative_id")
    ids = [[bytes(value).hex() for value in from_arrow(table[name]).view("V16").tolist()] for name in names]
    records = [json.dumps(dict(zip(names, row, strict=True))) for row in zip(*ids, strict=True)]
    details = DETAILS if job.encoder is None else DETAILS | {"bad_vector": WITHOUT_TEXT}
    detail = [details[reason] for reason in table["reason"].to_pylist()]
    return table.append_column("detail", pa.array(detail, pa.string())).append_column(
        "record", pa.array(records, pa.string())
    )
