"""`eci validate` end to end on small collections: the tables are whole, repeat, and follow from one another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.demo.documentation import collect_pairs
from jobs.errors import InputError
from jobs.validation.finetuning import Grid
from jobs.validation.outcome import Settings
from jobs.validation.tables import PREDICTORS, read_tables
from jobs.validation.validate import validate

GRID = Grid((1e-3,), (20, 40))


def documentation_of(root: Path) -> Path:
    """Write a collection of 240 docstrings: their first sentences and what follows them."""
    root.mkdir(exist_ok=True)
    pairs = collect_pairs(240)
    rows = {
        "corpus.jsonl": [json.dumps({"_id": f"d{i}", "text": pair.positive}) for i, pair in enumerate(pairs)],
        "queries.jsonl": [json.dumps({"_id": f"q{i}", "text": pair.query}) for i, pair in enumerate(pairs)],
        "qrels.tsv": [f"q{i}\td{i}\t1" for i in range(len(pairs))],
    }
    for name, lines in rows.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return documentation_of(tmp_path_factory.mktemp("documentation"))


@pytest.fixture(scope="module")
def validated(documentation: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("validated")
    found = validate(Settings(str(documentation), str(out), seeds=2, grid=GRID, workers=2, memory="4GB"))
    return {"found": found, "out": out, **read_tables(str(out))}


@pytest.mark.slow
def test_every_source_has_a_score_and_two_outcomes(validated: dict[str, Any]) -> None:
    rows = validated["validation_sources"]
    assert len(rows) == 22
    for row in rows:
        assert row["eci"] > 0
        assert 0 < row["ndcg_lo"] <= row["ndcg"] <= row["ndcg_hi"] <= 1
        assert 0 < row["mrr"] <= 1


@pytest.mark.slow
def test_the_run_after_mining_embeds_only_what_mining_made(validated: dict[str, Any]) -> None:
    found = validated["found"]
    pieces = len(found.training.passages) - len(found.split.train_documents)
    assert found.run.totals["texts_embedded"] == pieces


@pytest.mark.slow
def test_scores_are_those_of_the_committed_run(validated: dict[str, Any]) -> None:
    table = pq.read_table(validated["out"] / "runs" / validated["found"].run.run_id / "source_eci.parquet").to_pylist()
    published = {row["source"]: row for row in table}
    probe = validated["found"].run.probe
    gains = {} if probe is None else {row["source"]: row["gain"] for row in probe.to_pylist()}
    for row in validated["validation_sources"]:
        assert all(
            row[name] == published[row["source"]][name] for name in PREDICTORS if name not in ("probe", "ranking")
        )
        assert row["probe"] is None or row["probe"] == gains[row["source"]]


@pytest.mark.slow
def test_summary_follows_from_the_sources(validated: dict[str, Any]) -> None:
    for summary in validated["validation_summary"]:
        rows = [row for row in validated["validation_sources"] if row["objective"] == summary["objective"]]
        means = {row["source"]: row[summary["metric"]] for row in rows}
        assert means[summary["best"]] == max(means.values())
        if summary["predictor"] == "eci":
            assert summary["picked"] == max(rows, key=lambda row: row["eci"])["source"]
            assert summary["regret"] == pytest.approx(max(means.values()) - means[summary["picked"]])


@pytest.mark.slow
def test_seeds_differ_and_the_same_seed_repeats(validated: dict[str, Any], documentation: Path) -> None:
    again = validate(Settings(str(documentation), str(validated["out"]), seeds=2, grid=GRID, workers=1, memory="2GB"))
    for objective, outcome in validated["found"].outcomes.items():
        np.testing.assert_array_equal(outcome.ndcg, again.outcomes[objective].ndcg)
        assert outcome.ndcg.shape[1] == 2
    assert again.run.totals["texts_embedded"] == 0


def test_wrong_settings_are_one_line(eci: Callable[..., Any], tmp_path: Path) -> None:
    answer = eci("validate", tmp_path / "nothing", "--out", tmp_path / "out")
    assert answer.returncode == 2
    assert "no such folder" in answer.stderr and "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


def test_fewer_than_two_negatives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="per-query"):
        validate(Settings(str(tmp_path), str(tmp_path / "out"), per_query=1))
