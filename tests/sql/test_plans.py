"""No statement of the job has a plan that is quadratic in its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from eci_sql.connection import FOLDER, connect, statement
from eci_sql.udfs import TokenSets, Vectors, register, register_information
from jobs.output.tables import REJECTS, SCORES, SUMS, TEXTS
from jobs.work.layout import REFS, TOKENS, TRIPLES_SCHEMA

QUADRATIC = ("CROSS_PRODUCT", "NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "IE_JOIN", "PIECEWISE_MERGE_JOIN")
SCORED = [("source", pa.string()), *((name, pa.float64()) for name in
          ("weight", "consistency", "locality", "residuality", "s_pos", "s_neg", "s_pair", "lexical_overlap"))]  # fmt: skip
ESTIMATES = [("kind", pa.string()), ("source", pa.string()), ("parts", pa.list_(pa.string())),
             *((name, pa.float64()) for name in ("rank", "rank_lo", "rank_hi", "eci", "eci_se", "eci_lo", "eci_hi", "information",
               "misinformation", "purity", "trace", "effective_rank", "eci_v1", "folds_done")),
             *((name, pa.int64()) for name in ("n_examples", "n_rejected", "n_queries", "n_negatives", "n_near_positive")),
             *((column.name, pa.int64()) for column in SUMS)]  # fmt: skip
PART = pa.schema([*((ref, pa.int32()) for ref in REFS), ("judged", pa.float64())])
SUMMED = [
    ("fold", pa.int32()),
    ("n_examples", pa.int64()),
    ("plus", pa.list_(pa.int64())),
    ("minus", pa.list_(pa.int64())),
]

SELECTED = pa.schema([*(SCORES.schema.field(name) for name in ("triple_id", "query_id", "positive_id", "negative_id",
                      "source", "fold", "s_pos", "s_neg", "weight", "information")), ("key", pa.float64()), ("grp", pa.string())])  # fmt: skip
SHARES = pa.schema([("source", pa.string()), ("alpha", pa.float64())])
BUDGETS = pa.schema([("grp", pa.string()), ("most", pa.int64())])
FILTERS = {"sources": ["s"], "min_weight": 0.1, "violations": False, "by_information": False}

# name -> inputs, params
STATEMENTS: dict[str, tuple[dict[str, pa.Schema], dict[str, Any]]] = {
    "settle": ({"incoming": TRIPLES_SCHEMA}, {}),
    "scores": ({"part": PART}, {"temperature": 0.05, "kappa": 0.5}),
    "sums": ({"scored": pa.schema(SCORED)}, {}),
    "idf": ({"tokens": TOKENS.schema}, {"passages": 10}),
    "information": ({"sums": pa.schema(SUMMED)}, {"lambda": 1.0}),
    "source_eci": ({"estimates": pa.schema(ESTIMATES)}, {}),
    "rejects": ({"found": REJECTS.schema}, {}),
    "select/candidate_table": ({}, {}),
    "select/candidates": ({"fold_scores": SCORES.schema}, FILTERS),
    "select/all_of_fold": ({"fold_candidates": SELECTED}, {}),
    "select/per_query": ({"fold_candidates": SELECTED, "shares": SHARES}, {"per_query": 3}),
    "select/groups": ({"candidate": SELECTED}, {}),
    "select/within_queries": ({"candidate": SELECTED}, {"per_query": 3}),
    "select/by_query": ({"candidate": SELECTED}, {}),
    "select/diverse_table": ({"candidate": SELECTED}, {}),
    "select/diverse_piece": ({"piece": SELECTED}, {}),
    "select/chosen": ({"candidate": SELECTED, "budgets": BUDGETS}, {"record": 2}),
    "select/counts": ({"chosen": SELECTED}, {}),
    "report/violations": ({"scores": SCORES.schema}, {"n": 20, "sources": ["s"]}),
    "report/histograms": ({"scores": SCORES.schema}, {"bin": 0.02, "sources": ["s"]}),
    "report/extremes": ({"scores": SCORES.schema}, {"n": 5, "sources": ["s"]}),
    "report/shared": ({"scores": SCORES.schema}, {"until": "8", "sources": ["s"]}),
    "report/apart": ({"scores": SCORES.schema}, {"until": "8", "n": 5, "sources": ["s"]}),
    "report/texts": ({"texts": TEXTS.schema}, {"ids": ["00000000000000000000000000000000"], "most": 9}),
    "report/rejects": ({"rejects": REJECTS.schema}, {"most": 9}),
}
TARGETS = {
    "select/all_of_fold": "CREATE TABLE candidate AS FROM fold_candidates LIMIT 0",
    "select/per_query": "CREATE TABLE candidate AS FROM fold_candidates LIMIT 0",
    "select/diverse_piece": "CREATE TABLE diverse AS FROM piece LIMIT 0",
}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        register(con)
        register_information(con)
        yield con


def test_every_statement_is_here() -> None:
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.sql")} == set(STATEMENTS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_no_quadratic_plan(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    inputs, parameters = STATEMENTS[name]
    for table, schema in inputs.items():
        # enough rows that the optimiser does not take a nested loop for being small
        rows = pa.table(
            [pa.nulls(50_000, field.type) for field in schema],
            schema=pa.schema([f.with_nullable(True) for f in schema]),
        )
        connection.register(table, rows)
    if name in TARGETS:
        connection.execute(TARGETS[name])
    plan = connection.execute(f"EXPLAIN {statement(name)}", parameters).fetchall()[0][1]
    assert not [operator for operator in QUADRATIC if operator in plan.upper()], plan


@pytest.mark.parametrize("least", [None, 0.1])
def test_a_filter_that_is_not_asked_for_is_not_in_the_plan(
    connection: duckdb.DuckDBPyConnection, least: float | None
) -> None:
    schema = SCORES.schema
    connection.register("fold_scores", pa.table([pa.nulls(9, field.type) for field in schema], names=schema.names))
    parameters = FILTERS | {"min_weight": least, "violations": True}
    plan = connection.execute(f"EXPLAIN {statement('select/candidates')}", parameters).fetchall()[0][1]
    assert ("weight >=" in plan or "weight>=" in plan) is (least is not None), plan
    assert "IS NULL" not in plan and " OR " not in plan, plan


@pytest.mark.parametrize("threads", [1, 2])
def test_scores_come_in_the_order_of_their_triples(threads: int) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((500, 8)).astype(np.float32)
    refs = rng.integers(0, len(vectors), (3, 300_000)).astype(np.int32)
    part = pa.Table.from_arrays([pa.array(ref) for ref in refs], REFS)
    batches = part.append_column("judged", pa.nulls(len(part), pa.float64())).to_batches(max_chunksize=7_000)
    nothing = np.zeros(len(vectors) + 1, dtype=np.int32)
    with connect(threads=threads) as con:
        texts = register(con)
        texts.vectors = Vectors(vectors, np.ones(len(vectors), dtype=bool))
        texts.sets = TokenSets(nothing, nothing[:0], np.empty(0), np.ones(len(vectors), dtype=bool))
        con.register("part", pa.Table.from_batches(batches))
        found = con.sql(statement("scores"), params={"temperature": 0.05, "kappa": 0.5}).to_arrow_table()
    assert np.array_equal(
        found["s_neg"].to_numpy(), np.einsum("ij,ij->i", *(vectors[refs[k]].astype(float) for k in (0, 2)))
    )
