"""Which files paths, folders, globs and URLs name; and what among them holds no data and is passed over.

Covers: literal names before globs, links, folders as data sets are published (README.md, .json metadata, Hugging Face's
`save_to_disk`), the output root within a folder. Does not cover: whether a file holds a record.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fsspec.implementations.local import LocalFileSystem

from jobs.addresses import is_utf8
from jobs.errors import InputError, reason_of
from jobs.formats.base import BadRecordError
from jobs.formats.opening import filesystem, head, parse_json, size_of
from jobs.formats.recognise import recognise
from jobs.formats.tables import refuse_within_tables, table_at
from jobs.lakes.tables import files_of
from jobs.output.layout import CACHE, OWN
from jobs.output.store import require_bucket

DESCRIPTION_BYTES = 1 << 20
"""A larger .json file is data."""
STDIN = ("-", "/dev/stdin", "/dev/fd/0")
_BESIDE = re.compile(
    r"(?:readme|licen[cs]e|notice|citation|changelog|sha256sums|md5sums)(?:\..*)?"
    r"|(?:dataset_infos?|dataset_dict|state|metadata|config|croissant|manifest)\.json"
    r"|.*\.(?:md|rst|py|ipynb|sh|ya?ml|toml|cfg|ini|pdf|png|jpe?g|svg|gif|html?|css|js|log|lock|crc|sha256|md5|bib|cff)"
)


class Found(NamedTuple):
    """Files by path, sorted and each once; what was passed over; and what cannot be opened, each with the reason."""

    files: list[str]
    passed_over: list[tuple[str, str]]
    bad: list[tuple[str, str]]


def expand(patterns: Sequence[str], what: str) -> list[str]:
    """Return the files that patterns name. Raises InputError as `find`."""
    return find(patterns, what).files


def find(patterns: Sequence[str], what: str, out: str = "", skip_bad: bool = False) -> Found:
    """Return the files that paths, folders and globs name.

    A name that is there is taken as it is, with brackets in it too. A folder stands for all files in it, at any depth and
    behind links, except hidden ones and names that begin with `_`. A table of a lake stands for its data files.

    Args:
        patterns: paths, folders, globs, URLs.
        what: what they are, for messages.
        out: the output root, whose own files are never input.
        skip_bad: whether to go on where something that is named cannot be opened.

    Raises:
        InputError: a pattern names nothing, standard input or a pipe, or only what is no data; or a link to nothing; or files
            of a table without the table.
    """
    files, passed, bad = set[str](), dict[str, str](), dict[str, str]()
    for pattern in patterns:
        if pattern in STDIN:
            raise InputError(
                f"{what}: {pattern} is standard input, which is not read: a run reads its files more than once and in "
                "several processes; write it to a file and name that"
            )
        if (table := table_at(pattern)) is not None:
            files.update(files_of(table))
            continue
        names, searched = _names(pattern, what)
        refuse_within_tables(names, pattern, what)
        names = _without_root(names, pattern, searched, out)
        if "://" in pattern:
            names = [filesystem(pattern)[0].unstrip_protocol(name) for name in names]
        beside = _beside(names) if searched else {}
        kept = [name for name in names if name not in beside]
        if strange := next((name for name in kept if not is_utf8(name)), None):
            raise InputError(f"{what}: {strange!a} is not a name in UTF-8; rename the file")
        if not kept:
            if "://" in pattern:
                require_bucket(pattern, *filesystem(pattern))
            held = (
                f"; it holds only {', '.join(sorted(os.path.basename(name) for name in beside)[:5])}" if beside else ""
            )
            kind = "folder with no files in it" if searched == "folder" else "path or pattern that matches no file"
            raise InputError(f"{what}: {pattern} is a {kind}{held}; give a file, a folder of files or a glob in quotes")
        unread = {name: why for name in kept if (why := unreachable(name))}
        if unread and not skip_bad:
            advice = ", or give --skip-bad-files" if what == "triples" else ""
            raise InputError(f"{what}: {next(iter(unread.values()))}; mend or remove it{advice}")
        files.update(name for name in kept if name not in unread)
        bad |= unread
        passed |= beside
    return Found(
        sorted(files), sorted((name, why) for name, why in passed.items() if name not in files), sorted(bad.items())
    )


def _names(pattern: str, what: str) -> tuple[list[str], str]:
    """Return the files of a pattern, and how they were found: as `folder`, as `glob`, or named by itself ("")."""
    fs, inner = _place(pattern)
    local = isinstance(fs, LocalFileSystem)
    if fs.isdir(inner):
        names = list(_walk(inner, {os.path.realpath(inner)}, set())) if local else fs.find(inner)
        return [name for name in names if not _hidden(name[len(inner) :])], "folder"
    if fs.exists(inner):
        if local and not stat.S_ISREG(os.stat(inner).st_mode):
            raise InputError(
                f"{what}: {pattern} is a pipe or a device, which is not read: a run reads its files more than once; write "
                "it to a file and name that"
            )
        return [inner], ""
    if local:
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                os.stat(inner)
            except PermissionError as error:
                raise InputError(f"{what}: {pattern}: cannot be opened: {reason_of(error)}") from error
    if local and os.path.islink(inner):
        return [inner], ""
    wild = "*[" if pattern.startswith(("http://", "https://")) else "*?["  # there a query is behind the ?
    if any(c in inner for c in wild):
        return [name for name in fs.glob(inner) if not fs.isdir(name) and (not local or _regular(name))], "glob"
    return [], ""


def _place(pattern: str) -> tuple[Any, str]:
    """Return the filesystem of a pattern and the path in it, without `..` where it is a local one."""
    fs, inner = filesystem(pattern)
    return fs, os.path.abspath(inner) if isinstance(fs, LocalFileSystem) else inner


def _walk(folder: str, folders: set[str], files: set[str]) -> Iterator[str]:
    """Yield the files below a folder, behind links too: each once, what is no link first."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {reason_of(error)}") from error
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        real = os.path.realpath(entry.path)
        if os.path.isdir(entry.path):
            if real not in folders:
                folders.add(real)
                yield from _walk(entry.path, folders, files)
        elif _regular(entry.path) and real not in files:
            files.add(real)
            yield entry.path


def _regular(path: str) -> bool:
    """Whether a path is a file, or may be one but cannot be reached, as behind a link to nothing."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return os.path.islink(path)
    except OSError:
        return True


def unreachable(path: str) -> str:
    """Return why a local file that is named cannot be reached, as a link to nothing; an empty string for any other."""
    fs, inner = _place(path)
    if not isinstance(fs, LocalFileSystem):
        return ""
    try:
        os.stat(inner)
    except FileNotFoundError:
        return f"{path}: a link to {os.readlink(inner)}, which is not there" if os.path.islink(inner) else ""
    except OSError as error:
        return f"{path}: cannot be opened: {reason_of(error)}"
    return ""


def _hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.split("/") if part)


def _without_root(names: list[str], pattern: str, searched: str, out: str) -> list[str]:
    """Return names without those of the output root: all below it where it lies within the folder, else what is its own."""
    if not out or not searched:
        return names
    (fs, inner), (root_fs, root) = _place(pattern), _place(out)
    if type(fs) is not type(root_fs):
        return names
    root = root.rstrip("/")
    if searched == "folder" and root.startswith(inner.rstrip("/") + "/"):
        return [name for name in names if not name.startswith(root + "/")]
    own = tuple(f"{root}/{part}" for part in (*OWN, CACHE))
    return [name for name in names if not any(name == part or name.startswith(part + "/") for part in own)]


def _beside(names: list[str]) -> dict[str, str]:
    """Return name -> why it is passed over, of files that go with data and hold none."""
    found = {name: "no data" for name in names if _BESIDE.fullmatch(os.path.basename(name).lower())}
    for name in names:
        if os.path.basename(name) == "state.json":
            found |= dict.fromkeys(_unsaved(name, names), "not of the data set that was saved")
    rest = [name for name in names if name not in found]
    described = [name for name in rest if name.lower().endswith(".json") and _describes(name)]
    return found | dict.fromkeys(described if len(described) < len(rest) else [], "no data")


def _unsaved(state: str, names: list[str]) -> list[str]:
    """Return the Arrow files beside a data set's state.json that are not of it: caches of what was once computed."""
    folder, saved = os.path.dirname(state), _description(state)
    listed = saved.get("_data_files") if saved else None
    if not isinstance(listed, list):
        return []
    own = {item.get("filename") for item in listed if isinstance(item, dict)}
    beside = [name for name in names if os.path.dirname(name) == folder and name.endswith(".arrow")]
    return [name for name in beside if os.path.basename(name) not in own]


def _describes(path: str) -> bool:
    """Whether a .json file is one object with plain values: a description, and neither records nor a run."""
    value = _description(path)
    if value is None or all(isinstance(held, list | dict) for held in value.values()):
        return False
    try:
        recognise(path)
    except InputError:
        return True
    return False


def _description(path: str) -> dict[str, Any] | None:
    try:
        if size_of(path) > DESCRIPTION_BYTES:
            return None
        value = parse_json(head(path, DESCRIPTION_BYTES + 1))
    except (OSError, InputError, BadRecordError):
        return None
    return value if isinstance(value, dict) else None
