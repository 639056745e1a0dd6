"""Texts through the sink into files by bucket, and out of them again."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.ids import buckets_of, from_arrow, id_array, text_id, unique
from jobs.ingest import distinct_texts as texts_module
from jobs.ingest.collect import distinct
from jobs.ingest.distinct_texts import TextSink
from jobs.work.files import reading
from jobs.work.job import Job
from jobs.work.layout import INGEST_TEXTS, TEXTS_SCHEMA, Origin

BUCKETS = 4
Row = tuple[str, str | None, bool]
"""A name, the user's id, and whether the text is there: else the name is an id."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(out=str(tmp_path), work="work/w", publish="work/w/publish", run_id="r", folds=4, buckets=BUCKETS,
                    encoder=None, fingerprint="f", dim=4, temperature=0.05, kappa=0.5, lam=1.0, tokenizer="word", threads=1,
                    share=1 << 30, part_texts=300)  # fmt: skip


def table(rows: list[Row]) -> pa.Table:
    return pa.table(
        [
            pa.array([text_id("passage", name) for name, _, _ in rows], pa.binary(16)),
            pa.array(["passage"] * len(rows), pa.string()),
            pa.array([user for _, user, _ in rows], pa.large_string()),
            pa.array([name if known else None for name, _, known in rows], pa.large_string()),
        ],
        schema=TEXTS_SCHEMA,
    )


def write(job: Job, name: str, chunks: list[list[Row]]) -> Origin:
    with TextSink(job, INGEST_TEXTS, name) as sink:
        for rows in chunks:
            sink.add(table(rows))
    return Origin("ingest", name, sink.chunks)


def collected(job: Job, origins: list[Origin], names: list[str]) -> dict[str, tuple[str | None, str | None]]:
    """Return name -> (user id, text) of the names that are there."""
    found = {}
    ids = unique(id_array(text_id("passage", name) for name in names))
    of = {text_id("passage", name): name for name in names}
    for bucket in range(BUCKETS):
        wanted = ids[buckets_of(ids, BUCKETS) == bucket]
        rows = distinct(job, bucket, wanted, origins)
        assert len(rows) == len(wanted)
        assert set(rows["side"].to_pylist()) <= {"passage"}
        for key, user, text in zip(
            wanted.view("V16").tolist(), rows["user_id"].to_pylist(), rows["text"].to_pylist(), strict=True
        ):
            found[of[bytes(key)]] = (user, text)
    return found


def test_the_smallest_user_id_and_the_text_are_kept_whatever_the_order(job: Job) -> None:
    rows: list[Row] = [
        ("one", "b", True),
        ("one", "one", False),
        ("two", None, True),
        ("one", None, True),
        ("two", "z", True),
    ]
    for number, order in enumerate(permutations(rows)):
        origins = [
            write(job, f"a{number}", [[row] for row in order[:3]]),
            write(job, f"b{number}", [list(order[3:]), [("other", None, True)]]),
        ]
        assert collected(job, origins, ["one", "two"]) == {"one": ("b", "one"), "two": ("z", "two")}


def test_texts_that_are_known_by_id_alone_are_kept_as_such(job: Job) -> None:
    origins = [write(job, "a", [[("x", "x", False)], [("x", "x", False), ("y", "y", False)]])]
    assert collected(job, origins, ["x", "y"]) == {"x": ("x", None), "y": ("y", None)}
    assert len(distinct(job, 0, np.empty(0, "S16"), origins)) == 0


def test_a_text_is_written_once_a_file_with_each_of_its_user_ids(job: Job) -> None:
    chunk: list[Row] = [(f"text {i}", f"u{i}" if i % 2 else None, True) for i in range(40)]
    renamed: list[Row] = [(name, f"another {user}", known) for name, user, known in chunk[:6]]
    _, name, chunks = write(job, "a", [chunk, chunk, renamed, chunk[::-1]])
    with reading(job, INGEST_TEXTS, name) as file:
        sizes = [sum(len(file.get_batch(k * BUCKETS + b)) for b in range(BUCKETS)) for k in range(chunks)]
        first = pa.Table.from_batches([file.get_batch(b) for b in range(BUCKETS)])
    assert sizes == [40, 0, 6, 0]
    assert from_arrow(first["id"]).tolist() == unique(from_arrow(table(chunk)["id"])).tolist()


def test_what_the_sink_no_longer_remembers_is_written_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts_module, "SEEN", 5)
    first: list[Row] = [(f"text {i}", None, True) for i in range(5)]
    more: list[Row] = [(f"more {i}", None, True) for i in range(3)]
    origin = write(job, "a", [first, [*more, *first], [*more, *first]])
    with reading(job, INGEST_TEXTS, "a") as file:
        sizes = [sum(len(file.get_batch(k * BUCKETS + b)) for b in range(BUCKETS)) for k in range(3)]
    assert sizes == [5, 3, 3]
    names = [name for name, _, _ in first + more]
    assert collected(job, [origin], names) == {name: (None, name) for name in names}
