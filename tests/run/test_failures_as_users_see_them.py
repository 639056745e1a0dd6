"""Every way a run can be wrong from the start is one clear line, exit code 2, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

GOOD = [
    {"query": f"what is {i}", "positive": f"{i} is a number", "negative": f"{i} is no word", "source": "s"}
    for i in range(9)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(
        pa.Table.from_pylist(GOOD).rename_columns(["qery", "positive", "negative", "source"]),
        tmp_path / "wrong.parquet",
    )
    pq.write_table(pa.Table.from_pylist(GOOD).drop_columns(["source"]), tmp_path / "nosource.parquet")
    (tmp_path / "good.jsonl").write_text("\n".join(map(json.dumps, GOOD)))
    (tmp_path / "keys.jsonl").write_text("\n".join(json.dumps({**row, "query": None}) for row in GOOD))
    (tmp_path / "notparquet.parquet").write_text("this is text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "settings.toml").write_text(
        'temprature = 0.1\nfolds = 1\n[[inputs]]\ntriples = "good.jsonl"\nformt = "x"\n'
    )
    (tmp_path / "broken.toml").write_text("folds = = 3\n")
    pq.write_table(pa.table({"text": ["a"], "side": ["query"], "vector": ["no list"]}), tmp_path / "vectors.parquet")
    return tmp_path


CASES: list[tuple[list[str], list[str]]] = [
    (["--triples", "wrong.parquet", "--format", "triples"], ["wrong.parquet", "'query'", "qery", "did you mean"]),
    (["--triples", "nosource.parquet", "--format", "triples"], ["nosource.parquet", "'source'", "--source NAME"]),
    (
        ["--triples", "keys.jsonl", "--format", "triples"],
        ["no triple can be scored", "9 x null_field", "query is missing"],
    ),
    (["--triples", "notparquet.parquet"], ["notparquet.parquet"]),
    (["--triples", "empty"], ["empty", "no files"]),
    (["--triples", "no/*.parquet"], ["no/*.parquet", "matches no file"]),
    (["--triples", "good.jsonl", "--format", "tripels"], ["'tripels'", "did you mean 'triples'"]),
    (["--triples", "good.jsonl", "--encoder", "nope"], ["'nope'", "minilm-l6-v2-int8"]),
    (["--triples", "good.jsonl", "--temperature", "0"], ["temperature", "at least 0.001"]),
    (["--triples", "good.jsonl", "--tokenizer", "words"], ["tokenizer", "'word'", "'words'"]),
    (["--triples", "good.jsonl", "--source", "a\nb"], ["source", "printable"]),
    (["--triples", "good.jsonl", "--memory", "lots"], ["memory", "'lots'", "2GB"]),
    (["--triples", "good.jsonl", "--memory", "100MB"], ["memory", "100 MiB", "fewer --workers"]),
    (["--triples", "good.jsonl", "--vectors", "vectors.parquet"], ["vectors.parquet", "'vector'", "list of floats"]),
    (["--triples", "good.jsonl", "--scheduler", "tcp://127.0.0.1:1"], ["tcp://127.0.0.1:1", "is it running"]),
    (["settings.toml"], ["temprature", "did you mean 'temperature'", "folds", "formt", "did you mean 'format'"]),
    (["broken.toml"], ["broken.toml", "not valid TOML", "line 1"]),
    (["absent.toml"], ["absent.toml", "No such file"]),
]


@pytest.mark.parametrize(("arguments", "said"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_a_wrong_run_is_one_line_with_exit_code_2(
    eci: Callable[..., Any], folder: Path, arguments: list[str], said: list[str]
) -> None:
    done = eci("run", *arguments, "--out", "out", "--quiet", *([] if "--memory" in arguments else ["--memory", "4GB"]))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("eci: "), done.stderr
    for words in said:
        assert words in done.stderr
    assert done.stdout == ""
    assert not (folder / "out").exists()


def test_a_wrong_run_leaves_an_older_output_as_it_was(eci: Callable[..., Any], folder: Path) -> None:
    assert eci("run", "--triples", "good.jsonl", "--out", "out", "--quiet", "--memory", "4GB").returncode == 0
    before = {p: p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file() and p.name != "LOCK"}
    assert (
        eci("run", "--triples", "keys.jsonl", "--format", "triples", "--out", "out", "-q", "--memory", "4GB").returncode
        == 2
    )
    after = {p: p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file() and p.name != "LOCK"}
    assert before == after


@pytest.mark.parametrize("command", [["rank"], ["sql", "SELECT 1"]])
def test_reading_where_no_run_is_says_how_to_make_one(eci: Callable[..., Any], command: list[str]) -> None:
    done = eci(*command, "--out", "nowhere")
    assert done.returncode == 2
    assert "no finished run here" in done.stderr and "eci run" in done.stderr
