"""What follows from a probe and the score together, in sentences: what to train on, how sure that is, what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jobs.output.records import CurveRow, PairRow, ProbePairRow, ProbeRow, SourceRow
from jobs.probing.fitness import OPEN, unfit, why_open
from jobs.terminal.console import interval as span
from jobs.terminal.console import number

MOST_NAMED = 6
MOST_GROUPS = 8
SURE = 1.959963984540054  # 97.5 % of a normal distribution; computed, it would load a third of a second of SciPy


class Probed(NamedTuple):
    """A probe as it was published: rows of source_probe by rank, of probe_pairs, of probe_curve."""

    rows: list[ProbeRow]
    pairs: list[ProbePairRow]
    curve: list[CurveRow]


def points(value: float) -> str:
    """Return a gain in points of nDCG, with its sign."""
    return f"{100 * value:+.2f}"


def interval(low: float, high: float) -> str:
    """Return an interval in points of nDCG."""
    return f"{points(low)} .. {points(high)}"


def answer(probed: Probed, ranking: Sequence[SourceRow]) -> list[str]:
    """Return the answer in sentences: the leader or those that tie, whether ECI agrees, what harms later.

    Args:
        ranking: rows of source_eci.
    """
    return [*first_of(probed), *beside_next(probed), *agreement(probed, ranking), *harms(probed)]


def first_of(probed: Probed) -> list[str]:
    """Return what to train on, or between which nothing is decided, with the gains over the frozen encoder."""
    best = probed.rows[0]
    what = f"points of nDCG@{best['cutoff']}"
    judged = f"over the frozen encoder ({100 * best['frozen']:.1f}), on {best['queries']:,} held-out queries"
    gains = (
        f"gains {points(best['gain'])} {what} {judged} (95 % interval {interval(best['gain_low'], best['gain_high'])})"
    )
    if len(probed.rows) == 1:
        return [f"{best['source']} {gains}; a second source is needed to rank."]
    tied = [row["source"] for row in probed.rows[1:] if row["rank_low"] == 1]
    if tied:
        gained = [row["gain"] for row in probed.rows if row is best or row["rank_low"] == 1]
        lines = [
            f"A tie. Nothing is decided between {named([best['source'], *tied])}: they gain {points(min(gained))} to "
            f"{points(max(gained))} {what} {judged}."
        ]
    else:
        second = probed.rows[1]["source"]
        pair = next(p for p in probed.pairs if (p["source_a"], p["source_b"]) == (best["source"], second))
        lines = [
            f"Train on {best['source']}: it {gains}, {points(pair['difference'])} against {second} "
            f"({interval(pair['low'], pair['high'])}): decided."
        ]
    if all_harm(probed):
        lines.append(
            "Every source makes these queries worse than the frozen encoder does: train on none of them as it is."
        )
    elif best["gain_low"] <= 0:
        lines.append(f"That {best['source']} gains at all over the frozen encoder is not sure.")
    return lines


def all_harm(probed: Probed) -> bool:
    """Return whether every source surely makes the held-out queries worse than the frozen encoder does."""
    return all(row["gain_high"] < 0 for row in probed.rows)


def out_of_order(probed: Sequence[ProbeRow]) -> bool:
    """Return whether the ranks are not those of the gains: information speaks, too. `probed`: of source_probe, by rank."""
    gains = [row["gain"] for row in probed]
    return gains != sorted(gains, reverse=True)


def beside_next(probed: Probed) -> list[str]:
    """Return the first of a tie with its interval, and how far it is ahead of the second; nothing where one is decided."""
    if len(probed.rows) < 2 or not any(row["rank_low"] == 1 for row in probed.rows[1:]):
        return []
    best, second = probed.rows[0], probed.rows[1]["source"]
    pair = next((p for p in probed.pairs if (p["source_a"], p["source_b"]) == (best["source"], second)), None)
    if pair is None:
        return []
    most = max(row["gain"] for row in probed.rows if row["rank_low"] == 1)
    by = "gain" if best["gain"] == most else "gain and information together"
    return [
        f"The first by {by} is {best['source']}: {points(best['gain'])} (95 % interval "
        f"{interval(best['gain_low'], best['gain_high'])}), {points(pair['difference'])} against {second} "
        f"({interval(pair['low'], pair['high'])}): {'decided' if pair['decided'] else 'not decided'}."
    ]


def agreement(probed: Probed, ranking: Sequence[SourceRow]) -> list[str]:
    """Return ECI's word on the answer: whether the first by it may be the best by the probe."""
    first = _first_by_eci(probed, ranking)
    if first is None:
        return []
    if all_tied(ranking):
        return ["ECI does not tell the sources apart: it is the same for all."]
    against = disagreement(probed, ranking)
    if against is not None:
        return [against]
    name, tie = first["source"], sum(row["rank_low"] == 1 for row in probed.rows) > 1
    return [f"ECI agrees: {'the first by it is among them, ' + name if tie else name + ' is first by it, too'}."]


def disagreement(probed: Probed, ranking: Sequence[SourceRow]) -> str | None:
    """Return a sentence where the first source by ECI is decidedly not the first by the probe. `ranking`: of source_eci."""
    first = _first_by_eci(probed, ranking)
    if first is None or all_tied(ranking):
        return None
    mine, name = next(row for row in probed.rows if row["source"] == first["source"]), first["source"]
    if mine["rank_low"] == 1:
        return None
    return (
        f"ECI disagrees: it has {name} first, which gains {points(mine['gain'])} points and is number {mine['rank']} here. "
        f"Look at its violations ({first['violation_rate']:.1%}) and its examples in the report: the score takes a negative "
        "above its positive for a false one, and the held-out queries say what it does."
    )


def _first_by_eci(probed: Probed, ranking: Sequence[SourceRow]) -> SourceRow | None:
    """Return the first row by ECI, None where it was not tried out or there is nothing beside it."""
    first = next((row for row in ranking if row["rank"] == 1), None)
    if first is None or len(probed.rows) < 2 or all(row["source"] != first["source"] for row in probed.rows):
        return None
    return first


def harms(probed: Probed) -> list[str]:
    """Return a sentence for each source that has surely lost, and lost half at least, of what it had gained before."""
    lines = []
    for row in probed.rows:
        curve = [point for point in probed.curve if point["source"] == row["source"]]
        best = max(curve, key=lambda point: point["gain"])
        if best["change"] + SURE * best["change_se"] < 0 and -best["change"] > best["gain"] / 2 > 0:
            lines.append(
                f"{row['source']} helps first and harms later: {points(best['gain'])} points after {best['steps']} steps, "
                f"{points(best['gain'] + best['change'])} after {curve[-1]['steps']}."
            )
    return lines


def all_tied(rows: Sequence[SourceRow]) -> int:
    """Return how many ranked sources there are where they are several and all have the same ECI, else 0.

    `rows`: of source_eci.
    """
    values = [row["eci"] for row in rows if row["rank"] is not None]
    return len(values) if len(values) > 1 and len(set(values)) == 1 else 0


def score_first(rows: Sequence[SourceRow]) -> str:
    """Return what to train on going by ECI alone, or that several may be best. `rows`: of source_eci, in the order of rank."""
    if not rows:
        return "No source was scored."
    best = rows[0]["source"]
    if len(rows) == 1:
        return f"{best} is the only source; a second one is needed to rank."
    if equal := all_tied(rows):
        return f"A tie. All {equal} sources have the same ECI: the order of their names is no ranking."
    if why := why_open(rows, best, rows[1]["source"]):
        return (
            f"Not decided: {best} ranks first of {len(rows)} sources by ECI, ahead of {rows[1]['source']}, but "
            f"{OPEN[why]}."
        )
    tied = [row["source"] for row in rows[1:] if row["rank_lo"] == 1]
    if tied:
        return f"A tie. No single winner yet: {best} ranks first of {len(rows)} sources by ECI, but {named(tied)} may be as good."
    lead = f"ahead of {rows[1]['source']}, and the lead is decided"
    return f"Train on the negatives of {best}: it ranks first of {len(rows)} sources by ECI, {lead}."


def score_lead(rows: Sequence[SourceRow], pairs: Sequence[PairRow]) -> list[str]:
    """Return how far the first by ECI is ahead of the second; nothing where `pairs` has not the two.

    `rows`: two or more of source_eci, in the order of rank.
    """
    best, second = rows[0]["source"], rows[1]["source"]
    pair = next((p for p in pairs if p["a"] == best and p["b"] == second), None)
    if pair is None:
        return []
    top = rows[0]["eci"]
    lead = f"{number(pair['difference'], top)}, 95 % interval {span(pair['lo'], pair['hi'], top)}"
    why = why_open(rows, best, second)
    word = why.replace("not", "NOT") if why else "decided" if pair["decided"] else "NOT decided"
    return [f"By ECI, {best} is ahead of {second} by {lead}: {word}."]


def tied_by_score(rows: Sequence[SourceRow], pairs: Sequence[PairRow]) -> list[str]:
    """Return between which sources nothing is decided by ECI, in one sentence; nothing where all is decided.

    Those that cannot be compared are not among them: a warning names these.
    """
    apart = unfit(rows)
    order = [row["source"] for row in rows if row["source"] not in apart]
    return not_decided(order, [(p["a"], p["b"]) for p in pairs if not p["decided"]])


def not_decided(order: Sequence[str], still: Iterable[tuple[str, str]], lead: str = "Not decided") -> list[str]:
    """Return the groups of ties that open pairs make, in one sentence, at most MOST_GROUPS; nothing without a pair.

    Args:
        order: the sources, best first.  still: the pairs that are not decided, in any order.
    """
    groups = ties(order, still)
    if not groups:
        return []
    more = f"; and {len(groups) - MOST_GROUPS} more groups" if len(groups) > MOST_GROUPS else ""
    return [f"{lead}: {'; '.join(named(group) for group in groups[:MOST_GROUPS])}{more}."]


def ties(order: Sequence[str], still: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return groups of sources in which no pair is decided, so that every open pair is in one.

    A source may be in several: ties do not carry over from one pair to the next.
    """
    place = {source: i for i, source in enumerate(order)}
    edges = {frozenset(pair) for pair in still if pair[0] in place and pair[1] in place and pair[0] != pair[1]}
    groups: list[list[str]] = []
    for a, b in sorted((sorted(edge, key=place.__getitem__) for edge in edges), key=lambda e: [place[x] for x in e]):
        if any(a in group and b in group for group in groups):
            continue
        group = [a, b]
        for other in order:
            if other not in group and all(frozenset((other, member)) in edges for member in group):
                group.append(other)
        groups.append(sorted(group, key=place.__getitem__))
    return groups


def named(names: Sequence[str]) -> str:
    """Return names as people list them, at most MOST_NAMED."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
