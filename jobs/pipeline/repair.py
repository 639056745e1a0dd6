"""What a killed commit has left is finished at the next start: LATEST, the report, the index, the catalog, and the work folder goes.

A run is committed when its folder is in place. Its work folder goes last, so that one that names a committed run says that
the rest may not have been done.
"""

from __future__ import annotations

import duckdb

from jobs.errors import EciError, notice
from jobs.output import layout
from jobs.output.catalog import write_catalog
from jobs.output.commit import point_latest, seen
from jobs.output.run_index import is_damaged, write_index
from jobs.output.runs import latest_says, newest, whole
from jobs.output.sealed import unsealed
from jobs.output.store import Store
from jobs.reports.page import report


def repair(store: Store) -> set[str]:
    """Finish what was committed and not finished; returns the ids of those runs. The root must be held."""
    left = _left(store)
    manifests = whole(store) if left else {}
    found = newest(store)
    if found is None:
        return set()
    for run_id in left.values():
        if run_id in manifests and manifests[run_id]["created_at"] >= manifests[found]["created_at"]:
            found = run_id
    if latest_says(store) != found:
        point_latest(store, found, seen(store))
    if not store.exists(layout.report_in(layout.run_folder(found))):
        try:
            report(store.root, found)
        except Exception as error:  # a report never fails a run
            notice(f"run {found} has no report: {' '.join(str(error).split())[:200]}")
    if left or not store.exists(layout.INDEX) or is_damaged(store):
        write_index(store)
    if left or not _catalog_follows(store):
        write_catalog(store)
    for folder in left:
        store.remove(folder)
    return set(left.values())


def _left(store: Store) -> dict[str, str]:
    """Return the work folders of runs that are committed, with their ids."""
    found = {}
    for name in filter(layout.WORK_NAME.fullmatch, store.names(layout.WORK)):
        folder = layout.work_folder(name)
        try:
            run_id = str(unsealed(store.read_text(layout.state_in(folder)))["run_id"])
        except (OSError, ValueError, KeyError, EciError):
            continue
        if layout.RUN_ID.fullmatch(run_id) and store.exists(layout.manifest_in(layout.run_folder(run_id))):
            found[folder] = run_id
    return found


def _catalog_follows(store: Store) -> bool:
    """Return whether the catalog can be read and lists the runs that are there; an object store's is looked for alone."""
    if not store.exists(layout.CATALOG):
        return False
    if not store.local:
        return True
    try:
        with duckdb.connect(store.path(layout.CATALOG), read_only=True) as con:
            listed = {str(run_id) for (run_id,) in con.execute("SELECT run_id FROM runs").fetchall()}
    except duckdb.Error:
        return False
    return listed == set(whole(store))
