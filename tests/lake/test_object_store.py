"""Tables in an object store: read and published there, with credentials and endpoint from the environment alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

import jobs
from tests.conftest import run_lake, tables_of
from tests.distributed.services import KEY, SECRET, s3_server
from tests.lake.tables import ingested, rows, table_of
from tests.lakes import VectorLake

pytest.importorskip("deltalake")

from deltalake import DeltaTable, write_deltalake

PUBLISH = """
import sys
from jobs.publishing.publish import publish
publish(sys.argv[1], sys.argv[2])
"""


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3", use_listings_cache=False).mkdir("lakes")
        yield {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"]}


def test_a_table_in_a_store_is_read_as_one_on_a_disk(options: dict[str, str], tmp_path: Path) -> None:
    table = "s3://lakes/mined/t"
    write_deltalake(table, table_of(rows("bm25", 5), 1), partition_by=["day"], storage_options=options)
    write_deltalake(table, table_of(rows("llm", 5), 2), mode="append", storage_options=options)
    DeltaTable(table, storage_options=options).delete("query = 'query 0'")
    found, said = ingested(tmp_path, f"delta:{table}", where="day = '2026-11-02'")
    assert found == rows("llm", 4, 1)
    assert (said[0]["table"], said[0]["files_left_out"], said[0]["rows_left_out"]) == (f"delta:{table}", 1, 4)
    assert len(ingested(tmp_path, table)[0]) == 8
    for pattern in ("s3://lakes/mined", "s3://lakes/mined/t/*/*.parquet"):
        with pytest.raises(jobs.InputError, match="is a table of Delta"):
            ingested(tmp_path, pattern)


def test_a_run_over_a_table_in_a_store_is_published_there(
    options: dict[str, str], tmp_path: Path, small_lake: VectorLake
) -> None:
    write_deltalake("s3://lakes/triples", pq.read_table(small_lake.triples), storage_options=options)
    settings: dict[str, Any] = {"vectors": str(small_lake.vectors), "folds": 4, "buckets": 2, "no_probe": True}
    plain = run_lake(tmp_path / "plain", small_lake.triples, **settings)
    made = run_lake(tmp_path / "out", "delta:s3://lakes/triples", publish="delta:s3://lakes/eci", **settings)
    assert made.not_published == "" and made.published is not None and made.published["source_eci"] == 4
    assert tables_of(tmp_path / "out", made.run_id) == tables_of(tmp_path / "plain", plain.run_id)
    assert not any(jobs.publish(str(tmp_path / "out")).appended.values())
    table = DeltaTable("s3://lakes/eci/source_eci", storage_options=options)
    assert table.to_pyarrow_table().num_rows == 4
    command = [sys.executable, "-c", PUBLISH, str(tmp_path / "out"), "delta:s3://lakes/at-once"]
    together = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [process.communicate(timeout=200)[1] for process in together]
    assert [process.returncode for process in together] == [0] * 3, ended
    for name, count in (("source_eci", 4), ("source_pairs", 6)):
        assert DeltaTable(f"s3://lakes/at-once/{name}", storage_options=options).to_pyarrow_table().num_rows == count
    text = (tmp_path / "out" / "runs" / made.run_id / "manifest.json").read_text()
    assert KEY not in text and SECRET not in text
