"""Committed runs: which there are, the newest, and each one's manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from jobs.errors import EciError, InputError
from jobs.output import layout
from jobs.output.records import Manifest
from jobs.output.store import Store
from jobs.output.tables import TABLES_LAYOUT

if TYPE_CHECKING:
    import pyarrow as pa


def latest(store: Store) -> str:
    """Return the newest committed run's id. Raises InputError where there is none."""
    try:
        return store.read_text(layout.LATEST).strip()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{store.path()}: no finished run here; make one with: eci run --triples ... --out ..."
        ) from None


def named(store: Store, given: str | None = None) -> str:
    """Return the whole id of a run that is named by the beginning of its id, or by nothing: the newest.

    Raises:
        InputError: there is no finished run, none of this name, or more than one.
    """
    if given is None:
        return latest(store)
    runs = committed(store)
    found = [r for r in runs if r == given] or [r for r in runs if given and r.startswith(given)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join((found if len(found) > 1 else runs)[-5:]) or "none"
    if len(found) > 1:
        raise InputError(f"{store.path()}: {given!r} begins the ids of {len(found)} runs ({listed}); give more of it")
    raise InputError(f"{store.path()}: no run {given!r}; runs: {listed}")


def read_manifest(store: Store, run_id: str) -> Manifest:
    """Return a committed run's manifest.

    Raises:
        InputError: the id is not one of them, or the run was written by a newer version.
    """
    if run_id not in committed(store):
        raise InputError(f"{store.path()}: no run {run_id!r}; runs: {', '.join(committed(store)[-5:]) or 'none'}")
    path = layout.manifest_in(layout.run_folder(run_id))
    try:
        found = cast(Manifest, json.loads(store.read_text(path)))
    except (OSError, ValueError) as error:
        raise EciError(f"{store.path(path)}: cannot be read: {error}") from error
    if layout_of(found) > TABLES_LAYOUT:
        raise InputError(
            f"{store.path(path)}: its tables have layout {layout_of(found)}, and this version of eci-lake reads up to "
            f"{TABLES_LAYOUT}; use the version that wrote it, or a newer one"
        )
    return found


def layout_of(manifest: Manifest) -> int:
    """Return the layout of a run's tables (TABLES_LAYOUT when it is this version's)."""
    return int(manifest.get("layout", 1))


def committed(store: Store) -> list[str]:
    """Return the ids of all committed runs, oldest first (ids begin with the time)."""
    named = [name for name in store.names(layout.RUNS) if layout.RUN_ID.fullmatch(name)]
    return [name for name in named if store.exists(layout.manifest_in(layout.run_folder(name)))]


def read_published(store: Store, run_id: str, relative: str, **options: Any) -> pa.Table:
    """Read a Parquet file of a committed run, by its path in the run's folder; options are those of pyarrow's read_table."""
    import pyarrow.parquet as pq

    with store.open(f"{layout.run_folder(run_id)}/{relative}") as source:
        return pq.read_table(source, **options)


def free_run_id(store: Store, wanted: str) -> str:
    """Return `wanted`, or with a number behind it when that run exists already."""
    number, run_id = 1, wanted
    while store.exists(layout.run_folder(run_id)):
        number += 1
        run_id = f"{wanted}-{number}"
    return run_id
