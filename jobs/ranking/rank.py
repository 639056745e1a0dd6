"""Stage 7: from moments to the ranking: information of each source with its jackknife, pairs, tables, rejects."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from eci_sql.connection import connect, kept, statement
from eci_sql.information import eci_v1, interval, jackknife_se, paired_difference, rank_bounds, spectrum
from eci_sql.mixtures import Folds
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from eci_sql.udfs import register_information
from jobs.ids import from_arrow
from jobs.output.tables import MOMENTS, REJECTS, SOURCE_ECI, SOURCE_PAIRS, SUMS
from jobs.ranking.hybrids import BEST, as_lists, best_of, folds_of_table, merged, mixed_counts
from jobs.ranking.looks import leave_out_of
from jobs.work.files import Job, publish, reading

COUNTS = ("n_examples", *(column.name for column in SUMS))


def read_source(job: Job, number: int, folds: list[str]) -> pa.Table:
    """Return one source's rows of the moments table, by fold. `folds`: score tasks, FF or FF-KK; looks are summed."""
    looks: dict[str, list[pa.RecordBatch]] = {}
    for fold in folds:
        with reading(job.store, job.at("score", f"{fold}.moments.arrow")) as file:
            looks.setdefault(fold.partition("-")[2], []).append(file.get_batch(number))
    tables = [pa.Table.from_batches(batches, MOMENTS.schema) for batches in looks.values()]
    if len(tables) == 1:
        return tables[0]
    total = merged(iter(tables), job.folds)
    source = next((table["source"][0] for table in tables if len(table)), None)
    if source is None:
        return tables[0]
    return (
        total.append_column("source", pa.repeat(source, len(total))).select(MOMENTS.schema.names).cast(MOMENTS.schema)
    )


def matrices_of(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of packed matrices as int64 (folds, P)."""
    values = table[name].combine_chunks().flatten().to_numpy()
    return np.asarray(values).reshape(len(table), -1)


def information_task(job: Job, name: str, numbers: list[int], folds: list[str]) -> dict[str, Any]:
    """Score a source, or several pooled to a hybrid, from moments: the whole, and without each fold."""
    table = read_source(job, numbers[0], folds)
    if len(numbers) > 1:
        table = merged((read_source(job, number, folds) for number in numbers), job.folds)
    if not len(table):
        return dict.fromkeys(COUNTS, 0)
    # the last bits of a log-determinant follow the number of BLAS threads
    with threadpool_limits(1, "blas"):
        return _information(job, table)


def _information(job: Job, table: pa.Table) -> dict[str, Any]:
    counts = {count: int(sum(table[count].to_pylist())) for count in COUNTS}
    plus, minus = matrices_of(table, "plus"), matrices_of(table, "minus")
    examples = table["n_examples"].to_numpy()
    whole_plus, whole_minus = sum_packed(plus), sum_packed(minus)
    sums = pa.table(
        {
            "fold": pa.array([None, *table["fold"].to_pylist()], pa.int32()),
            "n_examples": pa.array(np.concatenate([[counts["n_examples"]], counts["n_examples"] - examples])),
            "plus": as_lists(np.concatenate([whole_plus[None], whole_plus - plus])),
            "minus": as_lists(np.concatenate([whole_minus[None], whole_minus - minus])),
        }
    )
    with kept(job.share // 2, 1, register_information, sums=sums) as (con, _):
        rows = con.sql(statement("information"), params={"lambda": job.lam}).to_arrow_table().to_pylist()
    trace, rank = spectrum(unpack_upper(whole_plus, dim_of(len(whole_plus))) / counts["n_examples"])
    return {
        **counts,
        **{key: rows[0][key] for key in ("information", "misinformation", "purity", "eci")},
        "leave_out": {row["fold"]: row["eci"] for row in rows[1:]},
        "trace": trace,
        "effective_rank": rank,
        "folds_done": len(table),
    }


def mixture_task(job: Job, name: str, numbers: list[int], folds: list[str]) -> dict[str, Any]:
    """Find the best mixture of the sources with these numbers; returns its shares and what `information_task` does."""

    def read(number: int) -> Folds:
        return folds_of_table(read_source(job, numbers[number], folds), job.folds)

    with threadpool_limits(1, "blas"):
        found = best_of(read, len(numbers), job.lam)
    return found.as_dict()


def moments_task(job: Job, name: str, sources: int, folds: list[str]) -> dict[str, Any]:
    """Publish the moments table, a source at a time."""
    tables = (read_source(job, number, folds) for number in range(sources))
    rows = publish(job, "moments.parquet", tables, MOMENTS.schema, rows=job.folds)
    return {"rows": rows}


def rejects_task(
    job: Job,
    name: str,
    read: list[tuple[str, str, str]],
    files: list[str],
    folded: list[tuple[str, str]],
) -> dict[str, Any]:
    """Publish the rejects of all stages, by file and row.

    Args:
        read: (stage, task, file) of the rejects that readers found.
        files: the file of each ingest task, by its number.
        folded: (stage, fold) of the rejects that name their ingest task by number.
    """

    def tables() -> Iterator[pa.Table]:
        for stage, task, file in read:
            with reading(job.store, job.at(stage, f"{task}.rejects.arrow")) as source:
                yield _with_run(job, source.read_all(), [file])
        for stage, fold in folded:
            with reading(job.store, job.at(stage, f"{fold}.rejects.arrow")) as source:
                table = source.read_all()
            yield _with_run(job, _explained(table), [files[u] for u in table["unit"].to_pylist()])

    batches = (batch for table in tables() for batch in table.to_batches())
    reader = pa.RecordBatchReader.from_batches(REJECTS.schema, batches)
    with tempfile.TemporaryDirectory(prefix="eci-") as spill, connect(job.share // 2, 1, spill) as con:
        con.register("found", reader)
        ordered = con.sql("SELECT * FROM found ORDER BY file, row, source, reason, detail, record").to_arrow_reader(
            10_000
        )
        parts = (pa.Table.from_batches([batch]) for batch in ordered)
        rows = publish(job, "rejects/part-000.parquet", parts, REJECTS.schema)
    with job.store.open(f"{job.publish}/rejects/part-000.parquet") as source:
        columns = pq.read_table(source, columns=["source", "reason"])
    by_reason = columns.group_by("reason").aggregate([([], "count_all")]).to_pylist()
    by_source = columns.group_by("source").aggregate([([], "count_all")]).to_pylist()
    return {
        "rows": rows,
        "by_reason": {row["reason"]: row["count_all"] for row in by_reason},
        "by_source": {row["source"]: row["count_all"] for row in by_source if row["source"] is not None},
    }


def _with_run(job: Job, table: pa.Table, files: list[str]) -> pa.Table:
    file = pa.array(files if len(files) == len(table) else files * len(table), pa.string())
    table = table.append_column("file", file).append_column("run_id", pa.repeat(job.run_id, len(table)))
    return table.select(REJECTS.schema.names).cast(REJECTS.schema)


DETAILS = {
    "negative_is_positive": "negative and positive are the same text",
    "negative_is_labelled_positive": "the negative is a positive of this query elsewhere in the input",
    "bad_vector": "no usable vector for the query, the positive or the negative",
}


def _explained(table: pa.Table) -> pa.Table:
    """Give rows that were rejected by their ids the columns detail and record (the ids: the texts are in `texts`)."""
    names = ("query_id", "positive_id", "negative_id")
    ids = [[bytes(value).hex() for value in from_arrow(table[name]).view("V16").tolist()] for name in names]
    records = [json.dumps(dict(zip(names, row, strict=True))) for row in zip(*ids, strict=True)]
    detail = [DETAILS[reason] for reason in table["reason"].to_pylist()]
    return table.append_column("detail", pa.array(detail, pa.string())).append_column(
        "record", pa.array(records, pa.string())
    )


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
    from jobs.output.tables import FORMULA_VERSION

    same = same | {"formula_version": FORMULA_VERSION, "idf_corpus": "snapshot"}
    columns = {
        field.name: pa.array([same[field.name]] * len(table), field.type) if field.name in same else table[field.name]
        for field in SOURCE_ECI.schema
    }
    return pa.table(columns).cast(SOURCE_ECI.schema)
