"""Scripts of users: one without a main guard is told what to add; all others run, however Python is given them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lakes import VectorLake, vector_lake

RUN = """
import jobs
print("began")
config = jobs.RunConfig(inputs=[jobs.Input(triples={triples!r})], vectors=({vectors!r},), out={out!r}, workers=2, folds=4,
                        memory="4GB", no_probe=True)
{call}
"""
PLAIN = 'print(jobs.run(config).totals["scored"], "scored")'
STUBBORN = f"try:\n    {PLAIN}\nexcept Exception as error:\n    print(type(error).__name__, error)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    return vector_lake(tmp_path_factory.mktemp("lake"), 4, 60, sources=2)


def script(lake: VectorLake, call: str) -> str:
    return RUN.format(triples=str(lake.triples), vectors=str(lake.vectors), out="OUT", call=call)


def python(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ,
        timeout=300,
    )


@pytest.mark.parametrize("call", [PLAIN, STUBBORN], ids=["uncaught", "caught"])
def test_a_script_without_a_guard_ends_with_one_error_that_says_what_to_add(
    lake: VectorLake, tmp_path: Path, call: str
) -> None:
    (tmp_path / "mine.py").write_text(script(lake, call))
    done = python(tmp_path, "mine.py")
    told = done.stdout + done.stderr
    assert told.count("InputError") == 1
    assert done.stderr.count("Traceback") == (call == PLAIN), done.stderr
    assert done.returncode == (call == PLAIN)
    assert "mine.py: worker processes import this script" in told
    assert "call jobs.run below `if __name__ == '__main__':`" in told
    assert "held by" not in told and "60 scored" not in told
    assert not (tmp_path / "OUT").exists()


def test_a_script_with_a_guard_runs(lake: VectorLake, tmp_path: Path) -> None:
    body = "\n".join(f"    {line}" for line in script(lake, PLAIN).splitlines())
    (tmp_path / "mine.py").write_text(f'if __name__ == "__main__":\n{body}\n')
    assert python(tmp_path, "mine.py").stdout.splitlines() == ["began", "60 scored"]


def test_what_has_no_script_needs_no_guard(lake: VectorLake, tmp_path: Path) -> None:
    for arguments, given in ((("-c", script(lake, PLAIN)), ""), (("-",), script(lake, PLAIN))):
        done = python(tmp_path, *arguments, given=given)
        assert done.stdout.splitlines() == ["began", "60 scored"], done.stderr


def test_a_run_within_pytest_needs_no_guard(lake: VectorLake, tmp_path: Path) -> None:
    body = "\n".join(f"    {line}" for line in script(lake, PLAIN).splitlines())
    (tmp_path / "test_mine.py").write_text(f"def test_mine():\n{body}\n")
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
