"""Files scored beside the runs of a root, with its cache: nothing of it is committed, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np

from jobs.config import RunConfig
from jobs.ids import buckets_of
from jobs.ingest.pinning import pinned
from jobs.output import layout
from jobs.output.lock import holding
from jobs.output.root import require
from jobs.output.store import Store
from jobs.pipeline.encoder import job_for
from jobs.pipeline.here import runner_for
from jobs.pipeline.main_guard import leave_if_imported
from jobs.pipeline.prepare import prepare
from jobs.pipeline.stages import Stages
from jobs.pipeline.tasks import origins
from jobs.probing.scored import ScoredParts
from jobs.terminal.progress import Progress
from jobs.vectors.columns import unit_rows, unit_scale
from jobs.vectors.embed import cache_of
from jobs.vectors.given import load_vectors
from jobs.work.files import read_unfinished
from jobs.work.job import Job
from jobs.work.layout import Origin


class Scored(NamedTuple):
    """Files that were scored: the job, their sources, their files of scores, the tasks that left vectors (--vectors)."""

    job: Job
    sources: list[str]
    paths: list[str]
    given: list[Origin]

    def reader(self) -> ScoredParts:
        """Return what reads their scored triples."""
        return ScoredParts(partial(read_unfinished, self.job), self.paths)

    def vectors(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors float32 (n, d) of ascending distinct ids S16 (n,), zeros for none, and which there are."""
        if self.job.encoder is not None:
            rows, there = cache_of(self.job).load(ids)
        else:
            buckets = buckets_of(ids, self.job.buckets)
            found = [load_vectors(self.job, k, ids[buckets == k], self.given) for k in range(self.job.buckets)]
            rows, there = (np.concatenate(column) for column in zip(*found, strict=True))
        return unit_rows(rows, unit_scale(rows, there)), there


@contextmanager
def scored(config: RunConfig, progress: Progress) -> Iterator[Scored]:
    """Score the inputs of a configuration in a work folder of OUT's that is gone when the block ends.

    Raises:
        InputError: the input or the settings are wrong, or OUT is no output root.
        HeldError: a run holds it.  EciError: a stage failed.
    """
    leave_if_imported()
    store = Store(config.out)
    require(store)
    config = pinned(config)
    prepared = prepare(config)
    job = job_for(config, layout.work_folder(layout.FILES_BESIDE), prepared.buckets, "", prepared.encoder)
    with holding(store):
        store.remove(job.work)
        try:
            with runner_for(config, job.threads, progress, prepared.files) as runner:
                ran = Stages(config, prepared, job, runner).run()
            folds = ran.done.settle.items()
            paths = [layout.scores_part(fold, k) for fold, done in folds for k in range(len(done["parts"]))]
            yield Scored(ran.job, ran.sources, paths, origins("vectors", ran.done.vectors))
        finally:
            store.remove(job.work)
