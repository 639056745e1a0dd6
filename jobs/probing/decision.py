"""What to do after a run: what to train on, how sure that is, and the next commands, for whoever shows it.

With a probe it is the probe that answers, with ECI's word beside it; without one, ECI. A tie is a tie: all that it holds are
named, and the commands are for the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.output.records import PairRow, ProbeRow, SourceRow
from jobs.probing.answer import (
    Probed,
    agreement,
    all_harm,
    all_tied,
    beside_next,
    first_of,
    harms,
    score_first,
    score_lead,
    tied_by_score,
)
from jobs.terminal.fitting import Command

TRAIN = "train"
SHARE_DIGITS = 7


@dataclass(frozen=True)
class Decision:
    """The answer of a run.

    Attributes:
        sources: what to train on, best first; several are a tie; none where nothing is better than no training, or where
            nothing was scored.
        parts: the sources that the first of them is made of, itself or those of a hybrid; of one that the probe has dealt
            out, `dealt`.
        said: the answer in sentences, what to train on first.  notes: what else is to be known.
    """

    sources: tuple[str, ...]
    parts: tuple[str, ...]
    dealt: bool
    said: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def tie(self) -> bool:
        """Whether more than one source may be best."""
        return len(self.sources) > 1


def decide(
    probed: Probed | None, ranking: Sequence[SourceRow], pairs: Sequence[PairRow], why_no_probe: str | None = None
) -> Decision:
    """Return the answer.

    Args:
        probed: None to go by ECI.  ranking: rows of source_eci in the order of rank.  pairs: rows of source_pairs.
        why_no_probe: a sentence, where the sources were not tried out.
    """
    if probed is not None:
        return _by_probe(probed, ranking)
    why = (why_no_probe,) if why_no_probe else ()
    rows = [row for row in ranking if row["rank"] is not None]
    if not rows:
        return Decision((), (), False, (score_first(rows),), why)
    best = rows[0]
    parts = tuple(part["source"] for part in best["parts"] or ()) if best["kind"] == "hybrid" else (best["source"],)
    if len(rows) == 1:
        return Decision((best["source"],), parts, False, (score_first(rows),), why)
    if all_tied(rows):
        return Decision(tuple(row["source"] for row in rows), parts, False, (score_first(rows),), why)
    same = [best["source"], *(row["source"] for row in rows[1:] if row["rank_lo"] == 1)]
    said = (score_first(rows), *score_lead(rows, pairs))
    return Decision(tuple(same), parts, False, said, (*tied_by_score(rows, pairs), *why))


def _by_probe(probed: Probed, ranking: Sequence[SourceRow]) -> Decision:
    best: ProbeRow = probed.rows[0]
    same = tuple(row["source"] for row in probed.rows if row is best or row["rank_low"] == 1)
    said = (*first_of(probed), *beside_next(probed), *agreement(probed, ranking))
    dealt = best["kind"] == "hybrid"
    parts = tuple(best["parts"]) if dealt else (best["source"],)
    return Decision(() if all_harm(probed) else same, parts, dealt, said, tuple(harms(probed)))


def next_commands(decision: Decision, out: str, run_id: str, sources: Sequence[str], sampled: bool) -> list[Command]:
    """Return the commands that follow, each in its parts: the training file of just this answer, and the report.

    Args:
        sources: those of the run; what was tried out beside them is in no run, and cannot be selected from one.
        sampled: whether the run is over a sample of the queries.
    """
    where = [("--out", out), ("--run", run_id)]
    select = select_command(decision, out, run_id, sources, sampled)
    return [*([select] if select else []), [("eci", "report"), *where]]


def select_command(decision: Decision, out: str, run_id: str, sources: Sequence[str], sampled: bool) -> Command | None:
    """Return the command that writes the training file of just this answer, None where there is none to write. As `next_commands`."""
    if not decision.sources or not set(decision.parts) <= set(sources):
        return None
    where = [("--out", out), ("--run", run_id), *([("--sampled",)] if sampled else [])]
    return [("eci", "select"), *_taken(decision), ("--format", "triples"), ("--to", TRAIN), *where]


def _taken(decision: Decision) -> list[tuple[str, ...]]:
    """Return the options that take just this answer's triples; a hybrid's sources in equal shares, as the probe deals them."""
    parts = decision.parts
    if decision.dealt and not any("," in part or part.startswith("-") for part in parts):
        share = math.floor(10**SHARE_DIGITS / len(parts)) / 10**SHARE_DIGITS
        return [("--mix", ",".join(f"{part}={share:.{SHARE_DIGITS}g}" for part in parts))]
    # a name that begins with a dash would be taken for an option
    return [(f"--source={part}",) if part.startswith("-") else ("--source", part) for part in parts]
