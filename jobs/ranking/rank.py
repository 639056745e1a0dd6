"""From what sources scored to the tables source_eci and source_pairs; stage `moments`, which publishes the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.connection import connect, statement
from eci_sql.information import eci_v1, interval, jackknife_se, paired_difference, rank_bounds
from jobs.output.tables import FORMULA_VERSION, MOMENTS, SOURCE_ECI, SOURCE_PAIRS
from jobs.ranking.hybrids import BEST, mixed_counts
from jobs.ranking.looks import leave_out_of
from jobs.scoring.sums import published_row, read_source
from jobs.work.files import publish
from jobs.work.job import Job
from jobs.work.summaries import Moments


def moments_task(job: Job, name: str, sources: int, scored: list[str]) -> Moments:
    """Publish the moments table, a source at a time. `sources`: how many.  `scored`: score tasks."""
    tables = (published_row(read_source(job, [number], scored)) for number in range(sources))
    published = publish(job, MOMENTS.files, tables, MOMENTS.schema, rows=1)
    return {"rows": published["rows"], "published": [published]}


def rank_tables(
    job: Job,
    found: dict[str, dict[str, Any]],
    counts: dict[str, dict[str, int]],
    created_at: Any,
    encoder: str,
    share: float,
    mixture: dict[str, Any] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Return (source_eci, source_pairs).

    Args:
        found: source or hybrid -> result of `information_task`, with kind and parts.
        counts: n_* by source or hybrid.
        share: share of the queries that was used.
        mixture: result of `mixture_task`, with parts; it gets a row without a rank and is in no pair.
    """
    names = sorted(found)
    leave_out = {name: leave_out_of(found[name], job.folds) for name in names}
    pairs, decided = [], np.zeros((len(names), len(names)), dtype=bool)
    for i, a in enumerate(names):
        for k, b in enumerate(names):
            if i != k:
                d = paired_difference(found[a]["eci"], leave_out[a], found[b]["eci"], leave_out[b])
                decided[i, k] = d.decided
                pairs.append({"run_id": job.run_id, "a": a, "b": b, **vars(d)})
    ranks: Any = np.stack(rank_bounds([found[name]["eci"] for name in names], decided), axis=1) if names else []
    rows = []
    for name, (rank, low, high) in zip(names, ranks, strict=True):
        row = _estimate(job, found[name]) | {"rank": int(rank), "rank_lo": int(low), "rank_hi": int(high)}
        rows.append(row | {"source": name} | counts[name])
    if mixture is not None:
        rows.append(_estimate(job, mixture | mixed_counts(mixture["parts"], found)) | {"source": BEST})
    with connect() as con:
        con.register("estimates", pa.Table.from_pylist(rows))
        table = con.sql(statement("source_eci")).to_arrow_table()
    same = {
        "run_id": job.run_id,
        "created_at": created_at,
        "encoder": encoder,
        "encoder_fingerprint": job.fingerprint,
        "temperature": job.temperature,
        "kappa": job.kappa,
        "lambda": job.lam,
        "tokenizer": job.tokenizer,
        "folds": job.folds,
        "sample_share": share,
    }
    return _constant(table, same), pa.Table.from_pylist(pairs, SOURCE_PAIRS.schema)


def _estimate(job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of source_eci that follow from a result alone: its interval and the paper's first version."""
    se = jackknife_se(leave_out_of(result, job.folds))
    lo, hi = interval(result["eci"], se, result["folds_done"])
    n = result["n_examples"]
    v1 = eci_v1(n, result["sum_hardness"] / 2**32 / n, result["sum_safety"] / 2**32 / n)
    row = {key: value for key, value in result.items() if key != "leave_out"}
    return row | {"eci_se": se, "eci_lo": lo, "eci_hi": hi, "eci_v1": v1}


def _constant(table: pa.Table, same: dict[str, Any]) -> pa.Table:
    same = same | {"formula_version": FORMULA_VERSION, "idf_corpus": "snapshot"}
    columns = {
        field.name: pa.array([same[field.name]] * len(table), field.type) if field.name in same else table[field.name]
        for field in SOURCE_ECI.schema
    }
    return pa.table(columns).cast(SOURCE_ECI.schema)
