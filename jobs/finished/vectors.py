"""The vectors of a finished run, from wherever it had them: the cache, or the files of --vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.given_vectors import spool_given
from jobs.finished.spools import VectorSpool
from jobs.ids import from_arrow, lookup
from jobs.output import layout
from jobs.vectors.cache import Cache
from jobs.vectors.columns import unit_rows, unit_scale


def vectors_of(run: Finished, ids: np.ndarray, folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors float32 (n, d) of ascending distinct ids S16 (n,), zeros for none, and which there are.

    `folder`: a local one, for a spool. Raises InputError as `spool_vectors`.
    """
    if run.settings.get("vectors"):
        spool = spool_given(run, folder)
        at = lookup(spool.ids, ids)
        there = (at >= 0) & spool.present[at]
        vectors = np.zeros((len(ids), run.dim), dtype=np.float32)
        vectors[there] = spool.take(ids[there])
        return vectors, there
    rows, there = Cache(run.store, str(run.manifest["encoder"]["fingerprint"]), run.dim).load(ids)
    return unit_rows(rows, unit_scale(rows, there)), there


def spool_vectors(run: Finished, folder: str) -> VectorSpool:
    """Lay a run's vectors into a spool below a local folder.

    Raises:
        InputError: the cache no longer holds them, or the files of --vectors, --corpus, --queries are not what they were.
    """
    if run.settings.get("vectors"):
        return spool_given(run, folder)
    fingerprint = str(run.manifest["encoder"]["fingerprint"])
    cache = Cache(run.store, fingerprint, run.dim)
    if not run.store.exists(layout.cache_of(fingerprint)):
        raise InputError(f"{run.store.path()}: no cached vectors of {fingerprint}; run again to embed the texts anew")
    ids, valid, path = [], [], Path(folder) / "vectors"
    with path.open("wb") as file:
        for table in run.texts(["text_id"]):
            wanted = from_arrow(table["text_id"]).copy()
            vectors, present = cache.load(wanted)
            vectors.tofile(file)
            ids.append(wanted)
            valid.append(present)
    return VectorSpool(np.concatenate(ids), np.concatenate(valid), str(path), run.dim, "float16")
