"""The decision card, first on the page: what to train on, how sure that is, why, what could overturn it, what to do next.

The card is plain text and tested as such; `card_html` is the only part that knows of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.output.records import SourceRow
from jobs.probing.answer import Probed, all_harm, all_tied
from jobs.probing.answer import named as listed
from jobs.probing.cautions import Caution, Facts, cautions
from jobs.probing.decision import TRAIN, Decision, decide, select_command
from jobs.probing.fitness import OPEN, why_open
from jobs.probing.judged_text import base_of, judged_lines
from jobs.reports.data import ReportData, by_eci, facts_of
from jobs.reports.html_parts import command, esc
from jobs.reports.names import named, said
from jobs.reports.sample import is_part, sampled, used
from jobs.terminal.fitting import Command as Parts
from jobs.terminal.fitting import command_lines

FIRST_TIED = 2
"""Of more sources that tie the headline names so many; the first sentence below it names them."""
MOST_HEAD = 120
"""Characters of the leader's name in the headline."""
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
        why: one sentence, empty where there is nothing to train on.  overturn: sentences.
    """

    headline: str
    leaders: tuple[str, ...]
    judged: tuple[str, ...]
    why: str
    overturn: tuple[str, ...]
    commands: tuple[Command, ...]


def card_of(data: ReportData) -> Card:
    """Return the card of a run."""
    warned = cautions(facts_of(data))
    if data.probe:
        headline, leaders = _by_probe(data.probe)
    else:
        headline, leaders = _by_eci(data)
    return Card(
        headline,
        leaders,
        tuple(_judged(data)),
        _why(data, leaders[0]) if leaders else "",
        tuple(_overturn(data, leaders, warned)),
        commands(data, decide(data.probe, by_eci(data), data.pairs)),
    )


def _by_probe(probed: Probed) -> tuple[str, tuple[str, ...]]:
    """Return the headline, and the source or those that tie."""
    best = probed.rows[0]
    tied = tuple(row["source"] for row in probed.rows if row["rank_low"] == 1 or row is best)
    if all_harm(probed):
        return "Train on none of these sources as they are", tied
    if len(probed.rows) == 1:
        return f"Train on {best['source']}: it is the only source", tied
    return (_tie("A tie", tied) if len(tied) > 1 else f"Train on {best['source']}"), tied


def _tie(what: str, tied: Sequence[str]) -> str:
    shown = [*tied[:FIRST_TIED], f"{len(tied) - FIRST_TIED} more"] if len(tied) > FIRST_TIED + 1 else tied
    return f"{what}: {listed(shown)} may each be best"


def _by_eci(data: ReportData) -> tuple[str, tuple[str, ...]]:
    rows = by_eci(data)
    if not rows:
        return "No source was scored", ()
    best = rows[0]["source"]
    tied = tuple(row["source"] for row in rows if row["rank_lo"] == 1 or row is rows[0] or all_tied(rows))
    if len(rows) == 1:
        return f"Train on {best}: it is the only source", tied
    if why := why_open(data.ranking, best, rows[1]["source"]):
        return f"Not decided: {best} is first by ECI, but {OPEN[why]}", tied
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
        return f"{leader} deals out the negatives of {listed(parts)} in turn, so that a query meets each kind."
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


def commands(data: ReportData, decision: Decision) -> tuple[Command, ...]:
    """Return the commands that follow from an answer, quoted for a POSIX shell; none where there is nothing to train on."""
    if not decision.sources:
        return ()
    out, run_id, settings = data.out, data.manifest["run_id"], data.manifest["settings"]
    sources = [row["source"] for row in data.ranking if row["kind"] == "source"]
    select = select_command(decision, out, run_id, sources, is_part(data))
    found = []
    if select is not None:
        found.append(Command(f"Write the training file of {decision.sources[0]}", one_line(select)))
        probe = [("eci", "probe"), ("--triples", TRAIN), ("--out", out), ("--run", run_id)]
        found.append(Command("Try it out beside the sources", one_line(probe)))
    encoder = settings.get("encoder")
    chosen = [("--encoder", encoder)] if encoder and not settings.get("vectors") else []
    validate = [("eci", "validate", "COLLECTION"), *chosen, ("--out", f"{out.rstrip('/')}-validation")]
    what = "Check on a collection of yours with judgements (its folder for COLLECTION)"
    return (*found, Command(what, one_line(validate)))


def one_line(command: Parts) -> str:
    """Return a command in one line, however long."""
    return command_lines(command, sys.maxsize, 0)[0]


def card_html(card: Card, first: str, rest: str, names: Sequence[str]) -> str:
    """Return the card as HTML.

    Args:
        first, rest: the answer's sentences, as `verdict` returns them.  names: of the run's sources.
    """
    sure = "".join(f"<p>{html}</p>" for html in (first, rest) if html)
    judged = "".join(f"<p>{said(sentence, names)}</p>" for sentence in card.judged)
    rows = [("How sure", sure), ("Judgements", judged), ("Why", f"<p>{said(card.why, names)}</p>" if card.why else "")]
    following = "".join(command(said(one.what, names), one.line) for one in card.commands)
    rows += [("What could overturn it", _listed(card.overturn, names)), ("Next", following)]
    inner = "".join(f"<dt>{title}</dt><dd>{body}</dd>" for title, body in rows if body)
    return f'<h1 class="verdict">{_headline(card, names)}</h1><dl class="card">{inner}</dl>'


def warnings_html(facts: Facts, card: Card, names: Sequence[str]) -> str:
    """Return the warnings of a run as a list above its numbers, less those that the card has; empty where there are none."""
    found = [caution for caution in cautions(facts) if caution.text not in card.overturn]
    items = "".join(f'<li data-kind="{esc(caution.kind)}">{said(caution.text, names)}</li>' for caution in found)
    return (
        f'<div class="warnings" role="note"><h2>Before you read the numbers</h2><ul>{items}</ul></div>' if found else ""
    )


def _headline(card: Card, names: Sequence[str]) -> str:
    start = f"Train on {card.leaders[0]}" if card.leaders else "\0"
    if not card.headline.startswith(start):
        return said(card.headline, names)
    return f"Train on <strong>{named(card.leaders[0], MOST_HEAD)}</strong>{said(card.headline[len(start) :], names)}"


def _listed(sentences: Sequence[str], names: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{said(sentence, names)}</li>' for sentence in sentences)}</ul>"
