"""Training sets as tables of a lake: the rows of the files, one commit a selection, once; what others have written stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from jobs.decide.selection import Choice, select
from jobs.decide.training_table import COMMENTS
from jobs.errors import InputError
from tests.conftest import run_lake
from tests.lake.tables import ingested
from tests.lakes import VectorLake

pytest.importorskip("deltalake")

from deltalake import DeltaTable, write_deltalake

FEW, MORE = Choice(per_query=2, violations=False), Choice(per_query=5)
TOGETHER = "import sys; from jobs.decide.selection import *; select(sys.argv[1], sys.argv[2], 'triples', Choice(per_query=2, violations=False))"


@pytest.fixture(scope="module")
def out(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs") / "out"
    settings: dict[str, Any] = {"vectors": str(small_lake.vectors), "folds": 4, "buckets": 2, "no_probe": True}
    run_lake(folder, small_lake.triples, information=True, **settings)
    return str(folder)


def of_files(out: str, to: Path, choice: Choice) -> pl.DataFrame:
    select(out, str(to), "triples", choice)
    return pl.read_parquet(to / "data" / "*.parquet")


def same(found: pl.DataFrame, wanted: pl.DataFrame) -> bool:
    order = ["query", "positive", "negative", "source"]
    return found.sort(order).equals(wanted.sort(order), null_equal=True)


def test_a_table_has_the_rows_of_the_files_and_one_commit_a_selection(out: str, tmp_path: Path) -> None:
    few, more = of_files(out, tmp_path / "few", FEW), of_files(out, tmp_path / "more", MORE)
    assert 0 < len(few) < len(more)
    to = f"delta:{tmp_path / 'train'}"
    done = [select(out, to, "triples", choice) for choice in (FEW, FEW, MORE, MORE, FEW)]
    assert [(one["version"], one["written"]) for one in done] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
        (3, True),
    ]
    table = DeltaTable(tmp_path / "train")
    assert [one["triples"] for one in done] == [len(few), len(few), len(more), len(more), len(few)]
    for version, wanted in ((1, few), (2, more), (3, few)):
        found = pl.read_delta(str(tmp_path / "train"), version=version)
        assert found.columns == wanted.columns and same(found, wanted)
    assert {field.name: field.metadata["comment"] for field in table.schema().fields} == COMMENTS
    # what keeps a table tidy changes no row
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert not select(out, to, "triples", FEW)["written"]
    assert len(ingested(tmp_path, to)[0]) == len(few)


def test_commands_that_write_a_selection_at_once_write_it_once(out: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TOGETHER, out, f"delta:{tmp_path / 'train'}"]
    together = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in together] == [("", 0)] * 3
    assert DeltaTable(tmp_path / "train").version() == 1
    assert same(pl.read_delta(str(tmp_path / "train")), of_files(out, tmp_path / "files", FEW))


def _appended(to: Path, out: str) -> None:
    select(out, f"delta:{to}", "triples", FEW)
    pl.read_delta(str(to)).head(1).write_delta(str(to), mode="append")


def _theirs(to: Path, out: str) -> None:
    write_deltalake(to, pl.read_parquet(Path(of_folder(out)) / "*.parquet"))


def of_folder(out: str) -> str:
    to = Path(out).parent / "theirs"
    if not to.exists():
        select(out, str(to), "triples", FEW)
    return str(to / "data")


def _foreign(to: Path, out: str) -> None:
    to.mkdir()
    (to / "mine.txt").write_text("")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (_appended, "not a training set of eci select: WRITE of version 2 is another's"),
        (_theirs, "not a training set of eci select: it was made for something else"),
        (lambda to, out: write_deltalake(to, pa.table({"query": [1]})), "column 'query' is long there, and string in a run"),
        (_foreign, r"no Delta table, and holds other things \(mine.txt\)"),
    ],
)  # fmt: skip
def test_a_table_that_others_have_made_or_written_to_is_left_alone(
    out: str, tmp_path: Path, before: Callable[..., None], said: str
) -> None:
    to = tmp_path / "train"
    before(to, out)
    files = sorted(to.rglob("*"))
    with pytest.raises(InputError, match=said) as refused:
        select(out, f"delta:{to}", "triples", MORE)
    assert "\n" not in str(refused.value) and sorted(to.rglob("*")) == files


def test_an_iceberg_table_has_the_rows_of_the_files_once(out: str, tmp_path: Path, catalog: Any) -> None:
    to = "iceberg:nightly/sets.train"
    few, more = of_files(out, tmp_path / "few", FEW), of_files(out, tmp_path / "more", MORE)
    done = [select(out, to, "triples", choice) for choice in (FEW, FEW, MORE)]
    assert [one["written"] for one in done] == [True, False, True]
    table = catalog.load_table("sets.train")
    for one, wanted in ((done[0], few), (done[2], more)):
        found = pl.from_arrow(table.scan(snapshot_id=one["version"]).to_arrow())
        assert isinstance(found, pl.DataFrame) and same(found, wanted)
    table.append(table.scan(limit=1).to_arrow())
    with pytest.raises(InputError, match="not a training set of eci select: snapshot .* is another's"):
        select(out, to, "triples", FEW)


def test_the_command_says_what_it_wrote_and_refuses_what_a_table_does_not_take(
    out: str, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    command = ["select", "--per-query", "2", "--out", out, "--to"]
    first, again = (eci(*command, "delta:train") for _ in range(2))
    assert f" triples, in {tmp_path}/train at version 1 (run " in first.stdout, first.stderr
    assert f" triples, in {tmp_path}/train at version 1 already; nothing was written (run " in again.stdout
    for to, more, said in (
        ("delta:x", ["--format", "bge"], "--to delta:x: a table holds triples; leave --format bge out"),
        ("delta:x", ["--shard-rows", "7"], "--to delta:x: --shard-rows is of files"),
        ("delta:x@3", [], "'delta:x@3' is no table to write"),
        ("iceberg:nightly/train", [], "'iceberg:nightly/train' is no table to write"),
        ("delta:s3://KEY:SECRET@bucket/x", [], "credentials from the environment"),
    ):
        refused = eci(*command, to, *more)
        assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
        assert "SECRET" not in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train"]
