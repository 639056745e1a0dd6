"""Which runs can be compared with one: those of the same encoder, the same settings of the score and the same tokens.

A run that is damaged is named and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jobs.errors import DamagedError, notice
from jobs.output import layout
from jobs.output.parquet import read_sealed
from jobs.output.records import Manifest, SourceRow, value_of
from jobs.output.runs import committed, same_tokens, whole
from jobs.output.store import Store
from jobs.output.tables import SOURCE_ECI
from jobs.output.verified import read_published

SAME = ("encoder_fingerprint", "formula_version", "temperature", "kappa", "lambda", "tokenizer", "idf_corpus")
"""Columns of source_eci whose values say what an ECI means: where one differs, values cannot be compared, only ranks."""
MOST_RUNS = 60


def rows_of_others(store: Store, than: Manifest, ranking: Sequence[SourceRow]) -> Iterator[list[SourceRow] | None]:
    """Yield the rows of source_eci of other runs, the newest of MOST_RUNS first; None for one that cannot be compared.

    Args:
        than: the manifest of the run, committed or not.  ranking: its rows.
    """
    for other in _others(store, than):
        for manifest in whole(store, [other]).values():
            yield _compared(store, manifest, than, ranking)


def rows_of(store: Store, run_id: str | None, than: Manifest, ranking: Sequence[SourceRow]) -> list[SourceRow] | None:
    """Return the rows of a run, None where it is not there or cannot be compared with the run `than` and its rows."""
    if run_id not in _others(store, than):
        return None
    manifest = whole(store, [run_id]).get(run_id)
    return None if manifest is None else _compared(store, manifest, than, ranking)


def run_before(store: Store, than: Manifest, ranking: Sequence[SourceRow]) -> list[SourceRow] | None:
    """Return the rows of the last comparable run before this one, None where there is none."""
    found = (rows for rows in rows_of_others(store, than, ranking) if rows is not None)
    return next((rows for rows in found if rows[0]["run_id"] < than["run_id"]), None)


def _others(store: Store, than: Manifest) -> list[str]:
    return [run for run in committed(store) if run != than["run_id"]][: -MOST_RUNS - 1 : -1]


def _compared(store: Store, manifest: Manifest, than: Manifest, ranking: Sequence[SourceRow]) -> list[SourceRow] | None:
    folder = layout.run_folder(manifest["run_id"])
    try:
        rows: list[SourceRow] = read_published(store, folder, manifest, SOURCE_ECI.files).to_pylist()
    except DamagedError as error:
        notice(f"run {manifest['run_id']} is left out of the history: {error}")
        return None
    same = {key: value_of(ranking[0], key) for key in SAME} if ranking else {}
    alike = rows and all(value_of(rows[0], key) == value for key, value in same.items())
    return rows if alike and same_tokens(than, manifest) else None


def ablations_of(store: Store, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of `ablations` of a run, none where it was not perturbed. Raises DamagedError."""
    path = layout.ablations_of(run_id)
    return list(read_sealed(store, path).to_pylist()) if store.exists(path) else []
