"""Texts by the user's ids: the files behind --corpus and --queries, as a sorted index on disk.

The index holds 32 bytes a text and is memory-mapped by the tasks that look ids up. An id that stands twice with
different texts takes the first one in the order of files and rows; how often that happened is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.formats.base import Options, Unit
from jobs.formats.texts_by_id import read_texts
from jobs.ids import NO_ID, Side, as_arrow, first_of_run, from_arrow, id_array, lookup, user_key
from jobs.ingest.digests import Known, unchanged
from jobs.ingest.distinct_texts import TextSink, distinct_texts, ids_by_code, with_users
from jobs.ingest.rejects import work_rejects
from jobs.work.files import reading, writing
from jobs.work.job import Job
from jobs.work.layout import INDEX, INDEX_PARTS, LOOKUP_REJECTS, LOOKUP_TEXTS
from jobs.work.summaries import Indexed, TextsRead


@dataclass(frozen=True)
class Index:
    """A sorted index: `keys` S16 (n,) of users' ids, `ids` S16 (n,) of texts, NO_ID where the text is empty."""

    keys: np.ndarray
    ids: np.ndarray

    def find(self, users: list[str], unknown: int, empty: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the text ids of users' ids, and a state: 0, or `unknown`, or `empty`."""
        at = lookup(self.keys, id_array(user_key(user) for user in users))
        ids = np.where(at >= 0, self.ids[at] if len(self.ids) else NO_ID, NO_ID).astype("S16")
        state = np.where(at < 0, unknown, np.where(ids == NO_ID, empty, 0)).astype(np.int8)
        return ids, state


def lookup_task(
    job: Job, name: str, unit: Unit, side: Side, options: Options, files: Sequence[Known] = ()
) -> TextsRead:
    """Read one unit of a corpus or of queries: its texts by bucket, its part of the index, its rejects. `files`: as of `ingest_task`."""
    rows, rejects = 0, []
    with (
        unchanged(files),
        TextSink(job, LOOKUP_TEXTS, name) as sink,
        writing(job, INDEX_PARTS, name) as out,
    ):
        for batch in read_texts(unit, options, side):
            users = batch.texts["id"]
            codes, distinct = distinct_texts(side, batch.texts["text"])
            sink.add(with_users(distinct, codes, users))
            columns = [as_arrow(id_array(map(user_key, users.to_list()))), as_arrow(ids_by_code(distinct, codes))]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=INDEX_PARTS.schema_of(job)))
            rejects.append(batch.rejects)
            rows += len(batch.texts)
    rejected = work_rejects(job, LOOKUP_REJECTS, name, rejects)
    return {"rows": rows, "rejected": rejected, "chunks": sink.chunks}


def index_task(job: Job, name: str, units: list[str]) -> Indexed:
    """Merge what the units say of one index (in the order of files and rows) into one sorted file."""
    tables = []
    for unit in units:
        with reading(job, INDEX_PARTS, unit) as file:
            tables.append(file.read_all())
    table = pa.concat_tables(tables) if tables else INDEX.schema_of(job).empty_table()
    keys, ids = from_arrow(table["key"]), from_arrow(table["text_id"])
    order = np.argsort(keys, kind="stable")
    keys, ids = keys[order], ids[order]
    again = ~first_of_run(keys)
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(keys))))
    conflicts = int(np.count_nonzero(ids != ids[first]))
    with writing(job, INDEX, name) as out:
        kept = {"key": as_arrow(keys[~again]), "text_id": as_arrow(ids[~again])}
        out.write_table(pa.table(kept, schema=INDEX.schema_of(job)))
    return {"rows": len(table), "ids": int(np.count_nonzero(~again)), "conflicts": conflicts}


@contextmanager
def open_index(job: Job, name: str) -> Iterator[Index]:
    """Open a merged index for looking ids up."""
    with reading(job, INDEX, name) as file:
        table = file.read_all()
        yield Index(from_arrow(table["key"]), from_arrow(table["text_id"]))
