"""Texts in one local file, found by their ids and read at any place without holding them in memory: a spool."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ids import first_of_run, from_arrow, lookup


class Text(NamedTuple):
    """A text as an output record shows it: the user's id, or else the text id in hex; the text."""

    id: str
    user_id: str | None
    text: str | None


@dataclass(frozen=True)
class TextSpool:
    """Texts of ascending ids S16 (n,): a file of UTF-8, and where in it each text and user id begins and its size."""

    ids: np.ndarray
    path: str
    spans: dict[str, tuple[np.ndarray, np.ndarray]]

    def take(self, ids: np.ndarray) -> list[Text]:
        """Return the texts of ids S16 (n,)."""
        at = lookup(self.ids, ids)
        file = os.open(self.path, os.O_RDONLY)

        def values(name: str) -> list[str | None]:
            start, size = (column[at].tolist() for column in self.spans[name])
            # reads, no memory map: mapped pages would count as this process's memory
            return [None if n < 0 else os.pread(file, n, s).decode() for s, n in zip(start, size, strict=True)]

        try:
            texts, users = values("text"), values("user_id")
        finally:
            os.close(file)
        keys = [bytes(key).hex() for key in np.ascontiguousarray(ids).view("V16").tolist()]
        return [Text(user or key, user, text) for key, user, text in zip(keys, users, texts, strict=True)]


def write_spool(tables: Iterable[pa.Table], folder: str) -> TextSpool:
    """Lay texts into a spool below `folder`.

    Args:
        tables: columns id, text, user_id. Of an id that comes more than once the first text is found.
    """
    path = Path(folder) / "texts"
    found, spans, written = [np.empty(0, "S16")], {"text": [], "user_id": []}, 0  # type: ignore[var-annotated]
    with path.open("wb") as file:
        for table in tables:
            found.append(from_arrow(table["id"]).copy())
            for name, parts in spans.items():
                data = table[name].cast(pa.large_binary()).combine_chunks()
                data = pa.concat_arrays(data.chunks) if isinstance(data, pa.ChunkedArray) else data
                size = pc.fill_null(pc.binary_length(data), -1).to_numpy(zero_copy_only=False)
                joined = b"".join(value for value in data.to_pylist() if value)
                file.write(joined)
                real = np.maximum(size, 0)
                parts.append((written + np.cumsum(real) - real, size))
                written += len(joined)
    ids = np.concatenate(found)
    order = None
    if not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        order = order[first_of_run(ids[order])]
        ids = ids[order]
    columns = {name: (_joined(parts, 0, order), _joined(parts, 1, order)) for name, parts in spans.items()}
    return TextSpool(ids, str(path), columns)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]], which: int, order: np.ndarray | None) -> np.ndarray:
    whole = np.concatenate([np.empty(0, dtype=np.int64), *(part[which] for part in parts)]).astype(np.int64)
    return whole if order is None else whole[order]
