"""Tasks, and what runs them in a worker process: a task is executed, measured, and its marker written."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec

from jobs.errors import EciError
from jobs.machine import keep_memory
from jobs.work.files import recording
from jobs.work.job import KEPT, Job
from jobs.work.markers import Marker, damaged_files, read_marker, same_outcome, write_marker
from jobs.work.summaries import S, Summary

TOPIC = "eci-progress"
DRIVER = "ECI_DRIVER"
"""In the environment of the driver's own workers: the driver's process."""
_PR_SET_PDEATHSIG = 1

QUIET_SECONDS = 0.3

Report = Callable[[int], None]
"""Takes the number of rows done since it was last called."""
P = ParamSpec("P")


@dataclass(frozen=True)
class Task(Generic[S]):
    """A function of the package, its arguments after the job and the task's name, and whether it reports rows.

    Made by `task` and `reporting`, so that arguments that the function does not take fail where types are checked, and
    not in a worker.
    """

    function: Callable[..., S]
    arguments: Mapping[str, Any]
    reports: bool = False


def task(function: Callable[Concatenate[Job, str, P], S], *none: P.args, **arguments: P.kwargs) -> Task[S]:
    """Return the task that calls `function(job, name, **arguments)`."""
    assert not none, "arguments of a task go by their names"
    return Task(function, arguments)


def reporting(function: Callable[Concatenate[Job, str, Report, P], S], *none: P.args, **arguments: P.kwargs) -> Task[S]:
    """Return the task that calls `function(job, name, report, **arguments)`, whose rows the progress shows."""
    assert not none, "arguments of a task go by their names"
    return Task(function, arguments, reports=True)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that keeps every library of a worker to its number of threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON", "POLARS", "VECLIB")
    limits = {f"{name}_{'MAX' if name in ('POLARS',) else 'NUM'}_THREADS": str(threads) for name in names}
    return limits | {"TOKENIZERS_PARALLELISM": "false", "ARROW_IO_THREADS": "2"}


@cache
def installed() -> str:
    """Return the version of eci-lake in this process."""
    return version("eci-lake")


def execute(job: Job, stage: str, name: str, task: Task[Any], driver: str, report: Report | None = None) -> Summary:
    """Run one task: its function, then its marker. A task that is marked already is not run again.

    What a task of the stages in KEPT has left for an earlier run is looked at here, and not by the driver.

    Args:
        driver: the driver's version of eci-lake.  report: takes rows; None in a worker, which sends them to the driver,
            and whose memory is measured anew for each task.

    Raises:
        EciError: the worker's eci-lake is not of the version of the driver's; its tables could be others.
    """
    if installed() != driver:
        host = socket.gethostname()
        raise EciError(f"the worker on {host} has eci-lake {installed()}, this run {driver}: install the same on both")
    if report is None:
        _settle_in()
    done = read_marker(job, stage, name)
    if done is not None and done.summary is not None and not (stage in KEPT and damaged_files(job.store, done)):
        return done.summary | ({"found": "whole"} if stage in KEPT else {})  # type: ignore[return-value]
    import pyarrow as pa

    pa.set_cpu_count(job.threads)
    started, busy = time.monotonic(), time.process_time()
    if report is None:
        _reset_peak()
    first = (report or _reporter(stage),) if task.reports else ()
    with recording() as files:
        summary: Summary = task.function(job, name, *first, **task.arguments)
    summary["seconds"] = round(time.monotonic() - started, 3)
    summary["cpu_seconds"] = round(time.process_time() - busy, 3)
    summary["peak_bytes"] = _peak_bytes()
    if stage in KEPT:
        summary["done_by"] = job.run_id
    write_marker(job, stage, name, summary, files)
    if done is not None:
        summary["found"] = "same again" if same_outcome(done, Marker(summary, files)) else "another"
    return summary


@cache
def _settle_in() -> None:
    """Set this worker's process up, once: it keeps its memory, and ends with its driver."""
    keep_memory()
    _end_with_driver()


def _end_with_driver() -> None:
    """Let the system end this process when the driver that has started it is gone: one that was killed tells nobody.

    Only where workers are processes of the driver, on Linux; elsewhere they end when they miss it.
    """
    if os.environ.get(DRIVER) != str(os.getppid()):
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _reset_peak() -> None:
    """Start the process's peak of resident memory anew, where the kernel allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Return the peak of resident memory since `_reset_peak`, or of the process's life where that is not to be had."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reporter(stage: str) -> Callable[[int], None]:
    """Return a function that adds up rows and tells the driver a few times a second."""
    from distributed import get_worker

    worker, pending, last = get_worker(), 0, time.monotonic()

    def report(rows: int) -> None:
        nonlocal pending, last
        pending += rows
        if time.monotonic() - last >= QUIET_SECONDS:
            worker.log_event(TOPIC, {"stage": stage, "rows": pending})
            pending, last = 0, time.monotonic()

    return report
