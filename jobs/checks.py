"""What is checked of every row whatever its format: missing fields, unknown ids, empty texts, and the texts' ids.

Covers what a row shows by itself. Duplicates and negatives that are positives need the query's other rows:
`settle` finds them, fold by fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from jobs.config import good_source
from jobs.formats.base import REJECTS, clip_record
from jobs.ids import NO_ID, Side, id_array, text_id
from jobs.lookup import Index

ROLES: tuple[tuple[str, Side], ...] = (("query", "query"), ("positive", "passage"), ("negative", "passage"))
OK, NULL, UNKNOWN, EMPTY = range(4)
REASONS = {NULL: "null_field", UNKNOWN: "unknown_id", EMPTY: "empty_text"}


@dataclass(frozen=True)
class Checked:
    """Accepted rows and what they refer to.

    Attributes:
        rows: positions, int64 (n,).  ids: S16 (n, 3) of query, positive, negative.  source: n strings.
        texts: id -> (side, user id or None, text or None), each text once.
        rejects: frame with the columns REJECTS.
    """

    rows: np.ndarray
    ids: np.ndarray
    source: pl.Series
    texts: dict[bytes, tuple[Side, str | None, str | None]]
    rejects: pl.DataFrame


def check(frame: pl.DataFrame, indexes: Mapping[Side, Index]) -> Checked:
    """Check rows (columns ROWS) against the indexes of ids, where the user gave --corpus and --queries."""
    texts: dict[bytes, tuple[Side, str | None, str | None]] = {}
    ids, states = [], []
    for role, side in ROLES:
        found, state = _identify(side, frame[role], frame[f"{role}_id"], indexes.get(side), texts)
        ids.append(found)
        states.append(state)
    named = np.array([name is not None and good_source(name) for name in frame["source"].to_list()], dtype=bool)
    good = named & (np.max(states, axis=0) == OK) if len(frame) else named
    matrix = np.stack(ids, axis=1)
    rejects = [_reject(frame, int(i), [int(state[i]) for state in states]) for i in np.flatnonzero(~good)]
    kept = matrix[good]
    used = set(kept.ravel().view("V16").tolist())
    return Checked(
        frame["row"].to_numpy()[good],
        kept,
        frame["source"].filter(pl.Series(good, dtype=pl.Boolean)),
        {key: value for key, value in texts.items() if key in used},
        pl.DataFrame(rejects, schema=REJECTS, orient="row"),
    )


def _identify(
    side: Side,
    texts: pl.Series,
    ids: pl.Series,
    index: Index | None,
    seen: dict[bytes, tuple[Side, str | None, str | None]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return text ids S16 (n,) and states int8 (n,); puts each text that is met into `seen`."""
    found: list[bytes] = []
    state = np.zeros(len(texts), dtype=np.int8)
    cache: dict[str, bytes] = {}
    wanted: list[tuple[int, str]] = []
    for i, (text, user) in enumerate(zip(texts.to_list(), ids.to_list(), strict=True)):
        key = NO_ID
        if text is not None:
            if not text.strip():
                state[i] = EMPTY
            else:
                key = cache.get(text) or cache.setdefault(text, text_id(side, text))
                if key not in seen or (user is not None and (seen[key][1] is None or user < str(seen[key][1]))):
                    seen[key] = (side, user, text)
        elif user is None or not user.strip():
            state[i] = NULL
        elif index is not None:
            wanted.append((i, user))
        else:
            key = text_id(side, user)
            seen[key] = (side, user, None)
        found.append(key)
    result = id_array(found).copy()
    if index is not None and wanted:
        where = np.array([i for i, _ in wanted])
        result[where], state[where] = index.find([user for _, user in wanted], UNKNOWN, EMPTY)
    return result, state


def _reject(frame: pl.DataFrame, i: int, states: list[int]) -> tuple[object, ...]:
    record = {key: value for key, value in frame.row(i, named=True).items() if value is not None}
    row, source = record.pop("row"), record.get("source")
    for kind in (NULL, UNKNOWN, EMPTY):
        for (role, _), state in zip(ROLES, states, strict=True):
            if state == kind:
                given = record.get(f"{role}_id")
                detail = f"{role}_id {given!r} is in no file of that side" if kind == UNKNOWN else f"{role} is missing"
                if kind == EMPTY:
                    detail = f"{role} is empty or white space"
                return row, source, REASONS[kind], detail, clip_record(record)
    if source is None:
        return row, None, "null_field", "source is missing", clip_record(record)
    return row, source, "bad_record", "source is not 1 to 200 printable characters", clip_record(record)
