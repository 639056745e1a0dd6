"""Two runs compared, and what --strict calls in need of attention."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.config import Strict, make_config
from jobs.decide.diff import attention, diff, diff_lines
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.output.query import query
from jobs.output.store import Store
from tests.conftest import run_lake, signed_again
from tests.lakes import vector_lake, write_triples


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Any]:
    """Three nights over one lake: as it is, with the names of two sources exchanged, and the same again, colder."""
    folder = tmp_path_factory.mktemp("nights")
    lake = vector_lake(folder / "lake", 16, 3_000)
    settings = {"vectors": str(lake.vectors), "folds": 8}
    first = run_lake(folder / "out", lake.triples, **settings)
    ranked = [row["source"] for row in first.ranking.to_pylist() if row["kind"] == "source"]
    swap = {ranked[0]: ranked[-1], ranked[-1]: ranked[0]}
    write_triples(lake.triples, [(*row[:3], swap.get(row[3], row[3])) for row in lake.rows])
    second = run_lake(folder / "out", lake.triples, **settings, metrics=str(folder / "night.prom"))
    third = run_lake(folder / "out", lake.triples, **settings, temperature=0.2)
    return folder / "out", [first.run_id, second.run_id, third.run_id], ranked


def test_sources_that_moved_are_told_from_those_that_did_not(nights: Any) -> None:
    out, runs, ranked = nights
    found = diff(str(out), runs[0], runs[1])
    moved = {row["source"]: row["moved"] for row in found["sources"] if row["kind"] == "source"}
    assert found["comparable"]
    assert moved == {name: name in (ranked[0], ranked[-1]) for name in ranked}
    assert found["inputs"] == {"added": 0, "removed": 0, "changed": 1, "same": 1}


def test_runs_under_another_temperature_are_not_compared_by_eci(nights: Any) -> None:
    out, runs, _ = nights
    found = diff(str(out), runs[1], runs[2])
    assert found["differs"] == ["temperature"]
    assert {row["moved"] for row in found["sources"]} == {None}
    assert {"setting": "temperature", "a": 0.05, "b": 0.2} in found["settings"]
    assert {row["setting"] for row in found["settings"]} == {
        "temperature"
    }  # where the metrics went is none of the result's


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Five nights over a lake that can be tried out: the names of two sources exchanged, colder, and two without a probe."""
    folder = tmp_path_factory.mktemp("probed")
    lake = vector_lake(folder / "lake", 8, 600, sources=3, queries=300)
    settings: dict[str, Any] = {"vectors": str(lake.vectors), "folds": 4}
    runs = [run_lake(folder / "out", lake.triples, **settings)]
    swap = {"source 0": "source 2", "source 2": "source 0"}
    write_triples(lake.triples, [(*row[:3], swap.get(row[3], row[3])) for row in lake.rows])
    for more in ({}, {"temperature": 0.2}, {"no_probe": True}, {"no_probe": True, "kappa": 0.4}):
        runs.append(run_lake(folder / "out", lake.triples, **settings, **more))
    return folder / "out", [run.run_id for run in runs]


def test_the_gains_of_the_probe_are_compared_with_their_intervals(probed: Any) -> None:
    out, runs = probed
    found = diff(str(out), runs[0], runs[1])["probe"]
    before, after = (
        {row["source"]: row for row in pq.read_table(out / "runs" / run / "source_probe.parquet").to_pylist()}
        for run in runs[:2]
    )
    assert found["missing"] is None and found["differs"] == [] and found["cutoff"] == 10
    assert {row["source"] for row in found["sources"]} == before.keys() | after.keys()
    assert [row["rank_b"] for row in found["sources"] if row["rank_b"]] == list(range(1, len(after) + 1))
    for row in found["sources"]:
        one, two = before.get(row["source"]), after.get(row["source"])
        if one is None or two is None:
            assert row["moved"] is None and row["change"] is None
            continue
        halves = [(end["gain_high"] - end["gain_low"]) / 2 for end in (one, two)]
        assert row["moved"] == (abs(two["gain"] - one["gain"]) > (halves[0] ** 2 + halves[1] ** 2) ** 0.5)
    # two names were exchanged: what is called so now has the other one's gain
    swapped = [row for row in found["sources"] if row["kind"] == "source" and row["change"] != 0]
    assert len(swapped) >= 2
    lines = diff_lines(diff(str(out), runs[0], runs[1]))
    assert lines[2] == "By the probe, in points of nDCG@10 with 95 % intervals:" and "By ECI:" in lines
    first = found["sources"][0]
    assert lines[3].startswith(first["source"]) and f"{100 * first['gain_b']:+.2f} (" in lines[3]


def test_gains_under_another_temperature_are_not_compared(probed: Any) -> None:
    out, runs = probed
    found = diff(str(out), runs[1], runs[2])
    assert found["probe"]["differs"] == ["temperature"]
    assert {row["moved"] for row in found["probe"]["sources"]} == {None}
    assert "Gains do not mean the same in both: temperature differ. Ranks only." in diff_lines(found)


def test_a_run_without_a_probe_is_said_to_have_none(probed: Any) -> None:
    out, runs = probed
    said = diff_lines(diff(str(out), runs[1], runs[3]))
    assert said[2] == f"By the probe nothing can be compared: run {runs[3]} has no probe: --no-probe."
    assert any("not tried out any more, was " in line for line in said)
    without = diff(str(out), runs[3], runs[4])
    assert without["probe"] is None and "By ECI:" not in diff_lines(without)


def test_strict_goes_by_the_probe_where_both_runs_have_one_else_by_eci(probed: Any, tmp_path: Path) -> None:
    out, runs = tmp_path / "out", probed[1]
    shutil.copytree(probed[0], out)
    by_eci = [Finished.open(str(out), run).sources[0] for run in runs]
    paths = [out / "runs" / run / "source_probe.parquet" for run in runs[:2]]
    before, table = (pq.read_table(path) for path in paths)
    first = before.filter(pc.field("kind") == "source")["source"][0].as_py()
    names = table["source"].to_pylist()
    leader = next(f"source {k}" for k in range(3) if f"source {k}" not in (by_eci[1], first))
    leads = names.index(leader)
    pq.write_table(table.take([leads, *(k for k in range(len(table)) if k != leads)]), paths[1])
    signed_again(paths[1].parent)
    lax = Strict(violation_rate=1.0, reject_rate=1.0)
    for k, (was, now) in {0: (first, leader), 2: (by_eci[2], by_eci[3]), 3: (by_eci[3], by_eci[4])}.items():
        said = [] if was == now else [f"the top source is {now}, it was {was} in run {runs[k]}"]
        assert attention(str(out), runs[k + 1], lax) == said


def test_strict_names_the_new_leader_and_the_rates_that_jumped(nights: Any) -> None:
    out, runs, ranked = nights
    assert attention(str(out), runs[0], Strict()) == []
    found = attention(str(out), runs[1], Strict())
    assert found[0].startswith(f"the top source is {ranked[-1]}, it was {ranked[0]}")
    assert any("violation rate" in line for line in attention(str(out), runs[1], Strict(violation_rate=0.0)))
    assert attention(str(out), runs[2], Strict(violation_rate=1.0, reject_rate=1.0)) in ([], found[:1])


def test_a_reject_rate_that_rose_and_a_source_that_is_gone_need_attention(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 16, 600, sources=3)
    settings = {"vectors": str(lake.vectors), "folds": 4}
    run_lake(tmp_path / "out", lake.triples, **settings)
    rows = [row for row in lake.rows if row[3] != "source 2"]
    rows += [(row[0], row[1], f"no vector {i}", "source 1") for i, row in enumerate(rows[:40])]
    write_triples(lake.triples, rows)
    second = run_lake(tmp_path / "out", lake.triples, **settings)
    every = Strict(violation_rate=1.0)
    found = attention(str(tmp_path / "out"), second.run_id, every)
    assert "source 2 is gone" in found
    rejects = [line for line in found if "reject rate" in line]
    assert len(rejects) == 1
    assert rejects[0].startswith("source 1: reject rate 0.0% -> ")
    lax = attention(str(tmp_path / "out"), second.run_id, Strict(violation_rate=1.0, reject_rate=0.5))
    assert not any("reject rate" in line for line in lax)


def test_the_history_has_every_run_s_sources(nights: Any) -> None:
    out, runs, ranked = nights
    sql = "SELECT run_id, count(*) AS n FROM source_eci_history WHERE kind = 'source' GROUP BY run_id ORDER BY run_id"
    rows = query(Store(str(out)), sql).read_all().to_pylist()
    assert rows == [{"run_id": run_id, "n": len(ranked)} for run_id in runs]


def test_eci_run_strict_exits_with_3_and_says_why(eci: Callable[..., Any], tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 16, 400, sources=2)
    call = ("run", "--triples", lake.triples, "--vectors", lake.vectors, "--out", tmp_path / "out", "--folds", 4, "-q")
    assert eci(*call, "--strict").returncode == 0
    other = {"source 0": "source 1", "source 1": "source 0"}
    write_triples(lake.triples, [(*row[:3], other[row[3]]) for row in lake.rows])
    done = eci(*call, "--strict")
    assert done.returncode == 3
    assert "the top source is" in done.stderr
    assert eci(*call, "--strict").returncode == 0  # nothing is new: no alarm twice


def test_thresholds_come_from_the_settings_and_are_bounded() -> None:
    given = {"inputs": [{"triples": "x"}], "out": "o", "strict": {"violation_rate": 0.2}}
    assert make_config(given).strict == Strict(violation_rate=0.2, reject_rate=0.02)
    with pytest.raises(InputError, match="reject_rate"):
        make_config({**given, "strict": {"reject_rate": 2}})


def test_an_unknown_run_is_named(nights: Any) -> None:
    out, runs, _ = nights
    with pytest.raises(InputError, match="no run 'nothing'"):
        diff(str(out), runs[0], "nothing")
