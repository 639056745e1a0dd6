"""Two runs compared: `eci diff`, and what `eci run --strict` calls in need of attention.

A source has *moved* when its ECI changed by more than the Student t bound of the two standard errors together. The runs
are taken as independent; nights that share most queries vary less than that, so what is called moved has moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scipy.special import stdtrit

from jobs.config import Strict
from jobs.decide.probe_diff import leaders, probe_lines, probes
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.lakes.naming import any_version
from jobs.output.comparable import SAME
from jobs.output.records import InputFile, SourceRow, value_of
from jobs.output.runs import committed, named, same_tokens, whole
from jobs.output.store import Store
from jobs.pipeline.prepare import AROUND


def diff(out: str, run_a: str | None = None, run_b: str | None = None) -> dict[str, Any]:
    """Compare run a (before) with run b (after).

    Args:
        run_a: None for the run before b, or before the newest.
        run_b: None for the newest; where that is a, a becomes b.

    Returns:
        run_a, run_b; comparable (whether ECI means the same in both) and differs (the columns that say no);
        sources: rows of source, kind, rank_a, rank_b, eci_a, eci_b, change, bound, moved (None where it cannot be
        said), violation_rate_a and _b, reject_rate_a and _b; settings: rows of setting, a, b; inputs: counts of files
        added, removed, changed, same; totals: rows of total, a, b; probe: as `probe_diff.probes`.

    Raises:
        InputError: there is no such run, or no two of them.
    """
    a, b = (Finished.open(out, run_id) for run_id in _two(Store(out), run_a, run_b))
    differs = [name for name in SAME if value_of(a.rows[0], name) != value_of(b.rows[0], name)]
    if not differs and not same_tokens(a.manifest, b.manifest):
        differs = ["tokens of scripts without spaces"]
    return {
        "run_a": a.run_id,
        "run_b": b.run_id,
        "comparable": not differs,
        "differs": differs,
        "probe": probes(a, b),
        "sources": _sources(a, b, not differs),
        "settings": _changes(_settings(a), _settings(b), "setting"),
        "inputs": _inputs(a.manifest["inputs"], b.manifest["inputs"]),
        "totals": _changes(a.manifest["totals"], b.manifest["totals"], "total"),
    }


def _two(store: Store, run_a: str | None, run_b: str | None) -> tuple[str, str]:
    """Return the ids of the run before and the run after."""
    after = named(store, run_b)
    if run_a is not None and (run_b is not None or named(store, run_a) != after):
        return named(store, run_a), after
    before = previous(store, after)
    if before is None:
        raise InputError(
            f"{store.path()}: there is no run before {after} to compare it with; eci runs lists what there is"
        )
    return before, after


def _sources(a: Finished, b: Finished, comparable: bool) -> list[dict[str, Any]]:
    before, after = ({(row["kind"], row["source"]): row for row in run.rows} for run in (a, b))
    found = []
    for kind, source in [*after, *(key for key in before if key not in after)]:
        one, two = before.get((kind, source)), after.get((kind, source))
        row: dict[str, Any] = {"source": source, "kind": kind}
        for end, values in (("a", one), ("b", two)):
            for name in ("rank", "eci", "violation_rate"):
                row[f"{name}_{end}"] = None if values is None else values[name]
            row[f"reject_rate_{end}"] = None if values is None else reject_rate(values)
        row |= {"change": None, "bound": None, "moved": None}
        if one is not None and two is not None:
            row["change"] = two["eci"] - one["eci"]
            row["bound"] = _bound(one, two)
            if comparable and not math.isnan(row["bound"]):
                row["moved"] = abs(row["change"]) > row["bound"]
        found.append(row)
    return found


def _bound(one: SourceRow, two: SourceRow) -> float:
    """Return what a change must exceed: the 97.5 % quantile of t times the joint standard error."""
    folds = min(one["folds_done"], two["folds_done"])
    if folds < 2:
        return math.nan
    return float(stdtrit(folds - 1, 0.975)) * math.hypot(one["eci_se"], two["eci_se"])


def reject_rate(row: SourceRow) -> float | None:
    """Return the share of a source's input rows that were rejected (duplicates not counted), None where unknown."""
    rejected = row["n_rejected"]
    if rejected is None:
        return None
    return float(rejected / max(rejected + row["n_examples"], 1))


def _settings(run: Finished) -> dict[str, Any]:
    """Return the settings that may change a result, the encoder and the versions, flat."""
    kept = {k: v for k, v in run.settings.items() if k not in AROUND | {"inputs"}}
    encoder = {f"encoder.{key}": value for key, value in run.manifest["encoder"].items()}
    versions = {f"version.{key}": value for key, value in run.manifest["versions"].items()}
    return kept | encoder | versions


def _changes(a: Mapping[str, Any], b: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    names = sorted({*a, *b})
    # what one of two versions does not have is as if it were not used
    return [{what: n, "a": a.get(n), "b": b.get(n)} for n in names if (a.get(n) or None) != (b.get(n) or None)]


def _inputs(a: list[InputFile], b: list[InputFile]) -> dict[str, int]:
    before, after = ({(f["what"], any_version(f["path"])): (f["size"], f["stamp"]) for f in files} for files in (a, b))
    both = before.keys() & after.keys()
    changed = sum(before[key] != after[key] for key in both)
    return {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed": changed,
        "same": len(both) - changed,
    }


def previous(store: Store, run_id: str) -> str | None:
    """Return the run that was committed before this one, None for the first."""
    for name in reversed(committed(store)):
        if name < run_id and whole(store, [name]):
            return name
    return None


def attention(out: str, run_id: str, strict: Strict) -> list[str]:
    """Return what a run needs a person for, beside the run before it: one line each, none where all is well."""
    before = previous(Store(out), run_id)
    if before is None:
        return []
    a, b = Finished.open(out, before), Finished.open(out, run_id)
    found = []
    was, now = leaders(a, b)
    if was != now:
        found.append(f"the top source is {now}, it was {was} in run {before}")
    for row in _sources(a, b, True):
        if row["kind"] != "source":
            continue
        if row["rank_b"] is None:
            found.append(f"{row['source']} is gone")
        for name, limit in (("violation_rate", strict.violation_rate), ("reject_rate", strict.reject_rate)):
            one, two = row[f"{name}_a"], row[f"{name}_b"]
            if one is not None and two is not None and two - one > limit:
                words = name.replace("_", " ")
                found.append(f"{row['source']}: {words} {one:.1%} -> {two:.1%}, a rise of more than {limit:.1%}")
    return found


def diff_lines(found: dict[str, Any]) -> list[str]:
    """Return a comparison as text, a line each."""
    lines = [f"{found['run_a']} -> {found['run_b']}", ""]
    if found["probe"] is not None:
        lines += [*probe_lines(found["probe"]), "By ECI:"]
    if not found["comparable"]:
        lines.append(f"ECI does not mean the same in both: {', '.join(found['differs'])} differ. Ranks only.")
    width = max(len(row["source"]) for row in found["sources"])
    for row in found["sources"]:
        rank = f"{_rank(row['rank_a'])} -> {_rank(row['rank_b'])}"
        lines.append(f"{row['source']:<{width}}  rank {rank:<8}  {_moved(row)}")
    for row in found["settings"]:
        lines.append(f"{row['setting']}: {row['a']} -> {row['b']}")
    counts = ", ".join(f"{n} {word}" for word, n in found["inputs"].items() if n)
    totals = ", ".join(f"{row['total']} {row['a'] or 0:,} -> {row['b'] or 0:,}" for row in found["totals"])
    return [*lines, "", f"Input files: {counts}.", f"Totals: {totals or 'the same'}."]


def _rank(value: int | None) -> str:
    return "-" if value is None else str(value)


def _moved(row: dict[str, Any]) -> str:
    if row["eci_a"] is None:
        return f"new, ECI {row['eci_b']:.5f}"
    if row["eci_b"] is None:
        return f"gone, ECI was {row['eci_a']:.5f}"
    none = "not comparable" if row["bound"] is None or math.isfinite(row["bound"]) else "too few folds to say"
    words = {True: "moved", False: "within its intervals", None: none}[row["moved"]]
    rates = f"violations {row['violation_rate_a']:.1%} -> {row['violation_rate_b']:.1%}"
    return f"ECI {row['eci_a']:.5f} -> {row['eci_b']:.5f}  {words} ({rates})"
