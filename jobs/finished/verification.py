"""`eci verify`: every file that eci has written and kept in an output root is read whole, and what is damaged or missing named.

Covers: LATEST, manifests, published tables, reports, the index of runs, ablations, the tables of a validation, the catalog,
the embedding cache, and what was read of the inputs. Nothing is changed, nothing that is remembered of an earlier reading is believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from jobs.errors import EciError, reason_of
from jobs.output import layout
from jobs.output.parquet import read_sealed
from jobs.output.records import Manifest
from jobs.output.root import require
from jobs.output.run_index import is_damaged
from jobs.output.runs import committed, latest_says, named, read_manifest
from jobs.output.sealed import is_page_whole, unsealed
from jobs.output.store import Store
from jobs.output.verified import Verdicts
from jobs.vectors.cache import UNREADABLE, read_cached
from jobs.work.job import KEPT
from jobs.work.markers import damaged_files, marker_at


@dataclass(frozen=True)
class Fault:
    """A file that is not as it was written, by its path in the root, and what is wrong with it and to do."""

    path: str
    what: str


@dataclass(frozen=True)
class Verified:
    """What was read: runs, files; what is wrong with them; names in `runs/` that are no committed runs."""

    runs: int
    files: int
    faults: tuple[Fault, ...]
    others: tuple[str, ...]


CACHED = "damaged: the next run that needs it makes it again"
TABLE = "give the same `eci run` again for a new run, or restore it from a backup"


def verify(out: str, run_id: str | None = None) -> Verified:
    """Read everything that a root holds, or all of one run.

    Args:
        run_id: or the beginning of it, where no other run's begins so.

    Raises:
        InputError: there is no such root or run.
    """
    store = Store(out)
    require(store)
    looked = _Looked(store)
    runs = committed(store) if run_id is None else [named(store, run_id)]
    for name in runs:
        looked.run(name, every=run_id is None)
    if run_id is None:
        looked.root(runs)
    looked.verdicts.keep()
    others = [f"{layout.RUNS}/{name}" for name in store.names(layout.RUNS) if name not in runs] if not run_id else []
    return Verified(len(runs), looked.files, tuple(looked.faults), tuple(others))


class _Looked:
    """What was looked at so far."""

    def __init__(self, store: Store) -> None:
        self.store, self.files, self.faults = store, 0, list[Fault]()
        self.verdicts = Verdicts(store)
        self.manifests: dict[str, Manifest] = {}

    def _wrong(self, path: str, what: str) -> None:
        self.faults.append(Fault(path, what))

    def run(self, run_id: str, every: bool) -> None:
        """Look at a run. `every`: its manifest may be damaged; else it is asked for, and must be there."""
        folder, store = layout.run_folder(run_id), self.store
        self.files += 1
        try:
            manifest = self.manifests[run_id] = read_manifest(store, run_id)
        except EciError as error:
            if not every and not store.exists(layout.manifest_in(folder)):
                raise
            self._wrong(layout.manifest_in(folder), str(error.__cause__ or error))
            return
        for file in manifest["files"]:
            self.files += 1
            path = f"{folder}/{file['path']}"
            try:
                if self.verdicts.hash_of(path, file["bytes"], anew=True) != file["sha256"]:
                    self._wrong(path, f"damaged: {TABLE}")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._wrong(path, f"missing: {TABLE}")
            except OSError as error:
                self._wrong(path, f"cannot be read: {reason_of(error)}")
        self._report(layout.report_in(folder), run_id)
        if store.exists(path := layout.ablations_of(run_id)):
            self._sealed(path)

    def _report(self, path: str, run_id: str) -> None:
        self.files += 1
        try:
            if not is_page_whole(self.store.read_bytes(path)):
                self._wrong(path, f"damaged: eci report --run {run_id} writes it anew")
        except (FileNotFoundError, NotADirectoryError):
            self._wrong(path, f"missing: eci report --run {run_id} writes it anew")
        except OSError as error:
            self._wrong(path, f"cannot be read: {reason_of(error)}")

    def _sealed(self, path: str) -> None:
        self.files += 1
        try:
            read_sealed(self.store, path)
        except EciError as error:
            self._wrong(path, f"{error.__cause__ or 'its rows are not what its own hash says'}: make it again")

    def root(self, runs: list[str]) -> None:
        """Look at what lies beside the runs."""
        store = self.store
        latest = latest_says(store)
        if runs or latest is not None:
            self.files += 1
            if latest not in self.manifests:
                what = "missing" if latest is None else f"names no run that is whole ({latest[:40]!r})"
                self._wrong(layout.LATEST, f"{what}: the next eci run writes it anew")
        if store.local and runs:
            self._catalog()
        self.files += store.exists(layout.INDEX)
        if is_damaged(store):
            self._wrong(layout.INDEX, "damaged: the next eci run writes it anew")
        for name in store.names(layout.VALIDATION):
            self._validated(f"{layout.VALIDATION}/{name}")
        for fingerprint in store.names(layout.CACHE):
            for path in _files(store, layout.cache_of(fingerprint)):
                self._cached(path)
        for path in _markers(store):
            self._read(path)

    def _catalog(self) -> None:
        self.files += 1
        if not self.store.exists(layout.CATALOG):
            self._wrong(layout.CATALOG, "missing: the next eci run writes it anew")
            return
        try:
            with duckdb.connect(self.store.path(layout.CATALOG), read_only=True) as con:
                listed = {str(name) for (name,) in con.execute("SELECT run_id FROM runs").fetchall()}
        except duckdb.Error as error:
            self._wrong(layout.CATALOG, f"damaged ({reason_of(error)[:80]}): the next eci run writes it anew")
            return
        if listed != set(self.manifests):
            self._wrong(layout.CATALOG, "does not list the runs that are there: the next eci run writes it anew")

    def _cached(self, path: str) -> None:
        self.files += 1
        try:
            read_cached(self.store, path)
        except UNREADABLE:
            self._wrong(path, CACHED)

    def _read(self, path: str) -> None:
        """Look at what a task has kept of an input file. `path`: of its marker."""
        self.files += 1
        marker = marker_at(self.store, path)
        if marker is None or marker.summary is None:
            self._wrong(path, CACHED)
            return
        self.files += len(marker.files)
        for damaged in damaged_files(self.store, marker):
            self._wrong(damaged, CACHED)

    def _validated(self, path: str) -> None:
        """Look at a file of a validation."""
        if path.endswith(".parquet"):
            self._sealed(path)
        elif path == layout.VALIDATED:
            self.files += 1
            try:
                unsealed(self.store.read_text(path), layout.VALIDATED_KEYS)
            except ValueError as error:
                self._wrong(path, f"damaged: {reason_of(error)}: make it again")


def _markers(store: Store) -> Iterator[str]:
    """Yield the paths of the markers of what was read of the inputs."""
    for folder in (f"{layout.READ}/{stage}" for stage in KEPT):
        names = filter(layout.READ_FILE.fullmatch, store.names(folder))
        yield from (f"{folder}/{name}" for name in names if name.endswith(".json"))


def _files(store: Store, folder: str) -> Iterator[str]:
    for bucket in filter(layout.BUCKET.fullmatch, store.names(folder)):
        yield from filter(
            layout.CACHE_FILE.fullmatch, (f"{folder}/{bucket}/{name}" for name in store.names(f"{folder}/{bucket}"))
        )
