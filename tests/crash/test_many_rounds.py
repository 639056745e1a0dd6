"""`make crash`: every I/O step of a small run fails once, and kills its process once; workers and drivers die at random times.

ECI_CRASH_ROUNDS is the number of random rounds (default 100).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from jobs.machine import available_cores
from jobs.output.runs import latest
from jobs.output.store import Store
from tests.crash.runs import assert_whole, finish, published, start, workers_of
from tests.lakes import VectorLake

pytestmark = pytest.mark.skipif("ECI_CRASH" not in os.environ, reason="takes an hour: run it with `make crash`")
ROUNDS = int(os.environ.get("ECI_CRASH_ROUNDS", "100"))


@dataclass(frozen=True)
class Undisturbed:
    """An undisturbed run: its tables and its number of I/O steps."""

    tables: dict[str, Any]
    steps: int


@pytest.fixture(scope="module")
def undisturbed(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    out = folder / "out"
    code, _, err = finish(start(small_lake, out, small=True, ECI_FAULT=f"{folder / 'steps'}:0:EIO"))
    assert code == 0, err
    return Undisturbed(published(out), (folder / "steps").stat().st_size)


def at_once(rounds: Iterable[int], one: Callable[[int], None]) -> None:
    """Run rounds, as many at a time as there are cores; the first that fails is raised."""
    with ThreadPoolExecutor(available_cores()) as pool:
        pending = [pool.submit(one, number) for number in rounds]
        try:
            for done in pending:
                done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def goes_on(lake: VectorLake, out: Path, expected: dict[str, Any], workers: int = 1) -> None:
    """The same command goes on to the undisturbed tables; OUT is removed then."""
    code, _, err = finish(start(lake, out, workers, small=True))
    assert code == 0, (out.name, err)
    assert_whole(out, expected)
    shutil.rmtree(out)


def one_clear_line(code: int, err: str) -> bool:
    return code == 1 and err.startswith("eci: ") and err.count("\n") == 1


def test_every_failing_step_is_one_clear_line_and_a_rerun_succeeds(
    small_lake: VectorLake, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    def fail(step: int) -> None:
        out = tmp_path / f"out-{step}"
        fault = f"{tmp_path / f'steps-{step}'}:{step}:{('ENOSPC', 'EIO')[step % 2]}"
        code, _, err = finish(start(small_lake, out, small=True, ECI_FAULT=fault))
        # 0: a step in a report or a status file that came after all that counts
        assert code == 0 or one_clear_line(code, err), (step, code, err)
        goes_on(small_lake, out, undisturbed.tables)

    at_once(range(1, undisturbed.steps + 1), fail)
    print(f"{undisturbed.steps} steps, each failed once", file=sys.stderr)


@pytest.mark.parametrize("workers", [0, 1])
def test_every_step_survives_a_kill(
    small_lake: VectorLake, undisturbed: Undisturbed, tmp_path: Path, workers: int
) -> None:
    codes = []

    def kill(step: int) -> None:
        out = tmp_path / f"out-{step}"
        fault = f"{tmp_path / f'steps-{step}'}:{step}:KILL"
        code, _, err = finish(start(small_lake, out, workers, small=True, ECI_FAULT=fault))
        assert code in (0, -signal.SIGKILL), (step, code, err)
        codes.append(code)
        goes_on(small_lake, out, undisturbed.tables)

    at_once(range(1, undisturbed.steps + 1), kill)
    print(f"{len(codes)} steps killed, {sum(map(bool, codes))} of them in the driver", file=sys.stderr)


@pytest.mark.parametrize("what", ["ENOSPC", "KILL"])
@pytest.mark.parametrize("operation", ["open", "fsync", "rename"])
def test_the_charts_script_may_fail_to_be_kept(
    small_lake: VectorLake, undisturbed: Undisturbed, tmp_path: Path, operation: str, what: str
) -> None:
    out, fault = tmp_path / "out", f"{operation}:eci-lake/vega-{version('vl-convert-python')}.js:{what}"
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "ECI_FAULT_AT": fault}
    code, _, err = finish(start(small_lake, out, small=True, **environment))
    assert code == (-signal.SIGKILL if what == "KILL" else 0), (code, err)
    if what != "KILL":
        assert "<script>" in (out / "runs" / latest(Store(str(out))) / "report.html").read_text(encoding="utf-8")
    goes_on(small_lake, out, undisturbed.tables)


def test_random_kills_of_workers_and_drivers_change_nothing(
    small_lake: VectorLake, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    chance = random.Random(7)
    moments = [chance.uniform(0.2, 6) for _ in range(ROUNDS)]

    def kill(number: int) -> None:
        out = tmp_path / f"out-{number}"
        process = start(small_lake, out, workers=2, small=True)
        time.sleep(moments[number])
        who = ("worker", "driver", "both")[number % 3]
        victims = workers_of(process.pid)[:1] if who != "driver" else []
        for victim in victims:
            victim.kill()
        if who != "worker":
            process.kill()
        code, _, err = finish(process)
        assert code in (0, -signal.SIGKILL), (number, who, err)
        goes_on(small_lake, out, undisturbed.tables, workers=2)

    at_once(range(ROUNDS), kill)
    print(f"{ROUNDS} random kills", file=sys.stderr)


def test_a_worker_that_stops_answering_does_not_hold_the_run(
    small_lake: VectorLake, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    process = start(small_lake, tmp_path / "out", workers=2, small=True, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5s")
    end = time.monotonic() + 60
    while not list((tmp_path / "out" / "cache").glob("inputs/ingest/*.json")) and time.monotonic() < end:
        time.sleep(0.05)
    for worker in workers_of(process.pid)[:1]:
        os.kill(worker.pid, signal.SIGSTOP)
    code, _, err = finish(process, timeout=300)
    assert code == 0, err
    assert_whole(tmp_path / "out", undisturbed.tables)
