"""The report says what the tables say, whole and escaped, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.errors import DamagedError, InputError
from jobs.finished.committed import Finished
from jobs.output import verified
from jobs.output.runs import committed, latest, read_manifest
from jobs.output.store import Store
from jobs.probing.answer import answer
from jobs.reports.data import BIN, ReportData, names_of, read_report
from jobs.reports.html_parts import esc
from jobs.reports.names import said
from jobs.reports.page import MOST_BYTES, page_of, report, write_report
from jobs.reports.verdict import verdict
from tests.hostile import IMAGE, NAMES, SCRIPT, hostile_out


class Outline(HTMLParser):
    """Elements by name, attributes, and text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.scripts, self._inside = "", [""], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def data() -> ReportData:
    store = Store(str(hostile_out()))
    run_id = latest(store)
    return read_report(store, f"runs/{run_id}", read_manifest(store, run_id), 1 << 28, 1)


@pytest.fixture(scope="module")
def outline(data: ReportData) -> Outline:
    found = Outline()
    found.feed(page_of(data))
    return found


def test_every_section_is_there_and_reached_from_the_navigation(outline):
    sections = [a["id"] for tag, a in outline.tags if tag == "section"]
    assert sections == [
        "answer", "probe", "ranking", "disagreement", "plane", "pairs", "distributions", "mixture", "judge", "sources",
        "rejects", "history", "settings",
    ]  # fmt: skip
    assert [a["href"] for tag, a in outline.tags if tag == "a"][1:] == [f"#{name}" for name in sections]


def test_source_names_and_texts_stay_text(outline):
    names = [tag for tag, _ in outline.tags]
    assert names.count("script") == 1 and "img" not in names
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    for name in NAMES.values():
        assert name in outline.text


def test_names_in_charts_are_text_and_nothing_of_a_chart_runs(data, outline):
    charts_ = [a for tag, a in outline.tags if tag == "svg" and a.get("class") == "marks"]
    assert len(charts_) >= 16 and all("onload" not in a and "style" not in a for a in charts_)
    assert not {"foreignobject", "use", "image", "a"} & {
        tag for tag, a in outline.tags if tag != "a" or "href" not in a
    }
    assert not any(a.get(key) for tag, a in outline.tags for key in ("xlink:href", "style"))
    assert "var(--accent)" in outline.text, "a source's name was taken for a colour"


def test_nothing_is_loaded_from_anywhere(outline):
    policy = next(a["content"] for tag, a in outline.tags if tag == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "http" not in policy
    loads = [
        value
        for tag, a in outline.tags
        for key, value in a.items()
        if key in ("src", "href", "data", "poster", "action")
    ]
    assert all(value == "data:," or value.startswith("#") for value in loads)


def test_the_page_is_small(data):
    assert len(page_of(data).encode()) < MOST_BYTES / 3


def test_examples_give_way_where_the_page_would_be_too_large(data):
    triple = data.examples[data.shown[0]][0][0]
    many = {f"source {i}": ([{**triple, "query": "x" * 60_000}] * 5, [triple]) for i in range(40)}
    ranking = [{**data.ranking[0], "source": source, "rank": i + 1} for i, source in enumerate(many)]
    large = replace(data, shown=tuple(many), examples=many, ranking=ranking, pairs=[], histograms={},
                    violations={}, shared={}, apart=[])  # fmt: skip
    page = page_of(large)
    assert len(page.encode()) < MOST_BYTES and 'class="triple"' in page


def test_the_answer_of_the_probe_is_its_own(data):
    assert data.probe is not None and data.why_no_probe is None
    first, *others = answer(data.probe, data.ranking)
    names = names_of(data)
    assert verdict(data) == (said(first, names), " ".join(said(sentence, names) for sentence in others))


def test_without_a_probe_the_answer_names_the_leader_and_whether_it_is_decided(data):
    by_score = replace(data, probe=None, why_no_probe=f"No probe: {IMAGE}.")
    best = next(row for row in data.ranking if row["rank"] == 1)
    sentence, rest = verdict(by_score)
    assert esc(best["source"]) in sentence and "No single winner yet" in sentence
    assert rest.endswith(f"No probe: {esc(IMAGE)}.") and rest.startswith("Its ECI differs from that of ")
    surer = [{**row, "rank_lo": row["rank"], "rank_hi": row["rank"]} for row in data.ranking if row["rank"]]
    assert "the lead is decided" in verdict(replace(by_score, ranking=surer))[0]
    assert "only source" in verdict(replace(by_score, ranking=surer[:1]))[0]


def test_histograms_hold_every_triple_once(data):
    rates = {row["source"]: row["violation_rate"] for row in data.ranking}
    for source, bins in data.histograms["margin"].items():
        assert sum(share for _, share in bins) == pytest.approx(1)
        assert sum(share for x, share in bins if x < 0) == pytest.approx(rates[source], abs=1e-9)
        assert all(round(b - a, 4) == BIN for (a, _), (b, _) in zip(bins, bins[1:], strict=False))


def test_examples_are_the_extremes_by_weight(data):
    out = hostile_out()
    run = Finished.open(str(out))
    scores = pa.concat_tables([run.read(path) for path in run.files("scores")]).select(["source", "weight"]).to_pylist()
    for source, (best, worst) in data.examples.items():
        weights = sorted(row["weight"] for row in scores if row["source"] == source)
        assert [t["weight"] for t in best] == weights[::-1][:5]
        assert [t["weight"] for t in worst] == weights[:5]
        assert all(IMAGE in t["query"] and t["query"].startswith("query ") for t in best)


def test_history_holds_both_runs_and_leaves_out_what_cannot_be_compared(data):
    assert len({row["run_id"] for row in data.history}) == 2 and data.other_runs == 0
    store = Store(str(hostile_out()))
    run_id = latest(store)
    manifest = read_manifest(store, run_id)
    other = read_report(store, f"runs/{run_id}", manifest, 1 << 28, 1)
    assert other == data


def test_a_run_that_is_not_committed_yet_has_a_report_with_the_history(tmp_path):
    out = hostile_out()
    store = Store(str(out))
    first, second = committed(store)
    manifest = read_manifest(store, second)
    target = Store(str(tmp_path))
    shutil.copytree(out / "runs" / first, tmp_path / "runs" / first)
    folder = tmp_path / "work" / "publish"
    shutil.copytree(out / "runs" / second, folder, ignore=shutil.ignore_patterns("manifest.json", "report.html"))
    assert write_report(target, "work/publish", manifest) is None
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert first in page and second in page


def test_a_report_that_cannot_be_made_is_a_line_and_no_error(tmp_path):
    store = Store(str(hostile_out()))
    manifest = read_manifest(store, latest(store))
    folder = f"runs/{manifest['run_id']}"
    (tmp_path / "runs").mkdir()
    shutil.copytree(hostile_out() / folder, tmp_path / folder, ignore=shutil.ignore_patterns("report.html"))
    (tmp_path / folder / "report.html").mkdir()
    warning = write_report(Store(str(tmp_path)), folder, manifest)
    assert warning is not None and warning.startswith("no report was written: IsADirectory") and "\n" not in warning
    assert [*(tmp_path / folder / "report.html").iterdir()] == []
    with pytest.raises(DamagedError, match="missing, and a run's manifest names it"):
        write_report(Store(str(tmp_path)), "nowhere", manifest)


def test_the_report_of_a_run_to_be_committed_reads_no_file_for_its_hash(tmp_path, monkeypatch):
    store = Store(str(hostile_out()))
    manifest = read_manifest(store, latest(store))
    shutil.copytree(hostile_out() / "runs" / manifest["run_id"], tmp_path / "work" / "publish")
    target = Store(str(tmp_path))
    hashed = []
    monkeypatch.setattr(verified, "hash_of", lambda *of: hashed.append(of))
    assert write_report(target, "work/publish", manifest) is None and not hashed
    scores = next(tmp_path / "work" / "publish" / f["path"] for f in manifest["files"] if f["table"] == "scores")
    scores.write_bytes(scores.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="damaged"):
        write_report(target, "work/publish", manifest)


def test_ablations_are_shown_where_they_were_made(data):
    each = [{"source": name, "eci": 0.25} for name in NAMES.values()]
    first, other = sorted((row for row in data.ranking if row["rank"]), key=lambda row: row["rank"])[:2]
    rows = [
        {"ablation": "temperature", "value": value, "kendall": tau, "spearman": tau, "top_source": top, "sources": each}
        for value, tau, top in (("0.02", 0.8, other["source"]), ("0.1", None, first["source"]))
    ]  # fmt: skip
    page = page_of(replace(data, ablations=rows))
    assert '<section id="ablations"' in page and "1 of 2 keep the best source" in page and "0.800" in page
    assert SCRIPT not in page and '<section id="ablations"' not in page_of(data)


def test_the_command_writes_where_it_is_told(eci, tmp_path):
    found = eci("report", "--out", hostile_out(), "--to", "page.html")
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_an_unknown_run_is_named():
    with pytest.raises(InputError, match="no run 'x'; runs: 2"):
        report(str(hostile_out()), "x")


def test_the_policy_of_the_page_names_its_own_scripts_and_styles_by_their_hashes_and_allows_no_other(eci, tmp_path):
    assert eci("report", "--out", hostile_out(), "--to", "page.html").returncode == 0
    page = (tmp_path / "page.html").read_bytes().decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert "unsafe" not in policy and rules["default-src"] == ["'none'"]

    def hashes(pattern: str) -> list[str]:
        found = re.findall(pattern, page, re.DOTALL)
        return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found]

    assert rules["style-src"] == hashes(r"<style>(.*?)</style>") and len(rules["style-src"]) == 1
    assert rules["script-src"] == hashes(r"<script>(.*?)</script>") and len(rules["script-src"]) == 1
    outline = Outline()
    outline.feed(page)
    assert not [name for _, given in outline.tags for name in given if name == "style" or name.startswith("on")]
