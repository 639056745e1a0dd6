"""Readers in a loop, while a nightly run goes on night after night into the same root, always see one whole run.

Four nights here, twenty in `make crash`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples

READER = """
import sys, time
from pathlib import Path
import duckdb
from jobs.finished.result import ranking_of

out, stop, kind = sys.argv[1:]
seen, looks = set(), 0
WHOLE = '''
    SELECT (SELECT string_agg(DISTINCT run_id::VARCHAR) FROM source_eci), (SELECT count(*) FROM scores),
           (SELECT sum(n_examples) FROM source_eci WHERE kind = 'source')
'''
while not Path(stop).exists():
    if kind == "catalog":
        with duckdb.connect(f"{out}/catalog.duckdb", read_only=True) as con:
            run, scored, told = con.execute(WHOLE).fetchone()
    else:
        found = ranking_of(out)
        run, scored = found["run_id"], found["totals"]["scored"]
        told = sum(row["n_examples"] for row in found["ranking"] if row["kind"] == "source")
    assert "," not in run and scored == told, (run, scored, told)
    seen.add(run)
    looks += 1
    time.sleep(0.05)
print(looks, len(seen))
"""
NIGHTS = 20 if "ECI_CRASH" in os.environ else 4


def test_readers_see_one_whole_run_through_all_nights(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 300, sources=3)
    out = tmp_path / "out"
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    settings = {
        "vectors": str(lake.vectors),
        "folds": 2,
        "buckets": 1,
        "cluster": "distributed.LocalCluster",
        "cluster_options": options,
    }

    def night(number: int) -> None:
        write_triples(lake.triples, lake.rows[: 100 + 10 * number])
        run_lake(out, lake.triples, **settings)

    night(0)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(out), str(tmp_path / "stop"), kind],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        )
        for kind in ("catalog", "rank")
    ]  # fmt: skip
    try:
        for number in range(1, NIGHTS + 1):
            night(number)
    finally:
        (tmp_path / "stop").touch()
        told = [reader.communicate(timeout=60) for reader in readers]
    for reader, (printed, error) in zip(readers, told, strict=True):
        assert reader.returncode == 0, error
        looks, runs = map(int, printed.split())
        # they looked often enough to meet most of the changes
        assert looks > NIGHTS and runs > NIGHTS // 2
