"""The report's section on a run over a sample of the queries: how much it used, how often it looked, what is still open."""

from __future__ import annotations

from typing import Any

from jobs.output.records import SampleUsed
from jobs.reports.data import ReportData, digits_of
from jobs.reports.html_parts import folded, name, num, section, table, text, tiles

MOST_PAIRS = 40


def sampled(data: ReportData) -> SampleUsed | None:
    """Return what the manifest says of the sample; None for a plain run over all queries, and for runs older than samples."""
    found: SampleUsed | None = data.manifest.get("sample")
    if not found or (found["decided"] is None and found["queries"] == found["all_queries"]):
        return None
    return found


def is_part(data: ReportData) -> bool:
    """Return whether the run is over a part of the queries."""
    sample = data.manifest.get("sample")
    return sample is not None and sample["queries"] < sample["all_queries"]


def used(sample: SampleUsed) -> str:
    """Return the share of the queries that was used, as text."""
    return f"{sample['queries'] / max(sample['all_queries'], 1):.1%}"


def sample_section(data: ReportData) -> str:
    """Return the section, empty for a run over all queries."""
    sample = sampled(data)
    if sample is None:
        return ""
    answered = {None: "not asked", True: "yes", False: "no"}[sample["decided"]]
    boxes = [
        (f"{sample['queries']:,} of {sample['all_queries']:,}", "queries used"),
        (used(sample), "of the queries"),
        (str(sample["looks"]), "looks" if sample["looks"] != 1 else "look"),
        (answered, "question answered"),
        (f"{sample['rows_left']:,}", "rows left out"),
    ]
    return section("sample", "Sample of the queries", _lead(data, sample), tiles(boxes), *_pairs(data, sample))


def _lead(data: ReportData, sample: SampleUsed) -> str:
    settings = data.manifest["settings"]
    size = f"{sample['queries']:,} of {sample['all_queries']:,} queries ({used(sample)})"
    looks = f"in {sample['looks']} look{'s' * (sample['looks'] != 1)}"
    later = "A later run over more of them embeds only what is new." if sample["rows_left"] else ""
    if sample["decided"] is None:
        return f"This run took {size}, a nested sample, and asked for no decision. {later}"
    question = {
        "top": "which source leads",
        "all": "the order of every adjacent pair of sources",
    }[settings["decide"]]
    asked = (
        f"Asked was {question}{' by the probe' if _by_probe(data) else ''}, at the level {settings['until_decided']:g}; a "
        f"difference that is surely within {_tolerance(data)} counts as a tie."
    )
    if sample["decided"]:
        return f"{asked} It was answered with {size}, {looks}. {later}"
    return f"{asked} It was not answered with {size}, {looks}: the pairs below are open at that level."


def _by_probe(data: ReportData) -> bool:
    return data.manifest["settings"].get("decide_by") == "probe" and data.probe is not None


def _tolerance(data: ReportData) -> str:
    settings = data.manifest["settings"]
    if _by_probe(data):
        return f"{settings['probe']['tolerance']:g} points of nDCG"
    return f"{settings['tolerance'] * 100:g} % of the leader's ECI"


def _known(data: ReportData) -> dict[tuple[str, str], dict[str, Any]]:
    """Return difference, lo, hi and decided of each pair: of the gains in points of nDCG where these were asked about."""
    if data.probe is None or not _by_probe(data):
        return {(p["a"], p["b"]): {key: p[key] for key in ("difference", "lo", "hi", "decided")} for p in data.pairs}
    return {
        (p["source_a"], p["source_b"]): {
            "difference": 100 * p["difference"], "lo": 100 * p["low"], "hi": 100 * p["high"], "decided": p["decided"],
        }
        for p in data.probe.pairs
        if p["source_a"] in data.shown and p["source_b"] in data.shown
    }  # fmt: skip


def _pairs(data: ReportData, sample: SampleUsed) -> list[str]:
    """Return the table of pairs that are not decided: those of the question, then those that it did not ask about."""
    known = _known(data)
    asked = [tuple(pair) for pair in sample["open_pairs"]]
    seen = {frozenset(pair) for pair in asked}
    order = {name: i for i, name in enumerate(data.shown)}
    others = [
        (a, b) for (a, b), p in known.items()
        if not p["decided"] and order[a] < order[b] and frozenset((a, b)) not in seen
    ]  # fmt: skip
    why = "not asked about" if sample["decided"] is None else "not asked about, or a tie"
    states = [(pair, "open at the level asked") for pair in asked] + [(pair, why) for pair in others]
    if not states:
        return ['<p class="note">Every pair of sources is decided.</p>']
    digits = 2 if _by_probe(data) else digits_of(data.ranking) + 1
    rows = []
    for (a, b), state in states[:MOST_PAIRS]:
        pair = known.get((a, b))
        interval = f"{num(pair['lo'], digits).text} to {num(pair['hi'], digits).text}" if pair else "–"
        rows.append([name(a), name(b), num(pair["difference"] if pair else None, digits), text(interval), text(state)])
    title = f"{len(states)} pair{'s' * (len(states) != 1)} not decided"
    unit = "in points of nDCG" if _by_probe(data) else "in ECI"
    heads = (("source", ""), ("against", ""), ("difference", unit), ("95 % interval", ""), ("why", ""))
    tabled = table("Pairs that are not decided", heads, rows)
    return [f"<h3>{title}</h3>", tabled] if asked else [folded(title, tabled)]
