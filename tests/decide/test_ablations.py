"""Perturbations computed from a finished run equal fresh runs with those settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.decide.ablation import ablate
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.output.query import query
from jobs.output.store import Store
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.decide.conftest import Decided


@pytest.fixture(scope="module")
def table(decided: Decided) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["ablation"], row["value"]): row for row in ablate(str(decided.out), Silent())}


def eci_of(row: dict[str, Any]) -> dict[str, float]:
    return {item["source"]: item["eci"] for item in row["sources"]}


def test_unperturbed_it_is_the_run_itself_to_the_last_bit(decided: Decided, table: Any) -> None:
    own = {r["source"]: r["eci"] for r in Finished.open(str(decided.out)).rows if r["kind"] == "source"}
    row = table["none", "as run"]
    assert eci_of(row) == own
    assert row["kendall"] == row["spearman"] == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "settings"),
    [
        (("temperature", "0.1"), {"temperature": 0.1}),
        (("kappa", "1"), {"kappa": 1.0}),
        (("without", "residuality"), {"kappa": 0.0}),
        (("tokenizer", "char3"), {"tokenizer": "char3"}),
    ],
)
def test_a_perturbation_equals_a_fresh_run(
    decided: Decided, table: Any, tmp_path: Path, key: tuple[str, str], settings: dict[str, Any]
) -> None:
    lake = decided.lake
    fresh = run_lake(tmp_path, lake.triples, vectors=str(lake.vectors), folds=8, **settings)
    want = {r["source"]: r["eci"] for r in fresh.ranking.to_pylist() if r["kind"] == "source"}
    assert eci_of(table[key]) == pytest.approx(want, rel=1e-6)


def test_every_kind_is_in_the_table_and_the_view(decided: Decided, table: Any) -> None:
    found = query(Store(str(decided.out)), "SELECT ablation, value, top_source FROM ablations").read_all().to_pylist()
    assert {(row["ablation"], row["value"]) for row in found} == set(table)
    kinds = {kind for kind, _ in table}
    assert kinds == {"none", "sample", "temperature", "kappa", "without", "tokenizer", "idf"}
    assert ("sample", "4 of 8 folds") in table
    assert ("idf", "none") in table


def test_the_idf_of_another_corpus_is_counted_over_it(decided: Decided) -> None:
    same = {text for row in decided.lake.rows for text in row[1:3]}
    corpus = decided.out / "corpus.jsonl"
    corpus.write_text("".join(f'{{"_id": "{i}", "text": "{text}"}}\n' for i, text in enumerate(sorted(same))))
    rows = ablate(str(decided.out), Silent(), only=["idf"], corpus=[str(corpus)])
    own = next(row for row in rows if row["ablation"] == "none")
    other = next(row for row in rows if row["value"].endswith("corpus.jsonl"))
    assert eci_of(other) == pytest.approx(eci_of(own), rel=1e-9)


def test_an_unknown_kind_is_named(decided: Decided) -> None:
    with pytest.raises(InputError, match="did you mean 'kappa'"):
        ablate(str(decided.out), Silent(), only=["kapa"])
