"""What follows from a probe and the score together, in sentences: what to train on, how sure that is, what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import ndtri

from jobs.output.records import CurveRow, ProbePairRow, ProbeRow, SourceRow

MOST_NAMED = 6
SURE = float(ndtri(0.975))


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
    return [*_first(probed), *_agreement(probed, ranking), *_harms(probed)]


def _first(probed: Probed) -> list[str]:
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
        least = min(row["gain"] for row in probed.rows if row["rank_low"] == 1)
        lines = [
            f"Nothing is decided between {named([best['source'], *tied])}: they gain {points(least)} to {points(best['gain'])} "
            f"{what} {judged}."
        ]
    else:
        second = probed.rows[1]["source"]
        pair = next(p for p in probed.pairs if (p["source_a"], p["source_b"]) == (best["source"], second))
        lines = [
            f"Train on {best['source']}: it {gains}, {points(pair['difference'])} against {second} "
            f"({interval(pair['low'], pair['high'])}): decided."
        ]
    if best["gain_high"] < 0:
        lines.append(
            "Every source makes these queries worse than the frozen encoder does: train on none of them as it is."
        )
    elif best["gain_low"] <= 0:
        lines.append(f"That {best['source']} gains at all over the frozen encoder is not sure.")
    return lines


def _agreement(probed: Probed, ranking: Sequence[SourceRow]) -> list[str]:
    against = disagreement(probed, ranking)
    if against is not None:
        return [against]
    first = _first_by_eci(probed, ranking)
    if first is None:
        return []
    name, tie = first["source"], sum(row["rank_low"] == 1 for row in probed.rows) > 1
    return [f"ECI agrees: {'the first by it is among them, ' + name if tie else name + ' is first by it, too'}."]


def disagreement(probed: Probed, ranking: Sequence[SourceRow]) -> str | None:
    """Return a sentence where the first source by ECI is decidedly not the first by the probe. `ranking`: of source_eci."""
    first = _first_by_eci(probed, ranking)
    if first is None:
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


def _harms(probed: Probed) -> list[str]:
    """Return a sentence for each source that has surely lost, and lost half at least, of what it had gained before."""
    lines = []
    for row in probed.rows:
        curve = [point for point in probed.curve if point["source"] == row["source"]]
        best = max(curve, key=lambda point: point["gain"])
        if best["change"] + SURE * best["change_se"] < 0 and -best["change"] > best["gain"] / 2 > 0:
            lines.append(
                f"{row['source']} helps first and harms later: {points(best['gain'])} points after {best['steps']} steps, "
                f"{points(best['gain'] + best['change'])} after {row['steps']}."
            )
    return lines


def named(names: Sequence[str]) -> str:
    """Return names as people list them, at most MOST_NAMED."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
