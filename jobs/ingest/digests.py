"""Stage `inputs`: what a run reads, as a digest, and whether it was the same from its plan to its last row.

Local files are hashed before they are read, which leaves them in the system's memory for the reader. Of an object in a store
its ETag stands for the content, and is in the plan already; one without is read once more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from jobs.errors import InputError
from jobs.formats.columnar import GONE
from jobs.formats.finding import unreachable
from jobs.formats.opening import filesystem
from jobs.ingest.inputs import File, file_of
from jobs.lakes.naming import named
from jobs.output.records import PASSED_OVER
from jobs.output.store import Store
from jobs.output.verified import BLOCK, Verdicts
from jobs.work.job import Job
from jobs.work.summaries import Digest, Digested

UNREAD = "unread"
"""The digest of a file that cannot be opened (--skip-bad-files)."""
HERE = Store("/")
"""The files of this machine."""


class Known(NamedTuple):
    """A file that a task reads, and what it holds."""

    file: File
    digest: Digest


def digest_task(job: Job, name: str, files: list[File]) -> Digested:
    """Take the digests of some files. Raises InputError for one that is not as it was planned."""
    verdicts = Verdicts(HERE)
    return {"digests": {f"{file.what} {file.path}": digest_of(file, verdicts) for file in files}}


def digest_of(file: File, verdicts: Verdicts | None = None) -> Digest:
    """Return the digest of a file. Raises InputError for one that changes meanwhile.

    `verdicts`: hashes that are remembered of local files; one that seems the same is not read for its digest.
    """
    before = _seen(file)
    etag = _etag(file.path)
    try:
        digest = f"etag:{etag}" if etag else f"sha256:{_remembered(file, verdicts) or _hash(file.path)}"
    except OSError:
        digest = UNREAD
    if _seen(file) != before:
        raise _changed(file)
    return {"digest": digest, "seen": before}


def _remembered(file: File, verdicts: Verdicts | None) -> str | None:
    if verdicts is None or not _is_local(file.path):
        return None
    path = _here(file.path)
    # a link that leads round in a circle is no file of the store's, and cannot be read
    return None if os.path.islink(f"/{path}") else verdicts.hash_of(path, file.size)


@contextmanager
def unchanged(files: Sequence[Known]) -> Iterator[None]:
    """Read files in this block: it is read what their digests say. Raises InputError for one that is changed meanwhile."""
    before = [_seen(file) for file, _ in files]
    for (file, known), seen in zip(files, before, strict=True):
        if seen != known["seen"] and digest_of(file)["digest"] != known["digest"]:
            raise _changed(file)
    yield
    for (file, _), seen in zip(files, before, strict=True):
        if _seen(file) != seen:
            raise _changed(file)


def require_same(files: Iterable[File], digests: Mapping[str, Digest]) -> None:
    """Raise InputError for a file that is not what its digest was made of: it was changed while the run read it."""
    for file in files:
        if file.passed_over:
            continue
        kept = digests[f"{file.what} {file.path}"]
        if _seen(file) != kept["seen"] and digest_of(file)["digest"] != kept["digest"]:
            raise _changed(file)


def remember(files: Iterable[File], digests: Mapping[str, Digest]) -> None:
    """Keep the digests of local files, so that the next start need not read them while they seem the same."""
    verdicts = Verdicts(HERE)
    for file in files:
        kept = digests[f"{file.what} {file.path}"]
        if len(kept["seen"]) == len(HERE.seen("")) and kept["digest"].startswith("sha256:"):
            verdicts.remember(_here(file.path), kept["seen"], kept["digest"].removeprefix("sha256:"))
    verdicts.keep()


def first_changed(inputs: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the path of the first input (of a manifest) that is not what was read, None where all are."""
    verdicts = Verdicts(HERE)
    for given in inputs:
        if str(given["what"]).startswith(PASSED_OVER):
            continue
        kind, _, said = str(given.get("digest", "")).partition(":")
        try:
            if kind == "etag":
                same = _etag(given["path"]) == said
            elif kind == "sha256" and _is_local(given["path"]):
                same = verdicts.hash_of(_here(given["path"]), given["size"]) == said
            else:
                same = kind == UNREAD or (kind == "sha256" and _hash(given["path"]) == said)
        except OSError:
            same = False
        if not same:
            return str(given["path"])
    verdicts.keep()
    return None


def _changed(file: File) -> InputError:
    if named(file.path) is not None:
        return InputError(f"{file.path}: not there as it was when this run began; {GONE}")
    return InputError(f"{file.path}: changed while this run was reading it; let it be written whole, then run again")


def _seen(file: File) -> list[Any]:
    """Return what changes whenever a file does. Raises InputError where it is not the one that was planned."""
    if file.stamp and file.stamp == unreachable(file.path):  # a reject (--skip-bad-files)
        return [file.size, file.stamp]
    try:
        now = file_of(file.path, file.what)
        seen = HERE.seen(_here(file.path)) if _is_local(file.path) else [now.size, now.stamp]
    except FileNotFoundError:
        raise _changed(file) from None
    if (now.size, now.stamp) != (file.size, file.stamp):
        raise _changed(file)
    return seen


def _is_local(path: str) -> bool:
    protocol = filesystem(path)[0].protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def _here(path: str) -> str:
    # input files may lie behind links; what a store holds may not
    return os.path.realpath(filesystem(path)[1]).lstrip("/")


def _etag(path: str) -> str:
    fs, inner = filesystem(path)
    if _is_local(path):
        return ""
    info = fs.info(inner)
    return next((str(info[key]) for key in ("ETag", "etag") if info.get(key)), "")


def _hash(path: str) -> str:
    fs, inner = filesystem(path)
    digest = hashlib.sha256()
    with fs.open(inner, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
