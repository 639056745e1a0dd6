"""The report's section to judge in: some violations of each source by chance, and marks, which judge.js keeps and exports.

The triples stand in the page as text, so that they can be read without JavaScript; judge.js adds the marks.
"""

from __future__ import annotations

from typing import Any

from jobs.ingest.judgements import FALSE, FINE, FORMAT
from jobs.reports.data import ReportData, Violations
from jobs.reports.html_parts import esc, section
from jobs.reports.triple import texts

LEAD = (
    "A negative that scores above its positive is a false negative, which teaches the wrong thing, or a fine one that the encoder "
    "has wrong, which teaches most of all. Embeddings cannot tell; a person can. These are taken by chance from each source's "
    "violations, so the share of false ones among those marked is that of all of them, within its interval."
)
KEYS = (
    ("F", FALSE), ("G", FINE), ("U", "take the mark back"), ("J", "next"), ("K", "the one before"),
)  # fmt: skip


def judge_section(data: ReportData) -> str:
    """Return the section, empty where no source has a violation that nobody has judged."""
    if not data.violations:
        return ""
    triples = {row["source"]: row["n_examples"] for row in data.ranking if row["kind"] == "source"}
    keys = ", ".join(f"<kbd>{key}</kbd> {esc(what)}" for key, what in KEYS)
    tools = (
        f'<div class="judging" hidden><p class="note">Keys: {keys}.</p><p role="status" class="exported"></p>'
        '<p><button type="button" class="plain export">Save the marks as JSON</button> '
        '<button type="button" class="plain forget">Forget all marks</button></p>'
        '<label class="note" for="marks">The marks as JSON; <code>eci run --judgements FILE</code> beside the run\'s other '
        'options takes them:</label><textarea id="marks" rows="4" readonly spellcheck="false"></textarea></div>'
    )
    parts = [_source(source, found, found.total / triples[source]) for source, found in data.violations.items()]
    run, form = esc(data.manifest["run_id"]), esc(FORMAT)
    body = f'<div id="judgements" data-run="{run}" data-format="{form}">{"".join(parts)}{tools}</div>'
    return section("judge", "Judge violations", LEAD, body)


def _source(source: str, found: Violations, rate: float) -> str:
    """Return a source's violations. `rate`: the share of its triples that are such."""
    many = f"{len(found.triples)} of {found.total:,} violation{'s' * (found.total != 1)}"
    return (
        f'<details class="source" data-source="{esc(source)}" data-rate="{rate!r}"><summary><bdi>{esc(source)}</bdi> '
        f'<span class="note">{many}</span></summary><p class="result" role="status"></p>'
        f"{''.join(map(_violation, found.triples))}</details>"
    )


def _violation(triple: dict[str, Any]) -> str:
    buttons = "".join(
        f'<button type="button" class="plain" data-mark="{mark}" aria-pressed="false">{word}</button> '
        for mark, word in ((FALSE, "False negative"), (FINE, "Fine"))
    )
    return (
        f'<article class="triple" tabindex="-1" data-query="{triple["query_id"]}" data-negative="{triple["negative_id"]}">'
        f"<p><span>s_pos {triple['s_pos']:.3f}</span><span>s_neg {triple['s_neg']:.3f}</span></p>"
        f'<dl>{texts(triple)}</dl><div class="marking" hidden>{buttons}</div></article>'
    )
