"""`--publish` and `eci publish`: a committed run appended to tables over all runs, which any reader of a lake opens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobs.errors import EciError, InputError
from jobs.lakes.naming import place_of
from jobs.output.layout import run_folder
from jobs.output.runs import named, read_manifest
from jobs.output.runs import whole as whole_runs
from jobs.output.store import Store
from jobs.output.tables import Table
from jobs.output.verified import check
from jobs.publishing.delta import DeltaTarget
from jobs.publishing.iceberg import IcebergTarget
from jobs.publishing.places import places_of, remember
from jobs.publishing.tables import Made, batches_of, over_all_runs, published_tables, rows_in

TARGETS: dict[str, Any] = {"delta": DeltaTarget, "iceberg": IcebergTarget}


@dataclass(frozen=True)
class Published:
    """A run that stands in tables over all runs: rows appended by table; none where they were there before."""

    run_id: str
    to: str
    appended: dict[str, int]


def publish(out: str, to: str | None = None, run_id: str | None = None, scores: bool | None = None) -> Published:
    """Append a committed run to the tables below a place; what is there already stays as it is.

    Args:
        to: `delta:` and a folder or URL, or `iceberg:CATALOG/NAMESPACE` (None: where the run was to be published).
        run_id: its beginning, or None for the newest.
        scores: whether to publish the table `scores` as well (None: as the run was told).

    Raises:
        InputError: there is no such run or place, a file of it is damaged, or a table there is not as a run's is.
        EciError: a table cannot be written. What was appended so far stays; doing it again appends the rest.
    """
    store = Store(out)
    manifest = read_manifest(store, named(store, run_id))
    settings, whole = manifest["settings"], manifest["run_id"]
    to = to or settings.get("publish") or ""
    if not to:
        raise InputError(f"run {whole} was to be published nowhere; say where with --to, such as --to delta:/lake/eci")
    with_scores = bool(settings.get("publish_scores")) if scores is None else scores
    (kind, place), appended = place_of(to), {}
    remember(store, manifest, f"{kind}:{place}")
    for table in published_tables(with_scores):
        target = _target(kind, place, table)
        check(store, run_folder(whole), [file for file in manifest["files"] if file["table"] == table.name])
        appended[table.name] = target.append(
            whole,
            rows_in(manifest, table),
            lambda table=table: batches_of(store, manifest, table),  # type: ignore[misc]
        )
    return Published(whole, f"{kind}:{place}", appended)


def expire(out: str, run_ids: Iterable[str], dry_run: bool = False) -> dict[str, list[str]]:
    """Remove runs from the tables that they were published to; returns the tables that had rows of each place's runs.

    `source_eci` is the first: a run that stands there is whole. A run whose manifest is damaged is passed over.

    Args:
        dry_run: whether to only look.

    Raises:
        EciError: a table cannot be changed.
    """
    places: dict[str, list[str]] = {}
    store = Store(out)
    for run_id, manifest in whole_runs(store, list(run_ids)).items():
        for to in places_of(store, manifest):
            places.setdefault(to, []).append(run_id)
    found = {}
    for to, runs in places.items():
        kind, place = place_of(to)
        targets = [_target(kind, place, table) for table in reversed(published_tables(True))]
        found[to] = [target.name for target in targets if target.expire(runs, dry_run)]
    return found


def _target(kind: str, place: str, table: Table) -> Any:
    return target_at(kind, place, table.name, over_all_runs(table))


def target_at(kind: str, place: str, name: str, made: Made) -> Any:
    """Return one table of ours to write, of either format. Raises InputError where its library is not installed."""
    return TARGETS[kind](place, name, made)


def why_not(error: EciError, out: str, run_id: str, to: str) -> str:
    """Return the sentence for a run that is committed and could not be published."""
    return (
        f"run {run_id} is committed, and not (wholly) published to {to}: {error}; when that is mended, "
        f"eci publish --run {run_id} --out {out} tries again"
    )
