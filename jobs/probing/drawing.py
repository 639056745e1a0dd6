"""Stage `draw`: the probe's sample, from the first parts of each fold, with its vectors from the exchange.

Parts lie in the order of sample positions, so that the queries of lowest position are in the first parts of each fold,
however large the lake is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from jobs.config import Probe
from jobs.errors import EciError
from jobs.ids import as_arrow, from_arrow, lookup, unique
from jobs.output import layout
from jobs.probing.measure import Vectors
from jobs.probing.sample import AROUND, Ids, Sample, draw, most_texts, too_few
from jobs.probing.scored import ScoredParts
from jobs.vectors.columns import as_binary, matrix_of, unit_rows
from jobs.work.files import read_unfinished, reading, write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import (
    EXCHANGE,
    REQUESTS,
    SAMPLE_TEXTS,
    SAMPLE_TRIPLES,
    Exchanged,
    PartRange,
    fold_name,
)
from jobs.work.summaries import Drawn


@dataclass(frozen=True)
class Seen:
    """Parts that were scored in one look, and the exchange files that hold their vectors, in the same order."""

    parts: list[PartRange]
    exchanged: Exchanged

    def numbered(self) -> Iterator[tuple[int, int, int]]:
        """Yield (fold, part, its number in the exchange files)."""
        every = ((fold, part) for fold, start, stop in self.parts for part in range(start, stop))
        yield from ((fold, part, number) for number, (fold, part) in enumerate(every))


def draw_task(job: Job, name: str, seen: list[Seen], sources: list[str], probe: Probe) -> Drawn:
    """Draw the sample and write it with its vectors. `seen`: what was scored, look by look."""
    places = {(fold, part): (number, look.exchanged) for look in seen for fold, part, number in look.numbered()}
    paths = [layout.scores_part(fold_name(fold), part) for fold, part in places]
    reader = ScoredParts(partial(read_unfinished, job), paths)
    rows = reader.rows(reader.lowest(AROUND * probe.queries), sources)
    sample = draw(rows, probe.queries, probe.pool, most_texts(job.dim))
    why = too_few(sample, probe.halvings)
    if why is None:
        of_queries, of_passages = _Found(sample.queries, job.dim), _Found(sample.passages, job.dim)
        for place in reader.holding(unique(rows.query)):
            for found in _exchanged(job, *place, *places[place]):
                of_queries.add(*found)
                of_passages.add(*found)
        _write(job, name, sample, Vectors(of_queries.all(), of_passages.all()), len(sources))
    return {
        "queries": len(sample.queries),
        "passages": len(sample.passages),
        "pool": int(sample.pool.sum()),
        "covered": sample.covered(len(sources)),
        "why_not": why,
    }


class _Found:
    """The unit vectors of ascending ids (n,), float32 (n, d), as far as they were found."""

    def __init__(self, ids: Ids, dim: int) -> None:
        self._ids = ids
        self._vectors = np.zeros((len(ids), dim), dtype=np.float32)
        self._there = np.zeros(len(ids), dtype=bool)

    def add(self, ids: Ids, rows: np.ndarray, scale: np.ndarray) -> None:
        """Add texts (n,) with their vectors (n, d) and what makes these unit vectors, 0 for none."""
        at = lookup(self._ids, ids)
        new = np.flatnonzero((at >= 0) & (scale > 0))
        new = new[~self._there[at[new]]]
        self._vectors[at[new]] = unit_rows(rows[new], scale[new])
        self._there[at[new]] = True

    def all(self) -> np.ndarray:
        """Return the vectors. Raises EciError where one is missing: what was scored had all of them."""
        if not self._there.all():
            raise EciError(
                f"{int((~self._there).sum())} vectors of scored triples are not there (this is a bug in eci-lake)"
            )
        return self._vectors


def _exchanged(
    job: Job, fold: int, part: int, number: int, exchanged: Exchanged
) -> Iterator[tuple[Ids, np.ndarray, np.ndarray]]:
    """Yield the ids, vectors and scales of a part's texts, bucket by bucket. `number`: the part's in the exchange files."""
    with reading(job, REQUESTS, fold_name(fold)) as file:
        wanted = [from_arrow(file.get_batch(part * job.buckets + k)["id"]).copy() for k in range(job.buckets)]
    bucket = iter(wanted)
    for task in exchanged.tasks:
        with reading(job, EXCHANGE, task) as file:
            for at in range(number, file.num_record_batches, exchanged.parts):
                batch = file.get_batch(at)
                rows = matrix_of(batch["vector"], job.vector_type, job.dim)
                yield next(bucket), rows, batch["scale"].to_numpy()


def _write(job: Job, name: str, sample: Sample, vectors: Vectors, sources: int) -> None:
    schema = SAMPLE_TEXTS.schema_of(job)
    with writing(job, SAMPLE_TEXTS, name) as out:
        for ids, pool, rows in (
            (sample.queries, np.zeros(len(sample.queries), dtype=bool), vectors.queries),
            (sample.passages, sample.pool, vectors.passages),
        ):
            out.write_batch(pa.RecordBatch.from_arrays([as_arrow(ids), pa.array(pool), as_binary(rows)], schema=schema))
    labels = np.full((len(sample.labels), 4), -1, dtype=np.int64)
    labels[:, 1:3] = sample.labels
    every = np.concatenate([labels, sample.triples])
    table = pa.table([pa.array(column) for column in every.T], schema=SAMPLE_TRIPLES.schema_of(job))
    with writing(job, SAMPLE_TRIPLES, name) as out:
        write_partitions(out, table, every[:, 0], sources + 1, base=-1)


def read_sample(job: Job, name: str) -> tuple[Sample, Vectors]:
    """Return what `draw_task` has written."""
    with reading(job, SAMPLE_TEXTS, name) as file:
        queries, passages = (file.get_batch(k) for k in (0, 1))
    vectors = Vectors(*(matrix_of(batch["vector"], np.float32, job.dim) for batch in (queries, passages)))
    with reading(job, SAMPLE_TRIPLES, name) as file:
        table = file.read_all()
    every = np.stack([column.to_numpy() for column in table.columns], axis=1)
    labelled = every[:, 0] < 0
    pool = passages["pool"].to_numpy(zero_copy_only=False)
    labels, triples = every[labelled, 1:3], every[~labelled]
    return Sample(from_arrow(queries["id"]), from_arrow(passages["id"]), pool, labels, triples), vectors
