"""Committed runs: which there are, the newest, and each one's manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from jobs.errors import EciError, InputError
from jobs.output import layout
from jobs.output.records import LexicalSide, Manifest
from jobs.output.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

UNSPACED = 0.01
"""Texts with characters of scripts without spaces, as a share of all, up to which another way of cutting them matters not."""
_FIRST_TOKENS = LexicalSide(tokens=1, unspaced=0, queries=0, queries_apart=0, warning=None)


def latest(store: Store) -> str:
    """Return the newest committed run's id. Raises InputError where there is none."""
    try:
        return store.read_text(layout.LATEST).strip()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{store.path()}: no finished run here; make one with: eci run --triples ... --out ..."
        ) from None


def read_manifest(store: Store, run_id: str) -> Manifest:
    """Return a committed run's manifest. Raises InputError for an id that is not one of them."""
    if run_id not in committed(store):
        raise InputError(f"{store.path()}: no run {run_id!r}; runs: {', '.join(committed(store)[-5:]) or 'none'}")
    path = layout.manifest_in(layout.run_folder(run_id))
    try:
        return cast(Manifest, json.loads(store.read_text(path)))
    except (OSError, ValueError) as error:
        raise EciError(f"{store.path(path)}: cannot be read: {error}") from error


def same_tokens(a: Manifest, b: Manifest) -> bool:
    """Return whether two runs with the same tokenizer take the same tokens of their texts, but for a few texts."""
    sides = [manifest.get("lexical") or _FIRST_TOKENS for manifest in (a, b)]
    if sides[0]["tokens"] == sides[1]["tokens"]:
        return True
    return all(
        side["unspaced"] <= UNSPACED * manifest["totals"]["texts"] for side, manifest in zip(sides, (a, b), strict=True)
    )


def committed(store: Store) -> list[str]:
    """Return the ids of all committed runs, oldest first (ids begin with the time)."""
    named = [name for name in store.names(layout.RUNS) if layout.RUN_ID.fullmatch(name)]
    return [name for name in named if store.exists(layout.manifest_in(layout.run_folder(name)))]


def read_published(store: Store, run_id: str, relative: str, **options: Any) -> pa.Table:
    """Read a Parquet file of a committed run, by its path in the run's folder; options are those of pyarrow's read_table."""
    import pyarrow.parquet as pq

    with store.open(f"{layout.run_folder(run_id)}/{relative}") as source:
        return pq.read_table(source, **options)


def free_run_id(store: Store, wanted: str) -> str:
    """Return `wanted`, or with a number behind it when that run exists already."""
    number, run_id = 1, wanted
    while store.exists(layout.run_folder(run_id)):
        number += 1
        run_id = f"{wanted}-{number}"
    return run_id
