"""OUT/index.html: all committed runs on one small page, the newest first, each with its answer and its report.

Written at every commit and whenever `eci gc` removes runs. It reads manifests only; of runs whose manifests have no answer
yet (older versions) it reads the two tables of results.
"""

from __future__ import annotations

import hashlib
import logging
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime

from jobs.errors import EciError
from jobs.output import layout
from jobs.output.markup import esc
from jobs.output.records import Manifest, ProbeRow, SourceRow, TopOfRun
from jobs.output.runs import committed, read_manifest
from jobs.output.sealed import HASHED, is_page_whole, sealed_page
from jobs.output.store import Store
from jobs.output.tables import SOURCE_ECI, SOURCE_PROBE
from jobs.output.verified import read_published

GENERATOR = '<meta name="generator" content="eci-lake index of runs">'
"""What the page is known by: an index.html without it is somebody else's, and left alone."""
UNREADABLE = (EciError, OSError, ValueError, KeyError, TypeError)
HEADS = ("run", "time (UTC)", "first source", "gain, points of nDCG (95 % interval)", "ECI", "queries", "triples")
STYLE = """
:root { color-scheme: light dark; --page: #fff; --panel: #f5f7fa; --line: #d9dfe6; --ink: #1a1f26; --muted: #56606c; --accent: #0b5fc0; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161b; --panel: #1b2129; --line: #333c47; --ink: #e8ecf1; --muted: #a5b0bd; --accent: #66adff; } }
body { margin: 0 auto; max-width: 1080px; padding: 1.2rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } p { color: var(--muted); margin: 0 0 1rem; overflow-wrap: anywhere; }
a { color: var(--accent); display: inline-block; min-height: 24px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: left; font-weight: 400; vertical-align: top; }
thead th { background: var(--panel); font-weight: 600; } tbody th, .t { white-space: nowrap; }
.s { overflow-wrap: anywhere; min-width: 10rem; }
"""


def write_index(store: Store) -> None:
    """Write OUT/index.html anew. It never stops a run: what goes wrong is logged."""
    try:
        if store.exists(layout.INDEX) and not _is_ours(store.read_bytes(layout.INDEX)):
            return
        store.write_text(layout.INDEX, sealed_page(page(store)))
    except UNREADABLE as error:
        logging.getLogger("eci").warning(f"{store.path(layout.INDEX)}: not written: {type(error).__name__}: {error}")


def is_damaged(store: Store) -> bool:
    """Return whether OUT/index.html is of eci, and not as it was written."""
    data = store.read_bytes(layout.INDEX) if store.exists(layout.INDEX) else b""
    return _is_ours(data) and not is_page_whole(data)


def _is_ours(data: bytes) -> bool:
    return GENERATOR.encode() in data or HASHED.encode() in data


def page(store: Store) -> str:
    """Return the page."""
    runs = committed(store)[::-1]
    rows = "".join(_row(store, run) for run in runs)
    digest = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    heads = "".join(f'<th scope="col">{esc(head)}</th>' for head in HEADS)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{GENERATOR}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>ECI runs</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><h1>Runs</h1><p>{len(runs)} committed run{"s" * (len(runs) != 1)}, the newest first. The first source is the probe's, and ECI's
where there was no probe; a tie says how many may be best.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table><caption>Runs</caption>
<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></body></html>
"""


def _row(store: Store, run: str) -> str:
    folder = layout.run_folder(run)
    report = layout.report_in(folder)
    name = f'<a href="{esc(report)}">{esc(run)}</a>' if store.exists(report) else esc(run)
    try:
        manifest = read_manifest(store, run)
        cells = _cells(manifest, manifest.get("top") or _top_of_tables(store, manifest))
    except UNREADABLE:
        cells = ["cannot be read", *[""] * (len(HEADS) - 2)]
    kinds = ("t", "s", "t", "t", "", "")
    inner = "".join(f'<td class="{kind}">{esc(cell)}</td>' for kind, cell in zip(kinds, cells, strict=True))
    return f'<tr><th scope="row">{name}</th>{inner}</tr>'


def _cells(manifest: Manifest, top: TopOfRun | None) -> list[str]:
    time = datetime.fromisoformat(manifest["created_at"]).astimezone(UTC)
    sample, scored = manifest.get("sample"), manifest["totals"]["scored"]
    whole = sample is None or not sample["rows_left"]
    queries = (
        "all" if whole or sample is None else f"{sample['queries'] / max(sample['all_queries'], 1):.1%} (a sample)"
    )
    source, gain, eci = "none", "–", "–"
    if top is not None:
        source = top["source"] + (f" (tie of {top['tied']})" if top["tied"] > 1 else "")
        eci = "–" if top["eci"] is None else f"{top['eci']:.5f}"
    if top is not None and top["gain"] is not None and top["gain_low"] is not None and top["gain_high"] is not None:
        gain = f"{100 * top['gain']:+.2f} ({100 * top['gain_low']:+.2f} .. {100 * top['gain_high']:+.2f})"
    return [f"{time:%Y-%m-%d %H:%M}", source, gain, eci, queries, f"{scored:,}"]


def top_of(ranking: Sequence[SourceRow], probed: Sequence[ProbeRow]) -> TopOfRun | None:
    """Return a run's first source, by the probe where there was one. `ranking`: rows of source_eci; `probed`: of source_probe."""
    eci = {row["source"]: row["eci"] for row in ranking}
    if probed:
        best = min(probed, key=lambda row: row["rank"])
        return {
            "source": best["source"],
            "tied": sum(row["rank_low"] == 1 for row in probed),
            "gain": best["gain"],
            "gain_low": best["gain_low"],
            "gain_high": best["gain_high"],
            "eci": eci.get(best["source"]),
        }
    first = next((row for row in ranking if row["rank"] == 1), None)
    if first is None:
        return None
    tied = sum(row["rank_lo"] == 1 for row in ranking)
    return {
        "source": first["source"],
        "tied": tied,
        "gain": None,
        "gain_low": None,
        "gain_high": None,
        "eci": first["eci"],
    }


def _top_of_tables(store: Store, manifest: Manifest) -> TopOfRun | None:
    folder, there = layout.run_folder(manifest["run_id"]), {file["path"] for file in manifest["files"]}
    ranking, probed = (
        read_published(store, folder, manifest, table.files).to_pylist() if table.files in there else []
        for table in (SOURCE_ECI, SOURCE_PROBE)
    )
    return top_of(ranking, probed)
