"""What people's judgements have done to a run, in sentences: how many count, and how the order by ECI has changed."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.output.records import JudgementsUsed, SourceRow
from jobs.probing.answer import named


def judged_lines(
    used: JudgementsUsed | None, now: Sequence[SourceRow], before: Sequence[SourceRow] | None
) -> list[str]:
    """Return the sentences, none for a run without judgements.

    Args:
        now: rows of source_eci.  before: those of the run whose report the judgements were made in, None where it is not
            there or not comparable.
    """
    if used is None:
        return []
    left = used["given"] - used["matched"]
    counted = f"{used['matched']:,} of {used['given']:,} judgements count, in {used['triples']:,} triples"
    lines = [f"{counted}; {left:,} match no triple." if left else f"{counted}."]
    if before is None:
        made = (
            f"the run they were made in ({named(used['runs'])})"
            if used["runs"]
            else "the run they were made in, unnamed,"
        )
        return [*lines, f"How they change the ranking is not known: {made} is not here, or not comparable."]
    return [*lines, *_changes(_by_eci(now), _by_eci(before))]


def base_of(used: JudgementsUsed | None, run_id: str) -> str | None:
    """Return the newest run, other than this one, whose report the judgements were made in."""
    return max((run for run in used["runs"] if run != run_id), default=None) if used else None


def _by_eci(rows: Sequence[SourceRow]) -> list[SourceRow]:
    return sorted((row for row in rows if row["kind"] == "source"), key=lambda row: -row["eci"])


def _changes(now: Sequence[SourceRow], then: Sequence[SourceRow]) -> list[str]:
    if not now or not then:
        return []
    run, first, was = then[0]["run_id"], now[0]["source"], then[0]["source"]
    lead = f"{first} is first by ECI with them, as in run {run}" if first == was else (
        f"{first} is first by ECI with them; in run {run} it was {was}"
    )  # fmt: skip
    old = {row["source"]: (place, row) for place, row in enumerate(then, 1)}
    moved = [
        f"{row['source']} from {old[row['source']][1]['eci']:.5f} (number {old[row['source']][0]}) to {row['eci']:.5f} ({place})"
        for place, row in enumerate(now, 1)
        if row["source"] in old and f"{row['eci']:.5f}" != f"{old[row['source']][1]['eci']:.5f}"
    ]
    lines = [f"{lead}; " + (f"changed: {named(moved)}." if moved else "no source's ECI has changed.")]
    if {row["source"]: row["n_examples"] for row in now} != {row["source"]: row["n_examples"] for row in then}:
        lines.append("The triples are not the same in both, so the change is not all theirs.")
    return lines
