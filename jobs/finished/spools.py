"""Texts and vectors of a finished run in one local file, in the order of ids: a spool, read at any place without holding it in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import EciError
from jobs.finished.committed import Finished
from jobs.ids import from_arrow, lookup


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


def spool_texts(run: Finished, ids: np.ndarray, folder: str) -> TextSpool:
    """Lay the texts of ascending ids into a spool, by one pass over the run's texts."""
    path = Path(folder) / "texts"
    found, spans, written = [], {"text": [], "user_id": []}, 0  # type: ignore[var-annotated]
    with path.open("wb") as file:
        for table in run.texts(["text_id", "text", "user_id"]):
            here = from_arrow(table["text_id"])
            chosen = table.take(pa.array(np.flatnonzero(lookup(ids, here) >= 0)))
            found.append(from_arrow(chosen["text_id"]).copy())
            for name, parts in spans.items():
                data = chosen[name].cast(pa.large_binary()).combine_chunks()
                data = pa.concat_arrays(data.chunks) if isinstance(data, pa.ChunkedArray) else data
                size = pc.fill_null(pc.binary_length(data), -1).to_numpy(zero_copy_only=False)
                joined = b"".join(value for value in data.to_pylist() if value)
                file.write(joined)
                real = np.maximum(size, 0)
                parts.append((written + np.cumsum(real) - real, size))
                written += len(joined)
    columns = {
        name: tuple(np.concatenate([part[k] for part in parts]).astype(np.int64) for k in (0, 1))
        for name, parts in spans.items()
    }
    return TextSpool(np.concatenate(found), str(path), columns)  # type: ignore[arg-type]


@dataclass(frozen=True)
class VectorSpool:
    """Vectors (n, dim) of `dtype` in a file, of ascending ids S16 (n,); `present` says which of them there are."""

    ids: np.ndarray
    present: np.ndarray
    path: str
    dim: int
    dtype: str

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Return unit vectors float32 of ids S16 (n,), as they were scored.

        Raises:
            EciError: the cache lacks one of them.
        """
        from jobs.vectors.columns import unit_rows, unit_scale

        at = lookup(self.ids, ids)
        if np.any(at < 0) or not self.present[at].all():
            raise EciError("vectors of this run's texts are missing (cache or --vectors); run again to have them anew")
        stored = np.memmap(self.path, self.dtype, "r", shape=(len(self.ids), self.dim))
        rows = np.asarray(stored[at])
        return unit_rows(rows, unit_scale(rows, np.ones(len(rows), dtype=bool)))
