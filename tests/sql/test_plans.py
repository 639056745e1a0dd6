"""No statement of the job has a plan that is quadratic in its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from eci_sql.connection import connect, statement
from eci_sql.udfs import TokenSets, Vectors, register, register_information
from jobs.output.tables import SUMS
from jobs.work.layout import REFS, TOKENS, TRIPLES

QUADRATIC = ("CROSS_PRODUCT", "NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "IE_JOIN", "PIECEWISE_MERGE_JOIN")
SCORED = [("source", pa.string()), *((name, pa.float64()) for name in
          ("weight", "consistency", "locality", "residuality", "s_pos", "s_neg", "s_pair", "lexical_overlap"))]  # fmt: skip
ESTIMATES = [("kind", pa.string()), ("source", pa.string()), ("parts", pa.list_(pa.string())),
             *((name, pa.float64()) for name in ("rank", "rank_lo", "rank_hi", "eci", "eci_se", "eci_lo", "eci_hi", "information",
               "misinformation", "purity", "trace", "effective_rank", "eci_v1", "folds_done")),
             *((name, pa.int64()) for name in ("n_examples", "n_rejected", "n_queries", "n_negatives")),
             *((column.name, pa.int64()) for column in SUMS)]  # fmt: skip
PART = pa.schema([(ref, pa.int32()) for ref in REFS])
SUMMED = [
    ("fold", pa.int32()),
    ("n_examples", pa.int64()),
    ("plus", pa.list_(pa.int64())),
    ("minus", pa.list_(pa.int64())),
]

STATEMENTS: dict[str, tuple[str, Any, dict[str, float]]] = {
    "settle": ("incoming", TRIPLES.schema, {}),
    "scores": ("part", PART, {"temperature": 0.05, "kappa": 0.5}),
    "sums": ("scored", pa.schema(SCORED), {}),
    "idf": ("tokens", TOKENS.schema, {"passages": 10}),
    "information": ("sums", pa.schema(SUMMED), {"lambda": 1.0}),
    "source_eci": ("estimates", pa.schema(ESTIMATES), {}),
}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as con:
        register(con)
        register_information(con)
        yield con


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_has_no_quadratic_plan(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    table, schema, parameters = STATEMENTS[name]
    # enough rows that the optimiser does not take a nested loop for being small
    rows = pa.table(
        [pa.nulls(50_000, field.type) for field in schema], schema=pa.schema([f.with_nullable(True) for f in schema])
    )
    connection.register(table, rows)
    plan = connection.execute(f"EXPLAIN {statement(name)}", parameters).fetchall()[0][1]
    assert not [operator for operator in QUADRATIC if operator in plan.upper()], plan


@pytest.mark.parametrize("threads", [1, 2])
def test_scores_come_in_the_order_of_their_triples(threads: int) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((500, 8)).astype(np.float32)
    refs = rng.integers(0, len(vectors), (3, 300_000)).astype(np.int32)
    batches = pa.Table.from_arrays([pa.array(ref) for ref in refs], REFS).to_batches(max_chunksize=7_000)
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
