"""Which texts each source has scored, for the distinct counts of source_eci.

A score task leaves them by bucket; the stage `distinct` counts one bucket over all folds.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ids import as_arrow, buckets_of, first_of_run, from_arrow, lookup, order_of
from jobs.work.files import reading, write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import MEMBERS, MEMBERS_SCHEMA, SETS
from jobs.work.summaries import Distinct


def members_of(scored: pa.Table, texts: int, sources: list[str]) -> pa.Table:
    """Return the distinct (text, source) of a part's scored triples, queries and negatives. `texts`: the part's number."""
    code = pc.index_in(scored["source"], value_set=pa.array(sources, pa.string())).to_numpy()
    tables = [MEMBERS_SCHEMA.empty_table()]
    for column, ref in (("query_id", "q_ref"), ("negative_id", "n_ref")):
        at = scored[ref].to_numpy()
        ids = np.empty(texts, dtype="S16")
        ids[at] = from_arrow(scored[column])
        for k in np.unique(code).tolist():
            wanted = np.zeros(texts, dtype=bool)
            wanted[at[code == k]] = True
            owner = pa.array(np.full(int(wanted.sum()), k, dtype=np.int32))
            tables.append(pa.table([as_arrow(ids[wanted]), owner], schema=MEMBERS_SCHEMA))
    return pa.concat_tables(tables)


def write_members(job: Job, name: str, parts: list[pa.Table]) -> None:
    """Write the fold's members by bucket. A text on the edge of two parts is there twice."""
    members = pa.concat_tables([MEMBERS_SCHEMA.empty_table(), *parts])
    ids = from_arrow(members["id"])
    order = order_of(ids)
    with writing(job, MEMBERS, name) as out:
        write_partitions(out, members.take(pa.array(order)), buckets_of(ids[order], job.buckets), job.buckets)


def distinct_task(
    job: Job, name: str, bucket: int, scored: list[str], sources: list[str], hybrids: list[list[int]]
) -> Distinct:
    """Count one bucket's distinct queries and negatives over all folds: of every source, then of every hybrid.

    `scored`: score tasks.  `hybrids`: the numbers of each hybrid's sources; a text of several of them counts once.
    """
    ids, codes = [np.empty(0, "S16")], [np.empty(0, np.int32)]
    for task in scored:
        with reading(job, MEMBERS, task) as file:
            batch = file.get_batch(bucket)
            ids.append(from_arrow(batch["id"]).copy())
            codes.append(batch["source"].to_numpy().copy())
    with reading(job, SETS, name) as file:
        table = file.read_all()
    at, code = lookup(from_arrow(table["id"]), np.concatenate(ids)), np.concatenate(codes)
    is_query = np.asarray(table["side"].to_pylist(), dtype=object)[at] == "query"

    def counts(side: bool) -> list[int]:
        chosen = np.sort(at[is_query == side] * len(sources) + code[is_query == side])
        tally = np.bincount(chosen[first_of_run(chosen)] % max(len(sources), 1), minlength=len(sources))
        pooled = [len(np.unique(at[(is_query == side) & np.isin(code, numbers)])) for numbers in hybrids]
        return [*tally.tolist(), *pooled]

    return {"queries": counts(True), "negatives": counts(False)}
