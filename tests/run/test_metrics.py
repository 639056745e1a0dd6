"""`--metrics`: a file that a monitor reads after the night, with the run's own numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser as plain
from prometheus_client.openmetrics import parser as open_metrics

from jobs.finished.metrics import metrics_text
from tests.conftest import run_lake
from tests.lakes import VectorLake

SAMPLE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+)\})? (?P<value>\S+)')


def _samples(text: str) -> dict[tuple[str, str], float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = [SAMPLE.fullmatch(line) for line in lines]
    assert all(found), lines
    return {(sample["name"], sample["labels"] or ""): float(sample["value"]) for sample in found if sample}


def test_the_file_has_the_numbers_of_the_run_and_nothing_is_beside_it(
    tmp_path: Path, small_lake: VectorLake, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {"vectors": str(small_lake.vectors), "folds": 4, "buckets": 2, "no_probe": True}
    monitored = tmp_path / "textfile"
    monitored.mkdir()
    (monitored / "eci.prom").write_text("of last night")
    made = run_lake(tmp_path / "out", small_lake.triples, metrics=str(monitored / "eci.prom"), **settings)
    assert [path.name for path in monitored.iterdir()] == ["eci.prom"]
    found = _samples((monitored / "eci.prom").read_text())
    manifest = json.loads((tmp_path / "out" / "runs" / made.run_id / "manifest.json").read_text())
    for kind in ("rows_in", "scored", "rejected", "duplicates"):
        assert found["eci_rows", f'kind="{kind}"'] == manifest["totals"][kind]
    assert {name for name, _ in found} >= {"eci_stage_seconds", "eci_top_eci", "eci_run_committed_timestamp_seconds"}
    assert found["eci_run_unchanged", ""] == 0
    assert (monitored / "eci.prom").read_text().endswith("\n# EOF\n")
    again = run_lake(tmp_path / "out", small_lake.triples, metrics=str(monitored / "eci.prom"), **settings)
    assert again.unchanged and again.run_id == made.run_id
    assert _samples((monitored / "eci.prom").read_text())["eci_run_unchanged", ""] == 1
    caplog.clear()
    lost = run_lake(tmp_path / "out", small_lake.triples, metrics=str(tmp_path / "nowhere" / "eci.prom"), **settings)
    assert lost.run_id == made.run_id and "the metrics cannot be written" in caplog.text


def test_any_name_of_a_source_is_a_label_and_the_text_is_open_metrics(small_lake: VectorLake) -> None:
    manifest: Any = {
        "run_id": "20261128T060115Z-996ff6", "created_at": "2026-11-28T06:01:15+00:00", "rejects": {"bad_record": 2},
        "encoder": {"name": 'of "mine"\\'}, "stages": {"ingest": {"seconds": 1.5}},
        "totals": dict.fromkeys(
            ("rows_in", "scored", "rejected", "duplicates", "not_sampled", "texts", "texts_embedded", "cache_hits"), 3
        ),
        "top": {"source": 'a\nb"c', "tied": 1, "gain": None, "gain_low": None, "gain_high": None, "eci": 0.5},
    }  # fmt: skip
    text = metrics_text(manifest, not_published=True)
    found = _samples(text)
    assert found["eci_not_published", ""] == 1 and found["eci_rejects", 'reason="bad_record"'] == 2
    families = {family.name: family for family in open_metrics.text_string_to_metric_families(text)}
    assert families["eci_run_info"].samples[0].labels["top_source"] == 'a\nb"c'
    assert {family.name for family in plain.text_string_to_metric_families(text)} == set(families)
