"""Which runs can be compared with one: those of the same encoder and the same settings of the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from jobs.output import layout
from jobs.output.records import SourceRow, value_of
from jobs.output.runs import committed, read_published
from jobs.output.store import Store
from jobs.output.tables import ABLATIONS, SOURCE_ECI

SAME = ("encoder_fingerprint", "formula_version", "temperature", "kappa", "lambda", "tokenizer", "idf_corpus")
MOST_RUNS = 60


def rows_of_others(store: Store, run_id: str, ranking: Sequence[SourceRow]) -> Iterator[list[SourceRow] | None]:
    """Yield the rows of source_eci of other runs, the newest of MOST_RUNS first; None for one that cannot be compared.

    Args:
        run_id: the run, committed or not.  ranking: its rows.
    """
    same = {key: value_of(ranking[0], key) for key in SAME} if ranking else {}
    for other in reversed([run for run in committed(store) if run != run_id][-MOST_RUNS:]):
        rows: list[SourceRow] = read_published(store, other, SOURCE_ECI.files).to_pylist()
        yield rows if rows and all(value_of(rows[0], key) == value for key, value in same.items()) else None


def rows_of(store: Store, run_id: str | None, than: str, ranking: Sequence[SourceRow]) -> list[SourceRow] | None:
    """Return the rows of a run, None where it is not there or cannot be compared with the run `than` and its rows."""
    found = (rows for rows in rows_of_others(store, than, ranking) if rows is not None)
    return next((rows for rows in found if rows[0]["run_id"] == run_id), None) if run_id else None


def run_before(store: Store, run_id: str, ranking: Sequence[SourceRow]) -> list[SourceRow] | None:
    """Return the rows of the last comparable run before this one, None where there is none."""
    found = (rows for rows in rows_of_others(store, run_id, ranking) if rows is not None)
    return next((rows for rows in found if rows[0]["run_id"] < run_id), None)


def ablations_of(store: Store, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of `ablations` of a run, none where it was not perturbed."""
    path = layout.ablations_of(run_id)
    if not store.exists(path):
        return []
    with store.open(path) as source:
        return list(pq.read_table(source, columns=ABLATIONS.schema.names).to_pylist())
