"""`eci gc`: takes from an output root what nobody needs any more.

Covers: old runs, unfinished work, stray attempt files, the cache by age, size and encoders that no run names. Does not
touch: the newest run, or work and cache while a run holds the root (on object stores, where there is no lock, work stays).
Unfinished work is only worth its cheap stages: vectors are in the cache already.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec

from jobs.commit import committed, latest, read_manifest
from jobs.errors import EciError, HeldError, InputError
from jobs.lock import LOCK, holding
from jobs.store import ATTEMPT, Store

CACHE = "cache/embeddings"
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
    """One thing that went (or would): `run`, `work`, `attempt`, `cache file`, `cache of unused encoder`; relative path, bytes."""

    kind: str
    path: str
    size: int


@dataclass(frozen=True)
class Cleaned:
    """What went, and why other things were left (empty where nothing was)."""

    removed: tuple[Removed, ...]
    left: str


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
    if not store.exists(""):
        raise InputError(f"{store.path()}: no output root here")
    with ExitStack() as stack:
        left = ""
        try:
            if not rules.dry_run:
                stack.enter_context(holding(store))
        except HeldError as error:
            left = f"work and cache were left alone: {error}"
        removed = list(_runs(store, rules))
        if not left:
            removed += _unheld(store, rules)
        if not store.local:
            left = "unfinished work was left alone: an object store cannot say whether a run is using it"
    return Cleaned(tuple(removed), left)


def _unheld(store: Store, rules: Rules) -> Iterator[Removed]:
    if store.local:
        yield from _work(store, rules)
        yield from _attempts(store, rules)
    yield from _cache(store, rules)


def _runs(store: Store, rules: Rules) -> Iterator[Removed]:
    every = committed(store)
    doomed = every[: -rules.keep_runs] if rules.keep_runs else []
    if every:
        doomed = [run_id for run_id in doomed if run_id != latest(store)]
    # A folder without a manifest is what an interrupted removal left; in an object store it may be a commit under way.
    broken = [name for name in store.names("runs") if name not in every] if store.local else []
    found = [Removed("run", f"runs/{name}", _size(store, f"runs/{name}")) for name in [*doomed, *broken]]
    if found and not rules.dry_run:
        # First the manifests, then the catalog, then the data: no view ever names a file that is gone.
        for run_id in doomed:
            store.remove(f"runs/{run_id}/manifest.json")
        if doomed:
            from jobs.catalog import write_catalog

            write_catalog(store)
        for item in found:
            store.remove(item.path)
    yield from found


def _work(store: Store, rules: Rules) -> Iterator[Removed]:
    for name in store.names("work"):
        path = f"work/{name}"
        # The lock's file stays: a run that waits for it must not find another one.
        if path != LOCK:
            item = Removed("work", path, _size(store, path))
            if not rules.dry_run:
                store.remove(path)
            yield item


def _attempts(store: Store, rules: Rules) -> Iterator[Removed]:
    oldest = time.time() - STALE_SECONDS
    for file in _files(store, ""):
        if file.path.rsplit("/", 1)[-1].startswith(ATTEMPT) and file.written < oldest:
            if not rules.dry_run:
                store.remove(file.path)
            yield Removed("attempt", file.path, file.size)


def _cache(store: Store, rules: Rules) -> Iterator[Removed]:
    gone: set[str] = set()
    if rules.unused_encoders:
        for fingerprint in sorted(set(store.names(CACHE)) - _used_encoders(store, rules)):
            path = f"{CACHE}/{fingerprint}"
            gone.add(fingerprint)
            item = Removed("cache of unused encoder", path, _size(store, path))
            if not rules.dry_run:
                store.remove(path)
            yield item
    if rules.cache_days is None and rules.cache_size is None:
        return
    files = [file for file in _files(store, CACHE) if file.path.removeprefix(f"{CACHE}/").split("/")[0] not in gone]
    for file in _surplus(files, rules):
        if not rules.dry_run:
            store.remove(file.path)
        yield Removed("cache file", file.path, file.size)


def _surplus(files: list[_File], rules: Rules) -> Iterator[_File]:
    """Yield the files that are too old or, the oldest first, too many."""
    oldest = time.time() - rules.cache_days * 86_400 if rules.cache_days is not None else float("-inf")
    total = sum(file.size for file in files)
    for file in sorted(files, key=lambda file: (file.written, file.path)):
        if file.written < oldest or (rules.cache_size is not None and total > rules.cache_size):
            total -= file.size
            yield file


def _used_encoders(store: Store, rules: Rules) -> set[str]:
    stay = committed(store)
    if rules.dry_run and rules.keep_runs:
        stay = stay[-rules.keep_runs :]
    used = set()
    for run_id in stay:
        encoder: Any = read_manifest(store, run_id).get("encoder")
        if not isinstance(encoder, dict) or "fingerprint" not in encoder:
            raise EciError(f"{store.path(f'runs/{run_id}/manifest.json')}: names no encoder; no cache was removed")
        used.add(str(encoder["fingerprint"]))
    return used


def _size(store: Store, relative: str) -> int:
    return sum(file.size for file in _files(store, relative))


def _files(store: Store, relative: str) -> list[_File]:
    """Return every file below a folder, or the file itself, attempt files too."""
    fs, base = fsspec.core.url_to_fs(store.path())
    found = []
    try:
        listed = fs.find(f"{base}/{relative}".rstrip("/"), detail=True)
    except FileNotFoundError:
        return []
    for path, info in listed.items():
        when = info.get("mtime") or info.get("LastModified") or info.get("updated") or 0
        written = when.timestamp() if isinstance(when, datetime) else float(when)
        found.append(_File(path[len(base) :].lstrip("/"), int(info.get("size") or 0), written))
    return found
