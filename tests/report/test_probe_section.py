"""What the report says of the probe: the answer, the gains, the curves, the pairs, and why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from jobs.finished.result import ranking_of
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.probing.answer import Probed, answer
from jobs.reports import names
from jobs.reports.data import MOST_SOURCES, ReportData, names_of, read_report
from jobs.reports.html_parts import esc
from jobs.reports.marks import BEHIND, LEADS, MAYBE, MOST_LINES
from jobs.reports.page import page_of
from jobs.reports.probe import curves, gains, lines, probe_section
from jobs.reports.sections import charts, sections
from jobs.reports.verdict import verdict
from tests.hostile import IMAGE, SCRIPT
from tests.report.conftest import Runs
from tests.report.test_sections import words


class Tables(HTMLParser):
    """The cells of each table's rows, its heads first, by the table's caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.of: dict[str, list[list[str]]] = {}
        self._caption, self._rows, self._inside = "", [[""]], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        self._inside = tag

    def handle_endtag(self, tag):
        if tag == "table":
            self.of[self._caption], self._rows = self._rows, [[""]]
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "caption":
            self._caption += data
        elif self._inside in ("td", "th", "button", "strong", "bdi"):
            self._rows[-1][-1] += data


def tables(data: ReportData) -> dict[str, list[list[str]]]:
    return Tables(sections(data, charts(data))).of


def row(source: str, rank: int, gain: float, low: int = 1, high: int = 9, **changed: Any) -> dict[str, Any]:
    made = {
        "run_id": "r", "source": source, "kind": "source", "parts": [source], "rank": rank, "rank_low": low,
        "rank_high": high, "gain": gain, "gain_se": 0.001, "gain_low": gain - 0.002, "gain_high": gain + 0.002,
        "gain_mrr": gain / 2, "frozen": 0.4567, "n_queries": 1234, "queries": 2000, "pool": 8765, "halvings": 4,
        "steps": 200, "rate": 3e-4, "cutoff": 10,
    }  # fmt: skip
    return made | changed


def point(source: str, steps: int, gain: float, change: float = 0.0) -> dict[str, Any]:
    made = {"source": source, "steps": steps, "gain": gain, "gain_se": 0.001, "change": change, "change_se": 0.001}
    return {"run_id": "r", **made}


def pair(a: str, b: str, difference: float, decided: bool) -> list[dict[str, Any]]:
    one = {"run_id": "r", "source_a": a, "source_b": b, "difference": difference, "se": 0.001,
           "low": difference - 0.002, "high": difference + 0.002, "p_value": 0.0123 if decided else 0.5,
           "decided": decided}  # fmt: skip
    other = one | {"source_a": b, "source_b": a, "difference": -difference}
    return [one, other | {"low": -one["high"], "high": -one["low"]}]


def made(*names: str) -> Probed:
    """Return a probe of three: the first decidedly ahead of the third, the second a hybrid that ties with it."""
    a, b, c = names
    return Probed(
        [row(a, 1, 0.0215, 1, 2), row(b, 2, 0.0201, 1, 2, kind="hybrid"), row(c, 3, -0.0105, 3, 3, n_queries=77)],
        [*pair(a, b, 0.0014, False), *pair(a, c, 0.032, True), *pair(b, c, 0.0306, True)],
        [point(s, n, g * n / 200, g - g * n / 200) for s, g in ((a, 0.02), (b, 0.01), (c, -0.01)) for n in (100, 200)],
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(runs: Runs) -> ReportData:
    return runs.data(runs.asked)


def test_the_data_are_those_of_the_run_and_the_ranking_has_their_order(runs: Runs, data):
    expected = ranking_of(runs.out, runs.asked)
    assert data.probe == expected["probe"] and data.probe is not None and data.why_no_probe is None
    order = [row["source"] for row in data.probe.rows]
    tried = [row["source"] for row in data.ranking if row["source"] in order]
    assert tried == [source for source in order if source in tried] == [r["source"] for r in data.ranking[: len(tried)]]
    assert list(data.shown) == [source for source in tried if source.startswith("source ")] and len(data.shown) == 5
    assert {row["source"] for row in data.ranking} == {row["source"] for row in expected["ranking"]}


def test_the_section_says_what_was_done_and_all_that_came_out(data):
    first, scores = data.probe.rows[0], {row["source"]: row for row in data.ranking}
    said = words(data)["probe"]
    assert f"for 200 steps with each source's negatives on one half of {first['queries']} queries" in said
    assert f"a pool of {first['pool']:,} passages; so both ways, in 4 halvings" in said
    assert f"nDCG@10 over the frozen encoder ({100 * first['frozen']:.1f})" in said
    heads, *rows = tables(data)["Gains of the sources on held-out queries"]
    assert heads == [
        "rank", "source", "gain", "95 % interval", "MRR gain", "ECI", "violations", "queries covered",
    ]  # fmt: skip
    assert len(rows) == len(data.probe.rows) == 8
    for cells, r in zip(rows, data.probe.rows, strict=True):
        some = "" if r["rank_low"] == r["rank_high"] else f" ({r['rank_low']}–{r['rank_high']})"
        score = scores.get(r["source"])
        assert cells[:5] == [
            f"{r['rank']}{some}", r["source"], f"{100 * r['gain']:+.2f}",
            f"{100 * r['gain_low']:+.2f} .. {100 * r['gain_high']:+.2f}", f"{100 * r['gain_mrr']:+.2f}",
        ]  # fmt: skip
        assert (cells[5] == "–") == (score is None) and (score is None or abs(float(cells[5]) - score["eci"]) < 1e-4)
        assert cells[6] == ("–" if score is None else f"{score['violation_rate']:.1%}")
        assert cells[7] == f"{r['n_queries']} of {r['queries']}"


def test_the_figures_show_points_with_intervals_states_and_the_line_at_zero(data):
    probed = made("first", "a+b", "last")
    spec = gains(probed).spec
    values = [v for v in values_of(spec, "state") if "figure" not in v]
    assert [v["state"] for v in values] == [LEADS, MAYBE, BEHIND]
    assert [round(values[0][k], 6) for k in ("value", "low", "high")] == [2.15, 1.95, 2.35]
    keys = ("difference", "difference_low", "difference_high")
    apart = [[None if v[k] is None else round(v[k], 6) for k in keys] for v in values]
    assert apart == [[0, None, None], [-0.14, -0.34, 0.06], [-3.2, -3.4, -3.0]]
    assert [v["figure"] for v in values_of(spec, "figure")][:3] == ["leader", "-0.14", "-3.20"]
    assert spec["hconcat"][0]["layer"][1]["encoding"]["y"]["sort"] == [
        names.isolated(s) for s in ("first", "a+b", "last")
    ]
    said = gains(probed).description
    assert "first +2.15, a+b +2.01, last -1.05" in said and "3 sources" in said
    way = curves(probed)
    assert way is not None
    drawn = {(v["source"], v["x"]): round(v["y"], 6) for v in values_of(way.spec, "said")}
    assert drawn == {
        ("first", 0): 0, ("first", 100): 1, ("first", 200): 2, ("a+b", 0): 0, ("a+b", 100): 0.5, ("a+b", 200): 1,
        ("last", 0): 0, ("last", 100): -0.5, ("last", 200): -1,
    }  # fmt: skip
    assert "2 sources after each number of training steps, and of 1 more in grey; 1 of the 2 end" in way.description
    assert curves(probed._replace(curve=[])) is None


def values_of(chart: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the rows of a chart's data that have a key, each once."""
    found = [row for row in _rows_of(chart) if key in row]
    return [row for i, row in enumerate(found) if row not in found[:i]]


def _rows_of(chart: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from chart.get("data", {}).get("values", [])
    for inner in (*chart.get("layer", []), *chart.get("hconcat", [])):
        yield from _rows_of(inner)


def test_curves_in_colour_are_of_those_that_lead_and_of_those_that_lost_most():
    names = [f"s{i}" for i in range(10)]
    falls = dict.fromkeys(names, 0.001) | {"s5": 0.02, "s8": 0.03, "s9": 0.01}
    curve = [point(s, 25, 0.01, -falls[s]) for s in names] + [point(s, 200, 0.01 - falls[s]) for s in names]
    probed = Probed([row(s, i + 1, 0.01 - i / 1000) for i, s in enumerate(names)], [], curve)  # type: ignore[arg-type]
    assert lines(probed) == ["s0", "s1", "s2", "s5", "s8", "s9"] and len(lines(probed)) == MOST_LINES
    chart = curves(probed)
    assert chart is not None
    colours = {v["source"]: v["color"] for v in values_of(chart.spec, "said") if v["source"] in lines(probed)}
    assert list(colours) == lines(probed) and len(set(colours.values())) == MOST_LINES


def test_pairs_and_steps_are_tables(data):
    shown = replace(data, probe=made("first", "a+b", "last"))
    heads, *rows = tables(shown)["Pairs of sources on held-out queries"]
    assert heads == ["ahead", "behind", "difference", "95 % interval", "corrected p", "verdict"]
    assert rows == [
        ["first", "a+b", "+0.14", "-0.06 .. +0.34", "0.5", "not decided"],
        ["first", "last", "+3.20", "+3.00 .. +3.40", "0.012", "decided"],
        ["a+b", "last", "+3.06", "+2.86 .. +3.26", "0.012", "decided"],
    ]
    assert "All 3 pairs as a table: 2 decided" in words(shown)["probe"]
    assert tables(shown)["Gains after each number of steps"] == [
        ["source", "100 steps", "200 steps"],
        ["first", "+1.00", "+2.00"],
        ["a+b", "+0.50", "+1.00"],
        ["last", "-0.50", "-1.00"],
    ]


def test_pairs_of_very_many_sources_are_those_of_the_first(data):
    names = [f"s{i:02}" for i in range(MOST_SOURCES + 6)]
    every = [p for i, a in enumerate(names) for b in names[i + 1 :] for p in pair(a, b, 0.01, True)]
    probed = Probed([row(s, i + 1, 0.01) for i, s in enumerate(names)], every, [])  # type: ignore[arg-type]
    page = probe_section(replace(data, probe=probed), {})
    count = MOST_SOURCES * (MOST_SOURCES - 1) // 2
    assert f"All {count} pairs of the first {MOST_SOURCES}: {count} decided" in page
    assert len(Tables(page).of["Pairs of sources on held-out queries"]) == count + 1
    assert len(Tables(page).of["Gains of the sources on held-out queries"]) == len(names) + 1


def test_the_first_sentence_is_the_verdict_and_the_others_follow(runs: Runs, data):
    first, *others = answer(data.probe, ranking_of(runs.out, runs.asked)["ranking"])
    page = sections(data, {})
    known = names_of(data)
    assert f"<p>{names.said(first, known)}</p>" in page
    assert others and f"<p>{' '.join(names.said(sentence, known) for sentence in others)}</p>" in page
    assert '<p class="lead">Encoder vectors (8 dimensions)' in page
    assert "times the ECI" not in page and "paired jackknife" not in page


def test_a_decided_leader_is_named_and_a_hostile_one_stays_text(data):
    probed = made(SCRIPT, "b", IMAGE)
    ahead = [r | {"rank_low": r["rank"], "rank_high": r["rank"]} for r in probed.rows]
    shown = replace(data, probe=probed._replace(rows=ahead))  # type: ignore[arg-type]
    first, rest = verdict(shown)
    assert first.startswith(
        f"Train on <strong>{names.named(SCRIPT)}</strong>: it gains +2.15 points of nDCG@10 over the frozen"
    )
    assert first.endswith("+0.14 against <bdi>b</bdi> (-0.06 .. +0.34): decided.") and "<script" not in rest
    page = page_of(shown)
    assert SCRIPT not in page and IMAGE not in page and esc(SCRIPT) in page and names.named(IMAGE) in page
    for chart in (figure for name, figure in charts(shown).items() if name in ("gains", "curves")):
        for spec in (chart.spec, chart.narrow):
            whole = json.dumps(spec)
            plain = json.dumps({k: v for k, v in _without_data(spec).items() if k != "description"})
            assert "console.error" in whole and "console.error" not in plain, "a name is more than data"


def _without_data(node: Any) -> Any:
    """Return a specification without what is data, orders of names among it."""
    if isinstance(node, dict):
        return {key: _without_data(value) for key, value in node.items() if key not in ("data", "sort")}
    return [_without_data(value) for value in node] if isinstance(node, list) else node


def test_the_ranking_has_the_gains_beside_the_eci(data):
    heads, *rows = tables(data)["Ranking of the sources"]
    assert heads == ["rank", "source", "probe gain", "ECI", "purity", "violations", "triples"]
    gained = {row["source"]: f"{100 * row['gain']:+.2f}" for row in data.probe.rows}
    assert [(cells[1], cells[2].strip()) for cells in rows] == [
        (row["source"], gained.get(row["source"], "–")) for row in data.ranking
    ]
    assert rows[-1][0] == "–" and rows[-1][1] == data.ranking[-1]["source"], "the mixture was not tried out"
    for title, of in (("More of the sources", 9), ("Texts and counts of the sources", 10)):
        heads, *rows = tables(data)[title]
        assert len(heads) == of and [cells[0] for cells in rows] == [row["source"] for row in data.ranking]
    assert "Ranking by ECI and probe Best source on top" in words(data)["ranking"]
    order = charts(data)["ranking"].spec["hconcat"][0]["layer"][1]["encoding"]["y"]["sort"]
    assert order == [names.isolated(row["source"]) for row in sorted(data.ranking[:5], key=lambda row: row["rank"])]


def test_what_is_by_eci_stays_so_where_the_probe_has_another_order(data):
    turned = replace(data, ranking=data.ranking[:5][::-1] + data.ranking[5:], shown=data.shown[::-1])
    for name in ("Pairs of sources", "Ablations"):
        assert tables(turned)[name] == tables(data)[name]
    assert all(float(cells[2]) >= 0 for cells in tables(turned)["Pairs of sources"][1:])
    assert words(turned)["ablations"] == words(data)["ablations"]


def test_without_a_probe_the_answer_is_by_eci_and_says_why(runs: Runs):
    data = runs.data(runs.sampled)
    assert data.probe is None and data.why_no_probe
    figures = charts(data)
    page, said = sections(data, figures), words(data)
    assert "probe" not in said and not {"gains", "curves"} & set(figures) and "#probe" not in page_of(data)
    assert esc(data.why_no_probe) in page and "times the ECI" not in page
    best, second = (row["source"] for row in data.ranking[:2])
    assert f"Its ECI differs from that of {second} by 0.0" in said["answer"] and best in said["answer"]
    assert tables(data)["Ranking of the sources"][0][:3] == ["rank", "source", "ECI"]
    assert [row["rank"] for row in data.ranking[:5]] == [1, 2, 3, 4, 5]
    decided = [{**row, "rank_lo": row["rank"], "n_queries": 90} for row in data.ranking]
    assert (
        f"</strong>: it ranks first of 5 sources by ECI, ahead of <bdi>{second}</bdi>, and the lead is decided."
        in (verdict(replace(data, ranking=decided))[0])
    )
    reason = replace(data, why_no_probe=f"No probe: {IMAGE}.")
    assert f"No probe: {esc(IMAGE)}." in verdict(reason)[1]


def test_a_run_older_than_the_probe_has_a_report(runs: Runs):
    store = Store(runs.out)
    manifest: Any = read_manifest(store, runs.asked)
    files = [file for file in manifest["files"] if "probe" not in file["table"]]
    assert len(files) == len(manifest["files"]) - 3
    older = {key: value for key, value in manifest.items() if key != "why_no_probe"} | {"files": files}
    data = read_report(store, f"runs/{runs.asked}", older, 1 << 28, 1)  # type: ignore[arg-type]
    assert data.probe is None and data.why_no_probe is None
    said = words(data)
    assert "probe" not in said and "None" not in said["answer"] and "Its ECI differs" in said["answer"]
