"""What the report says of a run over a sample of the queries, of ablations, of each source, of settings and pairs."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from jobs.config import Probe
from jobs.finished.committed import Finished
from jobs.reports.ablations import ablated_sources, agreement, cases
from jobs.reports.data import TO_COMPARE, by_eci
from jobs.reports.names import marked, words_of
from jobs.reports.pairs import pairs_section
from jobs.reports.sections import charts, sections
from jobs.reports.settings import changed
from tests.report.conftest import Runs


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
    return Words(sections(data, charts(data))).of


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
    tau, eci = agreement(data), Grid(ablated_sources(data))
    assert tau is not None
    points = {v["case"]: v["kendall"] for v in tau.spec["data"]["values"]}
    assert points == {label: row["kendall"] for label, row in cases(data)[1:]}
    order = [row["source"] for row in by_eci(data) if row["kind"] == "source"]
    assert eci.heads == order and list(eci.rows) == labels
    for label, row in cases(data):
        found = {s["source"]: s["eci"] for s in row["sources"]}
        assert [float(cell) for cell in eci.rows[label]] == pytest.approx([found[s] for s in order], abs=1e-4)
        assert eci.first[label] == max(found, key=lambda source: found[source])


class Grid(HTMLParser):
    """A grid's columns, the cells of each row, and the column of the one that is first."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.heads: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.first: dict[str, str] = {}
        self._row, self._in, self._kind = "", "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag in ("th", "td"):
            given = dict(attrs)
            self._in, self._kind = given.get("scope") or tag, (given.get("class") or "")

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self._in = ""

    def handle_data(self, data):
        if self._in == "col" and self._kind != "key":
            self.heads.append(data)
        elif self._in == "row":
            self._row = data
            self.rows[data] = []
        elif self._in == "td":
            self.rows[self._row].append(data)
            if self._kind.startswith("first"):
                self.first[self._row] = self.heads[len(self.rows[self._row]) - 1]


def test_the_ablations_have_text_alternatives_and_a_table(runs: Runs):
    data = runs.data(runs.asked)
    figures = charts(data)
    page = sections(data, figures)
    changed = [row for row in data.ablations if row["ablation"] != "none"]
    lowest = min(row["kendall"] for row in changed)
    said = figures["ablations"].description
    assert f"Kendall tau of {len(changed)} perturbed rankings" in said and f"the lowest is {lowest:.2f}" in said
    assert f'aria-label="{said.replace(chr(39), "&#x27;")}"' in page
    words_ = Words(page).of["ablations"]
    first = next(row["source"] for row in data.ranking if row["rank"] == 1)
    same = sum(row["top_source"] == first for row in changed)
    assert f"{same} of {len(changed)} keep the best source" in words_ and f"{lowest:.3f}" in words_


def test_without_ablations_there_is_neither_section_nor_figure(runs: Runs):
    data = replace(runs.data(runs.asked), ablations=[])
    assert "ablations" not in charts(data) and "ablations" not in words(data)


def test_names_of_sources_in_ablations_stay_text(runs: Runs):
    data = runs.data(runs.asked)
    name = "<script>['y']</script>"
    rows = [{**row, "sources": [{"source": name, "eci": 1.0}], "top_source": name} for row in data.ablations]
    ranking = [{**data.ranking[0], "source": name, "rank": 1}]
    page = ablated_sources(replace(data, ablations=rows, ranking=ranking, shown=(name,)))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_triples_have_their_ids_and_the_words_of_the_query_marked_in_the_others(runs: Runs):
    data = runs.data(runs.asked)
    html = sections(data, charts(data))
    card = html[html.index('<section id="sources"') : html.index('<section id="rejects"')]
    assert card.count('<details class="source-card"') == len(data.shown) and card.count(" open>") == 1
    best, worst = data.examples[data.shown[0]]
    assert all(f"triple_id {triple['triple_id']}" in card for triple in [*best, *worst])
    assert marked("Alpha beta, 12 not", words_of("alpha and the 12 NOT")) == "<mark>Alpha</mark> beta, 12 not"
    assert marked("東京の塔", words_of("東京タワー")) == "<mark>東京</mark>の塔"


def test_a_card_says_what_a_source_shares_and_how_to_select_it(runs: Runs):
    data = runs.data(runs.asked)
    a, b = data.shown[:2]
    shared = {**data.shared, a: {a: 40, b: 10}, b: {b: 20, a: 10}}
    said = words(replace(data, shared=shared))["sources"]
    assert f"{b} 10 25.0% 50.0%" in said
    assert f"eci select --source '{a}' --format triples --to train --out {runs.out} --run {runs.asked}" in said
    assert "No other source has one of its negatives for the same query" in words(data)["sources"]


def test_sources_that_share_negatives_and_queries_on_which_they_disagree_are_found(runs: Runs):
    data = runs.data(runs.asked)
    scores = run_scores(runs)
    held = {s: {(r["query_id"], r["negative_id"]) for r in scores if r["source"] == s} for s in data.shown}
    assert data.looked_at == 1 and data.shared == {
        a: {b: len(held[a] & held[b]) for b in data.shown if held[a] & held[b]} for a in data.shown
    }
    hardest = {}
    for row in sorted(scores, key=lambda r: (r["s_neg"], r["triple_id"])):
        hardest.setdefault((row["query_id"], row["positive_id"]), {})[row["source"]] = row["weight"]
    apart = sorted((max(of.values()) - min(of.values()) for of in hardest.values() if len(of) > 1), reverse=True)
    found = [most["weight"] - least["weight"] for most, least in data.apart]
    assert len(found) == TO_COMPARE and found == pytest.approx(apart[:TO_COMPARE])
    assert all(
        most["query_id"] == least["query_id"] and most["source"] != least["source"] for most, least in data.apart
    )


def run_scores(runs: Runs) -> list[dict]:
    run = Finished.open(runs.out, runs.asked)
    return pa.concat_tables([run.read(path) for path in run.files("scores")]).to_pylist()


def test_settings_that_differ_from_their_defaults_stand_apart(runs: Runs):
    data = runs.data(runs.asked)
    names = [key for key, _, _ in changed(data.manifest["settings"])]
    assert {"folds", "decide", "until_decided", "tolerance", "encoder", "temperature"} <= set(names)
    assert not {"kappa", "tokenizer", "lambda", "inputs", "hybrids", "no_probe"} & set(names)
    assert changed({"probe": {**Probe().model_dump(), "steps": 50}}) == [("probe.steps", 50, 200)]
    said = words(data)["settings"]
    assert "folds 8 32" in said and said.index("folds 8 32") < said.index("Other settings (") < said.index("kappa 0.5")


def test_a_mixture_of_one_is_a_sentence(runs: Runs):
    data = runs.data(runs.asked)
    ranking = [
        {**r, "parts": [{"source": "source 1", "alpha": 1.0}]} if r["kind"] == "mixture" else r for r in data.ranking
    ]
    alone = replace(data, ranking=ranking)
    assert "mixture" not in charts(alone)
    assert (
        words(alone)["mixture"].split("Best mixture ")[1].strip() == "By ECI no mixture is better than source 1 alone."
    )


def test_the_triangle_has_each_pair_once_in_the_order_of_rank(runs: Runs):
    data = runs.data(runs.asked)
    triangle = Grid(re.search(r'<table class="grid">.*?</table>', pairs_section(data), re.DOTALL)[0])
    assert sum(len(cells) for cells in triangle.rows.values()) == len(data.pairs) / 2 == 10
    assert all(float(cell.rstrip(" ?")) >= 0 for cells in triangle.rows.values() for cell in cells)
