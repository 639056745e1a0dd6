"""The report in a real headless Chromium: it draws every chart, says nothing, asks for nothing, and sorts."""

from __future__ import annotations

import pytest

from jobs.reports.page import report
from tests.hostile import hostile_out
from tests.report.chromium import BROWSER, Page

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    report(str(hostile_out()), to=str(path))
    return path.as_uri()


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_charts_are_drawn_and_nothing_is_said_or_asked_for(url, width, dark):
    script = """({charts: [...document.querySelectorAll('.draw')].map(d => [d.id, !!d.querySelector('svg')]),
                 page: document.documentElement.scrollWidth, ink: getComputedStyle(document.body).color,
                 legend: document.querySelector('#chart-history').textContent,
                 gains: document.querySelector('#chart-gains').textContent})"""
    page = Page().visit(url, width=width, dark=dark, script=script)
    assert page.console == [] and page.errors == []
    assert page.requests == [url]
    assert len(page.value["charts"]) == 11 and all(drawn for _, drawn in page.value["charts"])
    assert page.value["page"] == width, "the page scrolls sideways"
    assert page.value["ink"] == ("rgb(232, 236, 241)" if dark else "rgb(26, 31, 38)")
    for place in ("legend", "gains"):
        assert "var(--accent)" in page.value[place], "a source's name was taken for a colour"


@pytest.mark.parametrize(("width", "dark"), [(1200, True), (390, False)])
def test_ablations_and_the_sample_are_drawn(runs, tmp_path, width, dark):
    report(runs.out, runs.asked, to=str(tmp_path / "page.html"))
    script = """({drawn: ['ablations', 'ablated'].map(n => document.querySelectorAll(`#chart-${n} svg`).length),
                 tau: document.querySelector('#chart-ablations').textContent,
                 cell: document.querySelector('#chart-ablated').textContent,
                 sample: document.querySelector('#sample').textContent, page: document.documentElement.scrollWidth})"""
    page = Page().visit((tmp_path / "page.html").as_uri(), width=width, dark=dark, script=script)
    assert page.console == [] and page.errors == [] and len(page.requests) == 1
    assert page.value["drawn"] == [1, 1] and page.value["page"] == width
    assert "without locality" in page.value["tau"] and "as run" in page.value["cell"]
    assert "open at the level asked" in page.value["sample"]


def test_a_table_sorts_by_number_and_says_so(url):
    script = """(() => { const head = [...document.querySelectorAll('#ranking th')].find(h => h.textContent === 'ECI');
                const rows = () => [...document.querySelectorAll('#ranking tbody tr')];
                const values = () => rows().map(r => Number(r.cells[head.cellIndex].dataset.sort));
                head.querySelector('button').click(); const up = [values(), head.getAttribute('aria-sort')];
                head.querySelector('button').click(); return [up, [values(), head.getAttribute('aria-sort')]]; })()"""
    (up, up_said), (down, down_said) = Page().visit(url, script=script).value
    assert up == sorted(up) and up_said == "ascending"
    assert down == sorted(down, reverse=True) and down_said == "descending"


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast(url, dark):
    script = """(() => { const parse = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = c => { const [r, g, b] = parse(c).map(v => linear(v / 255));
                           return .2126 * r + .7152 * g + .0722 * b; };
      const under = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
                           if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
      const bad = [];
      const texts = 'h1, h2, h3, p, a, th, td, dt, dd, summary, strong, span, footer, caption';
      for (const e of document.querySelectorAll(texts)) {
        if (!e.textContent.trim() || e.closest('svg')) continue;
        const [a, b] = [light(getComputedStyle(e).color), light(under(e))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) bad.push(e.tagName + ' ' + e.textContent.slice(0, 40)); }
      return bad; })()"""
    assert Page().visit(url, dark=dark, script=script).value == []


def test_every_chart_and_table_has_a_name_for_screen_readers(url):
    script = """[...document.querySelectorAll('[role=img]')].every(e => e.ariaLabel.length > 20) &&
                [...document.querySelectorAll('table')].every(t => t.caption &&
                  t.tHead.rows[0].cells[0].scope === 'col' &&
                  [...t.tBodies[0].rows].every(r => r.cells[0].scope === 'row'))"""
    assert Page().visit(url, script=script).value is True


def test_a_tooltip_is_shown_in_the_page_s_own_style(url):
    script = """(() => { const mark = [...document.querySelectorAll('#chart-ranking .role-mark.mark-symbol path')].at(-1);
      const box = mark.getBoundingClientRect(), at = { bubbles: true, clientX: box.x + 2, clientY: box.y + 2 };
      for (const kind of ['pointermove', 'mousemove']) mark.dispatchEvent(new PointerEvent(kind, at));
      const tip = document.getElementById('vg-tooltip-element'), style = getComputedStyle(tip);
      return [style.visibility, style.position, tip.textContent]; })()"""
    page = Page().visit(url, script=script)
    assert page.value[:2] == ["visible", "fixed"] and "eci" in page.value[2]
    assert page.console == [] and page.errors == []


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
