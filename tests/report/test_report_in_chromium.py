"""Reports in a real headless Chromium, at every width, in light and dark, without JavaScript and on paper: nothing is said to the
console or asked for, nothing is cut, all text has its contrast, and Tab reaches everything."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from unicodedata import normalize

import pytest

from jobs.output.runs import latest, read_manifest
from jobs.output.store import Store
from jobs.reports.data import ReportData, read_report
from jobs.reports.page import report
from tests.hostile import SCRIPT
from tests.report.chromium import BROWSER, Page
from tests.report.hard import NAMES, TINY, hard_out
from tests.report.look import LOOKS, PAPER, problems, unreached

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    report(hard_out(), to=str(path))
    return path.as_uri()


@pytest.fixture(scope="module")
def data() -> ReportData:
    store = Store(hard_out())
    run_id = latest(store)
    return read_report(store, f"runs/{run_id}", read_manifest(store, run_id), 1 << 28, 1)


def test_the_lake_is_as_hard_as_it_says_and_its_page_is_small(url, data):
    named = {normalize("NFC", name.strip()) for name in NAMES}
    assert named | {TINY} <= set(data.shown) and len(data.shown) == 27
    assert (
        {row["kind"] for row in data.ranking} >= {"source", "hybrid"} and data.ablations and data.rejects and data.probe
    )
    assert len({row["run_id"] for row in data.history}) == 2 and data.manifest["top"]
    assert Path(url.removeprefix("file://")).stat().st_size < 3_000_000


@pytest.mark.parametrize(("width", "dark", "scripts"), LOOKS)
def test_nothing_is_wrong_with_the_page(url, width, dark, scripts):
    assert problems(url, width, dark, scripts) == []


def test_on_paper_everything_is_open_and_nothing_is_cut(url):
    assert problems(url, PAPER, paper=True, scripts=False) == []
    printed = Page().visit(url, pdf=True).pdf
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) > 10


@pytest.mark.parametrize("width", [1440, 390])
def test_tab_alone_reaches_everything(url, width):
    assert unreached(url, width) == []


def test_the_audit_finds_what_is_wrong(url, tmp_path):
    faults = {
        "--muted: #56606c": "--muted: #a0a8b0", "--accent: #0b5fc0": "--accent: #b0d0f0",
        ".tiles { display: grid": ".tiles { width: 1700px; display: grid", "min-height: 2rem; padding: .25rem": "padding: 0",
    }  # fmt: skip
    page = Path(url.removeprefix("file://")).read_text(encoding="utf-8")
    for right, wrong in faults.items():
        assert right in page
        page = page.replace(right, wrong)
    page = re.sub(r"style-src [^;]+;", "style-src 'unsafe-inline';", page)
    (tmp_path / "wrong.html").write_text(page, encoding="utf-8")
    found = "\n".join(problems((tmp_path / "wrong.html").as_uri(), 1440))
    for said in (
        "the page scrolls sideways",
        "too little contrast",
        "a mark of too little contrast",
        "a target of",
        "out of the page",
    ):
        assert said in found


def test_a_table_sorts_by_number_and_says_so(url):
    script = """(() => { const head = [...document.querySelectorAll('#ranking table')[0].tHead.rows[0].cells].find(h => h.textContent === 'ECI');
                const rows = () => [...document.querySelector('#ranking table').tBodies[0].rows];
                const values = () => rows().map(r => Number(r.cells[head.cellIndex].dataset.sort));
                head.querySelector('button').click(); const up = [values(), head.getAttribute('aria-sort')];
                head.querySelector('button').click(); return [up, [values(), head.getAttribute('aria-sort')]]; })()"""
    (up, up_said), (down, down_said) = Page().visit(url, script=script).value
    assert up == sorted(up) and up_said == "ascending"
    assert down == sorted(down, reverse=True) and down_said == "descending"


def test_the_ranking_is_filtered_and_copied_as_csv_with_all_columns(url, data):
    script = """(async () => { const tools = document.querySelector('#ranking .tools');
      const rows = () => [...document.querySelectorAll('#ranking table')].map(t => [...t.tBodies[0].rows].filter(r => !r.hidden).length);
      let copied = ''; document.execCommand = () => { copied = getSelection().toString(); return true; };
      tools.querySelector('.csv').click(); await new Promise(done => setTimeout(done, 200));
      const input = tools.querySelector('input'); input.value = 'THREE TRIP'; input.dispatchEvent(new Event('input'));
      return [copied, rows(), tools.querySelector('[role=status]').textContent]; })()"""
    copied, rows, said = Page().visit(url, script=script).value
    heads, *lines = csv.reader(io.StringIO(copied))
    assert rows == [1, 1, 1] and said == f"1 of {len(data.ranking)} rows"
    assert len(lines) == len(data.ranking) and len(heads) == len(set(heads)) == 24
    found = {line[1]: dict(zip(heads, line, strict=True)) for line in lines}
    for row in data.ranking:
        if row["kind"] == "source":
            name = row["source"].strip()
            line = found[f"'{name}" if name[0] in "=-" else name]
            assert float(line["ECI"]) == row["eci"] and float(line["hardness"]) == row["hardness"]
            assert int(float(line["triples"])) == row["n_examples"]


def test_a_mark_of_a_chart_says_what_it_stands_for(url):
    script = """(() => { const mark = [...document.querySelectorAll('#chart-ranking .wide [data-tip]')][0];
      const box = mark.getBoundingClientRect(), at = { bubbles: true, clientX: box.x + 2, clientY: box.y + 2 };
      mark.dispatchEvent(new PointerEvent('pointermove', at));
      const tip = document.getElementById('tip'); const shown = [!tip.hidden, tip.textContent];
      document.body.dispatchEvent(new PointerEvent('pointermove', { bubbles: true })); return [...shown, tip.hidden]; })()"""
    shown, said, gone = Page().visit(url, script=script).value
    assert shown and gone and "95 % interval" in said


def test_a_name_is_no_markup_and_no_colour_in_a_chart(url):
    script = """({ gains: document.querySelector('#chart-gains .wide').textContent, imgs: document.images.length,
                  bump: document.querySelector('#chart-bump .wide').textContent })"""
    value = Page().visit(url, script=script).value
    assert "var(--accent)" in value["gains"] and "constructor" in value["bump"] and value["imgs"] == 0
    assert SCRIPT[:10] in value["gains"]


def test_every_chart_and_table_has_a_name_for_screen_readers(url):
    script = """[...document.querySelectorAll('[role=img]')].every(e => e.ariaLabel.length > 20) &&
                [...document.querySelectorAll('table')].every(t => t.caption &&
                  t.tHead.rows[0].cells[0].scope === 'col' &&
                  [...t.tBodies[0].rows].every(r => [...r.cells].some(c => c.scope === 'row')))"""
    assert Page().visit(url, script=script).value is True


def test_code_and_styles_that_got_into_the_page_would_not_run(url, tmp_path):
    from pathlib import Path

    put_in = "<script>document.title = 'owned'</script><p id=p style='position: fixed' onclick=\"document.title = 'owned'\">x</p>"
    path = tmp_path / "broken.html"
    path.write_text(
        Path(url.removeprefix("file://")).read_text().replace('<main id="main">', f'<main id="main">{put_in}')
    )
    # in a timer: what the debugging protocol evaluates itself is free of the page's policy
    script = """new Promise(said => setTimeout(() => { document.getElementById('p').click();
      let made; try { made = new Function('return 1')(); } catch { made = 0; }
      const style = getComputedStyle(document.getElementById('p'));
      said([document.title.startsWith('ECI report'), style.position, made]); }, 0))"""
    page = Page().visit(path.as_uri(), script=script)
    assert page.value == [True, "static", 0]
    assert len(page.errors) >= 3 and all("Content Security Policy" in error for error in page.errors)
