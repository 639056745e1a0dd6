"""What commands say of words that no option takes and of wrong options, and what a pipe without a reader does to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.errors import EciError
from tests.conftest import run_lake
from tests.lakes import vector_lake

Eci = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = (sys.executable, "-m", "jobs.cli")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prompt")
    lake = vector_lake(folder / "lake", 8, 3000, sources=2, queries=500)
    run_lake(folder / "out", lake.triples, vectors=str(lake.vectors), folds=4, no_probe=True)
    return folder / "out"


def refused(*arguments: Any, **environment: str) -> str:
    """Return what a command says that ends with exit code 2, in this process."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    if isinstance(done.exception, EciError):
        assert done.exception.exit_code == 2
        return str(done.exception)
    assert done.exit_code == 2, done.output
    return done.output


def unread(*arguments: Any, stream: str = "stdout") -> tuple[int, str]:
    """Run a command whose output, or error stream, has lost its reader already; return exit code and the other stream."""
    read, write = os.pipe()
    os.close(read)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
    done = subprocess.run([*PROGRAM, *map(str, arguments)], **streams, text=True, timeout=300)
    os.close(write)
    return done.returncode, (done.stderr if stream == "stdout" else done.stdout) or ""


LOOKS = {
    "sql": ("SELECT s.triple_id FROM scores s, range(100)",),
    "sql as json": ("SELECT * FROM scores", "--json"),
    "rank": (),
    "rank as json": ("--json",),
    "runs": (),
    "mix": (),
    "verify": (),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_reader_that_has_seen_enough_is_no_error(out: Path, name: str) -> None:
    assert unread(name.split()[0], *LOOKS[name], "--out", out) == (0, "")


@pytest.mark.parametrize("arguments", [("--help",), (), ("doctor",), ("encoders", "list")])
def test_nor_is_it_where_there_is_no_run(arguments: tuple[str, ...]) -> None:
    assert unread(*arguments) == (0, "")


def test_through_head_the_first_row_comes(out: Path) -> None:
    sql = "SELECT s.triple_id FROM scores s, range(100)"
    command = f'set -o pipefail; {" ".join(PROGRAM)} sql "{sql}" --out {out} | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "triple_id\n", "")


def test_what_is_wrong_is_an_exit_code_though_nobody_reads_of_it(tmp_path: Path, out: Path) -> None:
    assert unread("rank", "--out", tmp_path / "nothere", stream="stderr") == (2, "")
    assert unread("rank", "--out", tmp_path / "nothere")[0] == 2
    copy = tmp_path / "damaged"
    subprocess.run(["cp", "-r", str(out), str(copy)], check=True)
    next(copy.glob("runs/*/texts/*.parquet")).unlink()
    code, said = unread("verify", "--out", copy)
    assert code == 1 and "damaged or missing" in said


def test_a_run_whose_progress_nobody_reads_is_finished(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 200, sources=2, queries=60)
    given = ("--triples", lake.triples, "--vectors", lake.vectors, "--folds", 4, "--no-probe", "--workers", 1)
    code, said = unread("run", *given, "--out", tmp_path / "out", stream="stderr")
    assert code == 0 and "200 rows in = 200 scored" in said and (tmp_path / "out" / "LATEST").exists()


def test_an_error_in_sql_shows_the_place(eci: Eci, out: Path) -> None:
    done = eci("sql", "SELECT source\nFROM scores\nWHERE s_pos >> AND", "--out", out)
    assert done.returncode == 2 and done.stdout == ""
    message, line, mark = done.stderr.splitlines()
    assert message.startswith('eci: SQL: Parser Error: syntax error at or near "AND"')
    assert line == "LINE 3: WHERE s_pos >> AND" and mark.strip("^") == " " * line.index("AND")
    one = eci("sql", "SELECT nope FROM scores", "--out", out)
    assert one.returncode == 2 and len(one.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("select", "--source", "same", "module", "--to", "x"), "--source 'same module'"),
        (("mix", "--source", "a", "--source=b", "c", "d"), "--source 'b c d'"),
        (("sql", "SELECT", "1"), "'SELECT 1'"),
        (("encoders", "show", "my", "encoder"), "'my encoder'"),
        (("rank", "--run", "a", "b"), "--run 'a b'"),
        (("run", "--source", "same", "module", "--triples", "x"), "--source 'same module'"),
        (("plan", "--triples", "my", "lake.parquet"), "--triples 'my lake.parquet'"),
        (("plan", "--triples=my", "new", "lake.parquet"), "--triples 'my new lake.parquet'"),
        (("ingest", "--triples", "my", "lake.parquet", "--to", "x"), "--triples 'my lake.parquet'"),
    ],
)
def test_a_name_with_blanks_that_was_not_quoted_has_the_advice(arguments: Any, advice: str) -> None:
    said = refused(*arguments, *(() if arguments[0] in ("encoders", "ingest") else ("--out", "o")))
    assert f"What has blanks in it goes in quotes: {advice}" in said


@pytest.mark.parametrize("command", ["plan", "run", "probe", "ingest"])
def test_a_glob_that_the_shell_has_expanded_has_the_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        (tmp_path / name).write_bytes(b"")
    said = refused(
        command, "--triples", "a.parquet", "b.parquet", "c.parquet", "--to" if command == "ingest" else "--out", "o"
    )
    assert "A glob goes in quotes" in said and "blanks" not in said


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--columns", "foo=bar", "--columns: 'foo' is no name to give"),
        ("--format", "tripels", "--format: not a format; did you mean 'triples'?"),
        ("--ranks", "3:1", "--ranks: ranks are FIRST:LAST"),
        ("--positives", "some", "--positives: allowed: all, first (given: 'some')"),
        ("--source", "\x07", "--source: a source is 1 to 200 printable characters"),
        ("--folds", "1", "--folds: must be a number, at least 2, at most 256 (given: 1)"),
        ("--hybrid", "a", "--hybrid: hybrid 'a' needs two or more different sources"),
        ("--sample-queries", "0", "--sample-queries: must be a number, at least 1 (given: 0)"),
        ("--until-decided", "2", "--until-decided: must be a number"),
        ("--memory", "lots", "--memory: "),
        ("--tokenizer", "words", "--tokenizer: allowed: word, wordpiece, char3; did you mean 'word'?"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_error_names_the_option_as_it_was_typed(command: str, option: str, value: str, said: str) -> None:
    found = refused(command, "--triples", "x", "--out", "o", option, value)
    assert found.startswith(said) and "inputs." not in found


def test_an_error_names_the_variable_or_the_file_that_holds_the_setting(tmp_path: Path) -> None:
    said = refused("plan", "--triples", "x", "--out", "o", ECI_FOLDS="1", ECI_FORMAT="tripels")
    assert "ECI_FOLDS: must be a number" in said and "ECI_FORMAT: not a format" in said
    (tmp_path / "a.toml").write_text('out = "o"\nfolds = 1\n[[inputs]]\ntriples = "x"\nformat = "tripels"\n')
    said = refused("plan", tmp_path / "a.toml", "--temperature", "99")
    assert "a.toml: inputs.0.format: not a format" in said and "a.toml: folds: must be" in said
    assert "--temperature: must be a number" in said
    assert refused("probe", "--rate", "7", "--out", "o").startswith("--rate: must be")
    assert refused("ingest", "--triples", "x", "--to", "t", "--ranks", "x").startswith("--ranks: ranks are")


def test_runs_of_a_folder_that_is_not_there_or_no_root_are_refused(eci: Eci, tmp_path: Path, out: Path) -> None:
    assert eci("runs", "--out", out).returncode == 0
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ".eci-root").write_text('{"made_by": "eci-lake", "format": 1}')
    none = eci("runs", "--out", "begun")
    assert none.returncode == 0 and none.stdout.startswith("begun holds no finished run; eci status --out begun says")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    for name, said in (
        ("nothere", "no output root here"),
        ("other", "is no output root of eci: it holds other things"),
    ):
        done = eci("runs", "--out", name)
        assert done.returncode == 2 and done.stdout == "" and said in done.stderr
