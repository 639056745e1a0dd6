"""The decision card, first on the page: what to train on, how sure that is, why, what could overturn it, what to do next.

The card is plain text and tested as such; `card_html` is the only part that knows of the page.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.output.records import SourceRow
from jobs.probing.answer import Probed, interval, named, points
from jobs.probing.cautions import Caution, Facts, cautions, unfit
from jobs.probing.judged_text import base_of, judged_lines
from jobs.reports.data import ReportData, by_eci, facts_of
from jobs.reports.html_parts import esc
from jobs.reports.sample import sampled, used

FIRST_TIED = 2
"""Of more sources that tie the headline names so many; the first sentence below it names them."""
ANY_LEADER = ("gone or new", "flips")
OTHERWISE = "Training with another encoder family or temperature than this run's."


@dataclass(frozen=True)
class Command:
    """A command that is ready to copy, and what it does."""

    what: str
    line: str


@dataclass(frozen=True)
class Card:
    """What the card says.

    Attributes:
        headline: what to train on, in a few words.  leaders: the source or those that tie, the first one by the order first.
        judged: what people's judgements have done, sentences.
        lead: of the first of those that tie over the next; empty where the answer's own sentences have it.
        why: one sentence, empty where there is nothing to train on.  overturn: sentences.
    """

    headline: str
    leaders: tuple[str, ...]
    lead: str
    judged: tuple[str, ...]
    why: str
    overturn: tuple[str, ...]
    commands: tuple[Command, ...]


def card_of(data: ReportData) -> Card:
    """Return the card of a run."""
    warned = cautions(facts_of(data))
    if data.probe:
        headline, leaders, train = _by_probe(data.probe)
    else:
        headline, leaders = _by_eci(data)
        train = bool(leaders)
    return Card(
        headline,
        leaders,
        _next(data.probe) if data.probe else "",
        tuple(_judged(data)),
        _why(data, leaders[0]) if leaders else "",
        tuple(_overturn(data, leaders, warned)),
        commands(data, leaders[0]) if train else (),
    )


def _by_probe(probed: Probed) -> tuple[str, tuple[str, ...], bool]:
    """Return the headline, the source or those that tie, and whether any of them is to be trained on."""
    best = probed.rows[0]
    tied = tuple(row["source"] for row in probed.rows if row["rank_low"] == 1 or row is best)
    if best["gain_high"] < 0:
        return "Train on none of these sources as they are", tied, False
    if len(probed.rows) == 1:
        return f"Train on {best['source']}: it is the only source", tied, True
    return (_tie("A tie", tied) if len(tied) > 1 else f"Train on {best['source']}"), tied, True


def _tie(what: str, tied: Sequence[str]) -> str:
    shown = [*tied[:FIRST_TIED], f"{len(tied) - FIRST_TIED} more"] if len(tied) > FIRST_TIED + 1 else tied
    return f"{what}: {named(shown)} may each be best"


def _next(probed: Probed) -> str:
    """Return what the leader gains over the next where they tie, and over the frozen encoder, with intervals."""
    best, *rest = probed.rows
    if not rest or rest[0]["rank_low"] != 1:
        return ""
    second = rest[0]["source"]
    pair = next(p for p in probed.pairs if (p["source_a"], p["source_b"]) == (best["source"], second))
    return (
        f"{best['source']} gains {points(best['gain'])} over the frozen encoder (95 % interval "
        f"{interval(best['gain_low'], best['gain_high'])}) and {points(pair['difference'])} over the next, {second} "
        f"({interval(pair['low'], pair['high'])})."
    )


def _by_eci(data: ReportData) -> tuple[str, tuple[str, ...]]:
    rows = by_eci(data)
    if not rows:
        return "No source was scored", ()
    best = rows[0]["source"]
    tied = tuple(row["source"] for row in rows if row["rank_lo"] == 1 or row is rows[0])
    if len(rows) == 1:
        return f"Train on {best}: it is the only source", tied
    if {best, rows[1]["source"]} & unfit(data.ranking):
        return f"Not decided: {best} is first by ECI, but the sources are not comparable", tied
    if len(tied) > 1:
        return _tie("A tie by ECI", tied), tied
    return f"Train on {best}, by ECI alone", tied


def _judged(data: ReportData) -> list[str]:
    used = data.manifest.get("judgements")
    base = base_of(used, data.manifest["run_id"])
    before = [row for row in data.history if row["run_id"] == base]
    return judged_lines(used, data.ranking, before or None)


def _why(data: ReportData, leader: str) -> str:
    """Return one sentence on what sets the leader apart in the score's own terms."""
    rows: dict[str, SourceRow] = {row["source"]: row for row in data.ranking if row["kind"] != "mixture"}
    if leader not in rows:
        parts = next((row["parts"] for row in data.probe.rows if row["source"] == leader), []) if data.probe else []
        return f"{leader} deals out the negatives of {named(parts)} in turn, so that a query meets each kind."
    row, others = rows[leader], [row for name, row in rows.items() if name != leader and row["kind"] == "source"]
    near = f"The negatives of {leader} have a mean similarity of {row['hardness']:.2f} to their query"
    wrong = f"{row['violation_rate']:.1%} of them score above the positive"
    if not others:
        return f"{near}, and {wrong}."
    low, high = (f(o["hardness"] for o in others) for f in (min, max))
    least, most = (f(o["violation_rate"] for o in others) for f in (min, max))
    return f"{near} (the others: {low:.2f} to {high:.2f}), and {wrong} (the others: {least:.1%} to {most:.1%})."


def _overturn(data: ReportData, leaders: Sequence[str], warned: Sequence[Caution]) -> list[str]:
    """Return the warnings that are about the leaders or the order as a whole, that of a sample, and what always holds."""
    found = [
        caution.text
        for caution in warned
        if caution.kind in ANY_LEADER or (set(caution.sources) & set(leaders) and caution.kind != "disagreement")
    ]
    sample = sampled(data)
    if sample is not None and sample["rows_left"]:
        found.append(f"More queries: this is from {used(sample)} of them.")
    return [*found, OTHERWISE]


def commands(data: ReportData, source: str) -> tuple[Command, ...]:
    """Return the commands that follow from training on a source or hybrid, quoted for a POSIX shell."""
    run = ["--out", data.out, "--run", data.manifest["run_id"]]
    to = f"train-{re.sub('[^A-Za-z0-9._+-]+', '-', source)[:60].strip('-') or 'source'}"
    encoder = data.manifest["settings"].get("encoder")
    vectors = data.manifest["settings"].get("vectors")
    chosen = [] if vectors or not encoder else ["--encoder", encoder]
    return (
        Command(
            f"Write the training file of {source}",
            shlex.join(["eci", "select", *_taken(data, source), "--to", to, *run]),
        ),
        Command("Try it out beside the sources", shlex.join(["eci", "probe", "--triples", to, *run])),
        Command(
            "Check on a collection of yours with judgements (its folder for COLLECTION)",
            shlex.join(["eci", "validate", "COLLECTION", *chosen, "--out", f"{data.out.rstrip('/')}-validation"]),
        ),
    )


def _taken(data: ReportData, source: str) -> list[str]:
    """Return the options of `eci select` that take a source, or a hybrid's sources in equal shares."""
    tried = next((row["parts"] for row in data.probe.rows if row["source"] == source), []) if data.probe else []
    pooled = [part["source"] for row in data.ranking if row["source"] == source for part in row["parts"]]
    parts = tried or pooled or [source]
    if len(parts) == 1:
        return [f"--source={parts[0]}"]
    if not tried or any("," in part or part != part.strip() for part in parts):
        return [f"--source={part}" for part in parts]
    return [f"--mix={','.join(f'{part}={1 / len(parts):.8g}' for part in parts)}"]


def card_html(card: Card, first: str, rest: str) -> str:
    """Return the card as HTML. `first`, `rest`: the answer's sentences, as `verdict` returns them."""
    sure = "".join(f"<p>{html}</p>" for html in (first, esc(card.lead), rest) if html)
    judged = "".join(f"<p>{esc(sentence)}</p>" for sentence in card.judged)
    rows = [("How sure", sure), ("Judgements", judged), ("Why", f"<p>{esc(card.why)}</p>" if card.why else "")]
    rows += [("What could overturn it", _listed(card.overturn)), ("Next", "".join(map(_command, card.commands)))]
    inner = "".join(f"<dt>{title}</dt><dd>{body}</dd>" for title, body in rows if body)
    return f'<h1 class="verdict">{_headline(card)}</h1><dl class="card">{inner}</dl>'


def warnings_html(facts: Facts) -> str:
    """Return the warnings of a run as a list above its numbers, empty where there are none."""
    found = cautions(facts)
    items = "".join(f'<li data-kind="{esc(caution.kind)}">{esc(caution.text)}</li>' for caution in found)
    return (
        f'<div class="warnings" role="note"><h2>Before you read the numbers</h2><ul>{items}</ul></div>' if found else ""
    )


def _headline(card: Card) -> str:
    start = f"Train on {card.leaders[0]}" if card.leaders else "\0"
    if not card.headline.startswith(start):
        return esc(card.headline)
    return f"Train on <strong>{esc(card.leaders[0])}</strong>{esc(card.headline[len(start) :])}"


def _listed(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{esc(sentence)}</li>' for sentence in sentences)}</ul>"


def _command(command: Command) -> str:
    return (
        f'<div class="command"><p>{esc(command.what)}</p><pre tabindex="0"><code>{esc(command.line)}</code></pre>'
        f'<button type="button" class="copy" hidden>Copy</button></div>'
    )
