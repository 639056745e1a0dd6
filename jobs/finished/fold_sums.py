"""The sums of a finished run's sources by fold, for what leaves folds out: the jackknife of a mixture, smaller samples.

A run publishes the sums over all folds alone. Those by fold are made again here from its scores and vectors, by the steps
that the run took: they are the same bits, and add up to what is published, which is checked. Runs of layout 2 have
published them. They lie in scratch files, so that one fold is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.folds import BySign, FoldMatrices, Folds, by_sign
from eci_sql.moments import Gathered, packed_of_rows
from jobs.errors import InputError, notice
from jobs.finished.committed import IDS, Finished, refs_of
from jobs.finished.spools import VectorSpool
from jobs.finished.vectors import spool_vectors
from jobs.output import layout
from jobs.output.runs import layout_of
from jobs.output.tables import TOTALS_ALONE
from jobs.scoring.moments import add_signed

COLUMNS = [*IDS, "source", "s_pos", "s_neg", "weight"]
SIGNS = ("plus", "minus")
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
    examples = _made_again(run, names, Path(folder), spool or spool_vectors(run, folder))

    def one(source: str) -> Folds:
        at = names.index(source)
        plus, minus = (_by_sign(run, Path(folder), at, sign) for sign in SIGNS)
        return _checked(run, source, Folds(plus, minus, examples[at]))

    return one


def _made_again(run: Finished, names: list[str], folder: Path, spool: VectorSpool) -> np.ndarray:
    """Leave the rows, or the sum, of each source, sign and fold in a scratch file; returns examples int64 (sources, folds)."""
    examples = np.zeros((len(names), run.folds), dtype=np.int64)
    for fold, paths in groupby(run.files("scores"), lambda path: int(layout.scores_place(path)[0])):
        gathered: dict[tuple[str, bool], Gathered] = {}

        def of(source: str, plus: bool, found: dict[tuple[str, bool], Gathered] = gathered) -> Gathered:
            return found.setdefault((source, plus), Gathered(run.dim))

        for path in paths:
            part = run.read(path, columns=COLUMNS)
            part = part.filter(pc.is_in(part["source"], value_set=pa.array(names)))
            if len(part):
                ids, refs = refs_of(part)
                add_signed(of, part, spool.take(ids), refs, part["weight"].to_numpy())
                for found in pc.value_counts(part["source"]).to_pylist():
                    examples[names.index(found["values"]), fold] += found["counts"]
        for (source, plus), sums in gathered.items():
            rows = sums.rows
            scratch = _scratch_file(folder, names.index(source), SIGNS[0 if plus else 1], fold)
            np.save(scratch, sums.packed() if rows is None else rows)
    return examples


def _scratch_file(folder: Path, source: int, sign: str, fold: int) -> Path:
    return folder / f"sums-{source}-{sign}-{fold}.npy"


def _by_sign(run: Finished, folder: Path, source: int, sign: str) -> BySign:
    """Return one source's sums of one sign by fold, from the scratch files: a file of rows has two dimensions, of a sum one."""
    paths = {fold: _scratch_file(folder, source, sign, fold) for fold in range(run.folds)}
    found = {fold: np.load(path, mmap_mode="r") for fold, path in paths.items() if path.exists()}
    rows = [(fold, part) for fold, part in found.items() if part.ndim == 2]

    def fold(number: int) -> np.ndarray | None:
        part = found.get(number)
        return packed_of_rows([part.astype(np.float64)], run.dim) if part is not None and part.ndim == 2 else part

    return by_sign(run.folds, run.dim, fold, rows if len(rows) == len(found) else None)


def _checked(run: Finished, source: str, found: Folds) -> Folds:
    """Return sums by fold that add up to the published ones.

    Vectors that were embedded again on another kind of processor are not the same bits: then what is left over goes to the
    largest fold, so that the whole stays what the run has said, and only the intervals follow the new vectors.
    """
    whole, largest = run.totals(source), int(np.argmax(found.n))
    signs = [
        _completed(run, source, here, total.whole, whole.n.sum() == found.n.sum(), largest)
        for here, total in ((found.plus, whole.plus), (found.minus, whole.minus))
    ]
    return Folds(signs[0], signs[1], found.n)


def _completed(run: Finished, source: str, found: BySign, total: np.ndarray, all_there: bool, largest: int) -> BySign:
    left = total - found.whole
    if not left.any():
        return found
    off = float(np.linalg.norm(left) / max(float(np.linalg.norm(total)), 1.0))
    if off > FAR or not all_there:
        raise InputError(
            f"run {run.run_id}: its vectors are not those that it has scored (the sums of {source!r} are off by "
            f"{off:.1%}); run again for a run with these"
        )
    notice(f"run {run.run_id}: its vectors differ a little from those that it has scored; intervals are theirs")
    return FoldMatrices(run.folds, run.dim, lambda fold: found.fold(fold) + (left if fold == largest else 0))
