"""Stage `score`. SQL with NumPy UDFs computes each triple's row; NumPy sums the matrices, exactly.

A fold's parts are scored one after the other, each with its own vectors in memory, and publish a scores file each.
Rejects are the triples without a usable vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import kept, statement
from eci_sql.udfs import Texts, TokenSets, register
from jobs.errors import EciError
from jobs.ids import as_text, first_of_run, from_arrow
from jobs.ingest.judgements import Judgements, read_judgements
from jobs.output import layout
from jobs.output.tables import SCORES
from jobs.scoring.members import members_of, write_members
from jobs.scoring.moments import Moments, add_moments
from jobs.vectors.exchange import receive, token_weights
from jobs.work.files import publish, reading, writing
from jobs.work.job import Job
from jobs.work.layout import MOMENTS, PARTS, REFS, SCORE_REJECTS, Exchanged, PartRange, fold_name
from jobs.work.summaries import Scored

if TYPE_CHECKING:
    import duckdb


def score_task(
    job: Job,
    name: str,
    report: Callable[[int], None],
    parts: PartRange,
    first: int,
    exchanged: Exchanged,
    sources: list[str],
    judged: dict[str, Any],
) -> Scored:
    """Score parts of one fold, and write their sums under this task's name.

    Args:
        report: called with the number of triples scored since the last call.
        first: the number of the first one in the exchange files.
        judged: the `files` of judgements, and the `digest` of what they say.

    Raises:
        EciError: the files say something else than when the run was prepared.
    """
    judgements, met = _judgements(**judged), Counter[str]()
    moments = Moments(sources, job.dim)
    members, rejects, published = [], [SCORE_REJECTS.schema_of(job).empty_table()], []
    near = Counter[str]()
    labelled = np.zeros(2, dtype=np.int64)
    fold, folder = parts.fold, fold_name(parts.fold)
    weights = token_weights(job)
    # memory that one part has touched serves the next, which costs no page faults
    room = np.empty((job.part_texts, job.dim), dtype=np.float32)
    with kept(job.share // 4, 1, register) as (con, texts):
        for part in range(parts.start, parts.stop):
            with reading(job, PARTS, folder) as file:
                rows = pa.Table.from_batches([file.get_batch(part)])
            texts.vectors, texts.sets, plain = receive(job, first + part - parts.start, exchanged, weights, room)
            labelled += queries_apart(texts.sets, rows["q_ref"].to_numpy(), rows["p_ref"].to_numpy())
            rows = rows.append_column("judged", judgements.consistency(*pairs_of(rows)))
            scored, rejected = score_part(con, job, rows)
            met += _judged_pairs(scored)
            moments.add_sums(con.sql(statement("sums")).to_arrow_table())
            add_moments(moments, scored, texts.vectors)
            path = layout.scores_part(folder, part)
            published.append(publish(job, path, [_published(job, fold, scored)], SCORES.schema))
            near.update(near_positive(scored, plain))
            members.append(members_of(scored, len(texts.vectors.valid), sources))
            rejects.append(rejected)
            _let_go(con, texts)  # before the next part comes, and while other stages use this worker
            report(len(scored))
    with writing(job, MOMENTS, name) as out:
        moments.write(out, job.run_id, fold)
    with writing(job, SCORE_REJECTS, name) as out:
        out.write_table(pa.concat_tables(rejects))
    write_members(job, name, members)
    by_source = {source: sums["n_examples"] for source, sums in moments.sums.items()}
    lost = Counter(source for table in rejects for source in table["source"].to_pylist())
    return {
        "scored": sum(by_source.values()),
        "by_source": by_source,
        "near_positive": dict(near),
        "rejected": lost.total(),
        "rejected_by_source": dict(lost),
        "judged": dict(met),
        "queries": int(labelled[0]),
        "queries_apart": int(labelled[1]),
        "published": published,
    }


def _judgements(files: list[str], digest: str) -> Judgements:
    found = read_judgements(files)
    if found.digest != digest:
        raise EciError(f"{', '.join(files)}: changed since the run began; give the same command again")
    return found


def pairs_of(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of queries and negatives of triples, S16 (n,) each."""
    return from_arrow(rows["query_id"]), from_arrow(rows["negative_id"])


def _judged_pairs(scored: pa.Table) -> Counter[str]:
    """Return how many scored triples have each judged pair of query and negative, as 64 hexadecimal digits."""
    queries, negatives = pairs_of(scored.filter(scored["judged"].is_valid()))
    each = range(len(queries))
    return Counter(queries[i : i + 1].tobytes().hex() + negatives[i : i + 1].tobytes().hex() for i in each)


def near_positive(scored: pa.Table, plain: np.ndarray) -> dict[str, int]:
    """Return how many negatives of each source are their positive but for case and white space. `plain`: by text."""
    positive, negative = (plain[scored[ref].to_numpy()] for ref in ("p_ref", "n_ref"))
    return Counter(scored["source"].filter(pa.array((positive == negative) & (positive > 0))).to_pylist())


def queries_apart(sets: TokenSets, queries: np.ndarray, positives: np.ndarray) -> tuple[int, int]:
    """Return how many queries there are, and how many of them have no token in common with any of their positives.

    Args:
        queries, positives: refs int32 (m,), pairs that may repeat. Those whose texts are absent count for neither.
    """
    labels = np.sort((queries.astype(np.int64) << 32) | positives)
    labels = labels[first_of_run(labels)]
    query, positive = labels >> 32, labels & 0xFFFFFFFF
    there = sets.known[query] & sets.known[positive]
    query, positive = query[there], positive[there]
    met = np.zeros(len(sets.known), dtype=bool)
    met[query[sets.meet(query, positive)]] = True
    query = query[first_of_run(query)]
    return len(query), int(np.count_nonzero(~met[query]))


def _let_go(con: duckdb.DuckDBPyConnection, texts: Texts) -> None:
    for view in ("part", "scored"):
        con.unregister(view)
    del texts.vectors, texts.sets


def score_part(con: duckdb.DuckDBPyConnection, job: Job, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return a part's triples with the columns of scores.sql, and those without a usable vector as rejects.

    The first are left as the connection's view `scored`.
    """
    con.register("part", rows.select([*REFS, "judged"]))
    params = {"temperature": job.temperature, "kappa": job.kappa}
    found = con.sql(statement("scores"), params=params).to_arrow_table().combine_chunks()
    for column in found.column_names:
        rows = rows.append_column(column, found[column])
    usable = pc.and_(rows["s_neg"].is_valid(), rows["s_pos"].is_valid())
    scored, rejected = rows.filter(usable), rows.filter(pc.invert(usable))
    con.register("scored", scored)
    reason, schema = pa.repeat("bad_vector", len(rejected)), SCORE_REJECTS.schema_of(job)
    return scored, rejected.append_column("reason", reason).select(schema.names).cast(schema)


def _published(job: Job, fold: int, scored: pa.Table) -> pa.Table:
    columns: dict[str, Any] = {
        "run_id": pa.repeat(job.run_id, len(scored)),
        "fold": pa.array(np.full(len(scored), fold, dtype=np.int32)),
        "information": pa.nulls(len(scored), pa.float64()),
    }
    for name in SCORES.schema.names:
        if name.endswith("_id") and name not in columns:
            columns[name] = as_text(from_arrow(scored[name]))
        elif name not in columns:
            columns[name] = scored[name]
    return pa.table({name: columns[name] for name in SCORES.schema.names}, schema=SCORES.schema)
