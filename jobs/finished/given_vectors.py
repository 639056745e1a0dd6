"""The vectors of a finished run that took them from files (--vectors), read again.

Vectors that are named by ids of --corpus or --queries need those files, too: an id stands for the text that it named
when the run read them. Only ids of texts that the run scored are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.errors import InputError
from jobs.finished.committed import Finished, same_file
from jobs.finished.spools import VectorSpool
from jobs.formats.base import Options
from jobs.formats.records import parquet_file
from jobs.formats.texts_by_id import read_texts, text_units
from jobs.ids import NO_ID, Side, from_arrow, id_array, lookup, newly_met, text_id, unique, user_key
from jobs.ingest.index import Index
from jobs.output.records import InputFile
from jobs.vectors.given import ROWS, as_matrix, ids_of

_ROWS = 500_000
_RECORD = np.dtype([("key", "S16"), ("text", "S16")])


def spool_given(run: Finished, folder: str) -> VectorSpool:
    """Lay a run's given vectors into a spool below a local folder; the first of a text counts, as in the run.

    Raises:
        InputError: a file of --vectors, --corpus or --queries is not the one that the run read.
    """
    ids = np.concatenate([from_arrow(table["text_id"]) for table in run.texts(["text_id"])])
    sides: tuple[Side, ...] = ("query", "passage")
    indexes = {side: index_of(run, side, ids, folder) for side in sides if any(_files(run, side))}
    path = str(Path(folder) / "vectors")
    rows = np.memmap(path, np.float32, "w+", shape=(max(len(ids), 1), run.dim))
    present = np.zeros(len(ids), dtype=bool)
    for given in _files(run, "vectors"):
        with parquet_file(given["path"]) as file:
            names = [name for name in ("text", "id", "side", "vector") if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS, columns=names):
                keys, known = ids_of(pa.table(batch), given["path"], indexes)
                matrix, usable = as_matrix(batch["vector"], run.dim)
                at = np.where(known & usable, lookup(ids, keys), -1)
                new = newly_met(at, present)
                rows[at[new]] = matrix[new]
                present[at[new]] = True
    rows.flush()
    return VectorSpool(ids, present, path, run.dim, "float32")


def _files(run: Finished, what: str) -> Iterator[InputFile]:
    """Yield a run's input files of one kind, in the order they were read. Raises InputError as `spool_given`."""
    for given in run.manifest["inputs"]:
        if given["what"] == what:
            if not same_file(given):
                raise InputError(
                    f"{given['path']}: not the file that run {run.run_id} read; without it its vectors cannot be found"
                )
            yield given


def index_of(run: Finished, side: Side, ids: np.ndarray, folder: str) -> Index:
    """Return the index of a side's users' ids that name one of the texts `ids` (S16, ascending).

    An id that stands twice with different texts means the first of them, whether or not that text is among `ids`;
    only the whole file tells, so its keys lie in a spool below `folder` for a second look.
    """
    path, naming = Path(folder) / f"{side}.keys", [np.empty(0, "S16")]
    with path.open("wb") as file:
        for keys, texts in _records(run, side):
            naming.append(keys[lookup(ids, texts) >= 0])
            np.rec.fromarrays([keys, texts], _RECORD).tofile(file)
    wanted = unique(np.concatenate(naming))
    if not len(wanted):
        return Index(wanted, wanted)
    meant, seen = np.full(len(wanted), NO_ID, "S16"), np.zeros(len(wanted), dtype=bool)
    with path.open("rb") as file:
        while len(rows := np.fromfile(file, _RECORD, _ROWS)):
            at = lookup(wanted, np.ascontiguousarray(rows["key"]))
            new = newly_met(at, seen)
            meant[at[new]] = rows["text"][new]
            seen[at[new]] = True
    path.unlink()
    return Index(wanted, meant)


def _records(run: Finished, side: Side) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield keys of users' ids and the ids of their texts, S16 (n,) each, in the order of files and records."""
    for given in _files(run, side):
        for unit in text_units(given["path"]):
            # vectors come without a card, so a title is joined by a blank, as the run did
            for batch in read_texts(unit, Options(title_separator=" "), side):
                users, texts = (batch.texts[name].to_list() for name in ("id", "text"))
                ids = (text_id(side, text) if text and text.strip() else NO_ID for text in texts)
                yield id_array(map(user_key, users)), id_array(ids)
