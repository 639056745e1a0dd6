"""OUT/index.html: all runs of a root, the newest first, right after every commit and every cleaning."""

from __future__ import annotations

import json
import logging
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jobs.finished.result import ranking_of
from jobs.output.cleaning import Rules, clean
from jobs.output.run_index import page, write_index
from jobs.output.runs import committed, read_manifest
from jobs.output.sealed import is_page_whole, sealed
from jobs.output.store import Store
from jobs.reports.page import report
from tests.hostile import IMAGE, SCRIPT, hostile_out
from tests.report.conftest import Runs


class Rows(HTMLParser):
    """The cells of the page's rows, the links, the names of its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.tags & {"td", "th"}:
            self.rows[-1][-1] += data.strip()


def rows(out: Path | str) -> list[list[str]]:
    return Rows((Path(out) / "index.html").read_text(encoding="utf-8")).rows[1:]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A root of two runs of its own, to change."""
    shutil.copytree(hostile_out(), tmp_path / "out", ignore=shutil.ignore_patterns("cache", "work"))
    return tmp_path / "out"


def test_every_run_is_there_with_its_answer_and_a_link_that_leads_to_its_report():
    out = hostile_out()
    found, runs = Rows((out / "index.html").read_text(encoding="utf-8")), committed(Store(str(out)))[::-1]
    assert [row[0] for row in found.rows[1:]] == runs and len(runs) == 2
    assert is_page_whole((out / "index.html").read_bytes())
    assert found.links == [f"runs/{run}/report.html" for run in runs] and all(
        (out / link).is_file() for link in found.links
    )
    for run, (_, time, source, gain, eci, queries, triples) in zip(runs, found.rows[1:], strict=True):
        listed, manifest = ranking_of(str(out), run), read_manifest(Store(str(out)), run)
        best = listed["probe"].rows[0]
        tied = sum(row["rank_low"] == 1 for row in listed["probe"].rows)
        assert source.removesuffix(f" (tie of {tied})") == best["source"] and ("tie" in source) == (tied > 1)
        assert gain == f"{100 * best['gain']:+.2f} ({100 * best['gain_low']:+.2f} .. {100 * best['gain_high']:+.2f})"
        score = {row["source"]: row["eci"] for row in listed["ranking"]}.get(best["source"])
        assert eci == ("–" if score is None else f"{score:.5f}")
        assert (queries, triples) == ("all", f"{manifest['totals']['scored']:,}")
        assert time == manifest["created_at"][:16].replace("T", " ")


def test_hostile_names_are_text(copied):
    assert {"script", "img"}.isdisjoint(Rows((copied / "index.html").read_text(encoding="utf-8")).tags)
    for run in (copied / "runs").iterdir():
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["top"]["source"] = SCRIPT if run.name.endswith("0") else IMAGE + "\u202e"
        (run / "manifest.json").write_text(json.dumps(sealed(manifest)))
    text = page(Store(str(copied)))
    assert SCRIPT not in text and IMAGE not in text and "\u202e" not in text
    assert {"script", "img"}.isdisjoint(Rows(text).tags) and IMAGE in Rows(text).rows[1][2] + Rows(text).rows[2][2]
    assert "default-src 'none'" in text and {"link", "style"} >= Rows(text).tags & {
        "link",
        "style",
        "script",
        "img",
        "iframe",
        "form",
    }


def test_a_sampled_run_says_its_share_and_a_run_without_a_probe_its_eci(runs: Runs):
    asked, sampled = rows(runs.out)
    manifest = read_manifest(Store(runs.out), runs.sampled)
    assert sampled[0] == runs.sampled and sampled[5] == f"{manifest['sample']['queries'] / 300:.1%} (a sample)"
    assert sampled[3] == "–" and float(sampled[4]) == pytest.approx(
        ranking_of(runs.out, runs.sampled)["ranking"][0]["eci"], abs=1e-5
    )
    assert asked[0] == runs.asked and asked[5] == "all" and asked[3].startswith(("+", "-"))


def test_a_run_of_an_older_version_and_one_that_cannot_be_read_have_their_rows(copied):
    store, before = Store(str(copied)), Rows((copied / "index.html").read_text(encoding="utf-8")).rows
    old, new = committed(store)
    manifest = {k: v for k, v in read_manifest(store, new).items() if k != "top"}
    (copied / "runs" / new / "manifest.json").write_text(json.dumps(manifest))
    assert Rows(page(store)).rows == before
    (copied / "runs" / old / "manifest.json").write_text("{")
    (copied / "runs" / old / "report.html").unlink()
    found = Rows(page(store))
    assert found.rows[:2] == before[:2] and found.rows[2][:2] == [old, "cannot be read"]
    assert found.links == [f"runs/{new}/report.html"]


def test_cleaning_keeps_it_right(copied):
    old, new = committed(Store(str(copied)))
    clean(str(copied), Rules(keep_runs=1, dry_run=True))
    assert [row[0] for row in rows(copied)] == [new, old]
    clean(str(copied), Rules(keep_runs=1))
    assert [row[0] for row in rows(copied)] == [new] and "1 committed run," in (copied / "index.html").read_text()


def test_somebody_elses_page_is_left_alone_and_one_that_cannot_be_written_stops_nothing(copied, caplog):
    store = Store(str(copied))
    (copied / "index.html").write_text("<h1>My own</h1>")
    write_index(store)
    assert (copied / "index.html").read_text() == "<h1>My own</h1>"
    (copied / "index.html").unlink()
    (copied / "index.html").mkdir()
    with caplog.at_level(logging.WARNING, "eci"):
        write_index(store)
    (line,) = caplog.messages
    assert "index.html: not written" in line and "\n" not in line


def test_a_report_links_to_it_from_its_place_in_the_root_and_from_nowhere_else(copied, tmp_path):
    here = Path(report(str(copied)))
    link = next(href for href in Rows(here.read_text(encoding="utf-8")).links if "index" in href)
    assert (here.parent / link).resolve() == (copied / "index.html").resolve()
    assert link in (hostile_out() / "runs" / here.parent.name / "report.html").read_text(encoding="utf-8")
    elsewhere = Path(report(str(copied), to=str(tmp_path / "page.html"))).read_text(encoding="utf-8")
    assert "index.html" not in elsewhere
