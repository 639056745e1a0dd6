"""What warns before a ranking is read: each warning where its fault is and not where it isn't, on the page and in the terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.finished.result import ranking_of
from jobs.finished.text import ranking_columns
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.probing import cautions as warn
from jobs.probing.answer import Probed, score_first, score_lead
from jobs.probing.cautions import Facts, cautions
from jobs.probing.fitness import few, unequal, unfit
from jobs.reports.data import ReportData, facts_of, read_report
from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples
from tests.report.test_probe_section import pair, tables
from tests.report.test_probe_section import row as tried
from tests.report.test_sections import words

TAU = 0.05


def row(source: str, eci: float = 0.05, rank: int = 1, **changed: Any) -> dict[str, Any]:
    """Return a row of source_eci with nothing to warn of."""
    made = {
        "run_id": "20260102T000000Z-000000", "source": source, "kind": "source", "eci": eci, "rank": rank, "rank_lo": rank,
        "rank_hi": rank, "eci_lo": eci - 0.001, "eci_hi": eci + 0.001, "n_examples": 3000, "n_queries": 900, "folds": 32,
        "folds_done": 32, "violation_rate": 0.02, "near_duplicate_rate": 0.0, "hardness": 0.4, "temperature": TAU,
        "purity": 0.9, "parts": [{"source": source, "alpha": 1.0}],
    }  # fmt: skip
    return made | changed


def ablation(value: str, top: str) -> dict[str, Any]:
    return {"ablation": "temperature", "value": value, "top_source": top}


def facts(*rows: dict[str, Any], **more: Any) -> Facts:
    return Facts(rows, **more)  # type: ignore[arg-type]


SOUND = facts(
    row("a"),
    row("b", 0.04, 2),
    row("a+b", 0.045, 3, kind="hybrid", n_examples=6000),
    ablations=[ablation("0.025", "a"), ablation("0.1", "a"), ablation("0.2", "b")],
    before=[row("a"), row("b"), row("best", kind="mixture")],  # type: ignore[list-item]
    probe=Probed([tried("b", 1, 0.02), tried("a", 2, 0.019)], pair("b", "a", 0.001, False), []),  # type: ignore[arg-type]
)


def test_a_run_with_nothing_wrong_has_no_warning():
    assert cautions(SOUND) == []


FAULTS: list[tuple[Callable[[Facts], Any], Facts, tuple[str, ...], str]] = [
    (warn.too_few, facts(row("a"), row("b", n_queries=29)), ("b",), "b has 29 queries; below 30 queries"),
    (warn.too_few, facts(row("a"), row("b", n_queries=1, n_examples=3)), ("b",), "b has 1 query; below"),
    (warn.too_few, facts(row("a"), row("b", folds_done=2)), ("b",), "Too few for an interval: b"),
    (warn.not_comparable, facts(row("a"), row("b", n_examples=999)), ("b",), "Not comparable by ECI with a, which has 3,000 triples: b has 999."),
    (warn.many_violations, facts(row("a", violation_rate=0.301), row("b", violation_rate=0.608)), ("a", "b"),
     "more than 30% of the triples: b 60.8% and a 30.1%."),
    (warn.near_duplicates, facts(row("a"), row("b", near_duplicate_rate=0.17)), ("b",), "(similarity over 0.95): b 17.0%;"),
    (warn.by_construction, facts(row("a", violation_rate=0.0, hardness=0.5), row("b")), ("a",),
     "Won by construction: a has no negative above its positive"),
    (warn.flips, facts(row("a"), row("b", 0.04), ablations=[ablation("0.025", "b"), ablation("0.1", "a")]), ("a", "b"),
     "a at 0.05, b at half (0.025)."),
    (warn.flips, facts(row("a"), row("b", 0.04), ablations=[ablation("0.1", "b")]), ("a", "b"), "a at 0.05, b at double (0.1)."),
    (warn.gone_or_new, facts(row("a"), row("c"), before=[row("a", run_id="R"), row("b", run_id="R")]), ("b", "c"),
     "Since the last comparable run (R): b is gone, c is new."),
    (warn.eci_and_probe, facts(row("a"), row("b", 0.04, 2), probe=Probed(
        [tried("b", 1, 0.02), tried("a", 2, -0.01, low=2)], pair("b", "a", 0.03, True), [])), ("a",),  # type: ignore[arg-type]
     "ECI disagrees: it has a first, which gains -1.00 points and is number 2 here."),
]  # fmt: skip


@pytest.mark.parametrize(("warning", "faulty", "sources", "text"), FAULTS)
def test_a_fault_is_named_with_its_sources_and_numbers(warning, faulty, sources, text):
    found = warning(faulty)
    assert found is not None and found.sources == sources and text in found.text
    assert warning(SOUND) is None and found in cautions(faulty)


def test_what_is_just_inside_a_threshold_is_no_fault():
    edge = {"n_queries": 30, "folds_done": 3, "n_examples": 1000, "violation_rate": 0.3, "near_duplicate_rate": 0.05}
    assert cautions(facts(row("a"), row("b", **edge))) == []
    # two folds were asked for: that is the user's choice, and all of them hold examples
    assert not few(row("a", folds=2, folds_done=2))  # type: ignore[arg-type]


def test_easy_sources_without_violations_are_not_called_constructed():
    assert warn.by_construction(facts(row("random", violation_rate=0.0, hardness=0.1), row("dense"))) is None
    assert warn.by_construction(facts(row("few", violation_rate=0.0, hardness=0.5, n_examples=299), row("b"))) is None


def test_a_mixture_is_never_warned_of():
    mixture = row("best", kind="mixture", rank=None, n_queries=None, n_examples=10)
    assert cautions(facts(row("a"), row("b"), mixture)) == []


@pytest.mark.parametrize(
    ("unlike", "said", "but"),
    [
        ({"n_examples": 500}, "NOT comparable", "the two are not comparable"),
        ({"n_queries": 12}, "too few queries", "the queries are too few"),
        ({"n_queries": 12, "n_examples": 500}, "too few queries", "the queries are too few"),
    ],
)
def test_no_pair_is_called_decided_of_a_source_that_cannot_be_compared_and_it_is_said_why(unlike, said, but):
    rows: Any = [row("a"), row("b", 0.04, 2, **unlike)]
    pairs: Any = [{"a": "a", "b": "b", "difference": 0.01, "lo": 0.008, "hi": 0.012, "decided": True}]
    assert unfit(rows) == {"b"} and score_lead(rows, pairs)[0].endswith(f": {said}.")
    assert score_first(rows).endswith(f"ahead of b, but {but}.")


@dataclass(frozen=True)
class Uneven:
    """A run over a source of many triples, one of a fifth of them, and one of three; and the run before it."""

    out: str
    run_id: str

    def data(self) -> ReportData:
        store = Store(self.out)
        return read_report(store, f"runs/{self.run_id}", read_manifest(store, self.run_id), 1 << 28, 1)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Uneven:
    folder = tmp_path_factory.mktemp("uneven")
    lake = vector_lake(folder / "lake", dim=8, triples=900, sources=3, queries=300)
    of = {name: [r for r in lake.rows if r[3] == name] for name in ("source 0", "source 1", "source 2")}
    settings = {"vectors": str(lake.vectors), "folds": 8, "no_probe": True}
    write_triples(folder / "lake" / "before.parquet", [(*r[:3], "gone") for r in of["source 0"]] + of["source 1"])
    run_lake(folder / "out", folder / "lake" / "before.parquet", **settings)
    write_triples(lake.triples, of["source 0"] + of["source 1"][:60] + of["source 2"][:3])
    return Uneven(str(folder / "out"), run_lake(folder / "out", lake.triples, **settings).run_id)


def test_a_run_of_uneven_sources_says_so_above_its_numbers(uneven: Uneven):
    data = uneven.data()
    assert set(unequal(data.ranking)) == {"source 1", "source 2"}
    kinds = [caution.kind for caution in cautions(facts_of(data))]
    assert {"too few", "not comparable", "gone or new"} <= set(kinds)
    said = words(data)["answer"]
    assert said.index("source 2 has 3 queries") < said.index("triples scored")
    assert "source 1 has 60 and source 2 has 3" in said and "gone is gone, source 0 and source 2 are new" in said
    cells = {line[0]: line for line in tables(data)["More of the sources"][1:]}
    assert cells["source 2"][4:6] == ["too few"] * 2 and float(cells["source 0"][4]) < float(cells["source 0"][5])
    pairs = {(line[0], line[1]): line[-1] for line in tables(data)["Pairs of sources"][1:]}
    assert all(said == ("too few queries" if "source 2" in pair else "not comparable") for pair, said in pairs.items())
    assert len(pairs) == 3


def test_the_terminal_says_the_same_below_the_ranking(
    uneven: Uneven, eci: Callable[..., subprocess.CompletedProcess[str]]
):
    found = eci("rank", "--out", uneven.out)
    assert found.returncode == 0, found.stderr
    expected = [caution.text for caution in cautions(facts_of(uneven.data()))]
    assert len(expected) >= 3 and all(text in found.stdout for text in expected)
    (line,) = (line for line in found.stdout.splitlines() if " source 2 " in line and "too few" in line)
    assert "─" not in line
    listed = ranking_of(uneven.out)
    assert [w["text"] for w in listed["warnings"]] == expected
    assert "too few" in ranking_columns(listed["ranking"])[3].cells


def test_the_first_run_of_a_root_has_nothing_new_or_gone(uneven: Uneven):
    first = min(path.name for path in (Path(uneven.out) / "runs").iterdir())
    assert "gone or new" not in {w["kind"] for w in ranking_of(uneven.out, first)["warnings"]}
