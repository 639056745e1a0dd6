"""What runs in a worker process: a task is executed, measured, and its marker written."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobs.errors import EciError
from jobs.work.job import Job
from jobs.work.markers import read_marker, write_marker

TOPIC = "eci-progress"

MEASURED = ("seconds", "cpu_seconds", "peak_bytes")
"""What the summary of every task has beside its own: by the clock, of all its threads, and its highest resident memory."""

QUIET_SECONDS = 0.3


@dataclass(frozen=True)
class Task:
    """A function of the package, its arguments after (job, name), and whether it reports rows while it runs."""

    function: Callable[..., dict[str, Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reports: bool = False


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that keeps every library of a worker to its number of threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON", "POLARS", "VECLIB")
    limits = {f"{name}_{'MAX' if name in ('POLARS',) else 'NUM'}_THREADS": str(threads) for name in names}
    return limits | {"TOKENIZERS_PARALLELISM": "false", "ARROW_IO_THREADS": "2"}


@cache
def _installed() -> str:
    return version("eci-lake")


def execute(job: Job, stage: str, name: str, task: Task, driver: str) -> dict[str, Any]:
    """Run one task in a worker: its function, then its marker. A task that is marked already is not run again.

    Raises:
        EciError: the worker's eci-lake is not of the version of the driver's; its tables could be others.
    """
    if _installed() != driver:
        host = socket.gethostname()
        raise EciError(f"the worker on {host} has eci-lake {_installed()}, this run {driver}: install the same on both")
    done = read_marker(job, stage, name)
    if done is not None:
        return done
    import pyarrow as pa

    pa.set_cpu_count(job.threads)
    started, busy = time.monotonic(), time.process_time()
    _reset_peak()
    arguments = dict(task.arguments)
    if task.reports:
        arguments["report"] = _reporter(stage)
    summary = task.function(job, name, **arguments)
    summary["seconds"] = round(time.monotonic() - started, 3)
    summary["cpu_seconds"] = round(time.process_time() - busy, 3)
    summary["peak_bytes"] = _peak_bytes()
    write_marker(job, stage, name, summary)
    return summary


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
