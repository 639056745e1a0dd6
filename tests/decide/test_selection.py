"""The training set: budgets and filters hold, every format reads back as the same triples, memory is bounded."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eci_sql.connection import connect, statement
from jobs.decide.selection import Choice, Selection, select
from jobs.decide.training_files import OUTPUTS, Row, rows_of, write_shards
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.spools import spool_texts
from jobs.ids import from_arrow, text_id
from jobs.output.store import Store
from tests.decide.conftest import Decided
from tests.formats.reading import read


def chosen(decided: Decided, to: Path, choice: Choice, name: str = "triples", **options: Any) -> list[dict[str, Any]]:
    select(str(decided.out), str(to), name, choice, **options)
    return [row for path in sorted((to / "data").iterdir()) for row in pq.read_table(path).to_pylist()]


def scores_of(decided: Decided) -> list[dict[str, Any]]:
    run = Finished.open(str(decided.out))
    return [row for table in run.scores() for row in table.drop_columns(["triple_id"]).to_pylist()]


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_round_trip_through_ingest_gives_the_same_triples(decided: Decided, tmp_path: Path, name: str) -> None:
    manifest = select(str(decided.out), str(tmp_path), name, Choice(), shard_rows=700)
    files = sorted((tmp_path / "data").iterdir())
    assert [f"data/{path.name}" for path in files] == [file["path"] for file in manifest["files"]]
    assert len(files) > 2
    found: Counter[tuple[str, ...]] = Counter()
    for path in files:
        reading = read(name, path)
        assert not len(reading.rejects)
        columns = ["query", "positive", "negative"]
        columns += ["source"] if name in ("triples", "sbert-hard-negatives") else []
        found.update(reading.rows.select(columns).iter_rows())
    width = 4 if name in ("triples", "sbert-hard-negatives") else 3
    assert found == Counter(row[:width] for row in decided.lake.rows)


@pytest.mark.parametrize("negatives", [2, 5, 64])
def test_tuples_of_several_negatives_are_data_sets_without_a_null_and_read_back_as_the_same_triples(
    decided: Decided, tmp_path: Path, negatives: int
) -> None:
    manifest = select(str(decided.out), str(tmp_path), "sbert-tuples", Choice(), shard_rows=400, negatives=negatives)
    files = sorted((tmp_path / "data").rglob("*.parquet"))
    assert [str(path.relative_to(tmp_path)) for path in files] == [file["path"] for file in manifest["files"]]
    found: Counter[tuple[str, ...]] = Counter()
    pairs = {row[:2] for row in decided.lake.rows}
    for path, written in zip(files, manifest["files"], strict=True):
        count = int(path.parent.name.removeprefix("negatives-"))
        table = pq.read_table(path)
        names = ["negative"] if count == 1 else [f"negative_{k}" for k in range(1, count + 1)]
        # the trainer goes by the columns' order, and every column after the second holds negatives
        assert table.column_names == ["anchor", "positive", *names]
        assert not any(column.null_count for column in table.columns)
        assert written["records"] == len(table)
        assert written["triples"] == len(table) * count
        assert count <= negatives
        found.update(read("sbert-tuples", path).rows.select("query", "positive", "negative").iter_rows())
    assert found == Counter(row[:3] for row in decided.lake.rows)
    full = [file for file in manifest["files"] if f"negatives-{negatives}/" in file["path"]]
    rest = sum(file["records"] for file in manifest["files"]) - sum(file["records"] for file in full)
    assert rest <= len(pairs), "a query and positive leave at most one tuple that is not full"


def test_a_budget_of_a_query_is_the_width_of_its_tuples(decided: Decided, tmp_path: Path) -> None:
    manifest = select(str(decided.out), str(tmp_path), "sbert-tuples", Choice(per_query=3))
    assert manifest["negatives"] == 3
    table = pq.read_table(tmp_path / "data" / "negatives-3")
    assert table.column_names == ["anchor", "positive", "negative_1", "negative_2", "negative_3"]
    assert all(len({*row.values()}) == 5 for row in table.to_pylist())


def test_a_training_set_that_fails_half_way_leaves_no_file(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))
    with Selection(run, Choice(), 1 << 30) as selection:
        texts = spool_texts(run, selection.ids(), selection.folder)

        def rows() -> Iterator[Row]:
            for number, row in enumerate(rows_of(selection.rows(), texts)):
                if number == 900:
                    raise OSError("the disk is full")
                yield row

        with pytest.raises(OSError, match="disk is full"):
            write_shards(rows(), "sbert-tuples", Store(str(tmp_path)), 100_000, 4)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_manifest_names_the_run_and_what_was_asked_for(decided: Decided, tmp_path: Path) -> None:
    select(str(decided.out), str(tmp_path), "bge", Choice(total=50, violations=False))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["run_id"] == decided.run.run_id
    assert manifest["triples"] == sum(file["triples"] for file in manifest["files"]) == 50
    assert manifest["choice"]["total"] == 50
    assert manifest["choice"]["by"] == "information"


def test_the_total_goes_to_the_best_within_each_query_s_budget(decided: Decided, tmp_path: Path) -> None:
    rows = chosen(decided, tmp_path, Choice(per_query=2, total=100))
    assert max(Counter(row["query"] for row in rows).values()) == 2
    by_query: dict[str, list[float]] = {}
    for row in scores_of(decided):
        by_query.setdefault(str(row["query_id"]), []).append(row["information"])
    best = sorted((v for values in by_query.values() for v in sorted(values)[-2:]), reverse=True)[:100]
    assert sorted((row["information"] for row in rows), reverse=True) == best


def test_filters_leave_out_what_they_say(decided: Decided, tmp_path: Path) -> None:
    choice = Choice(sources=("source 1",), min_weight=0.01, violations=False, by="weight")
    rows = chosen(decided, tmp_path, choice)
    want = [r["weight"] for r in scores_of(decided) if r["source"] == "source 1" and r["weight"] >= 0.01]
    assert {row["source"] for row in rows} == {"source 1"}
    assert sorted(row["weight"] for row in rows) == sorted(want)


def test_near_duplicates_of_the_positive_are_left_out(decided: Decided, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("jobs.decide.selection.NEAR_DUPLICATE", 0.5)
    rows = chosen(decided, tmp_path, Choice(near_duplicates=False))

    def similarity(row: tuple[str, ...]) -> float:
        p, n = (decided.lake.passages[text].astype(float) for text in row[1:3])
        return float(p @ n / np.linalg.norm(p) / np.linalg.norm(n))

    want = {row for row in decided.lake.rows if similarity(row) <= 0.5}
    assert len(want) < len(decided.lake.rows)
    assert {(r["query"], r["positive"], r["negative"], r["source"]) for r in rows} == want


@pytest.mark.parametrize("diverse", [False, True])
def test_a_mixture_keeps_its_shares_and_the_queries_their_budget(
    decided: Decided, tmp_path: Path, diverse: bool
) -> None:
    choice = Choice(parts={"source 0": 0.75, "source 3": 0.25}, per_query=4, total=80, diverse=diverse)
    rows = chosen(decided, tmp_path, choice)
    assert Counter(row["source"] for row in rows) == {"source 0": 60, "source 3": 20}
    assert max(Counter(row["query"] for row in rows).values()) <= 4


def test_a_diverse_choice_holds_more_information_than_the_best_triples(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))

    def information(rows: list[dict[str, Any]]) -> float:
        total = np.eye(run.dim)
        for row in rows:
            vectors = [decided.lake.queries[row["query"]]]
            vectors += [decided.lake.passages[row[name]] for name in ("positive", "negative")]
            q, p, n = (v / np.linalg.norm(v) for v in vectors)
            r = (n - p) - q * (q @ n - q @ p)
            total += run.dim / run.lam / len(rows) * max(row["weight"], 0.0) * np.outer(r, r)
        return float(np.linalg.slogdet(total)[1])

    diverse = chosen(decided, tmp_path / "diverse", Choice(total=60, diverse=True))
    plain = chosen(decided, tmp_path / "plain", Choice(total=60))
    assert len(diverse) == len(plain) == 60
    assert information(diverse) > information(plain)


def test_what_cannot_be_is_said_in_one_line(decided: Decided, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    for to, name, choice, message in (
        ("full", "bge", Choice(), "holds something already"),
        ("a", "bgee", Choice(), "did you mean 'bge'"),
        ("b", "bge", Choice(sources=("sourse 1",)), "did you mean"),
        ("c", "bge", Choice(diverse=True), "--total"),
        ("d", "bge", Choice(min_weight=5.0), "no triple passes"),
        ("e", "bge", Choice(by="wait"), "--by"),
    ):
        with pytest.raises(InputError, match=message):
            select(str(decided.out), str(tmp_path / to), name, choice)
        assert not (tmp_path / to / "manifest.json").exists()


@pytest.mark.parametrize(("name", "negatives"), [("bge", 2), ("sbert-tuples", 65), ("sbert-tuples", 0)])
def test_a_number_of_negatives_that_cannot_be_is_refused(
    decided: Decided, tmp_path: Path, name: str, negatives: int
) -> None:
    with pytest.raises(InputError, match="--negatives"):
        select(str(decided.out), str(tmp_path / "to"), name, Choice(), negatives=negatives)
    assert not (tmp_path / "to").exists()


def keys_of(decided: Decided, by: str) -> dict[tuple[bytes, ...], float]:
    """Return the best value that a source gives to each (query, positive, negative)."""
    found: dict[tuple[bytes, ...], float] = {}
    for row in scores_of(decided):
        ids = tuple(bytes.fromhex(row[name]) for name in ("query_id", "positive_id", "negative_id"))
        found[ids] = max(row[by], found.get(ids, -np.inf))
    return found


def records_of(name: str, path: Path) -> list[list[tuple[str, str, list[str]]]]:
    """Return each record of a file, in order: (query, positive, its negatives in order), one for each list of them."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        query = "query" if name == "triples" else "anchor"
        return [
            [(row[query], row["positive"], [row[key] for key in row if re.fullmatch(r"negative(_\d+)?", key)])] for row in rows
        ]  # fmt: skip
    found = []
    for line in path.read_bytes().splitlines():
        row = json.loads(line)
        if name == "tevatron":
            lists = [[passage["text"] for passage in row["negative_passages"]]]
            positive = row["positive_passages"][0]["text"]
        else:
            lists = [*row["neg"].values()] if name == "sbert-hard-negatives" else [row["neg"]]
            positive = row["pos"][0]
        found.append([(row["query"], positive, negatives) for negatives in lists])
    return found


@pytest.mark.parametrize("by", ["information", "weight"])
@pytest.mark.parametrize(
    ("name", "negatives"), [(name, None) for name in OUTPUTS] + [("sbert-tuples", 4), ("sbert-tuples", 64)]
)
def test_a_training_file_is_in_the_order_that_it_is_said_to_be_in(
    decided: Decided, tmp_path: Path, name: str, negatives: int | None, by: str
) -> None:
    """Records by their best triples, best first, through all files of a folder; within a record the best first."""
    keys = keys_of(decided, by)
    manifest = select(str(decided.out), str(tmp_path), name, Choice(by=by), shard_rows=500, negatives=negatives)
    assert manifest["order"].startswith(f"best {by} first")
    folders: dict[str, list[float]] = {}
    for file in manifest["files"]:
        for record in records_of(name, tmp_path / file["path"]):
            values = [
                [keys[text_id("query", q), text_id("passage", p), text_id("passage", n)] for n in negatives_of]
                for q, p, negatives_of in record
            ]
            assert all(some == sorted(some, reverse=True) for some in values)
            folders.setdefault(str(Path(file["path"]).parent), []).append(max(max(some) for some in values))
    assert all(best == sorted(best, reverse=True) for best in folders.values())
    assert max(map(len, folders.values())) > 20


@pytest.mark.parametrize("record", [1, 2, 1 << 62])
def test_equal_triples_are_in_the_order_of_their_ids(record: int) -> None:
    """Queries 1 and 2, two triples each, all of one weight but the last: 1 and 4 are of query 2, 2 and 3 of query 1."""
    rows = [(1, 2, 0.5), (2, 1, 0.5), (3, 1, 0.5), (4, 2, 0.9)]
    want = {1: [4, 1, 2, 3], 2: [4, 1, 2, 3], 1 << 62: [4, 1, 2, 3]}
    for order in (rows, rows[::-1]):
        with connect() as con:
            con.execute(statement("select/candidate_table"))
            for triple, query, key in order:
                con.execute(
                    "INSERT INTO candidate VALUES (?, ?, ?, ?, 's', 0, 0.9, 0.1, ?, NULL, ?, '')",
                    [UUID(int=triple), UUID(int=query), UUID(int=query), UUID(int=triple), key, key],
                )
            con.register("budgets", pa.table({"grp": [""], "most": [9]}))
            con.execute(statement("select/chosen"), {"record": record})
            found = con.sql("SELECT triple_id FROM chosen").fetchall()
        assert [row[0].int for row in found] == want[record]


def test_a_training_file_has_the_same_bytes_whatever_the_memory_and_the_cores(
    decided: Decided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for memory, cores in ((1 << 30, 4), (200 << 20, 1)):
        monkeypatch.setattr("jobs.decide.selection.available_cores", lambda cores=cores: cores)
        manifest = select(str(decided.out), str(tmp_path / str(cores)), "bge", Choice(), memory=memory)
        found.append([file["sha256"] for file in manifest["files"]])
    assert found[0] == found[1]


def test_a_diverse_file_is_in_the_order_of_the_greedy_choice_and_says_so(decided: Decided, tmp_path: Path) -> None:
    manifest = select(str(decided.out), str(tmp_path), "triples", Choice(total=60, diverse=True))
    assert manifest["order"] == "in the order of the greedy choice"


def test_ids_and_uuids_survive_arrow(decided: Decided) -> None:
    run = Finished.open(str(decided.out))
    assert run.rows[0]["run_id"] == decided.run.run_id
    scores = next(run.scores())
    assert scores.schema.field("query_id").type == pa.string()
    assert [bytes(key).hex() for key in from_arrow(scores["query_id"]).view("V16").tolist()] == scores[
        "query_id"
    ].to_pylist()
