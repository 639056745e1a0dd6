"""Stages `factor` and `triples`: what each triple adds to its source (`eci run --information`).

The matrices of whole sources are known only when every fold is scored, so this is a second pass over the exchanged
vectors. A part's scores file is written again with the column filled and replaces the first one by rename: doing it
twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.leverage import added, inverse_factor, leverages, residuals
from eci_sql.moments import FloatArray, RefArray, VectorArray, unpack_upper
from jobs.ids import from_arrow
from jobs.output import layout
from jobs.output.tables import SCORES
from jobs.scoring.sums import read_source
from jobs.vectors.exchange import receive, token_weights
from jobs.work.files import publish, read_unfinished, reading, writing_bytes
from jobs.work.job import Job
from jobs.work.layout import FACTORS, PARTS, REFS, Exchanged, PartRange, fold_name
from jobs.work.summaries import Factor, Informed

BLOCK = 8192
Factors = dict[str, tuple[FloatArray, FloatArray, int]]


def factor_task(job: Job, name: str, number: int, scored: list[str]) -> Factor:
    """Keep the inverse factors of one source's two matrices, for `triples_task`. `scored`: score tasks."""
    sums = read_source(job, [number], scored).sums
    n = int(sums.n.sum())
    with threadpool_limits(1, "blas"):
        factors = [inverse_factor(unpack_upper(sign.whole, job.dim) / n, job.lam) for sign in sums.signs]
    with writing_bytes(job, FACTORS, name) as file:
        np.save(file, np.stack(factors))
    return {"n_examples": n}


def triples_task(
    job: Job,
    name: str,
    report: Callable[[int], None],
    parts: PartRange,
    first: int,
    exchanged: Exchanged,
    factors: dict[str, tuple[str, int]],
) -> Informed:
    """Fill `information` in one fold's scores.

    Args:
        report: called with the number of triples done since the last call.
        first: the number of the first part in the exchange files.
        factors: source -> (its factor task, its examples).
    """
    loaded: Factors = {}
    for source, (task, n) in factors.items():
        with job.store.open(FACTORS.path(job, task)) as file:
            plus, minus = np.load(file)
        loaded[source] = (plus, minus, n)
    rows, weights, published = 0, token_weights(job), []
    for part in range(parts.start, parts.stop):
        relative = layout.scores_part(fold_name(parts.fold), part)
        scores = read_unfinished(job, relative)
        refs, vectors = _refs(job, parts.fold, part, first + part - parts.start, exchanged, scores, weights)
        with threadpool_limits(1, "blas"):
            values = information_of(scores, vectors, refs, loaded, job.lam)
        at = SCORES.schema.get_field_index("information")
        published.append(
            publish(job, relative, [scores.set_column(at, "information", pa.array(values))], SCORES.schema)
        )
        rows += len(scores)
        report(len(scores))
    return {"rows": rows, "published": published}


def _refs(
    job: Job, fold: int, part: int, number: int, exchanged: Exchanged, scores: pa.Table, weights: np.ndarray
) -> tuple[tuple[RefArray, RefArray, RefArray], VectorArray]:
    """Return where the vectors of a part's scored triples are, and the part's vectors."""
    with reading(job, PARTS, fold_name(fold)) as file:
        rows = pa.Table.from_batches([file.get_batch(part)])
    vectors = receive(job, number, exchanged, weights).vectors
    q, p, n = (rows[ref].to_numpy() for ref in REFS)
    usable = vectors.valid[q] & vectors.valid[p] & vectors.valid[n]
    if not np.array_equal(from_arrow(rows["triple_id"])[usable], from_arrow(scores["triple_id"])):
        raise RuntimeError(f"fold {fold} part {part}: the scores are not those of the part's triples")
    return (q[usable], p[usable], n[usable]), vectors.matrix


def information_of(
    scores: pa.Table, vectors: VectorArray, refs: tuple[RefArray, RefArray, RefArray], factors: Factors, lam: float
) -> FloatArray:
    """Return the information of scored triples, float64 (n,): 0 where the weight is 0.

    Args:
        scores: rows with source, weight, s_pos, s_neg.  vectors: float32 (m, d).  refs: (n,) rows of `vectors` each.
        factors: source -> inverse factor of M+, of M-, number of examples.
    """
    weight, s_pos, s_neg = (scores[name].to_numpy() for name in ("weight", "s_pos", "s_neg"))
    sources = scores["source"].combine_chunks().dictionary_encode()
    code = sources.indices.to_numpy()
    result = np.zeros(len(scores))
    for k, source in enumerate(sources.dictionary.to_pylist()):
        plus, minus, n = factors[source]
        for factor, chosen in ((plus, weight > 0), (minus, weight < 0)):
            at = np.flatnonzero((code == k) & chosen)
            for block in np.array_split(at, range(BLOCK, len(at), BLOCK)):
                q, p, g = (ref[block] for ref in refs)
                rows = residuals(vectors, (q, p, g), s_pos[block], s_neg[block])
                result[block] = added(weight[block], leverages(rows, factor), n, vectors.shape[1], lam)
    return result
