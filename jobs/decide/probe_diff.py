"""The probes of two runs compared, for `eci diff`: the probe gives the order, so what moved in it comes first.

A gain has *moved* when it changed by more than both 95 % intervals together (the root of the sum of their squared halves). Nights
share most queries and vary less than that, so what is called moved has moved.
"""

from __future__ import annotations

import math
from typing import Any

from jobs.finished.committed import Finished
from jobs.finished.result import probed_of
from jobs.output.records import ProbeRow
from jobs.probing.answer import interval, points

SAME = ("encoder_fingerprint", "temperature")
PROBE_SAME = ("queries", "steps", "rate", "pool", "cutoff")
"""Settings of the probe without which a gain does not mean the same; more halvings only make it surer."""
ENDS = ("a", "b")


def probes(a: Finished, b: Finished) -> dict[str, Any] | None:
    """Compare the probes of two runs; None where neither has one.

    Returns:
        missing: why there is nothing to compare, None where both have a probe; differs: settings without which gains cannot be
        compared; cutoff; sources: rows of source, kind, and for each run rank, gain, gain_low, gain_high (None where it was not
        tried out), then change, bound, moved (None where it cannot be said). Gains are shares of nDCG.
    """
    found = [probed_of(run.store, run.manifest) for run in (a, b)]
    if found == [None, None]:
        return None
    rows: list[list[ProbeRow]] = [[] if probed is None else probed.rows for probed in found]
    without = [run for run, probed in zip((a, b), found, strict=True) if probed is None]
    missing = "; ".join(f"run {run.run_id} has no probe: {_why(run)}" for run in without) or None
    differs = [] if without else _differs(a, b)
    return {
        "missing": missing,
        "differs": differs,
        "cutoff": (rows[1] or rows[0])[0]["cutoff"],
        "sources": _sources(rows[0], rows[1], not without and not differs),
    }


def leaders(a: Finished, b: Finished) -> tuple[str, str]:
    """Return the first source of each of two runs: by the probe where both have one, as `eci rank` shows it, else by ECI."""
    found = [probed_of(run.store, run.manifest) for run in (a, b)]
    if found[0] is None or found[1] is None:
        return a.sources[0], b.sources[0]
    first, second = (
        next((row["source"] for row in probed.rows if row["kind"] == "source"), run.sources[0])
        for run, probed in zip((a, b), found, strict=True)
        if probed is not None
    )
    return first, second


def _why(run: Finished) -> str:
    return (run.manifest.get("why_no_probe") or "it is of an older version").removeprefix("No probe: ").rstrip(".")


def _differs(a: Finished, b: Finished) -> list[str]:
    scores = [dict(run.rows[0]) for run in (a, b)]
    settings = [run.settings.get("probe") or {} for run in (a, b)]
    return [name for name in SAME if scores[0][name] != scores[1][name]] + [
        f"probe.{name}" for name in PROBE_SAME if settings[0].get(name) != settings[1].get(name)
    ]


def _sources(a: list[ProbeRow], b: list[ProbeRow], comparable: bool) -> list[dict[str, Any]]:
    before, after = ({row["source"]: row for row in rows} for rows in (a, b))
    found = []
    for source in [*after, *(name for name in before if name not in after)]:
        ends = (before.get(source), after.get(source))
        one, two = ends
        row: dict[str, Any] = {"source": source, "kind": next(end["kind"] for end in ends[::-1] if end is not None)}
        for end, values in zip(ENDS, ends, strict=True):
            for name in ("rank", "gain", "gain_low", "gain_high"):
                row[f"{name}_{end}"] = None if values is None else dict(values)[name]
        row |= {"change": None, "bound": None, "moved": None}
        if one is not None and two is not None:
            row["change"] = two["gain"] - one["gain"]
            row["bound"] = math.hypot(*((end["gain_high"] - end["gain_low"]) / 2 for end in (one, two)))
            row["moved"] = bool(abs(row["change"]) > row["bound"]) if comparable else None
        found.append(row)
    return found


def probe_lines(found: dict[str, Any]) -> list[str]:
    """Return the comparison as text, a line each."""
    lines = [f"By the probe, in points of nDCG@{found['cutoff']} with 95 % intervals:"]
    if found["missing"]:
        lines = [f"By the probe nothing can be compared: {found['missing']}."]
    elif found["differs"]:
        lines += [f"Gains do not mean the same in both: {', '.join(found['differs'])} differ. Ranks only."]
    width = max(len(row["source"]) for row in found["sources"])
    for row in found["sources"]:
        rank = " -> ".join("-" if row[f"rank_{end}"] is None else str(row[f"rank_{end}"]) for end in ENDS)
        lines.append(f"{row['source']:<{width}}  rank {rank:<8}  {_moved(row)}")
    return [*lines, ""]


def _moved(row: dict[str, Any]) -> str:
    gains = [
        None
        if row[f"gain_{end}"] is None
        else f"{points(row[f'gain_{end}'])} ({interval(row[f'gain_low_{end}'], row[f'gain_high_{end}'])})"
        for end in ENDS
    ]
    if gains[0] is None or gains[1] is None:
        return f"not tried out before, {gains[1]}" if gains[0] is None else f"not tried out any more, was {gains[0]}"
    words = {True: "moved", False: "within its intervals", None: "not comparable"}[row["moved"]]
    return f"{gains[0]} -> {gains[1]}  {words}"
