"""Committed runs: which there are, the newest, and each one's manifest, which is believed if it is what its hash says.

A run whose manifest cannot be read is named and passed over: it harms no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from jobs.errors import DamagedError, InputError, notice, reason_of
from jobs.output import layout
from jobs.output.records import LexicalSide, Manifest
from jobs.output.sealed import unsealed
from jobs.output.store import Store
from jobs.output.tables import TABLES, TABLES_LAYOUT

UNSEALED = frozenset(Manifest.__annotations__)
"""What a manifest of an older version may hold: it has no hash of itself, and nothing that is not known."""
NEEDED = {
    "created_at": str, "encoder": dict, "settings": dict, "inputs": list, "files": list, "totals": dict, "stages": dict,
}  # fmt: skip

UNSPACED = 0.01
"""Texts with characters of scripts without spaces, as a share of all, up to which another way of cutting them matters not."""
_FIRST_TOKENS = LexicalSide(tokens=1, unspaced=0, queries=0, queries_apart=0, warning=None)


def latest(store: Store) -> str:
    """Return the newest committed run's id. Raises InputError where there is none."""
    found = newest(store)
    if found is None:
        store.require_bucket()
        damaged = f" that can be read ({', '.join(runs)} cannot)" if (runs := committed(store)[-5:]) else ""
        raise InputError(
            f"{store.path()}: no finished run here{damaged}; make one with: eci run --triples ... --out ..."
        )
    return found


def newest(store: Store) -> str | None:
    """Return the newest committed run's id, or None: the one that LATEST names, or else the one committed last.

    What LATEST says wrong, and manifests that cannot be read, are named on the error stream.
    """
    run_id = latest_says(store)
    if run_id is not None:
        try:
            read_manifest(store, run_id)
            return run_id
        except InputError as error:
            why = str(error)
    manifests = whole(store)
    found = max(manifests, key=lambda name: (manifests[name]["created_at"], name), default=None)
    if run_id is not None and found is not None:
        notice(f"{store.path(layout.LATEST)} names no run that can be read ({why}); the newest that can is {found}")
    return found


def latest_says(store: Store) -> str | None:
    """Return what LATEST says, None where there is no such file; it may be damaged."""
    try:
        return store.read_bytes(layout.LATEST).decode(errors="backslashreplace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return reason_of(error)


def named(store: Store, given: str | None = None) -> str:
    """Return the whole id of a run that is named by the beginning of its id, or by nothing: the newest.

    Raises:
        InputError: there is no finished run, none of this name, or more than one.
    """
    if given is None:
        return latest(store)
    runs = committed(store)
    found = [r for r in runs if r == given] or [r for r in runs if given and r.startswith(given)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join((found if len(found) > 1 else runs)[-5:]) or "none"
    if len(found) > 1:
        raise InputError(f"{store.path()}: {given!r} begins the ids of {len(found)} runs ({listed}); give more of it")
    raise InputError(f"{store.path()}: no run {given!r}; runs: {listed}")


def read_manifest(store: Store, run_id: str) -> Manifest:
    """Return a committed run's manifest, without its hash.

    Raises:
        InputError: the id is not that of a committed run.  DamagedError: the manifest is not what it was.
    """
    path = layout.manifest_in(layout.run_folder(run_id))
    try:
        if not layout.RUN_ID.fullmatch(run_id):
            raise FileNotFoundError
        found = _manifest(store.read_text(path), run_id)
    except (FileNotFoundError, NotADirectoryError):
        listed = ", ".join(committed(store)[-5:]) or "none"
        raise InputError(f"{store.path()}: no run {run_id[:100]!r}; runs: {listed}") from None
    except (OSError, ValueError) as error:
        raise DamagedError(
            f"{store.path(path)}: the manifest is damaged: {reason_of(error)}; restore it from a backup, or remove the run's "
            "folder and run again"
        ) from error
    if layout_of(found) > TABLES_LAYOUT:
        raise InputError(
            f"{store.path(path)}: its tables have layout {layout_of(found)}, and this version of eci-lake reads up to "
            f"{TABLES_LAYOUT}; use the version that wrote it, or a newer one"
        )
    return found


def layout_of(manifest: Manifest) -> int:
    """Return the layout of a run's tables (TABLES_LAYOUT when it is this version's)."""
    return int(manifest.get("layout", 1))


def _manifest(text: str, run_id: str) -> Manifest:
    """Return the manifest that a text is. Raises ValueError where it is none."""
    value = unsealed(text, UNSEALED)
    wrong = [name for name, kind in NEEDED.items() if not isinstance(value.get(name), kind)]
    if wrong or value.get("run_id") != run_id or not all(_is_file(file) for file in value["files"]):
        raise ValueError("it is not the manifest of this run")
    return cast(Manifest, value)


def _is_file(file: object) -> bool:
    if not isinstance(file, dict) or not isinstance(path := file.get("path"), str) or ".." in path.split("/"):
        return False
    known = any(table.name == file.get("table") and table.holds(path) for table in TABLES)
    return known and isinstance(file.get("bytes"), int) and isinstance(file.get("sha256"), str)


def same_tokens(a: Manifest, b: Manifest) -> bool:
    """Return whether two runs with the same tokenizer take the same tokens of their texts, but for a few texts."""
    sides = [manifest.get("lexical") or _FIRST_TOKENS for manifest in (a, b)]
    if sides[0]["tokens"] == sides[1]["tokens"]:
        return True
    return all(
        side["unspaced"] <= UNSPACED * manifest["totals"]["texts"] for side, manifest in zip(sides, (a, b), strict=True)
    )


def committed(store: Store) -> list[str]:
    """Return the ids of all committed runs, oldest first (ids begin with the time), also of damaged ones."""
    ids = [name for name in store.names(layout.RUNS) if layout.RUN_ID.fullmatch(name)]
    return [name for name in ids if store.exists(layout.manifest_in(layout.run_folder(name)))]


def whole(store: Store, among: Iterable[str] | None = None) -> dict[str, Manifest]:
    """Return the manifests of the committed runs, oldest first; those that cannot be read are named and left out.

    `among`: ids of some of them (None: all).
    """
    found = {}
    for run_id in committed(store) if among is None else among:
        try:
            found[run_id] = read_manifest(store, run_id)
        except InputError as error:
            notice(f"run {run_id} is left out: {error}")
    return found


def free_run_id(store: Store, wanted: str) -> str:
    """Return `wanted`, or with a number behind it when that run exists already."""
    number, run_id = 1, wanted
    while store.exists(layout.run_folder(run_id)):
        number += 1
        run_id = f"{wanted}-{number}"
    return run_id
