"""`eci mix`: the best mixture of a finished run's sources, or given shares scored; nothing is embedded."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from eci_sql.information import interval, jackknife_se, paired_difference
from eci_sql.mixtures import best_mixture, delete_one_mix
from eci_sql.moments import is_few
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.fold_sums import fold_sums
from jobs.finished.result import probed_of
from jobs.finished.text import used_of
from jobs.output.leftovers import scratch
from jobs.probing.answer import points
from jobs.ranking.hybrids import triples_of
from jobs.ranking.mixtures import best_alone, means_of, mix_of
from jobs.terminal.console import interval as span
from jobs.terminal.console import number


def parse_parts(text: str, option: str = "--parts") -> dict[str, float]:
    """Return source -> share of `dense=0.5,llm=0.5`. `option`: what errors name.

    Raises:
        InputError: it is not of that form, a share is negative, or they do not sum to 1.
    """
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, equals, value = item.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not equals or not name.strip() or not 0.0 <= share <= 1.0 or name.strip() in shares:
            raise InputError(
                f"{option} {item.strip()!r} is not SOURCE=SHARE with a share from 0 to 1, each source once"
            )
        shares[name.strip()] = share
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        raise InputError(f"{option}: the shares sum to {total:g}, not to 1")
    return {name: share / total for name, share in shares.items()}


def mix(
    out: str,
    run_id: str | None = None,
    parts: str | None = None,
    sources: list[str] | None = None,
    sampled: bool = False,
) -> dict[str, Any]:
    """Return the best mixture, or that of `parts`, as plain values.

    Args:
        parts: shares to score, such as `dense=0.5,llm=0.5`; None finds the best.
        sources: the sources that may be mixed (None: all).
        sampled: whether a run over a sample of the queries will do.

    Returns:
        run_id; sample, what a run over a sample has used (None: a run over all queries); shares by source; eci, eci_se,
        eci_lo, eci_hi, information, misinformation, purity; best_source and the gain over it with gain_se, gain_lo,
        gain_hi, gain_decided; triples by source in the largest training set of these shares; probe_against, what the
        probe has against it.

    Raises:
        InputError: no such run or source, the shares are wrong, or the run is over a sample and that is not asked for.
    """
    run = Finished.open(out, run_id)
    run.require_whole(sampled)
    given = parse_parts(parts) if parts else None
    names = list(given) if given else sources or run.sources
    run.require(names)
    single = next(name for name in run.sources if given or name in names)
    shares = dict.fromkeys(names, 0.0)
    with threadpool_limits(1, "blas"), scratch() as folder:
        if not given:
            names = [names[i] for i in best_alone(lambda i: run.totals(names[i]), len(names), run.lam)]
        examples = run.examples()
        # few rows are scored as they are, many by the sums that the run has published
        few = is_few(sum(examples[name] for name in names), run.dim)
        by_fold = fold_sums(run, {*names, single}, folder) if few else run.totals
        plus, minus = means_of([by_fold(name) for name in names])
        alpha = np.array(list(given.values())) if given else best_mixture(plus, minus, run.lam, run.dim).alpha
        used = np.flatnonzero(alpha)
        if not few:
            by_fold = fold_sums(run, [*(names[i] for i in used), single], folder)
        mixed = mix_of([by_fold(names[i]) for i in used], alpha[used], run.lam, plus[used])
        alone, alone_leave_out = delete_one_mix(np.ones(1), [by_fold(single)], run.lam)
    se = jackknife_se(mixed.leave_out)
    low, high = interval(mixed.score.eci, se, int(np.count_nonzero(~np.isnan(mixed.leave_out))))
    gain = paired_difference(mixed.score.eci, mixed.leave_out, alone.eci, alone_leave_out)
    shares |= {name: float(share) for name, share in zip(names, alpha, strict=True)}
    parts_used = [{"source": name, "alpha": share} for name, share in shares.items() if share > 0.0]
    return {
        "run_id": run.run_id,
        "sample": run.sample,
        "shares": shares,
        "eci": mixed.score.eci,
        "eci_se": se,
        "eci_lo": low,
        "eci_hi": high,
        "information": mixed.score.information,
        "misinformation": mixed.score.misinformation,
        "purity": mixed.score.purity,
        "best_source": single,
        "best_source_eci": alone.eci,
        "gain": gain.difference,
        "gain_se": gain.se,
        "gain_lo": gain.lo,
        "gain_hi": gain.hi,
        "gain_decided": gain.decided,
        "triples": triples_of(parts_used, run.examples()),
        "probe_against": _probe_against(run, shares),
    }


def _probe_against(run: Finished, shares: dict[str, float]) -> dict[str, Any] | None:
    """Return what the probe has against a mixture: its best source, and the mixture's parts that are decidedly behind it.

    None where nothing is decided against any part, and where there was no probe.
    """
    probed = probed_of(run.store, run.manifest)
    if probed is None:
        return None
    gains = {row["source"]: row["gain"] for row in probed.rows if row["kind"] == "source"}
    best = max(gains, key=lambda source: gains[source])
    behind = {p["source_b"] for p in probed.pairs if p["source_a"] == best and p["decided"]}
    parts = {name: gains[name] for name, share in shares.items() if share > 0.0 and name in behind}
    return {"best": best, "gain": gains[best], "behind": parts} if parts else None


def shares_of(out: str, run_id: str | None, text: str) -> dict[str, float]:
    """Return the shares that `--mix` names: `best`, or `dense=0.5,llm=0.5`; sources without a share are left out."""
    if text != "best":
        return {name: share for name, share in parse_parts(text, "--mix").items() if share > 0.0}
    row = next((row for row in Finished.open(out, run_id).rows if row["kind"] == "mixture"), None)
    if row is None:
        raise InputError("--mix best: this run has one source only; there is nothing to mix")
    return {part["source"]: part["alpha"] for part in row["parts"]}


def mix_lines(found: dict[str, Any], given: bool) -> list[str]:
    """Return a result of `mix` in sentences."""
    top = max(found["eci_hi"] or 0.0, found["best_source_eci"])
    used = {name: share for name, share in found["shares"].items() if share > 0.0}
    width = max(map(len, used))
    lines = [f"{name:<{width}}  {share:7.1%}  {found['triples'][name]:>12,} triples" for name, share in used.items()]
    lines.append("")
    lines.append(
        f"{'This' if given else 'The best'} mixture: ECI {number(found['eci'], top)}, 95 % interval "
        f"{span(found['eci_lo'], found['eci_hi'], top)}, purity {found['purity']:.3f}."
    )
    if len(used) == 1 and not given:
        lines.append(f"No mixture is better than {found['best_source']} alone.")
    else:
        word = "decided" if found["gain_decided"] else "NOT decided"
        lines.append(
            f"Gain over {found['best_source']}, the best source alone: {number(found['gain'], top)}, 95 % "
            f"interval {span(found['gain_lo'], found['gain_hi'], top)}: {word}."
        )
    against = found["probe_against"]
    if against is not None:
        parts = ", ".join(f"{name} {points(gain)}" for name, gain in against["behind"].items())
        lines.append(
            f"The probe contradicts: {against['best']} gains {points(against['gain'])} points of nDCG, decidedly more than {parts}."
        )
    if found["sample"] is not None:
        lines.append(f"From a sample: {used_of(found['sample'])}; the triples above are those of these queries.")
    return [*lines, f"Run {found['run_id']}."]
