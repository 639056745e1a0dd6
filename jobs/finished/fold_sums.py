"""The sums of a finished run's sources by fold, for what leaves folds out: the jackknife of a mixture, smaller samples.

A run publishes the sums over all folds alone. Those by fold are made again here from its scores and vectors, by the steps
that the run took: they are the same bits, and add up to what is published, which is checked. Runs of layout 2 have
published them. They lie in a scratch file, so that one source is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.mixtures import Folds
from eci_sql.moments import pack_upper, sum_packed
from jobs.errors import InputError, notice
from jobs.finished.committed import IDS, Finished, refs_of
from jobs.finished.spools import VectorSpool
from jobs.finished.vectors import spool_vectors
from jobs.output import layout
from jobs.output.runs import layout_of
from jobs.output.tables import TOTALS_ALONE
from jobs.scoring.moments import add_signed

COLUMNS = [*IDS, "source", "s_pos", "s_neg", "weight"]
FAR = 0.01
"""How far, of their length, sums may be off where vectors were embedded anew, on another kind of processor."""

ByFold = Callable[[str], Folds]


def fold_sums(run: Finished, sources: Iterable[str], folder: str, spool: VectorSpool | None = None) -> ByFold:
    """Return what gives each of some sources' sums by fold.

    Args:
        folder: a local one, for scratch files that the result reads.
        spool: the run's vectors, where they are at hand.

    Raises:
        InputError: as `spool_vectors`, or the vectors are not those that were scored.
    """
    if layout_of(run.manifest) < TOTALS_ALONE:
        return run.published_folds
    names = sorted(set(sources))
    sums, examples = _made_again(run, names, folder, spool or spool_vectors(run, folder))

    def one(source: str) -> Folds:
        at = names.index(source)
        return _checked(run, source, Folds(np.asarray(sums[at, 0]), np.asarray(sums[at, 1]), examples[at]))

    return one


def _made_again(
    run: Finished, names: list[str], folder: str, spool: VectorSpool
) -> tuple[np.memmap[tuple[int, ...], np.dtype[np.int64]], np.ndarray]:
    """Return sums int64 (sources, 2, folds, P) in a scratch file, and examples int64 (sources, folds)."""
    shape = (len(names), 2, run.folds, run.dim * (run.dim + 1) // 2)
    sums = np.memmap(str(Path(folder) / "folds"), np.int64, "w+", shape=shape)  # what stays 0 takes no room
    examples = np.zeros((len(names), run.folds), dtype=np.int64)
    for fold, paths in groupby(run.files("scores"), lambda path: int(layout.scores_place(path)[0])):
        matrices: dict[tuple[str, bool], np.ndarray] = {}

        def matrix(source: str, plus: bool, found: dict[tuple[str, bool], np.ndarray] = matrices) -> np.ndarray:
            return found.setdefault((source, plus), np.zeros((run.dim, run.dim), dtype=np.int64))

        for path in paths:
            part = run.read(path, columns=COLUMNS)
            part = part.filter(pc.is_in(part["source"], value_set=pa.array(names)))
            if len(part):
                ids, refs = refs_of(part)
                add_signed(matrix, part, spool.take(ids), refs, part["weight"].to_numpy())
                for found in pc.value_counts(part["source"]).to_pylist():
                    examples[names.index(found["values"]), fold] += found["counts"]
        for (source, plus), found in matrices.items():
            sums[names.index(source), 0 if plus else 1, fold] = pack_upper(found)
    return sums, examples


def _checked(run: Finished, source: str, found: Folds) -> Folds:
    """Return sums by fold that add up to the published ones.

    Vectors that were embedded again on another kind of processor are not the same bits: then what is left over goes to the
    largest fold, so that the whole stays what the run has said, and only the intervals follow the new vectors.
    """
    whole, largest = run.totals(source), int(np.argmax(found.n))
    signs = []
    for packed, total in ((found.plus, whole.plus[0]), (found.minus, whole.minus[0])):
        left = total - sum_packed(packed)
        if left.any():
            off = float(np.linalg.norm(left) / max(float(np.linalg.norm(total)), 1.0))
            if off > FAR or found.n.sum() != whole.n.sum():
                raise InputError(
                    f"run {run.run_id}: its vectors are not those that it has scored (the sums of {source!r} are off by "
                    f"{off:.1%}); run again for a run with these"
                )
            notice(f"run {run.run_id}: its vectors differ a little from those that it has scored; intervals are theirs")
            packed = packed.copy()
            packed[largest] += left
        signs.append(packed)
    return Folds(signs[0], signs[1], found.n)
