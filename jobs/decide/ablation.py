"""`eci ablate`: how far a finished run's ranking hangs on each choice, after the seed paper's perturbations.

Everything but another encoder is computed from the run's scores, cached vectors and texts, a part of a fold at a time;
nothing is embedded again. The table is OUT/ablations/<run_id>.parquet.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from eci_sql.folds import BySign, by_sign
from eci_sql.information import Score, score
from eci_sql.moments import Gathered, RowArray, add_packed, unpack_upper
from jobs.config import make_config
from jobs.decide.lexical_variants import Lexical, lexical_variants
from jobs.errors import InputError, nearest
from jobs.finished.committed import Finished, refs_of
from jobs.finished.fold_sums import ByFold, fold_sums
from jobs.finished.spools import VectorSpool
from jobs.finished.vectors import spool_vectors
from jobs.ids import from_arrow
from jobs.ingest.judgements import Judgements
from jobs.machine import default_memory
from jobs.output import layout
from jobs.output.catalog import write_catalog
from jobs.output.leftovers import scratch
from jobs.output.parquet import write_sealed
from jobs.output.root import require
from jobs.output.store import Store
from jobs.output.tables import ABLATIONS
from jobs.pipeline.encoder import encoder_choice
from jobs.pipeline.run import run as run_job
from jobs.retrieval.metrics import kendall_tau
from jobs.scoring.moments import add_signed
from jobs.terminal.progress import Progress

KINDS = ("sample", "temperature", "kappa", "without", "tokenizer", "idf", "encoder")
FACTORS = (0.25, 0.5, 2.0, 4.0)
KAPPAS = (0.0, 0.25, 0.5, 0.75, 1.0)
INGREDIENTS = ("consistency", "locality", "residuality")


@dataclass(frozen=True)
class Variant:
    """One perturbation of the weights.

    Attributes:
        tau, kappa: of the weights.  without: the ingredient that counts as 1.
        linear: traces in place of log-determinants.
        lexical: other token sets or another idf than the run's.
    """

    ablation: str
    value: str
    tau: float
    kappa: float
    without: str = ""
    linear: bool = False
    lexical: Lexical | None = None

    def weights(self, part: pa.Table, overlap: np.ndarray, judged: np.ndarray) -> np.ndarray:
        """Return the weights of a part's triples, float64 (n,), by the formula of scores.sql.

        Args:
            overlap: the lexical overlap of each, 0 for none.  judged: the consistency of those judged, nan for the others.
        """
        x = np.clip((part["s_pos"].to_numpy() - part["s_neg"].to_numpy()) / self.tau, -700, 700)
        found = {
            "consistency": np.where(np.isnan(judged), 2 / (1 + np.exp(-x)) - 1, judged),
            "locality": 1 / (1 + np.exp(x)),
            "residuality": 1 - self.kappa * overlap,
        }
        return np.asarray(math.prod(found[name] for name in INGREDIENTS if name != self.without))


def variants_of(run: Finished, only: Sequence[str], corpus: Sequence[str], folder: str) -> list[Variant]:
    """Return the perturbations of the weights that were asked for, the run itself first."""
    row = run.rows[0]
    base = Variant("none", "as run", row["temperature"], row["kappa"])
    found = [base]
    if "temperature" in only:
        taus = [base.tau * factor for factor in FACTORS if 1e-3 <= base.tau * factor <= 10]
        found += [replace(base, ablation="temperature", value=f"{tau:g}", tau=tau) for tau in taus]
    lexical = any(r["lexical_overlap"] is not None for r in run.rows if r["kind"] == "source")
    if "kappa" in only and lexical:
        found += [replace(base, ablation="kappa", value=f"{k:g}", kappa=k) for k in KAPPAS if k != base.kappa]
    if "without" in only:
        found += [replace(base, ablation="without", value=name, without=name) for name in INGREDIENTS]
        found.append(replace(base, ablation="without", value="diversity", linear=True))
    if lexical:
        found += [replace(base, ablation=kind, value=value, lexical=lex)
                  for kind, value, lex in lexical_variants(run, only, corpus, folder)]  # fmt: skip
    return found


def ablate(
    out: str,
    progress: Progress,
    run_id: str | None = None,
    only: Sequence[str] = (),
    corpus: Sequence[str] = (),
    encoders: Sequence[str] = (),
    memory: int = 0,
) -> list[dict[str, Any]]:
    """Perturb a finished run, publish the table `ablations`, and return its rows.

    Args:
        only: kinds of perturbation (none: all).  corpus: files of passages for another idf.
        encoders: names of encoders to run the whole job with; their runs stay below OUT/ablation-encoders.
        memory: bytes to stay within (0: the default share of the machine).

    Raises:
        InputError: no such run, kind, corpus or encoder; the run's vectors are gone.
    """
    for kind in only:
        if kind not in KINDS:
            raise InputError(f"--only {kind!r} is not known{nearest(kind, KINDS)} ({', '.join(KINDS)})")
    kinds, run = only or KINDS, Finished.open(out, run_id)
    require(run.store)
    rows: list[dict[str, Any]] = []
    with scratch() as folder:
        variants = variants_of(run, kinds, corpus, folder)
        spool = spool_vectors(run, folder) if len(variants) > 1 else None
        if "sample" in kinds:
            rows += sample_rows(run, fold_sums(run, run.sources, folder, spool))
        if spool is not None:
            limit = (memory or default_memory()) // 2
            batch = max(1, limit // (24 * run.dim * run.dim * len(run.sources)))
            progress.start("ablate", -(-len(variants) // batch) * len(run.files("scores")), 0, None)
            for start in range(0, len(variants), batch):
                # many small products: more threads of BLAS cost time, and change the last bits of a log-determinant
                with threadpool_limits(1, "blas"):
                    rows += perturbed_rows(run, spool, variants[start : start + batch], progress)
            progress.end("ablate")
    for name in encoders if "encoder" in kinds else ():
        rows.append(encoder_row(run, name, progress))
    with run.store.attempt(layout.ablations_of(run.run_id)) as path:
        write_sealed(path, pa.Table.from_pylist(rows, ABLATIONS.schema))

    write_catalog(run.store)
    return rows


def row_of(run: Finished, ablation: str, value: str, eci: dict[str, float]) -> dict[str, Any]:
    """Return a row of `ablations`: how the ECI of the sources orders them, beside the run's own order."""
    own = {row["source"]: row["eci"] for row in run.rows if row["kind"] == "source"}
    names = [name for name in run.sources if name in eci]
    pair = [own[name] for name in names], [eci[name] for name in names]
    enough = len(names) > 1 and all(len(set(values)) > 1 for values in pair)
    return {
        "run_id": run.run_id,
        "ablation": ablation,
        "value": value,
        "kendall": kendall_tau(*pair),
        "spearman": float(spearmanr(*pair).statistic) if enough else None,
        "top_source": max(names, key=lambda name: eci[name]) if names else None,
        "sources": [{"source": name, "eci": float(eci[name])} for name in names],
    }


def sample_rows(run: Finished, by_fold: ByFold) -> list[dict[str, Any]]:
    """Return the rows of smaller samples: the first 1, 2, 4, ... folds of the queries."""
    sizes = [1 << k for k in range(run.folds.bit_length()) if 1 << k < run.folds]
    found: dict[int, dict[str, float]] = {size: {} for size in sizes}
    with threadpool_limits(1, "blas"):
        for source in run.sources:
            sums = by_fold(source)
            for size in sizes:
                plus, minus = (unpack_upper(sign.first(size), run.dim) for sign in sums.signs)
                if n := int(sums.n[:size].sum()):
                    found[size][source] = score(plus, minus, n, run.lam).eci
    return [row_of(run, "sample", f"{size} of {run.folds} folds", eci) for size, eci in found.items()]


Key = tuple[int, str, bool]


def perturbed_rows(
    run: Finished, spool: VectorSpool, variants: Sequence[Variant], progress: Progress
) -> list[dict[str, Any]]:
    """Return the rows of some perturbations of the weights, by one pass over the run's triples."""
    totals: dict[Key, np.ndarray] = {}
    few: dict[Key, list[tuple[int, RowArray]] | None] = {}
    judgements = run.judgements()
    for number, paths in groupby(run.files("scores"), lambda path: int(layout.scores_place(path)[0])):
        fold: dict[Key, Gathered] = {}
        for path in paths:
            _add_part(run.read(path), spool, variants, judgements, fold)
            progress.finished("ablate", path)
        for key, gathered in fold.items():
            here, so_far = gathered.rows, few.get(key, [])
            few[key] = None if here is None or so_far is None else [*so_far, (number, here)]
            # rounded by fold, as the run's own sums are
            packed = gathered.packed()
            if key in totals:
                add_packed(totals[key], packed)
            else:
                totals[key] = packed

    def of_sign(key: Key) -> BySign:
        # one sum of all folds, and the rows in the order of theirs, as the run has scored them
        return by_sign(1, run.dim, lambda _: totals.get(key), few.get(key, []))

    rows = []
    for v, variant in enumerate(variants):
        eci = {}
        for source, n in run.examples().items():
            signs = [of_sign((v, source, plus)) for plus in (True, False)]
            # without diversity: the first-order term of the log-determinant, (1/d) tr((d/lambda) M)
            values = [
                sign.spectrum(n)[0] / run.lam if variant.linear else sign.information(n, run.lam) for sign in signs
            ]
            eci[source] = Score.of(*values).eci
        rows.append(row_of(run, variant.ablation, variant.value, eci))
    return rows


def _add_part(
    part: pa.Table, spool: VectorSpool, variants: Sequence[Variant], judgements: Judgements, sums: dict[Key, Gathered]
) -> None:
    judged = judgements.consistency(*(from_arrow(part[name]) for name in ("query_id", "negative_id")))
    consistency = judged.to_numpy(zero_copy_only=False)
    ids, refs = refs_of(part)
    vectors = spool.take(ids)
    dim = vectors.shape[1]
    own = np.nan_to_num(part["lexical_overlap"].to_numpy().astype(np.float64))
    for v, variant in enumerate(variants):

        def of(source: str, plus: bool, v: int = v) -> Gathered:
            return sums.setdefault((v, source, plus), Gathered(dim))

        overlap = own if variant.lexical is None else variant.lexical.overlap(ids, refs[0], refs[2])
        weight = (
            part["weight"].to_numpy() if variant.ablation == "none" else variant.weights(part, overlap, consistency)
        )
        add_signed(of, part, vectors, refs, weight)


def encoder_row(run: Finished, encoder: str, progress: Progress) -> dict[str, Any]:
    """Run the whole job over the run's inputs with another encoder, below OUT/ablation-encoders, and return its row.

    Raises:
        InputError: the encoder is unknown, the run has no texts, or its inputs are gone.
    """
    if run.settings.get("vectors"):
        raise InputError(f"run {run.run_id} took its vectors from files; another encoder needs texts")
    own = ("temperature", "hybrids", "information", "strict", "encoder", "buckets", "vectors")
    kept = {key: value for key, value in run.settings.items() if key not in own}
    # what the run itself has let through is not asked for again
    config = make_config({**kept, "allow_rejects": True, "encoder": encoder, "out": run.store.path()})
    choice = encoder_choice(config)
    result = run_job(config.model_copy(update={"out": _encoder_root(run.store, choice.fingerprint)}), progress)
    eci = {row["source"]: row["eci"] for row in result.ranking.to_pylist() if row["kind"] == "source"}
    return row_of(run, "encoder", choice.label, eci)


def _encoder_root(store: Store, fingerprint: str) -> str:
    """Return the root for an encoder's runs. One where an older version had it is moved; an object store can't move it."""
    here, before = f"{layout.ABLATION_ENCODERS}/{fingerprint}", f"{layout.ABLATION_ENCODERS_BEFORE}/{fingerprint}"
    if store.exists(here) or not store.exists(before):
        return store.path(here)
    if not store.local:
        return store.path(before)
    store.move_folder(before, here)
    with suppress(OSError):  # others are in it
        os.rmdir(store.path(layout.ABLATION_ENCODERS_BEFORE))
    return store.path(here)


def ablation_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the table as text, a line each."""
    width = max(len(row["value"]) for row in rows)
    yield f"{'ablation':<12} {'value':<{width}} {'Kendall':>8} {'Spearman':>9}  top source"
    for row in rows:
        kendall, spearman = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("kendall", "spearman"))
        yield f"{row['ablation']:<12} {row['value']:<{width}} {kendall:>8} {spearman:>9}  {row['top_source'] or ''}"
