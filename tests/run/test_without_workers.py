"""A small lake is scored in the driver's own process: the same bytes as with workers, and nobody is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info

from jobs.config import make_config
from jobs.demo.documentation import collect_pairs
from jobs.ingest.inputs import File
from jobs.pipeline.here import SMALL_BYTES, SMALL_TEXT_BYTES, Here, is_small
from jobs.terminal.progress import Silent
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, write_triples

SCRIPT = """
import sys
import jobs
from pathlib import Path

if __name__ == "__main__":
    given = [jobs.Input(triples=sys.argv[1])]
    jobs.run(jobs.RunConfig(inputs=given, vectors=(sys.argv[2],), out=sys.argv[3], folds=4, hybrids={"all-pairs": ()},
                            information=True))
    print(sorted({"distributed", "dask"} & set(sys.modules)))
"""


def test_a_small_lake_needs_no_workers_and_gives_the_same_bytes(small_lake: VectorLake, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    arguments = [str(small_lake.triples), str(small_lake.vectors), str(tmp_path / "here")]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    settings: dict[str, Any] = {"folds": 4, "hybrids": {"all-pairs": ()}, "information": True}
    other = run_lake(tmp_path / "there", small_lake.triples, vectors=str(small_lake.vectors), workers=2, **settings)
    (run_id,) = (path.name for path in (tmp_path / "here" / "runs").iterdir())
    assert same_bytes(tables_of(tmp_path / "here", run_id), tables_of(tmp_path / "there", other.run_id)) == []


@pytest.mark.slow
def test_a_few_texts_are_embedded_here_to_the_same_bytes(tmp_path: Path) -> None:
    pairs = [(p.query, " ".join(p.positive.split()[:20])) for p in collect_pairs(40)]
    rows = [(q, p, pairs[(i + 1) % len(pairs)][1], "next") for i, (q, p) in enumerate(pairs)]
    write_triples(tmp_path / "triples.parquet", rows)
    assert (tmp_path / "triples.parquet").stat().st_size <= SMALL_TEXT_BYTES
    here = run_lake(tmp_path / "here", tmp_path / "triples.parquet", workers=0, folds=4)
    there = run_lake(tmp_path / "there", tmp_path / "triples.parquet", workers=2, folds=4)
    assert same_bytes(tables_of(tmp_path / "here", here.run_id), tables_of(tmp_path / "there", there.run_id)) == []


def files(size: int) -> tuple[File, ...]:
    return (File("a", size, "", "triples"),)


def test_who_asks_for_workers_or_has_much_gets_them() -> None:
    inputs = [{"triples": "x"}]
    given = make_config({"inputs": inputs, "out": "o", "vectors": "v"})
    texts = make_config({"inputs": inputs, "out": "o"})
    assert is_small(given, files(SMALL_BYTES)) and not is_small(given, files(SMALL_BYTES + 1))
    assert is_small(texts, files(SMALL_TEXT_BYTES)) and not is_small(texts, files(SMALL_TEXT_BYTES + 1))
    for more in ({"workers": 1}, {"scheduler": "tcp://host:8786"}, {"cluster": "distributed.LocalCluster"}):
        assert not is_small(make_config({"inputs": inputs, "out": "o", "vectors": "v", **more}), files(10))


def test_tasks_here_have_the_threads_of_a_worker_and_leave_those_of_the_process(small_lake: VectorLake) -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before, arrow = threads(), pa.cpu_count()
    with Here(1, Silent()):
        assert set(threads()) == {1}
        pa.set_cpu_count(1)
    assert (threads(), pa.cpu_count()) == (before, arrow)
