"""Tasks in the driver's own process, for small lakes: the same tasks, one after the other, without a cluster.

Starting workers takes some seconds and a second of every core, more than all tasks over a few hundred triples do. What is
done, resumed and said is the same as on a cluster, and so are the bytes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import TracebackType

import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.connection import close_kept
from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.ingest.inputs import File
from jobs.pipeline.cluster import Cluster, Stage, begin, failing
from jobs.pipeline.resumed import Resumed
from jobs.pipeline.worker import execute, installed
from jobs.terminal.progress import Progress
from jobs.work.job import Job
from jobs.work.summaries import Summary

SMALL_BYTES = 2 << 20
"""Input files up to this size together are scored here where vectors are given."""
SMALL_TEXT_BYTES = 32 << 10
"""The same with an encoder, which takes most of the time and all cores."""


def is_small(config: RunConfig, files: tuple[File, ...]) -> bool:
    """Return whether a run needs no workers: nothing is said of any, and its input is small."""
    if config.workers or config.scheduler or config.cluster:
        return False
    return sum(file.size for file in files) <= (SMALL_BYTES if config.vectors else SMALL_TEXT_BYTES)


def runner_for(config: RunConfig, threads: int, progress: Progress, files: tuple[File, ...]) -> Cluster | Here:
    """Return what runs the tasks of a run over these files: this process, or workers.

    Raises:
        InputError: the output is in the memory of a process, which workers do not see and which ends with the command.
    """
    if config.out.startswith("memory:") and not (config.scheduler or config.cluster):
        raise InputError(f"{config.out}: memory:// is seen by one process only, and workers are processes")
    return Here(threads, progress) if is_small(config, files) else Cluster(config, threads, progress)


class Here:
    """The process itself in place of workers, for the length of a `with` block, with the threads that a worker has.

    Tasks run in a thread of their own: what stops the process is raised in the main one, not amid a library's callback,
    which would take it for its own failure. The block ends when the task in hand has.
    """

    def __init__(self, threads: int, progress: Progress) -> None:
        self.threads, self.progress = threads, progress
        self.resumed = Resumed(threads)
        self._limits = ExitStack()

    def __enter__(self) -> Here:
        self._limits.callback(pa.set_cpu_count, pa.cpu_count())  # `execute` sets it
        self._limits.enter_context(threadpool_limits(self.threads))
        self._thread = ThreadPoolExecutor(1, "eci-tasks")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.submit(close_kept)
        self._thread.shutdown()
        self._limits.close()

    def run(self, job: Job, *stages: Stage) -> dict[str, dict[str, Summary]]:
        """Run the tasks of stages that do not wait for one another; returns their summaries by stage and name.

        Those that are done, and whose files are whole, are not run again. A task that fails ends the run.

        Raises:
            EciError: a task failed; the message names it.
        """
        tasks = {(stage.name, name): task for stage in stages for name, task in stage.tasks.items()}
        done = self.resumed.done(job, tasks)
        left = begin(self.progress, stages, done)
        for key, task in tasks.items():
            if key in done:
                continue
            stage = key[0]
            with failing(job, key, self.resumed):
                advance = partial(self.progress.advance, stage)
                done[key] = self._thread.submit(execute, job, *key, task, installed(), advance).result()
            self.resumed.executed(job, key, done[key])
            self.progress.finished(*key, done[key])
            left[stage] -= 1
            if not left[stage]:
                self.progress.end(stage)
        return {stage.name: {name: done[stage.name, name] for name in stage.tasks} for stage in stages}
