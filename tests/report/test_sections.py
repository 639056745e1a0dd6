"""What the report says of a run over a sample of the queries, and of ablations."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from jobs.reports.ablations import ablated_sources, agreement, cases
from jobs.reports.charts import charts
from jobs.reports.sections import sections
from tests.report.conftest import Runs


def values(chart) -> list[dict]:
    (rows,) = chart.spec["datasets"].values()
    return rows


class Words(HTMLParser):
    """The text of each section, by its id, white space collapsed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.of: dict[str, str] = {}
        self._now = ""
        self.feed(page)
        self.of = {name: " ".join(text.split()) for name, text in self.of.items()}

    def handle_starttag(self, tag, attrs):
        if tag == "section":
            self._now = dict(attrs)["id"] or ""
        self.of[self._now] = self.of.get(self._now, "") + " "

    def handle_data(self, data):
        self.of[self._now] += data


def words(data) -> dict[str, str]:
    return Words(sections(data, {chart.name: chart for chart in charts(data)})).of


def test_a_sampled_run_says_how_much_it_used(runs: Runs):
    data = runs.data(runs.sampled)
    sample, said = data.manifest["sample"], words(data)
    assert 20 <= sample["queries"] < sample["all_queries"] == 300
    share = f"{sample['queries'] / 300:.1%}"
    assert f"This run took {sample['queries']} of 300 queries ({share}), a nested sample" in said["sample"]
    assert " look 1 " in said["sample"] and "question answered not asked" in said["sample"]
    assert f"From a sample: {sample['queries']} of 300 queries ({share})." in said["answer"]
    assert f"{data.manifest['totals']['not_sampled']:,} of queries not sampled" in said["rejects"]
    assert share in said["history"] and "100.0%" in said["history"]


def test_a_run_that_could_not_answer_names_the_open_pairs(runs: Runs):
    data = runs.data(runs.asked)
    sample, said = data.manifest["sample"], words(data)["sample"]
    assert sample["decided"] is False and sample["open_pairs"]
    assert "the order of every adjacent pair of sources, at the level 0.999" in said
    assert "It was not answered with 300 of 300 queries (100.0%)" in said
    for a, b in sample["open_pairs"]:
        assert f"{a} {b}" in said
    assert said.count("open at the level asked") == len(sample["open_pairs"])
    answered = replace(data, manifest={**data.manifest, "sample": {**sample, "decided": True, "open_pairs": []}})
    assert "It was answered with 300 of 300 queries" in words(answered)["sample"]


def test_a_run_over_all_queries_has_no_word_on_samples(runs: Runs):
    data = runs.data(runs.asked)
    whole = {**data.manifest["sample"], "decided": None, "open_pairs": []}
    for manifest in ({**data.manifest, "sample": whole}, {k: v for k, v in data.manifest.items() if k != "sample"}):
        said = words(replace(data, manifest=manifest))
        assert "sample" not in said and "of the queries 100" not in said["answer"]


def test_the_figures_show_each_ablation_with_its_agreement_and_every_sources_eci(runs: Runs):
    data = runs.data(runs.asked)
    assert {row["ablation"] for row in data.ablations} == {"none", "sample", "temperature", "without"}
    labels = [label for label, _ in cases(data)]
    assert labels[0] == "as run" and len(set(labels)) == len(data.ablations)
    tau, eci = agreement(data), ablated_sources(data)
    assert tau is not None and eci is not None
    points = {v["case"]: v["kendall"] for v in values(tau)}
    assert points == {label: row["kendall"] for label, row in cases(data)[1:]}
    cells = {(v["case"], v["source"]): v["eci"] for v in values(eci)}
    expected = {(label, s["source"]): s["eci"] for label, row in cases(data) for s in row["sources"]}
    assert cells == pytest.approx(expected)
    assert {label: sum(v["rank"] == 1 for v in values(eci) if v["case"] == label) for label in labels} == (
        dict.fromkeys(labels, 1)
    )


def test_the_ablations_have_text_alternatives_and_a_table(runs: Runs):
    data = runs.data(runs.asked)
    figures = {chart.name: chart for chart in charts(data)}
    page = sections(data, figures)
    changed = [row for row in data.ablations if row["ablation"] != "none"]
    lowest = min(row["kendall"] for row in changed)
    assert f"Kendall tau of {len(changed)} perturbed rankings" in figures["ablations"].spec["description"]
    assert f"the lowest is {lowest:.2f}" in figures["ablations"].spec["description"]
    for name in ("ablations", "ablated"):
        assert f'aria-label="{figures[name].spec["description"].replace(chr(39), "&#x27;")}"' in page
    said = Words(page).of["ablations"]
    first = next(row["source"] for row in data.ranking if row["rank"] == 1)
    same = sum(row["top_source"] == first for row in changed)
    assert f"{same} of {len(changed)} keep the best source" in said and f"{lowest:.3f}" in said


def test_without_ablations_there_is_neither_section_nor_figure(runs: Runs):
    data = replace(runs.data(runs.asked), ablations=[])
    figures = {chart.name: chart for chart in charts(data)}
    assert not {"ablations", "ablated"} & set(figures)
    assert "ablations" not in words(data)


def test_names_of_sources_in_ablations_are_data_only(runs: Runs):
    data = runs.data(runs.asked)
    name = "datum.x </script> ['y']"
    rows = [{**row, "sources": [{"source": name, "eci": 1.0}], "top_source": name} for row in data.ablations]
    eci = ablated_sources(replace(data, ablations=rows, shown=(name,)))
    assert eci is not None
    spec = {key: value for key, value in eci.spec.items() if key != "datasets"}
    shorn = json.dumps(spec).replace(json.dumps([name]), "")
    assert name not in shorn and json.dumps(name) not in shorn
