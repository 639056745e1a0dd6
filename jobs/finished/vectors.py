"""The vectors of a finished run, from wherever it had them: the cache, or the files of --vectors.

What the cache has lost, or holds damaged, is embedded again from the run's texts and put into it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.errors import InputError, notice
from jobs.finished.committed import Finished
from jobs.finished.given_vectors import spool_given
from jobs.finished.spools import VectorSpool
from jobs.ids import from_arrow, lookup
from jobs.machine import available_cores
from jobs.output import layout
from jobs.vectors.cache import Cache
from jobs.vectors.columns import unit_rows, unit_scale
from jobs.vectors.embed import encode_texts, encoder_of, is_encoder


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
    rows, there = _cache_of(run).load(ids)
    if not there.all():
        for table in run.texts(["text_id", "side", "text"]):
            _embed_again(run, table, ids, rows, there)
    return unit_rows(rows, unit_scale(rows, there)), there


def spool_vectors(run: Finished, folder: str) -> VectorSpool:
    """Lay a run's vectors into a spool below a local folder.

    Raises:
        InputError: the cache no longer holds them, or the files of --vectors, --corpus, --queries are not what they were.
    """
    if run.settings.get("vectors"):
        return spool_given(run, folder)
    cache = _cache_of(run)
    if not run.store.exists(layout.cache_of(cache.fingerprint)):
        # all of them: a run has workers for that
        raise InputError(
            f"{run.store.path()}: no cached vectors of {cache.fingerprint}; run again to embed the texts anew"
        )
    # a run over a sample has not embedded all of its texts
    every = not run.manifest["sample"]["rows_left"]
    ids, valid, path = [], [], Path(folder) / "vectors"
    with path.open("wb") as file:
        for table in run.texts(["text_id", "side", "text"]):
            wanted = from_arrow(table["text_id"]).copy()
            vectors, present = cache.load(wanted)
            if every or cache.damaged:
                _embed_again(run, table, wanted, vectors, present)
            vectors.tofile(file)
            ids.append(wanted)
            valid.append(present)
    return VectorSpool(np.concatenate(ids), np.concatenate(valid), str(path), run.dim, "float16")


def _cache_of(run: Finished) -> Cache:
    return Cache(run.store, str(run.manifest["encoder"]["fingerprint"]), run.dim)


def _embed_again(run: Finished, table: pa.Table, ids: np.ndarray, vectors: np.ndarray, present: np.ndarray) -> None:
    """Embed those texts of a table (text_id, side, text) that are among `ids` and not present, and fill them in.

    Nothing happens where the run's encoder is not the installed one any more.
    """
    here = from_arrow(table["text_id"]).copy()
    at = lookup(ids, here)
    rows = np.flatnonzero((at >= 0) & ~present[at] & table["text"].is_valid().to_numpy())
    name = run.settings.get("encoder")
    if not len(rows) or name is None or not is_encoder(str(name), _cache_of(run).fingerprint):
        return
    notice(f"{len(rows):,} vectors of run {run.run_id} are missing or damaged in the cache, and embedded again")
    texts = pl.DataFrame(pl.from_arrow(table.select(["side", "text"]).take(pa.array(rows))))
    found = encode_texts(encoder_of(str(name), available_cores()), texts, run.dim, lambda _: None)
    _cache_of(run).add(here[rows], found)
    vectors[at[rows]], present[at[rows]] = found, True
