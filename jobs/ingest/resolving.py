"""Users' ids become texts, for `eci ingest`: the files behind --corpus and --queries, read into a folder of its own.

The index is that of a run (index.py): 32 bytes a text, and of an id that stands twice the same text. Beside it the
texts lie in a spool, so that memory does not follow their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.formats.base import REJECTS
from jobs.ids import Side
from jobs.ingest.checks import ROLES, Checked, check
from jobs.ingest.index import Index, index_task, lookup_task, open_index
from jobs.ingest.inputs import TextTask
from jobs.ingest.text_spool import TextSpool, write_spool
from jobs.output.leftovers import scratch
from jobs.work.files import reading
from jobs.work.job import Job
from jobs.work.layout import LOOKUP_REJECTS, LOOKUP_TEXTS


@dataclass(frozen=True)
class Resolver:
    """The texts that ids stand for.

    Attributes:
        indexes: of the sides that were given.  spool: their texts, None without any.
        rejects: of each file of texts that has some, in order: frames with the columns REJECTS.
    """

    indexes: Mapping[Side, Index]
    spool: TextSpool | None
    rejects: Sequence[tuple[TextTask, pl.DataFrame]]

    def resolved(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, Checked]:
        """Return the rows (columns ROWS) that pass a run's checks, with the texts of their ids, and what was found."""
        checked = check(frame, self.indexes)
        rows = frame.filter(pl.Series(checked.good, dtype=pl.Boolean))
        for column, (role, side) in enumerate(ROLES):
            lacking = rows[role].is_null().to_numpy()
            if self.spool is not None and side in self.indexes and lacking.any():
                at = np.flatnonzero(lacking)
                found = [text.text for text in self.spool.take(checked.ids[at, column])]
                rows = rows.with_columns(rows[role].scatter(at, found))
        return rows, checked


@contextmanager
def resolver(tasks: Sequence[TextTask]) -> Iterator[Resolver]:
    """Read the files of texts by id (none: ids stay ids) into a temporary folder, for as long as the block lasts.

    Raises:
        InputError: a file cannot be opened.
    """
    if not tasks:
        yield Resolver({}, None, ())
        return
    with scratch() as folder, ExitStack() as stack:
        job = _job(folder)
        for task in tasks:
            lookup_task(job, task.name, task.unit, task.side, task.options)
        indexes: dict[Side, Index] = {}
        for side in sorted({task.side for task in tasks}):
            index_task(job, side, [task.name for task in tasks if task.side == side])
            indexes[side] = stack.enter_context(open_index(job, side))
        yield Resolver(indexes, write_spool(_texts(job, tasks), folder), list(_rejects(job, tasks)))


def _texts(job: Job, tasks: Sequence[TextTask]) -> Iterator[pa.Table]:
    for task in tasks:
        with reading(job, LOOKUP_TEXTS, task.name) as file:
            for number in range(file.num_record_batches):
                yield pa.Table.from_batches([file.get_batch(number)])


def _rejects(job: Job, tasks: Sequence[TextTask]) -> Iterator[tuple[TextTask, pl.DataFrame]]:
    for task in tasks:
        with reading(job, LOOKUP_REJECTS, task.name) as file:
            table = file.read_all()
        if len(table):
            yield task, pl.DataFrame(pl.from_arrow(table.select(list(REJECTS))))


def _job(folder: str) -> Job:
    """Return a job for the tasks that read texts: of its settings they use where the files go, and one bucket."""
    return Job(
        out=folder, work="work", publish="", run_id="", folds=1, buckets=1, encoder=None, fingerprint="", dim=0,
        temperature=1.0, kappa=0.0, lam=1.0, tokenizer="word", threads=1, share=0, part_texts=0,
    )  # fmt: skip
