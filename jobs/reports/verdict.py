"""The report's answer: what to train on, in one sentence, and what it rests on."""

from __future__ import annotations

from jobs.probing.answer import answer
from jobs.probing.cautions import unfit
from jobs.reports.card import card_html, card_of, warnings_html
from jobs.reports.data import ReportData, by_eci, digits_of, facts_of
from jobs.reports.html_parts import esc, num, tiles
from jobs.reports.sample import sampled, used

ECI = (
    "ECI is the contrastive information that a source adds, in nats per dimension, discounted by the share of it "
    "that comes from likely false negatives. It compares sources under one encoder and temperature, before any training."
)
GAIN = (
    "The probe trains a small adapter with each source and measures queries that it was not trained on: its gains are "
    "points of nDCG, and the order of the sources here is theirs. "
)


def answer_section(data: ReportData) -> str:
    """Return the section that says what to train on."""
    totals, encoder = data.manifest["totals"], data.manifest["encoder"]
    boxes = [
        (f"{totals['scored']:,}", "triples scored"),
        (str(sum(row["kind"] == "source" for row in data.ranking)), "sources"),
        (f"{totals['rejected']:,}", "rows rejected"),
        (f"{totals['duplicates']:,}", "duplicates"),
        (f"{totals['texts']:,}", "texts"),
    ]
    sample = sampled(data)
    part = ""
    if sample is not None:
        boxes.insert(1, (used(sample), "of the queries"))
        size = f"{sample['queries']:,} of {sample['all_queries']:,} queries ({used(sample)})"
        part = f" From a sample: {size}." if sample["rows_left"] else ""
    return (
        f'<section id="answer"><p class="kicker">Which hard negatives to train on</p>{card_html(card_of(data), *verdict(data))}'
        f'{warnings_html(facts_of(data))}<p class="lead">Encoder {esc(encoder["name"])} ({encoder["dim"]} dimensions), temperature '
        f'{data.manifest["settings"]["temperature"]:g}.{part}</p>{tiles(boxes)}<p class="note">'
        f"{GAIN if data.probe else ''}{ECI}</p></section>"
    )


def verdict(data: ReportData) -> tuple[str, str]:
    """Return the answer as HTML: one sentence, and what it rests on."""
    if data.probe:
        first, *others = answer(data.probe, by_eci(data))
        return _named(first, data.probe.rows[0]["source"]), " ".join(esc(sentence) for sentence in others)
    first, rest = _by_score(data)
    return first, " ".join(part for part in (rest, esc(data.why_no_probe or "")) if part)


def _named(sentence: str, source: str) -> str:
    """Return the sentence as HTML, with the source's name strong where it says to train on it."""
    start = f"Train on {source}:"
    if not sentence.startswith(start):
        return esc(sentence)
    return f"Train on <strong>{esc(source)}</strong>:{esc(sentence[len(start) :])}"


def _by_score(data: ReportData) -> tuple[str, str]:
    """Return the answer of a run whose sources were not tried out: by ECI alone."""
    rows = by_eci(data)
    digits = digits_of(data.ranking)
    if not rows:
        return "No source was scored.", ""
    best = rows[0]
    name = f"<strong>{esc(best['source'])}</strong>"
    if len(rows) == 1:
        return f"{name} is the only source; a second one is needed for a ranking.", ""
    second = rows[1]
    pair = next((p for p in data.pairs if p["a"] == best["source"] and p["b"] == second["source"]), None)
    tied = [row["source"] for row in rows[1:] if row["rank_lo"] == 1]
    if {best["source"], second["source"]} & unfit(data.ranking):
        first = f"{name} ranks first of {len(rows)} sources by ECI, ahead of {esc(second['source'])}, but the two are not comparable."
    elif not tied:
        lead = (
            f"it ranks first of {len(rows)} sources by ECI, ahead of {esc(second['source'])}, and the lead is decided."
        )
        first = f"Train on the negatives of {name}: {lead}"
    else:
        others = ", ".join(esc(source) for source in tied[:4]) + (f" and {len(tied) - 4} more" if len(tied) > 4 else "")
        first = f"No single winner yet: {name} ranks first of {len(rows)} sources, but {others} may be as good."
    if pair is None:
        return first, ""
    rest = (
        f"Its ECI differs from that of {esc(second['source'])} by {pair['difference']:.{digits}f}, "
        f"95 % interval {num(pair['lo'], digits).text} to {num(pair['hi'], digits).text}, "
        f"by a paired jackknife over {best['folds_done']} folds of the queries."
    )
    return first, rest
