"""What each ingredient of the score is worth: `python -m tests.bench.ingredients OUT...`, each OUT from `eci validate`.

ECI is recomputed with one thing changed, from the run's scores and cached vectors, and set against the nDCG@10 that
fine-tuning gave: Spearman over the sources and regret (points), for every objective.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from eci_sql.information import information
from jobs.finished.committed import Finished, refs_of
from jobs.finished.vectors import spool_vectors
from jobs.validation.agreement import spearman
from jobs.validation.tables import read_tables

Array = np.ndarray


@dataclass(frozen=True)
class Variant:
    """One change. `weights`: of consistency, locality, residuality.  `score`: of information and misinformation."""

    tau: float | None = None
    kappa: float | None = None
    lam: float | None = None
    weights: Callable[[Array, Array, Array], Array] = lambda t, locality, rho: t * locality * rho
    score: Callable[[float, float], float] = lambda i, j: i * i / (i + j) if i + j else 0.0
    linear: bool = False
    unit: bool = False


VARIANTS = {
    "eci-sem/1": Variant(),
    **{f"kappa={kappa:g}": Variant(kappa=kappa) for kappa in (0.0, 0.25, 0.75, 1.0)},
    **{f"lambda={lam:g}": Variant(lam=lam) for lam in (0.001, 0.01, 0.1, 10.0)},
    **{f"tau={tau:g}": Variant(tau=tau) for tau in (0.02, 0.1, 0.2)},
    "no purity (I)": Variant(score=lambda i, j: i),
    "purity only": Variant(score=lambda i, j: i / (i + j) if i + j else 0.0),
    "I - J": Variant(score=lambda i, j: i - j),
    "I x purity squared": Variant(score=lambda i, j: i * (i / (i + j)) ** 2 if i + j else 0.0),
    "trace instead of logdet": Variant(linear=True),
    "no consistency (w = l rho)": Variant(weights=lambda t, locality, rho: locality * rho),
    "no locality (w = t rho)": Variant(weights=lambda t, locality, rho: t * rho),
    "locality squared": Variant(weights=lambda t, locality, rho: t * locality**2 * rho),
    "residuals of unit length": Variant(unit=True),
}


def scores(run: Finished) -> dict[str, dict[str, float]]:
    """Return every variant's score of every source."""
    tau, kappa = run.rows[0]["temperature"], run.rows[0]["kappa"]
    sums: dict[tuple[str, str], Array] = {}
    with tempfile.TemporaryDirectory() as folder:
        spool = spool_vectors(run, folder)
        for path in run.files("scores"):
            part = run.read(path)
            ids, refs = refs_of(part)
            vectors, of = spool.take(ids), np.array(part["source"].to_pylist())
            s_pos, s_neg = part["s_pos"].to_numpy(), part["s_neg"].to_numpy()
            overlap = np.nan_to_num(part["lexical_overlap"].to_numpy().astype(float))
            q, p, n = (vectors[ref] for ref in refs)
            residual = (n - p) - q * (s_neg - s_pos)[:, None].astype(np.float32)
            for name, variant in VARIANTS.items():
                x = np.clip((s_pos - s_neg) / (variant.tau or tau), -700, 700)
                rho = 1 - (kappa if variant.kappa is None else variant.kappa) * overlap
                weight = variant.weights(2 / (1 + np.exp(-x)) - 1, 1 / (1 + np.exp(x)), rho)
                scale = np.sqrt(np.abs(weight))
                if variant.unit:
                    scale = scale / np.maximum(np.linalg.norm(residual, axis=1), 1e-9)
                rows = residual * scale[:, None].astype(np.float32)
                for source in np.unique(of):
                    for k, sign in enumerate((1, -1)):
                        chosen = rows[(of == source) & (weight * sign > 0)]
                        total = sums.setdefault((name, str(source)), np.zeros((2, run.dim, run.dim)))
                        total[k] += chosen.T @ chosen
    found: dict[str, dict[str, float]] = {name: {} for name in VARIANTS}
    examples = run.examples()
    for (name, source), total in sums.items():
        variant, lam = VARIANTS[name], VARIANTS[name].lam or run.lam
        i, j = (np.trace(m) if variant.linear else information(m, lam) for m in total / examples[source])
        found[name][source] = variant.score(float(i), float(j))
    return found


def main(outs: list[str]) -> None:
    """Print a line for each variant: Spearman and regret of every OUT and objective."""
    for out in outs:
        rows = read_tables(out)["validation_sources"]
        objectives = sorted({row["objective"] for row in rows}, reverse=True)
        with threadpool_limits(1, "blas"):
            found = scores(Finished.open(out, rows[0]["run_id"]))
        print(f"\n{rows[0]['collection']}: Spearman, regret ({', '.join(objectives)})")
        for name, of in found.items():
            cells = []
            for objective in objectives:
                ndcg = {row["source"]: row["ndcg"] for row in rows if row["objective"] == objective}
                names = sorted(ndcg)
                x, y = np.array([of[s] for s in names]), np.array([ndcg[s] for s in names])
                cells.append(f"{float(spearman(x, y)[0]):6.2f} {100 * float(y.max() - y[x.argmax()]):6.2f}")
            print(f"{name:<28}", *cells)


if __name__ == "__main__":
    main(sys.argv[1:])
