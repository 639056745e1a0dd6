"""No name, text or message makes a terminal do anything: control characters are shown escaped by every command."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.cli import main
from jobs.finished import result
from jobs.probing.answer import Probed
from jobs.terminal.console import to_json
from jobs.terminal.escape import ShownFormatter, shown
from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples

TITLE = "\x1b]0;owned\x07"  # another title for the window
RED = "\x1b[31m\x9b31m"  # colour, by C0 and by C1
FLIP = "\u202etxt.exe\u2066\u200f"  # what follows is read backwards
FEED = "\r\x08\x08fake\x7f\u2028next\nline\ttab"
HOSTILE = TITLE + RED + FLIP + FEED
NAMES = {"source 0": f"a{TITLE}{FLIP}", "source 1": f"b{RED}", "source 2": f"c{FEED}"}
ESCAPED = {"source 0": r"a\x1b]0;owned\x07\u202etxt.exe\u2066\u200f", "source 1": r"b\x1b[31m\u009b31m",
           "source 2": r"c\r\x08\x08fake\u007f\u2028next\nline\ttab"}  # fmt: skip
UNSAFE = re.compile(r"[^\n\x20-\x7e\xa0-\U0010ffff]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over hostile texts, in a folder and of files with hostile names, with rejects."""
    folder = tmp_path_factory.mktemp("terminal") / f"x{TITLE}{FLIP}"
    lake = vector_lake(folder / "lake", 8, 400, sources=3, queries=240)
    path = folder / f"triples{RED}.parquet"
    rows = [(q + HOSTILE, p + HOSTILE, n + HOSTILE, source) for q, p, n, source in lake.rows]
    vectors = pl.read_parquet(lake.vectors).with_columns(text=pl.col("text") + HOSTILE)
    vectors.write_parquet(lake.vectors)
    write_triples(path, [*rows, ("no vector" + HOSTILE, "p", "n", "source 0")])
    run_lake(folder / "out", path, vectors=(str(lake.vectors),), folds=4)
    (folder / "out" / "runs" / f"notes{TITLE}").mkdir()
    return folder


@pytest.fixture
def told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[str, str]]]:
    """Run the command line in this process; returns what it wrote to both streams."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", end)

    def call(*arguments: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["eci", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit):
            main()
        out, err = capfd.readouterr()
        return out, err

    yield call
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


def test_every_control_character_is_escaped_and_nothing_else_is() -> None:
    for code in (*range(0x3000), *range(0xD700, 0xE000)):
        character = chr(code)
        unsafe = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in (
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        )  # fmt: skip
        unsafe = unsafe or character in "\u061c\u200e\u200f"
        assert (shown(character) != character) is unsafe, hex(code)
        assert shown(character).isprintable() or not unsafe
    for text in ("déjà vu", "日本語 ไทย", "a\\b", "👩‍👩‍👧", "שלום"):
        assert shown(text) == text


def test_json_means_the_same_and_is_safe_to_show() -> None:
    text = to_json({HOSTILE: [HOSTILE]})
    assert not UNSAFE.search(text) and json.loads(text) == {HOSTILE: [HOSTILE]}


def test_a_log_line_is_escaped() -> None:
    record = logging.LogRecord("eci", logging.WARNING, "", 0, f"of {HOSTILE}", (), None)
    assert not UNSAFE.search(ShownFormatter().format(record).replace("\n", ""))


def renamed(value: Any) -> Any:
    """Return a ranking with hostile names of sources in it, which no run lets in."""
    if isinstance(value, str):
        for name, hostile in NAMES.items():
            value = value.replace(name, hostile)
        return value
    if isinstance(value, Probed):
        return Probed(*map(renamed, value))
    if isinstance(value, dict):
        return {key: renamed(inner) for key, inner in value.items()}
    return [renamed(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("by", ["probe", "eci"])
def test_sources_are_shown_escaped(place: Path, told: Any, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "ranking_of", lambda *given, real=result.ranking_of: renamed(real(*given)))
    out, err = told("rank", "--by", by, "--out", place / "out")
    assert not UNSAFE.search(out + err)
    table, sentences = out.strip().split("\n\n")
    assert all(name in re.sub(r"\n *", "", table) for name in ESCAPED.values())
    assert any(name in sentences for name in ESCAPED.values())


@pytest.mark.parametrize("kind", ["table", "json"])
def test_texts_rejects_and_column_names_are_shown_escaped(place: Path, told: Any, kind: str) -> None:
    sql = f"""SELECT file, detail, record, left(text, 9) AS "{RED}[bold]x" FROM rejects, texts LIMIT 3"""
    out, err = told("sql", sql, "--format", kind, "--out", place / "out")
    assert not UNSAFE.search(out + err)
    # JSON has its own form for C0, which is as safe
    assert (r"\x1b[31m\u009b31m[bold]x" if kind == "table" else r"\u001b[31m\u009b31m[bold]x") in out


def test_csv_that_goes_to_a_program_is_as_it_is(place: Path, told: Any) -> None:
    sql = "SELECT right(text, 30) AS t FROM texts WHERE text IS NOT NULL LIMIT 1"
    out, _ = told("sql", sql, "--format", "csv", "--out", place / "out")
    assert out == f't\n"{HOSTILE[-30:]}"\n'


def test_files_and_folders_are_shown_escaped(place: Path, told: Any, tmp_path: Path) -> None:
    triples, vectors, out = place / f"triples{RED}.parquet", place / "lake" / "vectors.parquet", place / "out"
    given = ["--triples", triples, "--vectors", vectors, "--folds", "4"]
    for command in (
        ["plan", *given, "--out", tmp_path / "new"],
        ["run", *given, "--workers", "2", "--memory", "4GB", "--out", out],  # nothing is new
        ["runs", "--out", out],
        ["status", "--out", out],
        ["gc", "--dry-run", "--out", out],
        ["report", "--out", out],
        ["doctor", "--out", out],
        ["ingest", "--triples", triples, "--to", tmp_path / f"to{TITLE}"],
        ["init", tmp_path / f"s{TITLE}.toml"],
    ):
        shown_by = "".join(told(*command))
        assert not UNSAFE.search(shown_by), (command, shown_by)
        assert r"\x1b" in shown_by or command[0] in ("plan", "status", "doctor", "run"), (command, shown_by)


@pytest.mark.parametrize(
    "given",
    [
        ["rank", "--run", HOSTILE, "--out", "OUT"],
        ["rank", "--by", HOSTILE, "--out", "OUT"],
        ["rank", "--out", f"/nowhere/{HOSTILE}"],
        ["mix", "--source", HOSTILE, "--out", "OUT"],
        ["mix", "--parts", f"{HOSTILE}=2", "--out", "OUT"],
        ["sql", f'FROM "{HOSTILE}"', "--out", "OUT"],
        ["sql", f"SELECT error('{HOSTILE}')", "--out", "OUT"],
        ["run", f"{HOSTILE}.toml"],
        ["run", "--triples", f"{HOSTILE}*.jsonl", "--out", "/nowhere/out"],
        ["run", "--triples", "BAD", "--out", "/nowhere/out"],
        ["plan", "--triples", "BAD", "--format", HOSTILE, "--out", "/nowhere/out"],
    ],
    ids=lambda given: " ".join(given[:2]).replace(HOSTILE, "HOSTILE"),
)
def test_errors_are_one_line_whatever_they_quote(place: Path, told: Any, tmp_path: Path, given: list[str]) -> None:
    bad = tmp_path / f"bad{HOSTILE}.parquet"
    bad.write_bytes(b"no parquet")
    names = {"OUT": str(place / "out"), "BAD": str(bad)}
    out, err = told(*(names.get(word, word) for word in given))
    assert out == "" and err.startswith("eci: ") and err.count("\n") == 1
    assert not UNSAFE.search(err) and (r"\x1b" in err or r"\\x1b" in err), err
