"""What a source is called after its files, where neither --source nor a record names it.

Shards of a data set are one source. Files of one name in different folders are told apart by as much of the path as that
takes. Covers: names of files. Does not cover: where a record says its source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import unquote

from jobs.formats.opening import is_there, stem_of
from jobs.ids import tidy
from jobs.lakes.naming import named

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What is counted by these are rivals, not shards.
_COUNTED = re.compile(r"(?:step|ckpt|checkpoint|epoch|iter|iteration|seed|run|exp|trial|round|version|v|top|k)$", re.I)
_SHARDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\.(?:snappy|gz|zstd|zst|lz4|brotli|parquet|jsonl?|csv|tsv|txt)$",  # an ending before the last one
        rf"(?:^|[-_.]){_UUID}(?:[-_.]c\d+)?(?:[-_.]\d+)?$",  # Spark
        r"(?:^|[-_.])\d+[-_]of[-_]\d+(?:[-_.][0-9a-f]{16})?$",  # Hugging Face, TensorFlow
        r"(?:^|[-_.])(?:part|shard|chunk)[-_. ]?\d+(?:[-_.]\d+)*$",  # Hadoop, Dask
        r"(?:^|[-_.])0\d{2,}(?:_\d+)?$",  # BigQuery, Hive
        r"^(?:data[-_.])?\d+(?:_\d+)?$",  # DuckDB
    )
)
_HIVE = re.compile(r"[A-Za-z_][\w.-]*=(.+)", re.DOTALL)

FILE, SHARDS, ABOVE = "file name", "file name without shard number", "folder of shards"
PATH, FOLDER, TABLE = "what tells paths apart", "folder source=", "name of the table"


class FileSource(NamedTuple):
    """What the source of a file is called, and by which rule: one of FILE, SHARDS, ABOVE, PATH, FOLDER, TABLE."""

    name: str
    rule: str


_DataSet = tuple[str, ...]
"""Files that are one source, by their folders and, unless it says no more than the number of a shard, their name."""


def without_shard(stem: str) -> str:
    """Return a file's stem without what says which shard of a data set it is; "" where it says nothing else.

    `train-00000-of-00003` gives `train`, `bm25.part-3` gives `bm25`, `part-00000-<uuid>-c000` gives "".
    """
    given = stem
    while stem:
        shorter = next((cut for cut in (shard.sub("", stem) for shard in _SHARDS) if cut != stem), stem)
        shorter = shorter.rstrip("-_. ")
        if shorter == stem or _COUNTED.search(shorter):
            break
        stem = shorter
    return "" if stem != given and stem.lower() in ("part", "shard", "chunk") else stem


def named_path(given: str) -> tuple[str | None, str]:
    """Return the name and the path of `NAME=PATH`; None and the whole where it is a path, which may hold `=` as well."""
    name, equals, path = given.partition("=")
    if named(given) is not None:
        return None, given
    # no name has a protocol, and what is there under the whole is a path
    if not equals or not path or not name.strip() or "://" in name:
        return None, given
    if named(path) is None and "://" not in path and is_there(given):
        return None, given
    # folders of Hive that match nothing would be taken for names
    return (None, given) if "/" in name and not is_there(path) else (tidy(name), path)


def by_name(given: Iterable[str]) -> dict[str | None, list[str]]:
    """Return the paths of each NAME of `NAME=PATH`, and under None those without one."""
    paths: dict[str | None, list[str]] = {}
    for each in given:
        name, path = named_path(each)
        paths.setdefault(name, []).append(path)
    return paths


def source_folder(path: str) -> str | None:
    """Return NAME of the last folder `source=NAME` above a file; None where there is none, and for a table's files.

    The folders of a table are its own affair: it has a column for what they say.
    """
    if named(path) is not None:
        return None
    found = [part.partition("=")[2] for part in path.split("/")[:-1] if part.startswith("source=")]
    return tidy(unquote(found[-1])) if found and found[-1] else None


def file_sources(paths: Iterable[str]) -> dict[str, FileSource]:
    """Return what the source of each of some files is called where nothing else names it.

    Data sets of one name in different folders are called by the parts of their paths that differ; where these are another
    data set's name, by more of the path. `paths`: absolute ones, or URLs.
    """
    found: dict[str, FileSource] = {}
    sets: dict[str, tuple[_DataSet, str]] = {}
    for path in dict.fromkeys(paths):
        folder = source_folder(path)
        if folder is not None:
            found[path] = FileSource(folder, FOLDER)
            continue
        table = named(path)
        if table is not None:
            sets[path] = tuple(map(tidy, filter(None, table.root.split("/")))), TABLE
            continue
        folders = [_shown(part) for part in path.split("/")[:-1] if part]
        stem, name = stem_of(path), without_shard(stem_of(path))
        # at the top of a file system a shard has no other name than its own
        whole = [*folders, name] if name else folders or [stem]
        sets[path] = tuple(map(tidy, whole)), FILE if name == stem else SHARDS if name or not folders else ABOVE
    names = _told_apart({each for each, _ in sets.values()})
    for path, (each, rule) in sets.items():
        name, by_path = names[each]
        found[path] = FileSource(name, PATH if by_path else rule)
    return found


def file_source(path: str) -> str:
    """Return what the source of a file is called where there is no other file."""
    return file_sources([path])[path].name


def _told_apart(sets: set[_DataSet]) -> dict[_DataSet, tuple[str, bool]]:
    """Return each data set's name, and whether it takes the path. No two have the same."""
    groups: dict[str, list[_DataSet]] = {}
    for each in sorted(sets):
        groups.setdefault(each[-1], []).append(each)
    level = {base: 0 if len(group) == 1 else 1 for base, group in groups.items()}
    while True:
        names = {base: _names(group, level[base]) for base, group in groups.items()}
        counts = Counter(name for found in names.values() for name in found)
        longer = [b for b in groups if 1 <= level[b] < 3 and any(counts[name] > 1 for name in names[b])]
        if not longer:
            return {
                each: (name, level[base] > 0)
                for base, group in groups.items()
                for each, name in zip(group, names[base], strict=True)
            }
        for base in longer:
            level[base] += 1


def _names(group: Sequence[_DataSet], level: int) -> list[str]:
    """Return names for data sets whose paths end alike: 0: the end, 1: what differs, 2: and what follows it, 3: all."""
    before = _common(group) if level in (1, 2) else 0
    after = _common([path[before:][::-1] for path in group]) if level == 1 else 0
    parts = [path[-1:] if level == 0 else path[before : len(path) - after] or path[-1:] for path in group]
    return ["/".join(part) for part in parts]


def _common(paths: Sequence[tuple[str, ...]]) -> int:
    """Return how many parts all paths begin with, fewer than the shortest has."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _shown(folder: str) -> str:
    """Return a folder as it is shown: of Hive's `key=value` the value."""
    hive = _HIVE.fullmatch(folder)
    return unquote(hive[1]) if hive else folder
