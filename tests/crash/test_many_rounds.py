"""`make crash`: every I/O step of a small run fails once, and kills its process once; workers and drivers die at random times.

ECI_CRASH_ROUNDS is the number of random rounds (default 100).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.crash.runs import assert_whole, finish, published, start
from tests.lakes import VectorLake

pytestmark = pytest.mark.skipif("ECI_CRASH" not in os.environ, reason="takes an hour: run it with `make crash`")
ROUNDS = int(os.environ.get("ECI_CRASH_ROUNDS", "100"))


@pytest.fixture(scope="module")
def undisturbed(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The tables of an undisturbed small run, and its number of I/O steps."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, _, err = finish(start(small_lake, folder / "out", small=True, ECI_FAULT=f"{folder / 'steps'}:0:EIO"))
    assert code == 0, err
    return published(folder / "out"), (folder / "steps").stat().st_size


def test_every_failing_step_is_one_clear_line_and_a_rerun_succeeds(
    small_lake: VectorLake, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    expected, steps = undisturbed
    for step in range(1, steps + 1):
        out = tmp_path / f"out-{step}"
        what = ("ENOSPC", "EIO")[step % 2]
        code, _, err = finish(
            start(small_lake, out, small=True, ECI_FAULT=f"{tmp_path / f'steps-{step}'}:{step}:{what}")
        )
        if code != 0:  # a step in a report or a status file that came after all that counts
            assert code == 1 and err.startswith("eci: ") and err.count("\n") == 1, (step, code, err)
        code, _, err = finish(start(small_lake, out, small=True))
        assert code == 0, (step, err)
        assert_whole(out, expected)
    print(f"{steps} steps, each failed once", file=sys.stderr)


def test_every_step_survives_a_kill(
    small_lake: VectorLake, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    expected, steps = undisturbed
    killed = 0
    for step in range(1, steps + 1):
        out = tmp_path / f"out-{step}"
        code, _, err = finish(start(small_lake, out, small=True, ECI_FAULT=f"{tmp_path / f'steps-{step}'}:{step}:KILL"))
        assert code in (0, -signal.SIGKILL), (step, code, err)
        killed += code != 0
        code, _, err = finish(start(small_lake, out, small=True))
        assert code == 0, (step, err)
        assert_whole(out, expected)
    print(f"{steps} steps killed, {killed} of them in the driver", file=sys.stderr)


def test_random_kills_of_workers_and_drivers_change_nothing(
    small_lake: VectorLake, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    expected, _ = undisturbed
    chance = random.Random(7)
    for number in range(ROUNDS):
        out = tmp_path / f"out-{number}"
        process = start(small_lake, out, workers=2, small=True)
        time.sleep(chance.uniform(0.2, 6))
        who = ("worker", "driver", "both")[number % 3]
        victims = workers_of(process.pid)[:1] if who != "driver" else []
        for victim in victims:
            victim.kill()
        if who != "worker":
            process.kill()
        code, _, err = finish(process)
        assert code in (0, -signal.SIGKILL), (number, who, err)
        code, _, err = finish(start(small_lake, out, workers=2, small=True))
        assert code == 0, (number, who, err)
        assert_whole(out, expected)
    print(f"{ROUNDS} random kills", file=sys.stderr)


def test_a_worker_that_stops_answering_does_not_hold_the_run(
    small_lake: VectorLake, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    process = start(small_lake, tmp_path / "out", workers=2, small=True, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5s")
    end = time.monotonic() + 60
    while not list((tmp_path / "out" / "work").glob("*/ingest/*.json")) and time.monotonic() < end:
        time.sleep(0.05)
    for worker in workers_of(process.pid)[:1]:
        os.kill(worker.pid, signal.SIGSTOP)
    code, _, err = finish(process, timeout=300)
    assert code == 0, err
    assert_whole(tmp_path / "out", undisturbed[0])


def workers_of(driver: int) -> list[psutil.Process]:
    """The worker processes of a driver."""
    try:
        children = psutil.Process(driver).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []
