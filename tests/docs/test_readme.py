"""The README says what the code does: every command and option, the columns, and commands that run as they stand.

Lines that begin with `$ ` in its console blocks are run in order in one folder, those of other programs left out.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from jobs.cli import app
from jobs.reference import columns_markdown, commands_markdown, leaves
from tests.docs.readme import between, commands, text_of

TINY = {"demo": "--pairs 120"}
ELSEWHERE = {"validate": "takes minutes; tests of its own run it"}
COMMANDS = commands()


def test_every_command_and_option_is_in_the_readme():
    """The reference is generated; beside it, each command has a mention that a person wrote."""
    text = text_of()
    assert between("commands") == commands_markdown(), "put jobs.reference.commands_markdown() between the markers"
    prose = text.replace(between("commands") or "", "")
    paths = [path for path, _ in leaves(typer.main.get_command(app), "eci")]
    assert [path for path in paths if path not in prose] == [], "commands without a how-to"


def test_the_columns_in_the_readme_are_those_of_the_tables():
    assert between("columns") == columns_markdown(), (
        "put the output of jobs.reference.columns_markdown() between the markers"
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("readme")


def tiny(line: str) -> str:
    """Return a command with what makes it short."""
    words = shlex.split(line)
    return f"{line} {TINY.get(words[1], '')}".strip() if len(words) > 1 else line


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_runs(folder, line):
    words = shlex.split(line)
    if words[0] != "eci":
        pytest.skip(f"{words[0]} is another program")
    if words[1:2] and words[1] in ELSEWHERE:
        pytest.skip(ELSEWHERE[words[1]])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        tiny(line), shell=True, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=600
    )
    assert found.returncode == 0, f"{line}\n{found.stdout}\n{found.stderr}"
    assert "Traceback" not in found.stderr
