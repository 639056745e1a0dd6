"""The README says what the code does: every command and option, the columns, and commands that run as they stand.

What it has a reader run (tests.docs.readme.steps) is run here in its order, in one folder, long things on small data.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from jobs.cli import app
from tests.docs.readme import Step, between, command_lines, inline_commands, steps, text_of
from tests.docs.reference import columns_markdown, commands_markdown, leaves
from tests.docs.stand_ins import furnish, shortened

ROOT = Path(__file__).parents[2]
STEPS = steps()


def test_every_command_and_option_is_in_the_readme():
    """The reference is generated; beside it, each command has a mention that a person wrote."""
    text = text_of()
    assert between("commands") == commands_markdown(), (
        "put tests.docs.reference.commands_markdown() between the markers"
    )
    prose = text.replace(between("commands") or "", "")
    paths = [path for path, _ in leaves(typer.main.get_command(app), "eci")]
    assert [path for path in paths if path not in prose] == [], "commands without a how-to"


def test_the_columns_in_the_readme_are_those_of_the_tables():
    assert between("columns") == columns_markdown(), (
        "put the output of tests.docs.reference.columns_markdown() between the markers"
    )


def test_no_command_line_of_the_readme_is_left_out():
    """Every line of a block that reads as a command is among the steps, which `test_a_step_of_the_readme_runs` runs."""
    run = {step.text for step in STEPS if step.kind == "command"}
    assert [line for line in command_lines() if line not in run] == [], "write it in a ```console block, after `$ `"


@pytest.mark.parametrize(
    "text",
    ["    eci rank --out X\n", "```text\neci rank --out X\n```\n", "```console\neci rank --out X\n```\n",
     "    $ eci rank --out X\n", "```ini\nExecStop=/opt/bin/eci rank\n```\n\n    python -c 'print()'\n"],
)  # fmt: skip
def test_a_command_line_outside_the_console_blocks_is_found(text):
    assert command_lines(text) and not steps(text)


def test_steps_are_found_wherever_a_reader_finds_them():
    text = """
```console
$ eci run \\
    --out X
some output
$ echo $?
3
```
```text
30 2 * * *  A=1 /opt/eci run
```
```python
import jobs
```
"""
    assert steps(text) == [
        Step("command", "eci run --out X", 3), Step("command", "A=1 /opt/eci run"), Step("python", "import jobs"),
    ]  # fmt: skip


def test_commands_within_the_text_name_commands_and_options_that_there_are():
    root = typer.main.get_command(app)
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in inline_commands():
        words = shlex.split(span)[1:]
        if span.startswith("make "):
            assert set(words) <= targets, span
            continue
        command, known = root, {"--help"}
        for word in words:
            known |= {name for parameter in command.params for name in parameter.opts}
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
            elif word.startswith("-"):
                assert word in known, span
            elif hasattr(command, "commands"):
                assert word.isupper(), span


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    furnish(folder)
    return folder


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a running Dask scheduler with one worker."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="4GB", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def recipe(target: str, folder: Path) -> str:
    """Return the last line of a target's recipe, with the programs of the environment that the tests run in."""
    venv = folder / ".venv"
    venv.mkdir(exist_ok=True)
    (venv / "ready").touch()
    make = ["make", "--dry-run", "--no-print-directory", "--directory", str(ROOT), f"VENV={venv}", target]
    known = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    shown = subprocess.run(make, env=known, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    return shown[-1].replace(f"{venv}/bin/", f"{Path(sys.executable).parent}/")


def runnable(line: str, folder: Path, scheduler: str) -> tuple[str, Path]:
    """Return the command line to run, and where."""
    words = shlex.split(line)
    if words[0] == "make":
        line = recipe(words[1], folder)
    # the tests within the tests are found, and those that take no time are run
    if "-m pytest" in line:
        return f"{line} --collect-only -qq && {line} tests/unit/test_splits.py", ROOT
    return shortened(line, folder, scheduler), folder


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=lambda step: re.sub(r"\W+", " ", step.text)[:60].strip())
def test_a_step_of_the_readme_runs(folder, scheduler, step):
    where = folder
    if step.kind == "python":
        for name in re.findall(r"^(?:from|import) (\w+)", step.text, re.MULTILINE):
            if find_spec(name) is None:
                pytest.skip(f"{name} is not installed here")
        (folder / "block.py").write_text(shortened(step.text, folder, scheduler), encoding="utf-8")
        line = "python block.py"
    else:
        line, where = runnable(step.text, folder, scheduler)
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    known = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    found = subprocess.run(line, shell=True, cwd=where, env=known, capture_output=True, text=True, timeout=900)
    log = folder / "eci.log"
    said = f"{line}\n{found.stdout}\n{found.stderr}\n{log.read_text() if log.exists() else ''}"
    assert found.returncode == step.code, said
    assert "Traceback" not in said
