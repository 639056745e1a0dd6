"""The report's section on a run over a sample of the queries: how much it used, how often it looked, what is still open."""

from __future__ import annotations

from jobs.output.records import SampleUsed
from jobs.reports.data import ReportData, digits_of
from jobs.reports.html_parts import folded, num, section, table, text, tiles

HEADS = (("source", ""), ("against", ""), ("difference", "in ECI"), ("95 % interval", ""), ("why", ""))
MOST_PAIRS = 40


def sampled(data: ReportData) -> SampleUsed | None:
    """Return what the manifest says of the sample; None for a plain run over all queries, and for runs older than samples."""
    found: SampleUsed | None = data.manifest.get("sample")
    if not found or (found["decided"] is None and found["queries"] == found["all_queries"]):
        return None
    return found


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
        f"Asked was {question}, at the level {settings['until_decided']:g}; a difference that is surely within "
        f"{settings['tolerance'] * 100:g} % of the leader's ECI counts as a tie."
    )
    if sample["decided"]:
        return f"{asked} It was answered with {size}, {looks}. {later}"
    return f"{asked} It was not answered with {size}, {looks}: the pairs below are open at that level."


def _pairs(data: ReportData, sample: SampleUsed) -> list[str]:
    """Return the table of pairs that are not decided: those of the question, then those that it did not ask about."""
    known = {(p["a"], p["b"]): p for p in data.pairs}
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
    digits = digits_of(data.ranking) + 1
    rows = []
    for (a, b), state in states[:MOST_PAIRS]:
        pair = known.get((a, b))
        interval = f"{num(pair['lo'], digits).text} to {num(pair['hi'], digits).text}" if pair else "–"
        rows.append([text(a), text(b), num(pair["difference"] if pair else None, digits), text(interval), text(state)])
    title = f"{len(states)} pair{'s' * (len(states) != 1)} not decided"
    tabled = table("Pairs that are not decided", HEADS, rows)
    return [f"<h3>{title}</h3>", tabled] if asked else [folded(title, tabled)]
