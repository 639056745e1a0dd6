"""What keys and columns are called: as people have them, and as the formats know them.

A name is known whatever its case and the blanks around it, and `--columns query=claim` says that `claim` is the query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jobs.errors import InputError, nearest

Columns = tuple[tuple[str, str], ...]
"""Pairs of a name that formats know and the name that the files have for it."""


def known_names(names: Iterable[str], columns: Columns = ()) -> dict[str, str]:
    """Return given name -> the name it is read as, of those that are read as another; "" for one that is not read.

    A column that the map names stands before one that has the name already. Of two that differ by case or blanks only,
    neither is renamed.
    """
    return _known_names(tuple(names), columns)


@lru_cache(maxsize=256)
def _known_names(names: tuple[str, ...], columns: Columns) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, given in columns:
        for here in names:
            if here not in found and given in (here, plain(here)):
                found[here] = name
    mapped = set(found.values())
    others = [plain(name) for name in names if name not in found]
    for name in names:
        if name in found:
            continue
        if plain(name) in mapped:
            found[name] = ""
        elif plain(name) != name and others.count(plain(name)) == 1:
            found[name] = plain(name)
    return found


def plain(name: str) -> str:
    """Return a name without blanks and marks around it, in lower case."""
    return name.strip(" \t\r\ufeff\"'").lower()


def renamed(record: Mapping[str, Any], columns: Columns = ()) -> Mapping[str, Any]:
    """Return a record under the names that formats know."""
    other = _known_names(tuple(record), columns)
    if not other:
        return record
    return {other.get(name, name): value for name, value in record.items() if other.get(name, name)}


def check_columns(path: str, names: Iterable[str], columns: Columns) -> None:
    """Raise InputError when the map names a column that a file does not have.

    Args:
        path: the file.
        names: its columns, or the keys of its first records.
        columns: the map.
    """
    present = list(names)
    for name, given in columns:
        if not any(given in (here, plain(here)) for here in present):
            raise InputError(
                f"{path}: no column {given!r}, which --columns {name}={given} names{nearest(given, present)} (its columns "
                f"are {', '.join(present[:20]) or 'none'})"
            )
