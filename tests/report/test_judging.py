"""Judging in the page: what is shown to judge, what the marks say at once, and that a run takes what is exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from scipy.stats import binomtest

from jobs.finished.committed import Finished
from jobs.ingest.judgements import read_judgements
from jobs.output.runs import latest, read_manifest
from jobs.output.store import Store
from jobs.reports.data import TO_JUDGE, ReportData, read_report
from jobs.reports.judging import judge_section
from jobs.reports.page import MOST_BYTES, page_of, report
from tests.hostile import SCRIPT, hostile_out
from tests.report.chromium import BROWSER, Page

browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def data() -> ReportData:
    store = Store(str(hostile_out()))
    run_id = latest(store)
    return read_report(store, f"runs/{run_id}", read_manifest(store, run_id), 1 << 28, 1)


@pytest.fixture(scope="module")
def scores() -> list[dict]:
    run = Finished.open(str(hostile_out()))
    return pa.concat_tables([run.read(path) for path in run.files("scores")]).to_pylist()


def test_what_is_to_judge_are_violations_of_the_source_by_chance(data, scores):
    assert data.violations and set(data.violations) <= set(data.shown)
    for source, found in data.violations.items():
        every = sorted(s["triple_id"] for s in scores if s["source"] == source and s["s_neg"] >= s["s_pos"])
        assert found.total == len(every) and [t["triple_id"] for t in found.triples] == every[:TO_JUDGE]
        assert all(t["query"].startswith("query ") and t["negative"].startswith("negative ") for t in found.triples)
    clean = {s for s in data.shown if not any(x["source"] == s and x["s_neg"] >= x["s_pos"] for x in scores)}
    assert clean == set(data.shown) - set(data.violations)


def test_the_section_is_text_that_reads_without_javascript_and_is_not_there_without_violations(data):
    html = judge_section(data)
    assert html.count("<article") == sum(len(v.triples) for v in data.violations.values()) and SCRIPT not in html
    assert html.count(" hidden>") == html.count("<article") + 1, "what needs a script is hidden until it runs"
    assert judge_section(replace(data, violations={})) == ""


def test_texts_to_judge_give_way_where_the_page_would_be_too_large(data):
    found = next(iter(data.violations.values()))
    triple = found.triples[0] | {"negative": "x" * 60_000}
    many = {source: found._replace(triples=[triple] * 20) for source in data.violations}
    assert len(many) >= 3
    page = page_of(replace(data, violations=many))
    assert len(page.encode()) < MOST_BYTES and '<section id="judge"' in page


def pressing(keys: str) -> str:
    """Return a script that opens the first source, presses keys in its first triple, and says what the page says then."""
    return f"""(async () => {{
        const source = document.querySelector('#judge details.source'); source.open = true;
        source.querySelector('article').focus();
        for (const key of {json.dumps(keys)}) document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }}));
        const blobs = [], make = URL.createObjectURL;
        URL.createObjectURL = (blob) => {{ blobs.push(blob); return make.call(URL, blob); }};
        document.querySelector('#judge .export').click();
        return {{ result: source.querySelector('.result').textContent, file: await blobs[0].text(),
                 shown: document.getElementById('marks').value, rate: Number(source.dataset.rate),
                 pressed: [...source.querySelectorAll('[aria-pressed=true]')].map((b) => b.textContent),
                 kept: Object.keys(localStorage).length, wide: document.documentElement.scrollWidth,
                 name: source.dataset.source }}; }})()"""


@browser
@pytest.mark.parametrize(("keys", "false", "fine"), [("ffgf", 3, 1), ("gggg", 0, 4), ("fkukg", 0, 1), ("jFGuk", 1, 1)])
def test_keys_mark_and_the_share_stands_there_at_once_with_wilsons_interval(data, tmp_path, keys, false, fine):
    url = Path(report(str(hostile_out()), to=str(tmp_path / "page.html"))).as_uri()
    page = Page().visit(url, width=390, script=pressing(keys))
    assert page.console == [] and page.errors == [] and [r for r in page.requests if not r.startswith("blob:")] == [url]
    value, n = page.value, false + fine
    interval = binomtest(false, n).proportion_ci(method="wilson")
    said = [f"{100 * share:.0f} %" for share in (false / n, interval.low, interval.high)]
    assert value["result"].startswith(
        f"{false} of {n} marked are false negatives: {said[0]} of its violations (95 % interval {said[1]} to {said[2]}), so "
        f"{100 * value['rate'] * false / n:.0f} % of all its triples"
    )
    row = next(row for row in data.ranking if row["source"] == value["name"])
    assert value["rate"] == pytest.approx(row["violation_rate"])
    assert sorted(value["pressed"]) == sorted(["False negative"] * false + ["Fine"] * fine)
    assert value["kept"] == 1 and value["wide"] == 390 and value["file"] == value["shown"]


@browser
def test_what_the_page_exports_is_what_a_run_reads(data, tmp_path):
    url = Path(report(str(hostile_out()), to=str(tmp_path / "page.html"))).as_uri()
    (tmp_path / "marks.json").write_text(Page().visit(url, script=pressing("fgf")).value["file"])
    found = read_judgements([str(tmp_path / "marks.json")])
    triples = next(iter(data.violations.values())).triples[:3]
    marks = ("false negative", "fine", "false negative")
    assert found.runs == (data.manifest["run_id"],)
    assert found.pairs == {
        bytes.fromhex(t["query_id"] + t["negative_id"]): mark for t, mark in zip(triples, marks, strict=True)
    }
