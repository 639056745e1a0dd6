"""The report's answer: what to train on, in one sentence, and what it rests on."""

from __future__ import annotations

from collections import Counter

from jobs.probing.answer import all_tied, answer, score_first
from jobs.reports.card import card_html, card_of, warnings_html
from jobs.reports.data import ReportData, by_eci, digits_of, facts_of, names_of
from jobs.reports.html_parts import esc, span, tiles
from jobs.reports.names import named, said
from jobs.reports.sample import sampled, used

ECI = (
    "ECI is the contrastive information that a source adds, in nats per dimension, discounted by the share of it "
    "that comes from likely false negatives. It compares sources under one encoder and temperature, before any training."
)
STARTS = ("Train on the negatives of ", "Train on ", "A tie. No single winner yet: ", "Not decided: ")
GAIN = (
    "The probe trains a small adapter with each source and measures queries that it was not trained on: its gains are "
    "points of nDCG. The ranks go by gain and information together, and never against a pair that the probe decides. "
)


def answer_section(data: ReportData) -> str:
    """Return the section that says what to train on."""
    totals, encoder = data.manifest["totals"], data.manifest["encoder"]
    kinds = Counter(row["kind"] for row in data.ranking)
    boxes = [
        (f"{totals['scored']:,}", "triples scored"),
        (str(kinds["source"]), f"source{'s' * (kinds['source'] != 1)} ranked"),
        *([(str(kinds["hybrid"]), f"hybrid{'s' * (kinds['hybrid'] != 1)} ranked beside")] if kinds["hybrid"] else []),
        (f"{totals['rejected']:,}", "rows rejected"),
        (f"{totals['duplicates']:,}", "duplicates"),
        (f"{totals['texts']:,}", "texts"),
    ]
    sample = sampled(data)
    part = ""
    if sample is not None:
        boxes.insert(1, (f"{sample['queries']:,} of {sample['all_queries']:,}", "queries: a sample"))
        size = f"{sample['queries']:,} of {sample['all_queries']:,} queries ({used(sample)})"
        part = f" From a sample: {size}." if sample["rows_left"] else ""
    card, names = card_of(data), names_of(data)
    return (
        '<section id="answer"><p class="kicker">Which hard negatives to train on</p>'
        f"{card_html(card, *verdict(data), names)}{warnings_html(facts_of(data), card, names)}"
        f'<p class="lead">Encoder {esc(encoder["name"])} ({encoder["dim"]} dimensions), temperature '
        f'{data.manifest["settings"]["temperature"]:g}.{part}{esc(_lexical(data))}</p>{tiles(boxes)}<p class="note">'
        f"{GAIN if data.probe else ''}{ECI}</p></section>"
    )


def _lexical(data: ReportData) -> str:
    side = data.manifest.get("lexical")
    return f" {side['warning']}" if side and side["warning"] else ""


def verdict(data: ReportData) -> tuple[str, str]:
    """Return the answer as HTML: one sentence, and what it rests on."""
    if data.probe:
        first, *others = answer(data.probe, by_eci(data))
        names = names_of(data)
        return _named(first, data.probe.rows[0]["source"], names), " ".join(
            said(sentence, names) for sentence in others
        )
    first, rest = _by_score(data)
    return first, " ".join(part for part in (rest, esc(data.why_no_probe or "")) if part)


def _named(sentence: str, source: str, names: list[str]) -> str:
    """Return the sentence as HTML, with the source's name strong where it says to train on it, or which is first."""
    for start in STARTS:
        if sentence.startswith(start + source):
            return f"{esc(start)}<strong>{named(source)}</strong>{said(sentence[len(start + source) :], names)}"
    return said(sentence, names)


def _by_score(data: ReportData) -> tuple[str, str]:
    """Return the answer of a run whose sources were not tried out: by ECI alone."""
    rows = by_eci(data)
    digits = digits_of(data.ranking)
    if not rows:
        return esc(score_first(rows)), ""
    best = rows[0]
    first = _named(score_first(rows), best["source"], names_of(data))
    if len(rows) == 1:
        return first, ""
    if all_tied(rows):
        return first, ""
    second = rows[1]
    pair = next((p for p in data.pairs if p["a"] == best["source"] and p["b"] == second["source"]), None)
    if pair is None:
        return first, ""
    rest = (
        f"Its ECI differs from that of {named(second['source'])} by {pair['difference']:.{digits}f}, "
        f"95 % interval {span(pair['lo'], pair['hi'], digits).text}, "
        f"by a paired jackknife over {best['folds_done']} folds of the queries."
    )
    return first, rest
