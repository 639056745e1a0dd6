"""Stage `ingest`: read a unit of input, check its rows, and lay them out by fold, their texts by bucket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.config import good_source
from jobs.formats import format_named
from jobs.formats.base import Options, Unit
from jobs.formats.columnar import left_out
from jobs.formats.sbert_hard_negatives import SbertHardNegatives, passages_are_ids
from jobs.ids import Side, as_arrow, folds_of
from jobs.ingest.checks import Checked, check
from jobs.ingest.digests import Known, unchanged
from jobs.ingest.distinct_texts import TextSink
from jobs.ingest.index import Index, open_index
from jobs.ingest.rejects import bad_file, work_rejects
from jobs.work.files import write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import INGEST_REJECTS, INGEST_TEXTS, TRIPLES
from jobs.work.summaries import RowsRead


def ingest_task(
    job: Job,
    name: str,
    unit: Unit,
    format_name: str,
    options: Options,
    indexed: Mapping[Side, str],
    files: Sequence[Known] = (),
) -> RowsRead:
    """Read one unit, its ids in the indexes that are named by side; returns counts of rows (by source, and of good ones by fold) and of rejects.

    `files`: those that are read, of which nothing is kept where they change meanwhile.
    """
    sources, ids_alone = Counter[str](), Counter[str]()
    by_source: dict[str, dict[str, int]] = {}
    rejects, rows, by_fold = [], 0, np.zeros(job.folds, dtype=np.int64)
    with ExitStack() as stack:
        stack.enter_context(unchanged(files))
        sink = stack.enter_context(TextSink(job, INGEST_TEXTS, name))
        out = stack.enter_context(writing(job, TRIPLES, name))
        indexes: dict[Side, Index] = {
            side: stack.enter_context(open_index(job, index)) for side, index in indexed.items()
        }
        options = _with_ids(unit, format_name, options, indexes)
        for batch in format_named(format_name).read(unit, options):
            checked = check(batch.rows, indexes)
            by_fold += _write(job, out, checked)
            sink.add(checked.texts)
            rejects += [batch.rejects, checked.rejects]
            for frame in (batch.rejects, checked.rejects):
                _count_rejects(frame, options.source, by_source)
            sources.update(checked.source.to_list())
            ids_alone.update(checked.texts.filter(pc.is_null(checked.texts["text"]))["side"].to_pylist())
            rows += len(batch.rows) + len(batch.rejects)
    rejected = work_rejects(job, INGEST_REJECTS, name, rejects)
    return {
        "rows": rows,
        "rejected": rejected,
        "chunks": sink.chunks,
        "sources": dict(sources),
        "by_fold": by_fold.tolist(),
        "ids_alone": dict(ids_alone),
        "rejected_by_source": by_source,
        "left_out": left_out(unit),
    }


def _count_rejects(frame: pl.DataFrame, named: str | None, by_source: dict[str, dict[str, int]]) -> None:
    """Add a batch's rejects to those by source and reason. `named`: the source of all rows, where --source says it."""
    for source, reason, count in frame.group_by("source", "reason").len().iter_rows():
        known = named if named is not None else source
        # what is no name at all is a damaged record's, not a source
        reasons = by_source.setdefault(known if known is not None and good_source(known) else "", {})
        reasons[reason] = reasons.get(reason, 0) + count


def _with_ids(unit: Unit, format_name: str, options: Options, indexes: Mapping[Side, Index]) -> Options:
    """Return the options with what the corpus says of strings that may be passages or their ids."""
    if format_name != SbertHardNegatives.name or "passage" not in indexes:
        return options
    index = indexes["passage"]
    return replace(options, as_ids=passages_are_ids(unit.path, lambda s: int((index.find(s, 1, 0)[1] == 0).sum())))


def bad_file_task(job: Job, name: str, error: str) -> RowsRead:
    """Record a file that cannot be opened as one reject (--skip-bad-files)."""
    with TextSink(job, INGEST_TEXTS, name), writing(job, TRIPLES, name):
        pass
    return {"rows": 1, "rejected": work_rejects(job, INGEST_REJECTS, name, [bad_file(error)]), "chunks": 0, "sources": {},
            "by_fold": [0] * job.folds, "ids_alone": {}, "rejected_by_source": {}, "left_out": 0}  # fmt: skip


def _write(job: Job, out: pa.RecordBatchFileWriter, checked: Checked) -> np.ndarray:
    """Write a batch's rows by fold; returns how many each fold has, int64 (folds,)."""
    folds = folds_of(np.ascontiguousarray(checked.ids[:, 0]), job.folds)
    order = np.argsort(folds, kind="stable")
    ids = checked.ids[order]
    table = pa.table(
        {
            "query_id": as_arrow(ids[:, 0]),
            "positive_id": as_arrow(ids[:, 1]),
            "negative_id": as_arrow(ids[:, 2]),
            "source": checked.source.to_arrow().cast(pa.string()).take(pa.array(order)),
            "row": pa.array(checked.rows[order]),
        },
        schema=TRIPLES.schema_of(job),
    )
    write_partitions(out, table, folds[order], job.folds)
    return np.bincount(folds, minlength=job.folds)
