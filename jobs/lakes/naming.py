"""What a table of a lake and its files are called: one line of text that says table, version, file and condition.

    delta:/lake/triples                                   a table, at its newest version
    delta:/lake/triples@12                                at one version
    iceberg:CATALOG/NAMESPACE.TABLE@4711                  at one snapshot
    iceberg:CATALOG/NAMESPACE.TABLE@4711.2                and with the columns of one schema
    delta:/lake/triples@12!where:day >= '2026-11-01'      some rows of it
    delta:/lake/triples@12!day=2026-11-01/part-0.parquet  one of its data files

The last form stands wherever a path of an input stands (units, manifests, rejects), and any process can open it again.
Covers: the text. Does not cover: what is there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from jobs.addresses import TABLES, expanded, is_url, prefix_of, refuse_secret
from jobs.errors import InputError

KINDS = tuple(begin.rstrip(":") for begin in TABLES)
_NAMESPACE = re.compile(r"[^/]+/[^/]+")
_NAME = re.compile(
    r"(?P<kind>delta|iceberg):(?P<root>.+?)(?:@(?P<version>-?\d+)(?:\.(?P<schema>\d+))?)?(?:!where:(?P<where>[^!]*))?(?:!(?P<file>.+))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Named:
    """A table, or (`file`) one of its data files, as its log names it without percent signs.

    Attributes:
        kind: one of KINDS.  root: the table's folder or URL; of Iceberg CATALOG/NAMESPACE.TABLE, or a metadata file.
        version: of Delta its version, of Iceberg its snapshot, None for the newest.
        where: which rows are taken, "" for all.
        schema: of Iceberg, where columns may be renamed after the newest snapshot: the schema, None for the snapshot's own.
    """

    kind: str
    root: str
    version: int | None = None
    where: str = ""
    file: str = ""
    schema: int | None = None

    def __str__(self) -> str:
        """Return it as text, which `named` reads."""
        version = "" if self.version is None else f"@{self.version}"
        version += "" if self.schema is None else f".{self.schema}"
        where = f"!where:{quote(self.where, safe=_PLAIN)}" if self.where else ""
        return f"{self.table}{version}{where}{f'!{self.file}' if self.file else ''}"

    @property
    def table(self) -> str:
        """The table without version, file and condition."""
        return f"{self.kind}:{self.root}"

    @property
    def at_version(self) -> str:
        """The table and its version, for messages."""
        return str(replace(self, where="", file=""))

    def of_file(self, file: str) -> Named:
        """Return one of its files."""
        return replace(self, file=file)

    @property
    def path(self) -> str:
        """The path or URL where the data file lies."""
        # what a shallow clone has taken from another table has a path of its own
        return self.file if "://" in self.file or self.file.startswith("/") else f"{self.root.rstrip('/')}/{self.file}"


_PLAIN = " ()'\"<>=,.:+*/$@|[]{}~^`\\"


def named(address: str) -> Named | None:
    """Return the table or the table's file that an address names, None for any other address."""
    if not prefix_of(address):
        return None
    found = _NAME.fullmatch(address)
    if found is None:
        return None
    version = None if found["version"] is None else int(found["version"])
    schema = None if found["schema"] is None else int(found["schema"])
    return Named(found["kind"], found["root"], version, unquote(found["where"] or ""), found["file"] or "", schema)


def lies_at(address: str) -> str:
    """Return where a table's data file lies, or the table itself; any other address as it is."""
    found = named(address)
    return address if found is None else found.path if found.file else found.root


def table_of(address: str) -> str:
    """Return the table that an address names, or is of a file of; any other address as it is."""
    found = named(address)
    return address if found is None else found.at_version


def any_version(address: str) -> str:
    """Return the address of a table's file without the version: a file that two versions have is the same; others as they are."""
    found = named(address)
    return address if found is None else str(replace(found, version=None, schema=None))


def place_of(to: str) -> tuple[str, str]:
    """Return where runs are published as tables: the kind, and a folder or URL (Iceberg: CATALOG/NAMESPACE).

    Raises:
        InputError: it is no such place, or holds a secret.
    """
    refuse_secret(to, "publish")
    kind, _, place = expanded(to).partition(":")
    if kind not in KINDS or not place.strip() or (kind == "iceberg" and not _NAMESPACE.fullmatch(place)):
        raise InputError(
            f"{to!r} is no place of tables; give delta: and a folder or a URL, such as delta:/lake/eci, or iceberg:CATALOG/NAMESPACE"
        )
    return kind, place.rstrip("/") if is_url(place) or kind == "iceberg" else os.path.abspath(place)


def table_at(to: str) -> tuple[str, str, str]:
    """Return where one table is written: the kind, the folder or URL that it lies in (Iceberg: CATALOG/NAMESPACE), its name there.

    Raises:
        InputError: it is no such table, is named with a version or a file, or holds a secret.
    """
    refuse_secret(to, "--to")
    found = named(expanded(to))
    root = "" if found is None or found.version is not None or found.where or found.file else found.root.rstrip("/")
    if found is not None and found.kind == "delta" and root.strip() and not is_url(root):
        root = os.path.abspath(root)
    place, _, name = root.rpartition("." if found is not None and found.kind == "iceberg" else "/")
    if (
        found is None
        or not name.strip()
        or not place.strip()
        or (found.kind == "iceberg" and not _NAMESPACE.fullmatch(place))
    ):
        raise InputError(
            f"{to!r} is no table to write; give delta: and a folder or a URL, such as delta:/lake/train, or iceberg:CATALOG/NAMESPACE.TABLE"
        )
    return found.kind, place, name
