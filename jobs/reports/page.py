"""`eci report`: a run as one HTML file that needs no network and that someone who was not there understands.

Covers: the document and the two ways to write it. Does not cover: reading (data.py), what it says (sections.py and the modules
that it names), looks and behaviour (page.css, page.js, judge.js).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from jobs.errors import DamagedError, EciError
from jobs.machine import available_cores, available_memory, require_addresses
from jobs.output import layout
from jobs.output.records import Manifest
from jobs.output.root import require
from jobs.output.runs import named, read_manifest
from jobs.output.sealed import sealed_page
from jobs.output.store import Store, file_at
from jobs.output.verified import check, check_sizes
from jobs.reports.data import ReportData, made_at, read_report
from jobs.reports.html_parts import esc
from jobs.reports.sections import NAVIGATION, charts, sections

MOST_BYTES = 5_000_000
S = TypeVar("S")
FOLDER = Path(__file__).parent
HOME = f"../../{layout.INDEX}"
"""The index of all runs, seen from a report in its run's folder."""
SCRIPTS = ("page.js", "judge.js")
POLICY = (
    "default-src 'none'; style-src {style}; script-src {scripts}; img-src data:; base-uri 'none'; form-action 'none'"
)
"""What the browser lets the page do: its own style sheet and scripts run, by their hashes, and nothing else at all."""


def write_report(store: Store, folder: str, manifest: Manifest, memory: int = 1 << 30) -> str | None:
    """Write `folder`/report.html of a run that is about to be committed. A report never fails a run, damage does.

    Args:
        store: the output root; its committed runs give the history.
        folder: the run's folder, all its tables in place.
        manifest: the manifest that is about to be written there.
        memory: bytes for the reading of the scores, which one thread does.

    Returns:
        None, or a line that says why there is no report.

    Raises:
        DamagedError: a table is not there, or not as long as the manifest says.
    """
    try:
        check_sizes(store, folder, manifest["files"])
        page = page_of(read_report(store, folder, manifest, memory, 1), HOME)
        store.write_text(layout.report_in(folder), sealed_page(page))
    except DamagedError:
        raise
    except Exception as error:
        return f"no report was written: {' '.join(f'{type(error).__name__}: {error}'.split())[:300]}"
    return None


def report(out: str, run_id: str | None = None, to: str | None = None) -> str:
    """Write the report of a committed run and return its path.

    Args:
        out: the output root.  run_id: a run (default: the newest).
        to: the file to write (default: report.html in the run's folder, replaced).

    Raises:
        InputError: there is no such run.
        EciError: the run's tables cannot be read.
    """
    store = Store(out)
    target, name = (store, "") if to is None else file_at(to)
    run_id = named(store, run_id)
    manifest = read_manifest(store, run_id)
    folder = layout.run_folder(run_id)
    try:
        check(store, folder, manifest["files"])
        data = read_report(store, folder, manifest, available_memory() // 4, available_cores())
        page = page_of(data, "" if to else HOME)
    except FileNotFoundError as error:
        raise EciError(f"{store.path(folder)}: a table of the run is missing: {error}") from error
    if to is None:
        require(store)
        store.write_text(layout.report_in(folder), sealed_page(page))
        return store.path(layout.report_in(folder))
    target.write_text(name, sealed_page(page))
    return target.path(name)


def page_of(data: ReportData, home: str = "") -> str:
    """Return the page of the data, with fewer examples where it would be over MOST_BYTES.

    Args:
        home: where the index of all runs lies, seen from the page; empty for a page that lies elsewhere.
    """
    require_addresses("what draws the charts, which reserves addresses")  # it aborts the process where it has too few
    figures = charts(data)
    while True:
        page = _document(data, sections(data, figures), home)
        if len(page.encode()) <= MOST_BYTES or not (data.examples or data.violations):
            return page
        data = replace(data, examples=_half(data.examples), violations=_half(data.violations))


def _half(of: dict[str, S]) -> dict[str, S]:
    """Return the first half of some sources, none of a single one."""
    return dict(list(of.items())[: len(of) // 2])


def _hash(text: str) -> str:
    """Return what a policy names an inline script or style sheet by."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _document(data: ReportData, body: str, home: str) -> str:
    runs = f'<a href="{esc(home)}">All runs</a>' if home else ""
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    script = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in NAVIGATION if f'<section id="{name}"' in body)
    run = esc(data.manifest["run_id"])
    made = esc(made_at(data.manifest))
    policy = POLICY.format(style=_hash(style), scripts=_hash(script))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>ECI report {run}</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><a class="skip" href="#main">Skip to the report</a>
<header><div><b>ECI report</b><span>run {run}, {made}</span>{runs}</div><nav aria-label="Sections">{links}</nav></header>
<main id="main">{body}</main>
<footer>Made by eci-lake. This page loads nothing from anywhere.</footer>
<script>{script}</script>
</body></html>
"""
