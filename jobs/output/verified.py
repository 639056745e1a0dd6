"""Published files are read as they were written, or not at all: the one reader of a run's tables.

What a file must be says the run's manifest. A small file is read whole and hashed before anything is made of it. A large one
is hashed once; the verdict holds for as long as the file's size, times, and place on the disk are the same, is kept in the
user's cache folder, and what is read later is checked by Parquet's page checksums. DuckDB, which checks nothing, is given
paths of files that were checked just now, or have such a verdict.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
from platformdirs import user_cache_dir

from jobs.errors import DamagedError, reason_of
from jobs.output.parquet import in_memory, read_parquet
from jobs.output.records import Manifest, TableFile
from jobs.output.store import Store

READ_WHOLE = 4 << 20
"""Bytes up to which a file is read whole and checked at every reading."""
NO_VERDICT = 64 << 10
"""Bytes up to which a file is hashed anew whenever DuckDB is to read it."""
FRESH_NS = 2_000_000_000
"""A file written so shortly ago may be written again within one tick of its clock: no verdict is kept of it."""
BLOCK = 1 << 20
ADVICE = "`eci verify` names all that is; give the same `eci run` again for a new run, or restore it from a backup"


def file_of(manifest: Manifest, relative: str) -> TableFile:
    """Return what a manifest says of a file of its run. Raises DamagedError where it names no such file."""
    for file in manifest["files"]:
        if file["path"] == relative:
            return file
    raise DamagedError(f"run {manifest['run_id']}: its manifest names no {relative}; {ADVICE}")


@contextmanager
def opened(store: Store, folder: str, file: TableFile, mapped: bool = True) -> Iterator[pa.NativeFile]:
    """Open a published file of the run in `folder` for random reads.

    Args:
        mapped: whether a large one may be mapped: its pages count as this process's memory then.

    Raises:
        DamagedError: it is not what the manifest says, or not there.
    """
    path = f"{folder}/{file['path']}"
    with _named(store, path):
        if file["bytes"] <= READ_WHOLE:
            data = store.read_bytes(path)
            if len(data) != file["bytes"] or hashlib.sha256(data).hexdigest() != file["sha256"]:
                raise _damaged(store, path)
            source: pa.NativeFile = in_memory(data)
        else:
            check(store, folder, [file])
            source = store.open(path) if mapped or not store.local else pa.OSFile(store.path(path))
    with source:
        yield source


def read_published(store: Store, folder: str, manifest: Manifest, relative: str, **options: Any) -> pa.Table:
    """Read a published file of the run in `folder`, by its path there; as `read_table`."""
    return read_table(store, folder, file_of(manifest, relative), **options)


def read_table(store: Store, folder: str, file: TableFile, **options: Any) -> pa.Table:
    """Read a published file of the run in `folder`; options are those of pyarrow's read_table.

    Raises:
        DamagedError: as `opened`.
    """
    with opened(store, folder, file) as source:
        try:
            return read_parquet(source, **options)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(store, f"{folder}/{file['path']}", reason_of(error)) from error


def check(store: Store, folder: str, files: Iterable[TableFile]) -> None:
    """Check published files of the run in `folder`, the large ones if there is no verdict of them.

    Raises:
        DamagedError: one is not what the manifest says, or not there.
    """
    verdicts = Verdicts(store)
    for file in files:
        path = f"{folder}/{file['path']}"
        with _named(store, path):
            if verdicts.hash_of(path, file["bytes"]) != file["sha256"]:
                raise _damaged(store, path)
    verdicts.keep()


def check_sizes(store: Store, folder: str, files: Iterable[TableFile]) -> None:
    """Check that the files of a run about to be committed are there and whole, without reading them: their hashes were taken
    as they were written, moments ago, or when the run was gone on with.

    Raises:
        DamagedError: one is of another size than the manifest says, or not there.
    """
    for file in files:
        path = f"{folder}/{file['path']}"
        with _named(store, path):
            if store.seen(path)[0] != file["bytes"]:
                raise _damaged(store, path)


@contextmanager
def _named(store: Store, path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DamagedError(f"{store.path(path)}: missing, and a run's manifest names it; {ADVICE}") from None
    except OSError as error:
        raise DamagedError(f"{store.path(path)}: cannot be read: {reason_of(error)}; {ADVICE}") from error


def _damaged(store: Store, path: str, why: str = "it is not what the run's manifest says") -> DamagedError:
    return DamagedError(f"{store.path(path)}: damaged: {why}; {ADVICE}")


def hash_of(store: Store, path: str, digest: Any = None) -> tuple[int, str]:
    """Return the bytes and the hash of a file, read from its beginning to its end. Raises OSError.

    `digest`: None for SHA-256.
    """
    digest, size = digest or hashlib.sha256(), 0
    for block in blocks_of(store, path):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def blocks_of(store: Store, path: str) -> Iterator[bytes]:
    """Yield the bytes of a file, some at a time. Raises OSError."""
    if store.local:
        # read, not mapped: a page that the disk does not give is an error, not the end of the process
        with open(store.path(path), "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block
        return
    with store.open(path) as source:
        while block := source.read(BLOCK):
            yield block


class Verdicts:
    """Hashes of the files of a store, remembered for as long as the files seem the same."""

    def __init__(self, store: Store) -> None:
        """Read those that are kept."""
        self._store = store
        self._kept = Store(user_cache_dir("eci-lake"))
        self._name = f"verified/{hashlib.sha256(store.path().encode()).hexdigest()[:24]}.json"
        self._known: dict[str, Any] | None = None
        self._changed = False

    def hash_of(self, path: str, size: int, anew: bool = False) -> str | None:
        """Return the SHA-256 of a file of `size` bytes, None where it is of another size. Raises OSError.

        `anew`: read it, whatever is remembered.
        """
        before = self._seen(path)
        if before[0] != size:
            return None
        known = self._read().get(path) if size > NO_VERDICT and not anew else None
        if known is not None and known[:-1] == before:
            return str(known[-1])
        found, sha = hash_of(self._store, path)
        if found != size:
            return None
        if size > NO_VERDICT:
            self._note(path, before, sha)
        return sha

    def _note(self, path: str, before: list[Any], sha: str) -> None:
        if before == self._seen(path):
            self.remember(path, before, sha)

    def remember(self, path: str, seen: list[Any], sha: str) -> None:
        """Take note of a file's SHA-256. `seen`: what `Store.seen` said before and after it was hashed."""
        if None not in seen and seen[2] < time.time_ns() - FRESH_NS:
            self._read()[path] = [*seen, sha]
            self._changed = True

    def _seen(self, path: str) -> list[Any]:
        """Return what changes whenever a file does: its size, when it was written, changed, and where it lies."""
        return self._store.seen(path)

    def _read(self) -> dict[str, Any]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, ValueError):
                found = json.loads(self._kept.read_text(self._name))
                if isinstance(found, dict):
                    self._known = {path: known for path, known in found.items() if isinstance(known, list) and known}
        return self._known

    def keep(self) -> None:
        """Keep what was found out, where the user's cache folder can be written to."""
        if self._changed and self._known is not None:
            there = self._known
            if self._store.local:  # of runs that are gone
                there = {path: known for path, known in there.items() if self._store.exists(path)}
            with suppress(OSError):
                self._kept.write_text(self._name, json.dumps(there), durable=False)
