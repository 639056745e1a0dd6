"""Texts and vectors of a finished run in one local file, in the order of ids: a spool, read at any place without holding it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.errors import EciError
from jobs.finished.committed import Finished
from jobs.ids import from_arrow, lookup
from jobs.ingest.text_spool import TextSpool, write_spool


def spool_texts(run: Finished, ids: np.ndarray, folder: str) -> TextSpool:
    """Lay the texts of ascending ids into a spool, by one pass over the run's texts."""

    def chosen() -> Iterator[pa.Table]:
        for table in run.texts(["text_id", "text", "user_id"]):
            here = from_arrow(table["text_id"])
            yield table.take(pa.array(np.flatnonzero(lookup(ids, here) >= 0))).rename_columns({"text_id": "id"})

    return write_spool(chosen(), folder)


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
