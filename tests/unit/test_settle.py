"""A fold settled in pieces gives the files of a fold settled at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.ids import text_id
from jobs.ingest import settle
from jobs.work.files import reading, writing
from jobs.work.job import Job
from jobs.work.layout import PARTS, REQUESTS, SETTLE_REJECTS, TRIPLES, Origin, WorkFile

ROWS, CHUNKS = 3_000, 3


def job_in(out: Path) -> Job:
    return Job(str(out), "work", "runs/r", "r", 1, 4, None, "f", 8, 0.05, 1.0, 1e-3, "unicode", 1, 1 << 29, 128)


def write_fold(job: Job) -> None:
    """Rows of 200 queries, one of them with a third of all, with copies and with labelled positives as negatives."""
    rng = np.random.default_rng(3)
    query = np.where(rng.random(ROWS) < 0.3, 7, rng.integers(0, 200, ROWS))
    positive, negative = query * 2 + rng.integers(0, 2, ROWS), rng.integers(0, 450, ROWS)
    columns: list[Any] = [
        pa.array([text_id(side, str(i)) for i in numbers.tolist()], pa.binary(16))
        for side, numbers in (("query", query), ("passage", positive), ("passage", negative))
    ]
    columns += [pa.array(rng.choice(["a", "b"], ROWS)), pa.array(np.arange(ROWS))]
    table = pa.table(columns, schema=TRIPLES.schema_of(job))
    with writing(job, TRIPLES, "u") as out:
        for batch in table.to_batches(max_chunksize=ROWS // CHUNKS):
            out.write_batch(batch)


def batches(job: Job, kind: WorkFile) -> list[list[dict[str, Any]]]:
    with reading(job, kind, "00") as file:
        return [file.get_batch(k).to_pylist() for k in range(file.num_record_batches)]


def texts_of(part: list[dict[str, Any]]) -> int:
    return len({row[f"{role}_id"] for row in part for role in ("query", "positive", "negative")})


@pytest.mark.parametrize("banded", [False, True])
def test_pieces_leave_no_trace_in_the_files(banded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, rows in (("whole", ROWS), ("pieces", 90)):
        job = job_in(tmp_path / name)
        write_fold(job)
        monkeypatch.setattr(settle, "PIECE_ROWS", rows)
        summary = settle.settle_task(job, "00", 0, [Origin("ingest", "u", CHUNKS)], ROWS, banded)
        parts, requests, rejects = (batches(job, kind) for kind in (PARTS, REQUESTS, SETTLE_REJECTS))
        found.append((parts, requests, sorted(map(str, sum(rejects, []))), summary))
    assert found[0] == found[1]
    _, _, rejects, summary = found[0]
    assert summary["duplicates"] > 0 and 0 < len(rejects) == summary["rejected"]
    assert sum(summary["parts"]) + summary["duplicates"] + summary["rejected"] == summary["rows"] == ROWS
    assert len(summary["parts"]) == len(summary["bands"]) == len(parts) > ROWS // 128 - 5
    assert max(texts_of(part) for part in parts) <= 128
    assert len(set(summary["bands"])) > 1 or not banded
