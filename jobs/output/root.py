"""Whose folder it is: an output root knows itself by a marker, and nothing is written or removed in a folder without it.

The marker is put when a root is made: in a folder that is new or empty, or that the user says is to be one (`--adopt`).
Roots of versions that knew no marker are recognised by the runs, finished or begun, that they hold, and by a cache: that may
be copied from one root to another.
"""

from __future__ import annotations

import json

from jobs.errors import InputError
from jobs.output import layout
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store

FORMAT = 1
"""Of the output root's layout."""


def is_root(store: Store) -> bool:
    """Return whether a folder is an output root."""
    return store.exists(layout.MARKER) or _of_older_version(store)


def claim(store: Store, adopt: bool = False) -> None:
    """Make a folder that is new or empty an output root; nothing happens where it is one.

    Args:
        adopt: whether a folder that holds other things is to be one as well; they are left alone.

    Raises:
        InputError: it holds other things.
    """
    if store.exists(layout.MARKER):
        _require_known(store)
        return
    if not _of_older_version(store):
        held = _held(store)
        if layout.MARKER in held:  # somebody else's first run has just put it
            return
        own = [name for name in held if name in layout.OWN]
        if adopt and own:
            raise InputError(
                f"{store.path()} cannot be an output root: {_some(own)} is there, which eci would write; name another folder"
            )
        if held and not adopt:
            raise InputError(
                f"{store.path()} is no output root of eci and holds other things ({_some(held)}): name a new or empty "
                "folder with --out, or let eci run --adopt use this one; what is in it is left alone"
            )
    store.require_bucket()
    store.write_text(layout.MARKER, json.dumps(sealed({"made_by": "eci-lake", "format": FORMAT})) + "\n")


def require(store: Store) -> None:
    """Raise InputError where a folder is no output root, so that nothing in it is touched."""
    if not store.exists(""):
        store.require_bucket()
        raise InputError(f"{store.path()}: no output root here")
    if not is_root(store):
        held = _held(store)
        what = f"holds other things ({_some(held)})" if held else "is empty"
        raise InputError(f"{store.path()} is no output root of eci: it {what}; nothing in it was touched")
    _require_known(store)


def _require_known(store: Store) -> None:
    """Raise InputError where a newer version has made the root. A marker that is damaged says nothing, and locks nobody out."""
    try:
        found = unsealed(store.read_text(layout.MARKER))["format"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            f"{store.path()}: an output root of format {found}, and this version of eci-lake knows up to {FORMAT}: use the version "
            "that made it, or a newer one; nothing in it was touched"
        )


def _of_older_version(store: Store) -> bool:
    """Return whether a folder without a marker holds a run that an older version has finished or begun, or its cache."""
    _held(store)
    try:
        for fingerprint in store.names(layout.CACHE):
            if any(layout.BUCKET.fullmatch(name) for name in store.names(layout.cache_of(fingerprint))):
                return True
        runs = filter(layout.RUN_ID.fullmatch, store.names(layout.RUNS))
        work = filter(layout.WORK_NAME.fullmatch, store.names(layout.WORK))
    except NotADirectoryError:
        return False
    paths = [layout.manifest_in(layout.run_folder(name)) for name in runs]
    paths += [layout.state_in(layout.work_folder(name)) for name in work]
    return any(_is_ours(store, path) for path in paths)


def _held(store: Store) -> list[str]:
    """Return what lies in a folder. Raises InputError where it is a file."""
    try:
        return store.names("", links=True)
    except NotADirectoryError:
        raise InputError(f"{store.path()} is a file; an output root is a folder or a URL") from None


def _is_ours(store: Store, path: str) -> bool:
    try:
        found = json.loads(store.read_text(path))
    except (OSError, ValueError):
        return False
    if not isinstance(found, dict) or not isinstance(found.get("run_id"), str):
        return False
    identity = found.get("identity")
    return "formula_version" in found or (isinstance(identity, dict) and "formula" in identity)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
