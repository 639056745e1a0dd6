"""The decision card: what to train on, how sure, why, what could overturn it, and commands that a shell takes as they stand."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.decide.mixing import parse_parts
from jobs.decide.selection import Choice, select
from jobs.probing.answer import Probed
from jobs.probing.decision import Decision
from jobs.reports import names
from jobs.reports.card import MOST_HEAD, OTHERWISE, Card, card_of, commands
from jobs.reports.data import ReportData
from jobs.reports.page import page_of
from tests.hostile import IMAGE, SCRIPT
from tests.report.conftest import Runs
from tests.report.test_probe_section import made, pair, point
from tests.report.test_probe_section import row as tried
from tests.report.test_sections import words


@pytest.fixture(scope="module")
def data(runs: Runs) -> ReportData:
    return runs.data(runs.asked)


def probed(data: ReportData, decided: bool, *names: str) -> ReportData:
    """Return the data with a probe of three sources: the first decidedly ahead of the others, or tied with the second."""
    found = made(*names)
    if decided:
        rows = [{**row, "kind": "source", "rank_low": i, "rank_high": i} for i, row in enumerate(found.rows, 1)]
        first = pair(names[0], names[1], 0.0014, True)
        found = found._replace(rows=rows, pairs=[*first, *found.pairs[2:]])  # type: ignore[arg-type]
    return replace(data, probe=found)


def probe_of(rows: Any, pairs: Any) -> Probed:
    """Return a probe of rows, with a curve of one point each."""
    return Probed(rows, pairs, [point(row["source"], row["steps"], row["gain"]) for row in rows])  # type: ignore[misc]


def named(data: ReportData, name: str) -> ReportData:
    """Return the data with another name for source 1."""

    def of(row: dict[str, Any], *keys: str) -> Any:
        return {**row, **{key: name for key in keys if row[key] == "source 1"}}

    ranking, pairs = [of(row, "source") for row in data.ranking], [of(row, "a", "b") for row in data.pairs]

    def keys(of_sources: dict[str, Any]) -> dict[str, Any]:
        return {name if source == "source 1" else source: value for source, value in of_sources.items()}

    renamed = replace(
        data, ranking=ranking, pairs=pairs, shown=tuple(keys(dict.fromkeys(data.shown))),
        histograms={measure: keys(found) for measure, found in data.histograms.items()},
        examples=keys(data.examples), violations=keys(data.violations),
    )  # fmt: skip
    return probed(renamed, True, name, "source 0", "source 2")


def options(line: str, name: str) -> list[str]:
    """Return the values that a command gives an option."""
    words_ = shlex.split(line)
    given = [following for word, following in zip(words_, words_[1:], strict=False) if word == name]
    return given + [word.removeprefix(f"{name}=") for word in words_ if word.startswith(f"{name}=")]


def test_a_decided_leader_is_the_headline_and_its_command_takes_it_alone(data, runs):
    card = card_of(probed(data, True, "source 1", "source 0", "source 2"))
    assert card.headline == "Train on source 1" and card.leaders == ("source 1",)
    row = next(row for row in data.ranking if row["source"] == "source 1")
    assert f"similarity of {row['hardness']:.2f} to their query (the others: " in card.why
    assert f"and {row['violation_rate']:.1%} of them score above the positive (the others: " in card.why
    select_, probe, validate = (shlex.split(command.line) for command in card.commands)
    run = ["--out", runs.out, "--run", runs.asked]
    assert select_ == ["eci", "select", "--source", "source 1", "--format", "triples", "--to", "train", *run]
    assert probe == ["eci", "probe", "--triples", "train", *run]
    assert validate == ["eci", "validate", "COLLECTION", "--out", f"{runs.out}-validation"], (
        "given vectors are no encoder"
    )


def test_a_tie_is_a_tie_card_with_the_lead_over_the_next(data):
    card = card_of(probed(data, False, "source 1", "a+b", "source 2"))
    assert card.headline == "A tie: source 1 and a+b may each be best" and card.leaders == ("source 1", "a+b")
    assert (
        "The first by gain is source 1: +2.15 (95 % interval +1.95 .. +2.35), +0.14 against a+b (-0.06 .. +0.34): not decided."
        in words(probed(data, False, "source 1", "a+b", "source 2"))["answer"]
    )
    many = [tried(f"s{i}", i + 1, 0.02 - i / 1000, low=1) for i in range(5)]
    tie = replace(data, probe=probe_of(many, pair("s0", "s1", 0.001, False)))
    assert card_of(tie).headline == "A tie: s0, s1 and 3 more may each be best" and len(card_of(tie).leaders) == 5


def test_where_every_source_harms_there_is_nothing_to_select(data):
    rows = [tried("a", 1, -0.02), tried("b", 2, -0.03, low=2)]
    card = card_of(replace(data, probe=probe_of(rows, pair("a", "b", 0.01, True))))
    assert card.headline == "Train on none of these sources as they are" and card.commands == ()


def test_a_run_without_a_probe_has_the_card_of_its_eci(runs):
    sampled = runs.data(runs.sampled)
    data = replace(sampled, ranking=[{**row, "n_queries": 90} for row in sampled.ranking])
    best, *others = [row["source"] for row in data.ranking if row["rank"]]
    assert card_of(data).headline.startswith(f"A tie by ECI: {best}")
    sure = [{**row, "rank_lo": row["rank"], "rank_hi": row["rank"]} for row in data.ranking]
    assert card_of(replace(data, ranking=sure)).headline == f"Train on {best}, by ECI alone"
    few = [{**row, "n_queries": 9} if row["source"] == best else row for row in sure]
    assert card_of(replace(data, ranking=few)).headline == (
        f"Not decided: {best} is first by ECI, but the queries are too few"
    )
    assert card_of(replace(data, ranking=[])) == Card(
        "No source was scored", (), (), "", card_of(data).overturn[-2:], ()
    )
    same = [{**row, "eci": 0.01} if row["rank"] else row for row in sure]
    assert card_of(replace(data, ranking=same)).headline.startswith("A tie by ECI: "), "equal values are no ranking"
    assert f"train on A tie by ECI: {best}" in words(data)["answer"] and others
    assert card_of(sampled).headline.startswith(f"Not decided: {best} is first by ECI, but"), "35 queries are too few"


def test_what_could_overturn_it_are_the_warnings_of_the_leaders_the_sample_and_what_always_holds(data, runs):
    sampled = runs.data(runs.sampled)
    share = f"{sampled.manifest['sample']['queries'] / 300:.1%}"
    assert card_of(sampled).overturn[-2:] == (f"More queries: this is from {share} of them.", OTHERWISE)
    wrong = [{**row, "violation_rate": 0.4 if row["source"] == "source 1" else 0.0} for row in data.ranking]
    first = card_of(probed(replace(data, ranking=wrong), True, "source 1", "source 0", "source 2")).overturn
    other = card_of(probed(replace(data, ranking=wrong), True, "source 0", "source 1", "source 2")).overturn
    assert any("source 1 40.0%" in text for text in first) and not any("source 1 40.0%" in text for text in other)


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, 'it\'s "a" $(touch x); `y` & z', "--help", "=,=", " a"])
def test_hostile_names_stay_one_word_of_the_command_and_text_on_the_page(data, name):
    shown = named(data, name)
    select_, probe, _ = (command.line for command in card_of(shown).commands)
    assert options(select_, "--source") == [name] and options(select_, "--to") == options(probe, "--triples") == [
        "train"
    ]
    assert len(shlex.split(select_)) == (11 if name.startswith("-") else 12)
    page = page_of(shown)
    assert f'<h1 class="verdict">Train on <strong>{names.named(name, MOST_HEAD)}</strong></h1>' in page
    assert "<script>console" not in page and "<img" not in page


def test_the_command_of_a_hybrid_takes_its_sources_in_equal_shares(data):
    first = next(row for row in data.ranking if row["kind"] == "source")
    shown = replace(data, ranking=[{**first, "source": name} for name in ("a", "b", "c", "a,b")])

    def line(*parts: str) -> str:
        return commands(shown, Decision(("+".join(parts),), parts, True, (), ()))[0].line

    (mix,) = options(line("a", "b", "c"), "--mix")
    assert parse_parts(mix) == pytest.approx(dict.fromkeys("abc", 1 / 3))
    assert options(line("a,b", "c"), "--source") == ["a,b", "c"]


def test_what_is_in_no_run_is_not_selected_from_one_and_a_sample_is_selected_as_one(data, runs):
    (only,) = commands(data, Decision(("beside",), ("beside",), False, (), ()))
    assert only.line.startswith("eci validate COLLECTION ")
    sampled = runs.data(runs.sampled)
    select_, *_ = card_of(sampled).commands
    assert select_.line.endswith(" --sampled") and "--sampled" not in card_of(data).commands[0].line


def test_the_first_command_writes_just_the_answers_triples(data, runs, tmp_path: Path):
    card = card_of(data)
    line = card.commands[0].line
    mix = options(line, "--mix")
    choice = Choice(sources=tuple(options(line, "--source")), parts=parse_parts(mix[0]) if mix else None)
    manifest = select(runs.out, str(tmp_path / "train"), "triples", choice, *options(line, "--run"))
    assert manifest["run_id"] == runs.asked and manifest["triples"] > 0
    first = next(row for row in data.probe.rows if row["source"] == card.leaders[0])
    assert set(manifest["sources"]) == set(first["parts"])
