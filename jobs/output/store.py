"""The output root as files that appear whole or not at all.

Covers: a local folder, or any fsspec URL. A file is written under an attempt name and becomes visible by one rename
(local) or one put (object store), and is complete when it does; small objects can be put on condition that nobody else
has put them since. No link below a local root is followed: what it names is somebody else's; the root itself may be one.
Does not cover: what the files mean. Credentials of an object store come from the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.addresses import expanded, is_url, prefix_of, refuse_secret, without_secrets
from jobs.errors import EciError, InputError, reason_of
from jobs.output import layout
from jobs.output.faults import step

if TYPE_CHECKING:
    import pyarrow as pa

ATTEMPT = ".attempt-"
BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az"})
"""Kinds of addresses whose first name is a bucket."""


@contextmanager
def answering(address: str, tried: str = "") -> Iterator[None]:
    """Turn what an object store's client raises into an EciError; only what is not there stays FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, EciError):
        raise
    except Exception as error:  # each client has errors of its own
        told = f" ({tried})" if tried else ""
        raise EciError(
            f"{address}: the store does not answer{told}: {reason_of(error)}; credentials and endpoint come from the environment"
        ) from error


def endpoint_of_environment() -> str:
    """Return where the environment says that S3 is, "" where it does not."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def require_bucket(address: str, fs: Any, inner: str) -> None:
    """Raise InputError where the bucket of an address is not there: its store says of any name in it that there is none."""
    bucket = inner.strip("/").split("/")[0]
    if not bucket or not BUCKETS.intersection(_protocols(fs)):
        return
    try:
        fs.info(bucket)
    except FileNotFoundError:
        at = without_secrets(endpoint_of_environment()) or "the endpoint of the environment"
        raise InputError(
            f"{address}: no bucket {bucket!r} in the store at {at}; make it, or correct the address or the environment"
        ) from None
    except Exception:  # a store that does not say is asked again for what is wanted of it
        return


@dataclass(frozen=True)
class Store:
    """Files below one root; every path given is relative to it and uses `/`."""

    root: str

    def __post_init__(self) -> None:
        """Take `~` for the home folder.

        Raises:
            InputError: the address is empty, as an unset variable leaves it (it would be the current folder), or holds a
                secret.
        """
        if not self.root.strip():
            raise InputError(
                "the address of a folder is empty (--out, --to: an unset variable?); give a folder or a URL"
            )
        refuse_secret(self.root)
        if prefix_of(self.root):
            raise InputError(
                f"{self.root} is the address of a table, and files are written here; give a folder or a URL"
            )
        object.__setattr__(self, "root", expanded(self.root))

    @property
    def local(self) -> bool:
        """Whether the root is a folder of this machine (or a mount)."""
        return "://" not in self.root or self.root.startswith("file://")

    def require_bucket(self) -> None:
        """Raise InputError where the store's bucket is not there; a local folder needs none."""
        if not self.local:
            require_bucket(self.path(), *self.filesystem())

    def filesystem(self) -> tuple[Any, str]:
        """Return the root's fsspec filesystem, and the root's path inside it.

        Raises:
            InputError: no filesystem is installed for this kind of address.
        """
        import fsspec

        try:
            # Other processes write here too: a listing that is remembered is a wrong one.
            fs, inner = fsspec.core.url_to_fs(self.path(), use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise InputError(f"{self.root}: no filesystem for this address: {reason_of(error)}") from error
        return fs, inner.rstrip("/")

    def _at(self, relative: str) -> tuple[Any, str]:
        fs, inner = self.filesystem()
        return fs, f"{inner}/{relative}" if relative else inner

    def _answering(self) -> AbstractContextManager[None]:
        return answering(self.path())

    def path(self, relative: str = "") -> str:
        """Return the full path or URL of a relative path. Raises InputError where it leads over a link or is one."""
        if self.local:
            base = os.path.abspath(self.root.removeprefix("file://"))
            return _unlinked(base, relative) if relative else base
        return f"{self.root.rstrip('/')}/{relative}" if relative else self.root.rstrip("/")

    def exists(self, relative: str) -> bool:
        """Return whether a file or folder is there. Raises EciError where an object store does not answer."""
        if self.local:
            return os.path.exists(self.path(relative))
        fs, path = self._at(relative)
        with self._answering(), suppress(FileNotFoundError):
            fs.info(path)
            return True
        return False

    def read_bytes(self, relative: str) -> bytes:
        """Return a file's content. Raises FileNotFoundError."""
        if self.local:
            with open(self.path(relative), "rb", opener=_not_following) as file:
                return file.read()
        fs, path = self._at(relative)
        with self._answering():
            return bytes(fs.cat_file(path))

    def read_text(self, relative: str) -> str:
        """Return a file's content as UTF-8 text. Raises FileNotFoundError."""
        return self.read_bytes(relative).decode("utf-8")

    def open(self, relative: str) -> pa.NativeFile:
        """Open a file for random reads: memory-mapped where it is local."""
        import pyarrow as pa

        if self.local:
            return pa.memory_map(self.path(relative))
        fs, path = self._at(relative)
        return pa.PythonFile(fs.open(path, "rb"), mode="r")

    @contextmanager
    def attempt(self, relative: str, durable: bool = True) -> Iterator[str]:
        """Give a local path to write to; when the block ends without an error the file appears at `relative`.

        `durable`: it is on the disk then. Else it is as far as processes see, and a machine that loses its power may lose it:
        for what is checked before it is believed, and made again where it is not as it was.
        """
        if self.local:
            with _local_attempt(self.path(relative), durable) as path:
                yield path
            return
        fs, final = self._at(relative)
        with tempfile.TemporaryDirectory(prefix="eci-") as folder:
            path = os.path.join(folder, "attempt")
            step("open", final)
            yield path
            step("put", final)
            with self._answering():
                fs.put_file(path, final)

    def write_text(self, relative: str, text: str, durable: bool = True) -> None:
        """Write a small text file, visible whole or not at all. `durable`: as of `attempt`."""
        with self.attempt(relative, durable) as path:
            Path(path).write_text(text, encoding="utf-8")

    def names(self, relative: str, links: bool = False) -> list[str]:
        """Return the sorted names of the finished files and folders directly in a folder ([] if it is not there).

        Args:
            links: whether to name links as well, which are none of ours.
        """
        if self.local:
            try:
                with os.scandir(self.path(relative)) as entries:
                    found = [entry.name for entry in entries if links or not entry.is_symlink()]
            except FileNotFoundError:
                return []
        else:
            fs, path = self._at(relative)
            found = []
            with self._answering(), suppress(FileNotFoundError):
                # an empty object that stands for the folder itself is none of its contents
                listed = (str(p).rstrip("/") for p in fs.ls(path, detail=False))
                found = [p.rsplit("/", 1)[-1] for p in listed if p != path.rstrip("/")]
        return sorted(name for name in found if not name.startswith(ATTEMPT))

    def remove(self, relative: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens where there is none.

        Raises:
            OSError: something stays.
            InputError: it is a link, or lies behind one.
        """
        if self.local:
            path = self.path(relative)
            if os.path.isdir(path):
                shutil.rmtree(path, onerror=_unless_gone)
            else:
                Path(path).unlink(missing_ok=True)
            return
        fs, path = self._at(relative)
        if fs.exists(path):
            fs.rm(path, recursive=True)

    def sweep(self, relative: str) -> None:
        """Remove what killed processes have left of files that they were writing below a folder of ours alone."""
        if self.local:
            for folder, _, names in os.walk(self.path(relative)):
                for name in names:
                    if name.startswith(ATTEMPT):
                        Path(folder, name).unlink(missing_ok=True)

    def move_folder(self, source: str, target: str) -> None:
        """Move a local folder by one rename."""
        os.makedirs(os.path.dirname(self.path(target)), exist_ok=True)
        step("publish", target)
        os.rename(self.path(source), self.path(target))
        _sync(os.path.dirname(self.path(target)))

    def version(self, relative: str) -> str | None:
        """Return what changes whenever an object is put anew (an ETag), or None where there is none."""
        fs, path = self._at(relative)
        try:
            info = fs.info(path)
        except FileNotFoundError:
            return None
        return next((str(info[key]) for key in ("ETag", "etag", "generation", "mtime", "created") if key in info), "")

    def seen(self, relative: str) -> list[Any]:
        """Return what changes whenever a file does: size, nanoseconds of its writing and change, inode; or size and ETag.

        An object's ETag is None where its store has none. Raises FileNotFoundError.
        """
        if self.local:
            found = os.stat(self.path(relative))
            return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        fs, path = self._at(relative)
        with self._answering():
            info = fs.info(path)
        return [
            int(info.get("size") or 0),
            next((str(info[k]) for k in ("ETag", "etag", "generation") if k in info), None),
            0,
        ]

    def put_if(self, relative: str, text: str, version: str | None) -> bool:
        """Put a small object if it is still at `version` (None: not there); returns whether it was put.

        One conditional put in S3, and for new objects wherever the filesystem has it; elsewhere a look and then a put.
        """
        fs, path = self._at(relative)
        # The look comes first even so: some S3-compatible servers pass over conditions.
        if self.version(relative) != version:
            return self._holds(relative, text)
        condition = {"IfMatch": version} if version and "s3" in _protocols(fs) else {}
        step("put", path)
        try:
            fs.pipe_file(path, text.encode(), mode="overwrite" if version is not None else "create", **condition)
        except OSError:
            # A put that is sent again after a lost answer is refused by its own first one.
            if self.version(relative) == version:
                raise
            return self._holds(relative, text)
        return True

    def _holds(self, relative: str, text: str) -> bool:
        try:
            return self.read_text(relative) == text
        except FileNotFoundError:
            return False

    def now(self) -> float:
        """Return the time by an object store's own clock, in seconds since 1970."""
        fs, path = self._at(f"{layout.WORK}/.clock-{uuid.uuid4().hex[:12]}")
        fs.pipe_file(path, b"")
        try:
            return written_at(fs.info(path))
        finally:
            fs.rm_file(path)

    def written(self, relative: str) -> float:
        """Return when an object was put, by the same clock. Raises FileNotFoundError."""
        fs, path = self._at(relative)
        return written_at(fs.info(path))


def file_at(address: str) -> tuple[Store, str]:
    """Return where a file is to be written: the store of its folder, and its name. Raises InputError as Store does."""
    refuse_secret(address)
    # an address of an object store is no path: it would become a folder called `s3:`
    folder, _, name = (address if is_url(address) else os.path.abspath(expanded(address))).rpartition("/")
    if not name:
        raise InputError(f"{address} is a folder; give a file")
    return Store(folder or "/"), name


def written_at(info: Mapping[str, Any]) -> float:
    """Return when a file was written, in seconds since 1970 (0 where its filesystem does not say), from fsspec's `info`."""
    when = next((info[k] for k in ("mtime", "LastModified", "last_modified", "updated", "created") if info.get(k)), 0)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return when.timestamp() if isinstance(when, datetime) else float(when)


def _unlinked(base: str, relative: str) -> str:
    """Return the path of what lies below `base`. Raises InputError where it is a link or behind one, or leads out."""
    path = base
    for name in relative.split("/"):
        if name == "..":
            raise InputError(f"{base}: {relative} leads out of this folder")
        path = os.path.join(path, name)
        if os.path.islink(path):
            raise InputError(f"{path} is a link, which eci never makes: remove it, and run again")
    return path


def _not_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _unless_gone(_: object, path: str, found: tuple[Any, BaseException, Any]) -> None:
    """Raise what a removal met, unless another process was faster."""
    if not isinstance(found[1], FileNotFoundError):
        raise found[1]


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


@contextmanager
def _local_attempt(final: str, durable: bool) -> Iterator[str]:
    folder, name = os.path.split(final)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{ATTEMPT}{uuid.uuid4().hex[:12]}-{name}")
    try:
        step("open", final)
        yield path
        if durable:
            step("fsync", final)
            _sync(path)
        step("rename", final)
        os.replace(path, final)
    except BaseException as error:
        Path(path).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = final  # a write that fails does not say into which file
        raise
    if durable:
        _sync(folder)  # the folder's own entry has to reach the disk too


def _sync(path: str) -> None:
    """Wait until a file, or the entries of a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_of(store: Store) -> int | None:
    """Return the free bytes where a local store lies, else None."""
    if not store.local:
        return None
    path = store.path()
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stats = os.statvfs(path)
    return stats.f_bavail * stats.f_frsize
