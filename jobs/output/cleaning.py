"""`eci gc`: takes from an output root what nobody needs any more.

Covers: old runs and what `eci ablate` made of them, unfinished work, stray attempt files, the cache by age, size and
encoders that no run names. Does not touch: a folder that is no output root; in a root what cannot be its own by name;
the newest run; work and cache while a run holds the root.
Unfinished work is only worth its cheap stages: vectors are in the cache already.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from jobs.errors import DamagedError, HeldError, InputError, notice
from jobs.output import layout
from jobs.output.lock import holding
from jobs.output.parquet import read_sealed
from jobs.output.root import claim, is_root, require
from jobs.output.runs import committed, newest, read_manifest, whole
from jobs.output.store import Store, written_at

STALE_SECONDS = 3600.0
"""Attempt files younger than this may belong to a command that holds no lock."""


@dataclass(frozen=True)
class Rules:
    """What goes. None means that this rule is off.

    Attributes:
        keep_runs: how many of the newest runs stay, at least 1.
        cache_days: cache files written longer ago than this go.
        cache_size: bytes that the cache may hold; the files written longest ago go first.
        unused_encoders: whether caches of encoders go that no run that stays names.
        dry_run: whether to only say what would go.
    """

    keep_runs: int | None = None
    cache_days: float | None = None
    cache_size: int | None = None
    unused_encoders: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Removed:
    """One thing that went (or would), its path in the root, its bytes.

    Kinds: `run`, `ablations`, `work`, `attempt`, `cache file`, `input as it was read`, `cache of unused encoder`,
    `ablation's encoder`.
    """

    kind: str
    path: str
    size: int


@dataclass(frozen=True)
class Cleaned:
    """What went, why work and cache were left (empty where they were not), and what lies there that is not eci's."""

    removed: tuple[Removed, ...]
    left: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    written: float


def clean(out: str, rules: Rules) -> Cleaned:
    """Remove what the rules name from an output root.

    Raises:
        InputError: there is no such root, or a rule is out of range.
    """
    store = Store(out)
    if rules.keep_runs is not None and rules.keep_runs < 1:
        raise InputError(f"--keep-runs is {rules.keep_runs}, allowed is 1 or more: the newest run always stays")
    if store.exists("") and not store.names("", links=True):
        return Cleaned((), "", ())
    require(store)
    if not rules.dry_run:
        claim(store)  # what an older version's root is known by may be what goes
    with ExitStack() as stack:
        left = ""
        try:
            if not rules.dry_run:
                stack.enter_context(holding(store))
        except HeldError as error:
            left = f"work and cache were left alone: {error}"
        removed = list(_runs(store, rules, held=bool(left)))
        if not left:
            removed += _unheld(store, rules)
    return Cleaned(tuple(removed), left, tuple(_others(store)))


def _unheld(store: Store, rules: Rules) -> Iterator[Removed]:
    yield from _work(store, rules)
    if store.local:
        yield from _attempts(store, rules)
    yield from _cache(store, rules)


def _runs(store: Store, rules: Rules, held: bool) -> Iterator[Removed]:
    every, doomed = committed(store), _doomed(store, rules)
    # A folder without a manifest is what an interrupted removal left, or in an object store an unfinished run.
    named = [name for name in store.names(layout.RUNS) if layout.RUN_ID.fullmatch(name)]
    broken = [name for name in named if name not in every] if store.local or not held else []
    found = [
        Removed("run", layout.run_folder(name), _size(store, layout.run_folder(name))) for name in [*doomed, *broken]
    ]
    orphans = _ablation_tables(store) - {layout.ablations_of(name) for name in every if name not in doomed}
    found += [Removed("ablations", path, _size(store, path)) for path in sorted(orphans)]
    if found and not rules.dry_run:
        # First the manifests, then the catalog, then the data: no view ever names a file that is gone.
        for run_id in doomed:
            store.remove(layout.manifest_in(layout.run_folder(run_id)))
        if (doomed or broken) and committed(store):
            from jobs.output.catalog import write_catalog
            from jobs.output.run_index import write_index

            write_catalog(store)
            write_index(store)
        for item in found:
            store.remove(item.path)
    yield from found


def _doomed(store: Store, rules: Rules) -> list[str]:
    """Return the committed runs that go by the rules: the oldest, but never the newest, which readers open."""
    older = committed(store)[: -rules.keep_runs] if rules.keep_runs else []
    last = newest(store) if older else None
    return [run_id for run_id in older if run_id != last]


def _ablation_tables(store: Store) -> set[str]:
    """Return the paths of the tables that `eci ablate` has written, one for each perturbed run."""
    names = (name for name in store.names(layout.ABLATIONS) if name.endswith(".parquet"))
    return {f"{layout.ABLATIONS}/{name}" for name in names if layout.RUN_ID.fullmatch(name.removesuffix(".parquet"))}


def _work(store: Store, rules: Rules) -> Iterator[Removed]:
    # The lock's file stays: a run that waits for it must not find another one.
    for name in filter(layout.WORK_NAME.fullmatch, store.names(layout.WORK)):
        path = layout.work_folder(name)
        item = Removed("work", path, _size(store, path))
        if not rules.dry_run:
            store.remove(path)
        yield item


def _others(store: Store) -> Iterator[str]:
    """Yield the paths of what lies beside runs, work and caches and cannot be eci's: by its name, or because it is a link."""
    yield from (f"{layout.RUNS}/{name}" for name in store.names(layout.RUNS) if not layout.RUN_ID.fullmatch(name))
    for name in store.names(layout.WORK):
        if (
            not layout.WORK_NAME.fullmatch(name)
            and layout.work_folder(name) != layout.LOCK
            and not name.startswith(".")
        ):
            yield layout.work_folder(name)
    for folder in (layout.RUNS, layout.WORK, layout.ABLATIONS, layout.ABLATION_ENCODERS, layout.CACHE):
        links = set(store.names(folder, links=True)) - set(store.names(folder))
        yield from (f"{folder}/{name}" for name in sorted(links))


def _attempts(store: Store, rules: Rules) -> Iterator[Removed]:
    oldest = time.time() - STALE_SECONDS
    for file in _files(store, ""):
        if layout.ATTEMPT_FILE.fullmatch(file.path.rsplit("/", 1)[-1]) and file.written < oldest:
            if not rules.dry_run:
                store.remove(file.path)
            yield Removed("attempt", file.path, file.size)


def _cache(store: Store, rules: Rules) -> Iterator[Removed]:
    gone: set[str] = set()
    if rules.unused_encoders:
        used = _used_encoders(store, rules)
        for fingerprint in sorted(set(store.names(layout.CACHE)) - used) if used is not None else ():
            path = layout.cache_of(fingerprint)
            own, every = _cache_files(store, path), _files(store, path)
            if not own:
                continue
            gone.add(fingerprint)
            if not rules.dry_run:
                for one in [file.path for file in own] if len(own) < len(every) else [path]:
                    store.remove(one)
            yield Removed("cache of unused encoder", path, sum(file.size for file in own))
        yield from _ablation_encoders(store, rules)
    if rules.cache_days is None and rules.cache_size is None:
        return
    files = [
        file
        for file in _cache_files(store, layout.CACHE)
        if file.path.removeprefix(f"{layout.CACHE}/").split("/")[0] not in gone
    ]
    read = _read_files(store)
    for file in _surplus([*files, *read], rules):
        for path in () if rules.dry_run else read.get(file, [file.path]):
            store.remove(path)
        yield Removed("input as it was read" if file in read else "cache file", file.path, file.size)


def _ablation_encoders(store: Store, rules: Rules) -> Iterator[Removed]:
    """Remove the roots that `eci ablate --encoder` ran in, where no table of ablations that stays names the encoder."""
    stay = {layout.ablations_of(run_id) for run_id in _staying(store, rules)}
    named: set[str] = set()
    for path in sorted(_ablation_tables(store) & stay):
        try:
            rows = read_sealed(store, path).to_pylist()
        except DamagedError as error:
            notice(f"no ablation's encoder was removed: {error}")
            return
        named.update(row["value"] for row in rows if row["ablation"] == "encoder")
    for path in [
        f"{folder}/{name}"
        for folder in (layout.ABLATION_ENCODERS, layout.ABLATION_ENCODERS_BEFORE)
        for name in store.names(folder)
    ]:
        below = Store(store.path(path))
        if not is_root(below):
            continue
        runs = committed(below)
        try:
            used = {read_manifest(below, run_id)["encoder"]["name"] for run_id in runs[-1:]}
        except DamagedError as error:
            notice(f"{below.path()} stays: {error}")
            continue
        if not used & named:
            item = Removed("ablation's encoder", path, _size(store, path))
            if not rules.dry_run:
                store.remove(item.path)
            yield item


def _surplus(files: list[_File], rules: Rules) -> Iterator[_File]:
    """Yield the files that are too old or, the oldest first, too many."""
    oldest = time.time() - rules.cache_days * 86_400 if rules.cache_days is not None else float("-inf")
    total = sum(file.size for file in files)
    for file in sorted(files, key=lambda file: (file.written, file.path)):
        if file.written < oldest or (rules.cache_size is not None and total > rules.cache_size):
            total -= file.size
            yield file


def _staying(store: Store, rules: Rules) -> list[str]:
    """Return the runs that stay: a dry run has not removed the others."""
    doomed = _doomed(store, rules) if rules.dry_run else []
    return [run_id for run_id in committed(store) if run_id not in doomed]


def _used_encoders(store: Store, rules: Rules) -> set[str] | None:
    """Return the fingerprints of the encoders of the runs that stay, None where one of them cannot be read."""
    runs = _staying(store, rules)
    manifests = whole(store, runs)
    if len(manifests) < len(runs):
        notice("no cache of an unused encoder was removed: a run that cannot be read may use it")
        return None
    return {str(manifest["encoder"]["fingerprint"]) for manifest in manifests.values()}


def _cache_files(store: Store, folder: str) -> list[_File]:
    """Return the files of the cache below a folder; attempt files and others are left out."""
    return [file for file in _files(store, folder) if layout.CACHE_FILE.fullmatch(file.path)]


def _read_files(store: Store) -> dict[_File, list[str]]:
    """Return what is kept of input files, a task's files as one, each with the paths in it, what says that they are whole first."""
    found: dict[str, list[_File]] = {}
    for file in _files(store, layout.READ):
        folder, _, name = file.path.rpartition("/")
        if (of := layout.READ_FILE.fullmatch(name)) is not None:
            found.setdefault(f"{folder}/{of['task']}", []).append(file)
    return {
        _File(path, sum(file.size for file in files), max(file.written for file in files)): sorted(
            (file.path for file in files), key=lambda path: not path.endswith(".json")
        )
        for path, files in found.items()
    }


def _size(store: Store, relative: str) -> int:
    return sum(file.size for file in _files(store, relative))


def _files(store: Store, relative: str) -> list[_File]:
    """Return every file below a folder, or the file itself, attempt files too; links are none, and are not followed."""
    if store.local:
        return list(_local_files(store.path(relative), relative))
    fs, base = store.filesystem()
    found = []
    try:
        listed = fs.find(f"{base}/{relative}".rstrip("/"), detail=True)
    except FileNotFoundError:
        return []
    for path, info in listed.items():
        found.append(_File(path[len(base) :].lstrip("/"), int(info.get("size") or 0), written_at(info)))
    return found


def _local_files(path: str, relative: str) -> Iterator[_File]:
    paths = [(path, relative)]
    for folder, _, names in os.walk(path):
        inner = os.path.relpath(folder, path).replace(os.sep, "/")
        above = "/".join(part for part in (relative, inner) if part not in ("", "."))
        paths += [(os.path.join(folder, name), f"{above}/{name}".lstrip("/")) for name in names]
    for at, named in paths:
        with suppress(FileNotFoundError):
            found = os.lstat(at)
            if stat.S_ISREG(found.st_mode):
                yield _File(named, found.st_size, found.st_mtime)
