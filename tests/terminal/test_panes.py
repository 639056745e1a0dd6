"""What terminals of 40 to 140 columns show is what is stored, and holds together: no name, digit or word is lost."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len

from jobs.cli import app
from tests.terminal.panes import COMMANDS, HERE, LONG, WIDTHS, furnish, pane, path_of, plain, printed, shown

RUN = json.loads((HERE / "run.json").read_text(encoding="utf-8"))
ECI = [dict(zip(RUN["source_eci"]["columns"], row, strict=True)) for row in RUN["source_eci"]["rows"]]
PROBE = [dict(zip(RUN["source_probe"]["columns"], row, strict=True)) for row in RUN["source_probe"]["rows"]]
RANK, BY_ECI, LONG_NAMES = COMMANDS[1], COMMANDS[2], COMMANDS[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("panes")
    furnish(made)
    return made


@pytest.fixture(scope="module")
def panes(folder: Path) -> dict[int, dict[tuple[str, ...], str]]:
    """What every command prints at every width."""
    return {width: {command: printed(folder, command, width) for command in COMMANDS} for width in WIDTHS}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_terminal_shows_what_is_stored(panes: dict[int, dict[tuple[str, ...], str]], width: int) -> None:
    found = "\n".join(f"{shown(command)}\n{text}" for command, text in panes[width].items())
    assert found == path_of(width).read_text(encoding="utf-8"), "`python -m tests.terminal` writes the panes anew"


def table_of(text: str) -> list[str]:
    return text.strip("\n").split("\n\n")[0].splitlines()


@pytest.mark.parametrize("width", range(60, 141, 4))
def test_the_ranking_keeps_every_source_and_every_digit(folder: Path, width: int) -> None:
    """Named and counted as the tables have it: a row is `rank (lo-hi)  source  ...  triples`."""
    head, *rows = table_of(printed(folder, RANK, width))
    triples = {row["source"]: f"{row['n_examples']:,}" for row in ECI}
    eci = {row["source"]: f"{row['eci']:.5f}" for row in ECI}
    assert len(rows) == len(PROBE) and all(cell_len(line) <= width for line in (head, *rows))
    for row, line in zip(PROBE, rows, strict=True):
        cells = re.split(r"  +", line.strip())
        assert cells[0] == f"{row['rank']} ({row['rank_low']}-{row['rank_high']})"
        start, _, end = cells[1].partition("…")
        assert cells[1] == row["source"] or width < 62 and "+" in row["source"], line
        assert row["source"].startswith(re.split("[…+]", start)[0]) and row["source"].endswith(
            re.split("[…+]", end)[-1]
        )
        assert cells[2] == f"{100 * row['gain']:+.2f}"
        if row["source"] in triples:
            assert cells[-1] == triples[row["source"]] and eci[row["source"]] in cells


def test_columns_go_in_their_order(folder: Path) -> None:
    """By ECI: the plot first, then hardness, purity and the interval."""
    going = ["●", "hardness", "purity", "95 % interval"]
    left = []
    for width in range(140, 59, -2):
        text = "\n".join(table_of(printed(folder, BY_ECI, width)))
        there = [name in text for name in going]
        assert there == sorted(there), f"{width}: {there}"
        left.append(sum(there))
        assert all(name in text for name in ("rank", "source", "ECI", "triples"))
    assert left == sorted(left, reverse=True) and left[0] == 4 and left[-1] == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_are_cut_in_the_middle_and_stay_different(
    panes: dict[int, dict[tuple[str, ...], str]], width: int
) -> None:
    rows = table_of(panes[width][LONG_NAMES])
    assert all(cell_len(line) <= width for line in rows)
    if width >= 60:
        names = [re.split(r"  +", line.strip())[1] for line in rows[1:]]
        assert len(set(names)) == len(names) == len(PROBE) and sum("…" in name for name in names) >= 5


def words_of(text: str) -> list[str]:
    return text.replace(" \\\n", " ").split()


@pytest.mark.parametrize("width", WIDTHS[:-1])
@pytest.mark.parametrize("command", [RANK, BY_ECI, LONG_NAMES], ids=["rank", "by eci", "long"])
def test_sentences_and_commands_are_broken_between_words_only(
    panes: dict[int, dict[tuple[str, ...], str]], command: tuple[str, ...], width: int
) -> None:
    narrow, wide = (panes[w][command].strip("\n").split("\n\n")[1] for w in (width, WIDTHS[-1]))
    assert words_of(narrow) == words_of(wide)
    for line in narrow.splitlines():
        assert cell_len(line) <= width or len(line.removesuffix(" \\").split()) <= 2, line


@pytest.mark.parametrize("command", [RANK, BY_ECI], ids=["probe", "eci"])
def test_the_last_lines_are_the_answer_with_commands_that_can_be_copied(folder: Path, command: tuple[str, ...]) -> None:
    lines = printed(folder, command, 140).splitlines()
    run = RUN["manifest"]["run_id"]
    where = f"--format triples --to train --out demo --run {run}"
    choice = "--mix dense-aware=0.5,dense-band=0.5" if command == RANK else "--source dense-aware"
    assert lines[-3:] == [
        f"  eci select {choice} {where}", f"  eci report --out demo --run {run}", f"The report: demo/runs/{run}/report.html",
    ]  # fmt: skip


def test_a_tie_is_said_as_a_tie_with_the_gains_over_the_next_and_over_the_frozen_encoder(folder: Path) -> None:
    text = " ".join(printed(folder, RANK, 140).split())
    assert "A tie. Nothing is decided between dense-aware+dense-band, dense-band," in text
    assert "+0.17 to +0.84 points of nDCG@10 over the frozen encoder (73.5)" in text
    assert "+0.84 (95 % interval +0.38 .. +1.30), +0.05 against dense-band (-0.30 .. +0.40): not decided." in text
    assert "ECI agrees" in text and "Next, for dense-aware+dense-band, the first of the tie:" in text


def test_few_columns_of_sql_are_a_table_and_many_a_list(panes: dict[int, dict[tuple[str, ...], str]]) -> None:
    for width in WIDTHS:
        few, many = (panes[width][command] for command in COMMANDS[4:6])
        assert all(cell_len(line) <= width for line in few.splitlines())
        for row in [row for row in ECI if row["rank"] is not None][:4]:
            assert f"{row['n_examples']}" in few and row["source"] in few
        for name in RUN["source_eci"]["columns"]:
            assert re.search(rf"^{name} ", many, re.MULTILINE)


def test_eci_alone_names_the_first_ways_and_groups_every_command(panes: dict[int, dict[tuple[str, ...], str]]) -> None:
    for width in WIDTHS:
        text = panes[width]["eci",]
        assert all(f"eci {name}" in text for name in ("plan", "probe", "select", "validate"))
        assert all(group in text for group in ("look", "decide", "check", "keep house"))
        assert all(cell_len(line) <= width for line in text.splitlines() if "'lake" not in line)


def test_help_lists_every_command_once_in_its_group(folder: Path) -> None:
    text = printed(folder, ("eci", "--help"), 80).split("\nTo look:\n")[1]
    names = re.findall(r"^  ([a-z]+)\b", text, re.MULTILINE)
    assert sorted(names) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert re.findall(r"^(\S.*):$", text, re.MULTILINE)[:3] == ["To decide", "To check", "To keep house"]


def test_a_real_terminal_of_eighty_columns_shows_the_same(folder: Path) -> None:
    """Through the command line in a process of its own, on a pseudo-terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "jobs.cli", *RANK[1:]]
    with subprocess.Popen(
        command, cwd=folder, env=environment | {"TERM": "xterm"}, stdin=slave, stdout=slave
    ) as process:
        os.close(slave)
        sent = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # Linux's end of a pseudo-terminal
                break
            if not block:
                break
            sent += block
    os.close(master)
    assert process.returncode == 0
    assert plain(sent.decode()) == printed(folder, RANK, 80)


def test_names_in_the_long_root_are_those_of_the_case() -> None:
    """The long names must be long: else nothing is cut, and the tests above show nothing."""
    assert all(cell_len(name) > 30 for name in LONG.values()) and set(LONG) < {row["source"] for row in ECI}


def test_pane_is_what_the_module_writes(folder: Path) -> None:
    assert pane(folder, 80) == path_of(80).read_text(encoding="utf-8")
