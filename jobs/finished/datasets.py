"""What a run reads and writes as lineage names it: datasets by namespace and name, their versions, rows, bytes and files.

Names follow OpenLineage's conventions: a local path in the namespace `file`, an object in that of its bucket (`s3://bucket`), an
Iceberg table in that of its catalog. Names stay the same from night to night; what changes is the version.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from jobs.addresses import is_url
from jobs.lakes.naming import lies_at, named, place_of
from jobs.output.records import PASSED_OVER, InputFile, Manifest, TableUsed
from jobs.output.tables import TABLES, Table


@dataclass(frozen=True)
class Dataset:
    """A dataset. `version`, `rows`, `bytes`, `files`: None where they are not known.  `table`: one of ours, for its columns."""

    namespace: str
    name: str
    version: str | None = None
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    table: Table | None = None


def inputs_of(
    files: Iterable[InputFile], tables: Iterable[TableUsed], given: Collection[str], rows: int | None = None
) -> list[Dataset]:
    """Return what a run reads: tables, files that were named themselves, and the folders of the others.

    Args:
        files: with their digests, which make the versions, or with empty ones before they are read.  given: the addresses of the settings.
        rows: of the triples, where they are known; told where these are one dataset.
    """
    groups: dict[str, list[InputFile]] = {f"{table['table']}@{table['version']}": [] for table in tables}
    for file in files:
        if not file["what"].startswith(PASSED_OVER):
            groups.setdefault(_group(file["path"], given), []).append(file)
    alone = sum(any(file["what"] == "triples" for file in group) for group in groups.values()) == 1
    found = []
    for address, group in groups.items():
        counted = rows if alone and any(file["what"] == "triples" for file in group) else None
        table = named(address)
        version = _version(group) if table is None else str(table.version)
        size = sum(file["size"] for file in group)
        found.append(Dataset(*_named(address), version, counted, size, len(group)))
    return found


def outputs_of(out: str, manifest: Manifest) -> list[Dataset]:
    """Return the tables that a run has written below its output root, each at the version of the run."""
    namespace, root = _named(out)
    found = []
    for table in TABLES:
        files = [file for file in manifest["files"] if file["table"] == table.name]
        if files:
            rows, size = sum(file["rows"] for file in files), sum(file["bytes"] for file in files)
            name = f"{root}/{table.name}"
            found.append(Dataset(namespace, name, manifest["run_id"], rows, size, len(files), table))
    return found


def published_of(to: str, run_id: str, appended: Mapping[str, int]) -> list[Dataset]:
    """Return the tables over all runs that a run was appended to. `appended`: rows by table, as `jobs.publishing` says."""
    kind, place = place_of(to)
    tables = {table.name: table for table in TABLES}
    separator = "/" if kind == "delta" else "."
    return [
        Dataset(*_named(f"{kind}:{place}{separator}{name}"), None, rows, table=tables[name])
        for name, rows in appended.items()
        if rows
    ]


def _group(path: str, given: Collection[str]) -> str:
    table = named(path)
    if table is not None:
        return f"{table.table}@{table.version}"
    return path if path in given else os.path.dirname(path)


def _version(group: list[InputFile]) -> str | None:
    """Return the version of files: the digest of the one, or one over all of them."""
    if not all(file["digest"] for file in group):
        return None
    if len(group) == 1:
        return group[0]["digest"]
    listed = sorted(f"{file['path']} {file['digest']}" for file in group)
    return f"sha256:{hashlib.sha256(chr(10).join(listed).encode()).hexdigest()}"


def _named(address: str) -> tuple[str, str]:
    """Return the namespace and the name of a table, a file or a folder."""
    table = named(address)
    place = lies_at(address).rstrip("/")
    if table is not None and table.kind == "iceberg":
        if not place.endswith(".metadata.json"):
            catalog, _, name = place.partition("/")
            return f"iceberg://{catalog}", name
        place = place.rpartition("/metadata/")[0]
    if is_url(place):
        scheme, _, rest = place.partition("://")
        bucket, _, key = rest.partition("/")
        return f"{scheme}://{bucket}", key or "/"
    return "file", os.path.abspath(place)
