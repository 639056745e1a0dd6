"""Commit: from finished work to a run that readers see.

Order: every published file is in the work folder under its final name; the manifest names them all; the folder becomes
runs/<run_id> by one rename; LATEST names the run; the catalog follows. An object store cannot rename a folder: there the
files are put into runs/<run_id>, which is a run from the moment that its manifest is put. A reader that starts from LATEST
sees one whole run at every moment. A kill between two steps is picked up by the next run over the same inputs and settings.
"""

from __future__ import annotations

import json

from jobs.errors import EciError
from jobs.output import layout
from jobs.output.catalog import write_catalog
from jobs.output.records import Manifest
from jobs.output.run_index import write_index
from jobs.output.runs import latest_says
from jobs.output.sealed import sealed
from jobs.output.store import Store


def commit(store: Store, folder: str, run_id: str, manifest: Manifest) -> None:
    """Write the manifest into a folder of published files and put the run in its place; `finish` makes readers see it."""
    text = json.dumps(sealed(manifest), indent=1, sort_keys=True, ensure_ascii=False)
    store.write_text(layout.manifest_in(folder), text)
    if store.local:
        store.sweep(folder)
        store.move_folder(folder, layout.run_folder(run_id))


def seen(store: Store) -> str | None:
    """Return what `finish` must be given: the version of LATEST in an object store, else None."""
    return None if store.local else store.version(layout.LATEST)


def finish(store: Store, run_id: str, before: str | None = None) -> None:
    """Point the index of runs, LATEST and the catalog at a run whose folder is in place. Doing it again changes nothing.

    Raises as `point_latest`.
    """
    write_index(store)
    point_latest(store, run_id, before)
    write_catalog(store)


def point_latest(store: Store, run_id: str, before: str | None = None) -> None:
    """Point LATEST at a run whose folder is in place.

    Args:
        before: what `seen` said when the run began.

    Raises:
        EciError: LATEST in an object store has changed since then.
    """
    if store.local:
        store.write_text(layout.LATEST, run_id + "\n")
    elif not store.put_if(layout.LATEST, run_id + "\n", before):
        raise EciError(
            f"{store.path(layout.LATEST)}: names {latest_says(store)} now, which another run has put there since this one began; "
            f"run {run_id} is whole, and not the newest; run again to make it so"
        )
