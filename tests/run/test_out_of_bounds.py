"""Temperatures and lambdas that leave nothing to compare are refused with their range; sources that are all equal are a tie."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.config import make_config
from jobs.decide.ablation import variants_of
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.result import ranking_of
from jobs.probing.decision import decide
from jobs.reports.data import read_report
from jobs.reports.verdict import answer_section
from jobs.validation.outcome import Settings
from jobs.validation.validate import validate
from onnx_models import cards
from onnx_models.cards import CARD_FILE, read_card
from onnx_models.errors import EncoderError
from tests.conftest import run_lake
from tests.lakes import write_triples, write_vectors

OUT_OF_BOUNDS = [1e-5, 1e-30, 1e300, 11.0, 0.0, -1.0, float("inf"), float("-inf"), float("nan")]


def config(**values: Any) -> Any:
    return make_config({"inputs": [{"triples": "x"}], "out": "x", **values})


@pytest.mark.parametrize("value", OUT_OF_BOUNDS)
def test_a_temperature_out_of_bounds_is_refused_with_the_range(value: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="temperature: must be a number, at least 0.001, at most 10"):
        config(temperature=value)
    with pytest.raises(InputError, match="temperature: must be"):
        validate(Settings(str(tmp_path), str(tmp_path / "out"), temperature=value))


@pytest.mark.parametrize("value", [1e-7, 1e7, 1e300, 0.0, -1.0, float("inf"), float("nan")])
def test_a_lambda_out_of_bounds_is_refused_with_the_range(value: float) -> None:
    with pytest.raises(InputError, match=r"lambda: must be a number, at least 1e-06, at most 1e\+06"):
        config(**{"lambda": value})


def test_the_bounds_themselves_are_taken() -> None:
    for value in (1e-3, 10):
        assert config(temperature=value).temperature == value
    for value in (1e-6, 1e6):
        assert config(**{"lambda": value}).lam == value


@pytest.mark.parametrize("name", ["kappa", "tolerance", "until_decided"])
def test_no_setting_is_no_number(name: str) -> None:
    with pytest.raises(InputError, match=name):
        config(**{name: float("nan")})
    with pytest.raises(InputError, match="rate"):
        config(probe={"rate": float("nan")})


@pytest.mark.parametrize("value", ["1e-5", "0", "11", "inf", "nan", "1e300"])
def test_a_card_with_a_temperature_out_of_bounds_is_refused(value: str, tmp_path: Path) -> None:
    text = (Path(cards.__file__).parent / "cards" / "minilm-l6-v2-int8.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("temperature")]
    (tmp_path / CARD_FILE).write_text("\n".join([f"temperature = {value}", *lines]))
    with pytest.raises(EncoderError, match=r"temperature.*a number from 0.001 to 10"):
        read_card(tmp_path / CARD_FILE)


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose four sources have nothing to learn from: every negative stands as far off as can be."""
    folder = tmp_path_factory.mktemp("equal")
    rows = [(f"query {i}", f"passage {i}", f"negative {i} of {s}", s) for i in range(40) for s in "dbca"]
    near = np.array([1.0, 0.0, 0.0, 0.0], np.float32)
    far = -near
    write_triples(folder / "triples.parquet", rows)
    write_vectors(
        folder / "vectors.parquet",
        {query: near for query, _, _, _ in rows},
        {positive: near for _, positive, _, _ in rows} | {negative: far for _, _, negative, _ in rows},
    )
    run_lake(
        folder / "out", folder / "triples.parquet", vectors=(str(folder / "vectors.parquet"),), folds=4, no_probe=True,
        temperature=0.002,
    )  # fmt: skip
    return folder / "out"


def test_sources_that_are_all_equal_are_a_tie_and_no_ranking(equal: Path) -> None:
    found = ranking_of(str(equal))
    rows = found["ranking"]
    assert {row["eci"] for row in rows} == {0.0}
    assert [(row["rank_lo"], row["rank_hi"]) for row in rows if row["kind"] == "source"] == [(1, 4)] * 4
    (line,) = decide(None, rows, found["pairs"]).said
    assert line == "A tie. All 4 sources have the same ECI: the order of their names is no ranking."


def test_the_report_of_a_tie_names_no_winner(equal: Path) -> None:
    run = Finished.open(str(equal), None)
    section = answer_section(read_report(run.store, f"runs/{run.run_id}", run.manifest, 1 << 28, 1))
    assert "All 4 sources have the same ECI" in section and "Train on" not in section


def test_ablate_tries_no_temperature_out_of_bounds(equal: Path, tmp_path: Path) -> None:
    found = variants_of(Finished.open(str(equal), None), ["temperature"], (), str(tmp_path))
    assert [variant.tau for variant in found] == [0.002, 0.001, 0.004, 0.008]


def test_one_triple_has_no_interval(tmp_path: Path) -> None:
    write_triples(tmp_path / "t.parquet", [("query", "passage", "negative", "s")])
    query, passage, negative = np.array([[1.0, 0.2], [0.9, 0.1], [0.5, 0.9]], np.float32)
    write_vectors(tmp_path / "v.parquet", {"query": query}, {"passage": passage, "negative": negative})
    run_lake(tmp_path / "out", tmp_path / "t.parquet", vectors=(str(tmp_path / "v.parquet"),), folds=4, no_probe=True)
    (row,) = ranking_of(str(tmp_path / "out"))["ranking"]
    assert row["eci"] > 0 and all(math.isnan(row[name]) for name in ("eci_se", "eci_lo", "eci_hi"))
