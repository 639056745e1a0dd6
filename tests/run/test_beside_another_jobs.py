"""The command works in a folder that has a package `jobs` of its own, in workers and in the process of a query, too."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.lakes import vector_lake

PACKAGES = Path(__file__).parents[2]
SCRIPT = Path(sysconfig.get_path("scripts")) / "eci"
COMMANDS = {"command": [str(SCRIPT)], "module": [sys.executable, "-P", "-m", "jobs.cli"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_and_a_query_in_a_folder_with_a_jobs_of_its_own(tmp_path: Path, name: str) -> None:
    if name == "command" and not SCRIPT.is_file():
        pytest.skip("the command is not installed beside this Python")
    for module in ("__init__", "cli", "ids"):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / f"{module}.py").write_text("raise RuntimeError('the jobs of the project')\n")
    lake = vector_lake(tmp_path / "lake", 8, 60, sources=2)
    # where it is not installed, PYTHONPATH names the package's folder, and never the project's
    environment = os.environ | {"PYTHONPATH": str(PACKAGES)}

    def told(*arguments: str) -> str:
        done = subprocess.run(
            [*COMMANDS[name], *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told(*lake.command("--no-probe", "--workers", "2"))
    assert told("sql", "SELECT count(*) AS n FROM scores", "--format", "csv", "--out", "out") == "n\n60\n"
    # without -P, Python itself takes the project's: what the README says to do is needed
    taken = [sys.executable, "-m", "jobs.cli", "--version"]
    done = subprocess.run(taken, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "the jobs of the project" in done.stderr
