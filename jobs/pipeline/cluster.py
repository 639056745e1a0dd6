"""Tasks on a Dask cluster. Only this module and worker.py import dask.

Covers: worker processes with their threads set, bounded submission, finished tasks skipped, failures named.
Does not cover: what tasks do. They take paths and settings and return small summaries; a task is done when its marker
is there, so a worker that dies costs the tasks it was running and nothing else.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from eci_sql.errors import MetricError
from jobs.config import RunConfig
from jobs.errors import EciError, InputError, is_full, reason_of
from jobs.machine import require_addresses
from jobs.pipeline.main_guard import noticing
from jobs.pipeline.resumed import Key, Resumed
from jobs.pipeline.worker import DRIVER, TOPIC, Task, execute, installed, thread_environment
from jobs.terminal.progress import Progress
from jobs.work.job import Job
from jobs.work.summaries import Summary
from onnx_models.errors import EncoderError

COUNT_SECONDS = 5.0
WORKERLESS_SECONDS = 120.0
CLOSE_SECONDS = 30


@dataclass(frozen=True)
class Stage:
    """Tasks by their names, and how many rows they will report together (None: the tasks are counted)."""

    name: str
    tasks: Mapping[str, Task[Any]]
    rows: int | None = None


def _configure(threads: int) -> None:
    """Set what Dask needs before it starts anything; what the user's own Dask settings say about waiting stays."""
    import dask
    from distributed import config as _defaults  # noqa: F401  (loads the defaults that are overridden here)

    for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    dask.config.set(
        {
            "distributed.logging": {"distributed": "critical"},
            "distributed.worker.multiprocessing-method": "spawn",
            "distributed.nanny.pre-spawn-environ": thread_environment(threads) | {DRIVER: str(os.getpid())},
            # Its statistics are of no use here, and waking up for them 150 times a second takes a tenth of a worker.
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "500ms",
            "distributed.admin.system-monitor.interval": "5s",
            "distributed.admin.system-monitor.disk": False,
            "distributed.admin.system-monitor.gil.enabled": False,
            # `Cluster.run` takes a task that was there when workers died once more, alone
            "distributed.scheduler.allowed-failures": 1,
            "distributed.scheduler.worker-ttl": os.environ.get("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "60s"),
        }
    )


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignore SIGINT for the length of the block, and in the processes that are started in it.

    Ctrl-C in a terminal goes to the whole process group, and is the driver's to answer: workers would print tracebacks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _cluster_class(name: str) -> Any:
    """Return the Dask cluster class of a dotted name. Raises InputError for anything else."""
    from importlib import import_module

    from distributed.deploy.cluster import Cluster as DaskCluster

    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module or "distributed"), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"cluster {name!r} cannot be imported: {error}; name a class such as distributed.LocalCluster"
        ) from None
    if not (isinstance(found, type) and issubclass(found, DaskCluster)):
        raise InputError(f"cluster {name!r} is no Dask cluster class")
    return found


class Cluster:
    """The workers of a run for the length of a `with` block: local processes, a scheduler's, or a cluster class's.

    Local workers and their scheduler talk by TLS, with certificates made for the run. Certificates for a scheduler at
    tls:// are Dask's own settings (distributed.comm.tls), by environment or file.
    """

    def __init__(self, config: RunConfig, threads: int, progress: Progress) -> None:
        self.config, self.threads, self.progress = config, threads, progress
        self.workers, self._counted = config.cores(), 0.0
        self.resumed = Resumed(config.cores())
        self._cluster: Any = None
        self._client: Any = None

    def __enter__(self) -> Cluster:
        from distributed import Client

        given = self.config.scheduler or self.config.cluster
        _configure(self.threads)
        try:
            if self.config.scheduler:
                self._client = Client(self.config.scheduler, timeout="20s")
            else:
                with _ctrl_c_ignored():
                    self._cluster = self._start_workers()
                    self._client = Client(self._cluster)
        except (OSError, TimeoutError, TypeError, ValueError, RuntimeError) as error:
            if self._cluster is not None:
                with suppress(TimeoutError):
                    self._cluster.close(timeout=5)
            # worker processes import the script that started them
            advice = "in a script of your own, call jobs.run below `if __name__ == '__main__':`"
            if given:
                advice = "check [cluster_options]" if self.config.cluster else "is it running, and reachable?"
            raise InputError(f"{given or 'local workers'}: no cluster: {reason_of(error)}; {advice}") from error
        _warn_of_plain(self._client.scheduler.address)
        self._client.subscribe_topic(TOPIC, self._heard)
        return self

    def _start_workers(self) -> Any:
        """Start the cluster; where a local worker dies while it starts, everything is started once more."""
        if not self.config.cluster:
            with suppress(RuntimeError), noticing():
                return self._start()
        with noticing():
            return self._start()

    def _start(self) -> Any:
        if self.config.cluster:
            cluster = _cluster_class(self.config.cluster)(**self.config.cluster_options)
            if self.config.workers:
                cluster.scale(self.config.workers)
            return cluster
        require_addresses("worker processes, which map files")
        import dask
        from distributed import LocalCluster
        from distributed.security import Security

        # Every user of this machine reaches its loopback, and a scheduler runs what it is sent: only who holds this run's
        # certificates, which are in memory alone, is let in; and the pages that Dask shows of a run are not there.
        with dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}):
            # Memory is bounded by the sizes of parts and buckets; Dask's own limit counts memory-mapped pages as well
            # and would kill workers for reading files.
            return LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self._client, self._cluster):
            if part is not None:  # nothing was opened
                # what the tasks have done is done: a machine too busy to say good-bye in time fails no run
                with suppress(TimeoutError):
                    part.close(timeout=5 if error is not None else CLOSE_SECONDS)

    def _heard(self, event: tuple[float, Any]) -> None:
        message = event[1] if isinstance(event, tuple) else event
        self.progress.advance(message["stage"], message["rows"])

    def _width(self) -> int:
        """Return the number of workers, which comes and goes where they are not this run's own."""
        if (self.config.scheduler or self.config.cluster) and time.monotonic() - self._counted > COUNT_SECONDS:
            self._counted = time.monotonic()
            self.workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        return self.workers

    def _some_finished(self, keys: Mapping[Any, Key]) -> set[Any]:
        """Wait until some futures are finished. Raises EciError when no worker has been there for WORKERLESS_SECONDS."""
        from distributed import wait

        missing_since: float | None = None
        while True:
            try:
                return set(wait(list(keys), timeout=5, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                if self._client.scheduler_info(n_workers=-1)["workers"]:
                    missing_since = None
                    continue
            missing_since = missing_since or time.monotonic()
            if time.monotonic() - missing_since > WORKERLESS_SECONDS:
                stage = next(iter(keys.values()))[0]
                raise EciError(
                    f"{stage}: no worker has been connected for {WORKERLESS_SECONDS:.0f} s (killed, out of memory, or "
                    "never started); run again: finished tasks are kept"
                )

    def run(self, job: Job, *stages: Stage) -> dict[str, dict[str, Summary]]:
        """Run the tasks of stages that do not wait for one another; returns their summaries by stage and name.

        Those that are done, and whose files are whole, are not run again. A task that fails ends the run. One that was there when workers died is
        run once more, alone: the ones that only waited on those workers are cleared by this, and the one that kills
        them is named.

        Raises:
            EciError: a task failed; the message names it.
        """
        tasks = {(stage.name, name): task for stage in stages for name, task in stage.tasks.items()}
        done = self.resumed.done(job, tasks)
        waiting = [key for key in tasks if key not in done]
        left = begin(self.progress, stages, done)
        keys: dict[Any, Key] = {}
        suspects: list[Key] = []
        alone: Key | None = None

        def submit(key: Key) -> None:
            keys[self._client.submit(execute, job, *key, tasks[key], installed(), pure=False)] = key

        try:
            while waiting or keys or suspects:
                if suspects and not keys:
                    alone = suspects.pop(0)
                    submit(alone)
                while waiting and not suspects and alone is None and len(keys) < 2 * self._width():
                    submit(waiting.pop(0))
                for future in self._some_finished(keys):
                    key = keys.pop(future)
                    if key != alone and _was_killed(future):
                        suspects.append(key)
                        continue
                    alone = None
                    done[key] = self._outcome(job, future, key)
                    self.progress.finished(*key, done[key])
                    left[key[0]] -= 1
                    if not left[key[0]]:
                        self.progress.end(key[0])
                    future.release()
        finally:
            self._client.cancel(list(keys))
        return {stage.name: {name: done[stage.name, name] for name in stage.tasks} for stage in stages}

    def _outcome(self, job: Job, future: Any, key: Key) -> Summary:
        """Return a finished task's summary. Raises EciError as `failing`."""
        with failing(job, key, self.resumed):
            summary: Summary = future.result()
        self.resumed.executed(job, key, summary)
        return summary


def _warn_of_plain(address: str) -> None:
    """Say that a scheduler beyond this machine's loopback talks in the clear: whoever reaches it can run code there."""
    protocol, _, host = address.rpartition("://")
    name = host.rpartition(":")[0].strip("[]")
    if protocol in ("", "tcp", "ws") and name != "localhost" and not name.startswith("127.") and name != "::1":
        logging.getLogger("eci").warning(
            "the scheduler at %s takes plain connections: whoever reaches it can run code as its owner; Dask's "
            "distributed.comm.tls settings close it",
            address,
        )


def _was_killed(future: Any) -> bool:
    """Return whether a task has failed because the workers died that it was on."""
    from distributed import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def begin(progress: Progress, stages: Sequence[Stage], done: Mapping[Key, Summary]) -> Counter[str]:
    """Tell the progress of stages that begin, and of those that have nothing left to do; returns the tasks left of each."""
    left = Counter(stage.name for stage in stages for name in stage.tasks if (stage.name, name) not in done)
    for stage in stages:
        progress.start(stage.name, len(stage.tasks), len(stage.tasks) - left[stage.name], stage.rows)
        if not left[stage.name]:
            progress.end(stage.name)
    return left


@contextmanager
def failing(job: Job, key: Key, resumed: Resumed) -> Iterator[None]:
    """Run a task in this block, or ask for its result: a failure becomes what it means to the user.

    Raises:
        InputError: as the task.  EciError: it names the task, or a damaged file where one is the cause.
    """
    try:
        with _in_words(*key):
            yield
    except InputError:
        raise
    except EciError as error:
        cause = error.__cause__
        full = isinstance(cause, OSError) and is_full(cause)
        if cause is not None and not full and (path := resumed.damaged_now(job)) is not None:
            raise EciError(
                f"{' '.join(key)}: {path} was damaged or removed; run again: it is made again, and what is whole is kept"
            ) from error
        raise


@contextmanager
def _in_words(stage: str, name: str) -> Iterator[None]:
    try:
        yield
    except (EciError, EncoderError, MetricError) as error:
        raise error if isinstance(error, InputError) else EciError(f"{stage} {name}: {error}") from None
    except ImportError as error:
        raise EciError(
            f"{stage} {name}: a worker cannot import what the task needs: {error}; workers need the same eci-lake installed"
        ) from error
    except OSError as error:
        raise _of_os_error(error, stage, name) from error
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # of Dask, which may not be loaded
            raise EciError(
                f"{stage} {name}: every worker that ran this task died (out of memory, or killed), the last time with no other "
                "task beside it; give more --memory per worker or fewer --workers, then run again: finished tasks are kept"
            ) from None
        raise EciError(f"{stage} {name}: {type(error).__name__}: {error} (this is a bug in eci-lake)") from error


def _of_os_error(error: OSError, stage: str, name: str) -> EciError:
    where = error.filename or ""
    if is_full(error):
        return EciError(
            f"{stage} {name}: the disk is full {where}; free some space and run again: finished tasks are kept"
        )
    return EciError(f"{stage} {name}: {error.strerror or error} {where}; run again: finished tasks are kept")
