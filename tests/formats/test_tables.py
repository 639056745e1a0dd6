"""The files of a table are never read without its log: removed rows would be scored. Shown without the tables' libraries."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.addresses import beside, expanded, refuse_secret
from jobs.config import make_config
from jobs.errors import InputError
from jobs.formats.finding import find
from jobs.ingest.pinning import pinned
from jobs.lakes.naming import Named, named
from jobs.output.store import Store

ROWS = pa.table({"query": ["q"], "positive": ["p"], "negative": ["n"], "source": ["s"]})


def _table(folder: Path, kind: str) -> Path:
    data = folder / "day=2026-11-01" / "part-0.parquet"
    data.parent.mkdir(parents=True)
    pq.write_table(ROWS, data)
    if kind == "Delta":
        (folder / "_delta_log").mkdir()
        (folder / "_delta_log" / f"{0:020}.json").write_text(json.dumps({"commitInfo": {}}))
    elif kind == "Iceberg":
        (folder / "metadata").mkdir()
        (folder / "metadata" / "00000-1.metadata.json").write_text("{}")
    else:
        (folder / ".hoodie").mkdir()
    return data


@pytest.mark.parametrize("kind", ["Delta", "Iceberg", "Hudi"])
def test_files_of_a_table_are_refused_however_they_are_named(tmp_path: Path, kind: str) -> None:
    data = _table(tmp_path / "lake" / "t", kind)
    (tmp_path / "lake" / "beside.jsonl").write_text("{}\n")
    folders = ["lake/t/*/*.parquet", "lake/t/day=2026-11-01", "lake", "lake/**/*.parquet"]
    patterns = [str(data), *(str(tmp_path / name) for name in folders)]
    for pattern in patterns if kind == "Delta" else [*patterns, str(tmp_path / "lake" / "t")]:
        with pytest.raises(InputError, match=f"lake/t is a table of {kind}, ") as refused:
            find([pattern], "triples")
        assert "\n" not in str(refused.value)


def test_the_folder_of_a_table_is_the_table_and_never_its_files(tmp_path: Path) -> None:
    _table(tmp_path / "t", "Delta")
    with pytest.raises(InputError, match=r"^delta:.*/t: (a table of a lake needs|cannot be opened|no Delta table)"):
        find([str(tmp_path / "t")], "triples")


def test_a_folder_beside_a_table_is_read_as_ever(tmp_path: Path) -> None:
    _table(tmp_path / "t", "Delta")
    (tmp_path / "plain" / "metadata").mkdir(parents=True)
    pq.write_table(ROWS, tmp_path / "plain" / "a.parquet")
    assert [Path(path).name for path in find([str(tmp_path / "plain")], "triples").files] == ["a.parquet"]


def test_where_without_a_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "a.parquet")
    where = {"triples": str(tmp_path / "a.parquet"), "where": "source = 's'"}
    with pytest.raises(InputError, match="--where goes with tables"):
        pinned(make_config({"inputs": [where], "out": str(tmp_path / "out")}))


def test_names_of_tables_and_files_are_read_as_they_were_written() -> None:
    for given in (
        Named("delta", "/lake/t", 12, "a != 'x!y' and b = '50%'", "day=1/part 0.parquet"),
        Named("delta", "s3://bucket/a@b/t", 3),
        Named("iceberg", "cat/db.t", 4711, "", "file:///w/x@3.parquet", 2),
        Named("delta", "t"),
    ):
        assert named(str(given)) == given
    assert Named("delta", "/t", 1, "", "s3://other/x.parquet").path == "s3://other/x.parquet"
    assert named("/lake/delta:x") is None


def test_a_version_is_no_secret_and_a_secret_is_refused_behind_the_kind() -> None:
    for good in ("delta:/t@12", "delta:s3://bucket@12", "delta:s3://bucket/lake/t@3", "iceberg:cat/db.t@4711"):
        refuse_secret(good)
    for bad in ("delta:s3://KEY:SECRET@12", "delta:s3://KEY:SECRET@bucket/t", "delta:https://h/t?sig=abcdefgh"):
        with pytest.raises(InputError, match="credentials from the environment"):
            refuse_secret(bad)


def test_paths_of_tables_begin_where_other_paths_do() -> None:
    assert beside("delta:t", "/etc/nightly") == "delta:/etc/nightly/t"
    assert beside("iceberg:cat/db.t", "/etc") == "iceberg:cat/db.t"
    assert re.fullmatch(r"delta:/.*/t", expanded("delta:~/t"))


def test_a_table_is_no_place_for_files() -> None:
    with pytest.raises(InputError, match="is the address of a table"):
        Store("delta:/lake/t")
