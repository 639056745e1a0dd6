"""The output root as files that appear whole or not at all.

Covers: a local folder, or any fsspec URL. A file is written under an attempt name and becomes visible by one rename
(local) or one put (object store), and is complete when it does. Does not cover: what the files mean.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from jobs.faults import step

ATTEMPT = ".attempt-"


@dataclass(frozen=True)
class Store:
    """Files below one root; every path given is relative to it and uses `/`."""

    root: str

    @property
    def local(self) -> bool:
        """Whether the root is a folder of this machine (or a mount)."""
        return "://" not in self.root or self.root.startswith("file://")

    def _fs(self) -> tuple[Any, str]:
        fs, inner = fsspec.core.url_to_fs(self.root)
        return fs, inner

    def path(self, relative: str = "") -> str:
        """Return the full path or URL of a relative path."""
        if self.local:
            base = os.path.abspath(self.root.removeprefix("file://"))
            return os.path.join(base, relative) if relative else base
        return f"{self.root.rstrip('/')}/{relative}" if relative else self.root.rstrip("/")

    def exists(self, relative: str) -> bool:
        """Return whether a file or folder is there."""
        if self.local:
            return os.path.exists(self.path(relative))
        fs, inner = self._fs()
        return bool(fs.exists(f"{inner}/{relative}"))

    def read_bytes(self, relative: str) -> bytes:
        """Return a file's content. Raises FileNotFoundError."""
        if self.local:
            return Path(self.path(relative)).read_bytes()
        fs, inner = self._fs()
        fs.invalidate_cache()
        return bytes(fs.cat_file(f"{inner}/{relative}"))

    def read_text(self, relative: str) -> str:
        """Return a file's content as UTF-8 text. Raises FileNotFoundError."""
        return self.read_bytes(relative).decode("utf-8")

    def open(self, relative: str) -> pa.NativeFile:
        """Open a file for random reads: memory-mapped where it is local."""
        if self.local:
            return pa.memory_map(self.path(relative))
        fs, inner = self._fs()
        return pa.PythonFile(fs.open(f"{inner}/{relative}", "rb"), mode="r")

    @contextmanager
    def attempt(self, relative: str) -> Iterator[str]:
        """Give a local path to write to; when the block ends without an error the file appears at `relative`."""
        if self.local:
            with _local_attempt(self.path(relative)) as path:
                yield path
            return
        fs, inner = self._fs()
        with tempfile.TemporaryDirectory(prefix="eci-") as folder:
            path = os.path.join(folder, "attempt")
            yield path
            fs.put_file(path, f"{inner}/{relative}")

    def write_text(self, relative: str, text: str) -> None:
        """Write a small text file, visible whole or not at all."""
        with self.attempt(relative) as path:
            Path(path).write_text(text, encoding="utf-8")

    def names(self, relative: str) -> list[str]:
        """Return the sorted names of the finished files and folders directly in a folder ([] if it is not there)."""
        if self.local:
            try:
                found = os.listdir(self.path(relative))
            except FileNotFoundError:
                return []
        else:
            fs, inner = self._fs()
            fs.invalidate_cache()
            try:
                found = [str(p).rstrip("/").rsplit("/", 1)[-1] for p in fs.ls(f"{inner}/{relative}", detail=False)]
            except FileNotFoundError:
                return []
        return sorted(name for name in found if not name.startswith(ATTEMPT))

    def remove(self, relative: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens where there is none."""
        if self.local:
            path = self.path(relative)
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink(missing_ok=True)
            return
        fs, inner = self._fs()
        if fs.exists(f"{inner}/{relative}"):
            fs.rm(f"{inner}/{relative}", recursive=True)

    def sweep(self, relative: str) -> None:
        """Remove what killed processes have left of files that they were writing below a folder of ours alone."""
        if self.local:
            for folder, _, names in os.walk(self.path(relative)):
                for name in names:
                    if name.startswith(ATTEMPT):
                        Path(folder, name).unlink(missing_ok=True)

    def move_folder(self, source: str, target: str) -> None:
        """Move a folder: one rename where it is local, copies and deletes in an object store."""
        if self.local:
            os.makedirs(os.path.dirname(self.path(target)), exist_ok=True)
            step("publish", target)
            os.rename(self.path(source), self.path(target))
            _sync_folder(os.path.dirname(self.path(target)))
            return
        fs, inner = self._fs()
        fs.mv(f"{inner}/{source}", f"{inner}/{target}", recursive=True)


@contextmanager
def _local_attempt(final: str) -> Iterator[str]:
    folder, name = os.path.split(final)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{ATTEMPT}{uuid.uuid4().hex[:12]}-{name}")
    try:
        step("open", final)
        yield path
        step("fsync", final)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        step("rename", final)
        os.replace(path, final)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make a rename durable: the folder's own entry has to reach the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
