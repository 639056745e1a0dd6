"""What speaks against reading a ranking as it stands: a function for each warning, over what a finished run has.

Each returns one sentence that names its sources, or nothing. The thresholds are here and in fitness.py, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jobs.output.records import SourceRow, value_of
from jobs.probing.answer import Probed, disagreement, named
from jobs.probing.fitness import LEAST_QUERIES, few, largest, unequal
from jobs.terminal.console import counted

MOST_VIOLATIONS = 0.3
MOST_NEAR_DUPLICATES = 0.05
SURELY_NONE = 300
"""Triples without a single violation from which at most 1 % of all can be violations, at 95 %."""
SOME_VIOLATIONS = 0.01


@dataclass(frozen=True)
class Facts:
    """What a finished run has, as far as the warnings look at it.

    Attributes:
        ranking: rows of source_eci.  probe: None where the sources were not tried out.
        ablations: rows of `ablations`, none where `eci ablate` has not run.
        before: rows of source_eci of the last comparable run before this one, None where there is none.
    """

    ranking: Sequence[SourceRow]
    probe: Probed | None = None
    ablations: Sequence[Mapping[str, Any]] = ()
    before: Sequence[SourceRow] | None = None

    @property
    def sources(self) -> list[SourceRow]:
        """The rows of sources alone."""
        return [row for row in self.ranking if row["kind"] == "source"]


class Caution(NamedTuple):
    """A warning: its name, the sources that it is about, and what it says."""

    kind: str
    sources: tuple[str, ...]
    text: str


def cautions(facts: Facts) -> list[Caution]:
    """Return the warnings of a run, those that forbid a comparison first."""
    return [found for warning in WARNINGS if (found := warning(facts)) is not None]


def too_few(facts: Facts) -> Caution | None:
    """Warn of sources with too few queries or folds."""
    rows = [row for row in facts.ranking if few(row)]
    if not rows:
        return None
    each = [f"{row['source']} has {counted(row['n_queries'], 'query', 'queries')}" for row in rows]
    said = f"Too few for an interval: {named(each)}; below {LEAST_QUERIES} queries it is narrower than it should be."
    return _caution("too few", rows, said)


def not_comparable(facts: Facts) -> Caution | None:
    """Warn of sources much smaller than the largest."""
    sizes, most = unequal(facts.ranking), largest(facts.ranking)
    rows = [row for row in facts.ranking if row["source"] in sizes]
    if not rows or most is None:
        return None
    each = named([f"{name} has {size:,}" for name, size in sizes.items()])
    said = (
        f"Not comparable by ECI with {most['source']}, which has {most['n_examples']:,} triples: {each}. "
        "The log-determinant of few triples is too low; give about as many of each."
    )
    return _caution("not comparable", rows, said)


def many_violations(facts: Facts) -> Caution | None:
    """Warn of sources with many negatives above their positive."""
    rows = [row for row in facts.sources if row["violation_rate"] > MOST_VIOLATIONS]
    if not rows:
        return None
    said = (
        f"Negatives above their positive in more than {MOST_VIOLATIONS:.0%} of the triples: {_rates(rows, 'violation_rate')}. "
        "They are false negatives, or right ones that the encoder has wrong: judge twenty of them."
    )
    return _caution("violations", rows, said)


def near_duplicates(facts: Facts) -> Caution | None:
    """Warn of sources whose negatives are nearly their positives."""
    rows = [row for row in facts.sources if row["near_duplicate_rate"] > MOST_NEAR_DUPLICATES]
    if not rows:
        return None
    said = (
        f"Negatives that nearly are their positive (similarity over 0.95): {_rates(rows, 'near_duplicate_rate')}; "
        "eci select --no-near-duplicates leaves them out."
    )
    return _caution("near duplicates", rows, said)


def by_construction(facts: Facts) -> Caution | None:
    """Warn of sources that cannot have a violation: hard ones without any, where no harder ones have some."""
    rows = [
        row
        for row in facts.sources
        if row["violation_rate"] == 0
        and row["n_examples"] >= SURELY_NONE
        and any(o["violation_rate"] > SOME_VIOLATIONS and o["hardness"] <= row["hardness"] for o in facts.sources)
    ]
    if not rows:
        return None
    said = (
        f"Won by construction: {named([row['source'] for row in rows])} {_has(rows)} no negative above its positive, and easier "
        "sources have some: filtering by similarity does that, and ECI rewards it whatever was left out. Go by the probe here."
    )
    return _caution("by construction", rows, said)


def flips(facts: Facts) -> Caution | None:
    """Warn of another first source under half or double the temperature, where `eci ablate` has tried that."""
    if not facts.sources:
        return None
    tau = facts.sources[0]["temperature"]
    first = max(facts.sources, key=lambda row: row["eci"])["source"]
    found = {}
    for row in facts.ablations:
        if row["ablation"] == "temperature" and row["top_source"] not in (None, first):
            for factor, word in ((0.5, "half"), (2.0, "double")):
                if math.isclose(float(row["value"]), tau * factor, rel_tol=1e-4):
                    found[word] = (row["top_source"], row["value"])
    if not found:
        return None
    each = [f"{source} at {word} ({value})" for word, (source, value) in found.items()]
    said = f"ECI's first source hangs on the temperature: {first} at {tau:g}, {' and '.join(each)}."
    return Caution("flips", (first, *(source for source, _ in found.values())), said)


def gone_or_new(facts: Facts) -> Caution | None:
    """Warn of sources that the last comparable run had and this one has not, and the other way round."""
    if facts.before is None:
        return None
    now = [row["source"] for row in facts.sources]
    then = [row["source"] for row in facts.before if row["kind"] == "source"]
    gone, new = [name for name in then if name not in now], [name for name in now if name not in then]
    parts = [f"{named(names)} {'is' if len(names) == 1 else 'are'} {word}"
             for names, word in ((gone, "gone"), (new, "new")) if names]  # fmt: skip
    if not parts:
        return None
    run = facts.before[0]["run_id"]
    return Caution("gone or new", (*gone, *new), f"Since the last comparable run ({run}): {', '.join(parts)}.")


def eci_and_probe(facts: Facts) -> Caution | None:
    """Warn of a first source by ECI that the probe has decidedly behind another."""
    said = disagreement(facts.probe, facts.ranking) if facts.probe else None
    if said is None:
        return None
    return Caution("disagreement", tuple(row["source"] for row in facts.ranking if row["rank"] == 1), said)


WARNINGS = (
    too_few, not_comparable, eci_and_probe, by_construction, many_violations, near_duplicates, flips, gone_or_new,
)  # fmt: skip


def _caution(kind: str, rows: Sequence[SourceRow], said: str) -> Caution:
    return Caution(kind, tuple(row["source"] for row in rows), said)


def _rates(rows: Sequence[SourceRow], rate: str) -> str:
    ordered = sorted(rows, key=lambda row: -float(value_of(row, rate)))
    return named([f"{row['source']} {value_of(row, rate):.1%}" for row in ordered])


def _has(rows: Sequence[SourceRow]) -> str:
    return "has" if len(rows) == 1 else "have"
