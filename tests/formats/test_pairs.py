"""Labelled pairs in any order give the triples of the same file sorted by query, in files of any size."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.config import make_config
from jobs.errors import InputError
from jobs.formats import pairs
from jobs.formats.base import Options
from jobs.formats.recognise import recognise
from jobs.planning.plan import make_plan
from tests.conftest import run_lake
from tests.formats.reading import Reading, read

KINDS = ("labeled.jsonl", "labeled.json", "labeled.parquet", "labeled.csv", "rocketqa.tsv")


def made(queries: int, length: int = 20) -> list[tuple[str, str, int]]:
    """Return pairs by query: two positives and three negatives each, no two passages alike."""
    fill = "word " * (length // 5)
    return [(f"query {q} {fill}", f"passage {q} {k} {fill}", int(k < 2)) for q in range(queries) for k in range(5)]


def put(path: Path, given: list[tuple[str, str, int]]) -> Path:
    records = [{"query": q, "passage": p, "label": label} for q, p, label in given]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path, row_group_size=1000)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("query", "passage", "label"), *given])
    elif path.suffix == ".tsv":
        path.write_text("".join(f"{q}\t-\t{p}\t{label}\n" for q, p, label in given))
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def of(path: Path, **options: Any) -> Reading:
    return read(recognise(str(path)), path, Options(**options))


def rows(found: Reading) -> list[tuple[str, str, str]]:
    return sorted(found.rows.select("query", "positive", "negative").rows())


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_in_any_order_are_those_of_their_query(tmp_path: Path, kind: str) -> None:
    given = made(40)
    mixed = random.Random(0).sample(given, len(given))
    in_order, found = of(put(tmp_path / f"a_{kind}", given)), of(put(tmp_path / f"b_{kind}", mixed))
    assert rows(found) == rows(in_order) and len(rows(found)) == 40 * 2 * 3
    assert found.reasons == in_order.reasons == {}
    assert rows(of(put(tmp_path / f"c_{kind}", given[::2] + given[1::2]))) == rows(in_order)
    first = of(tmp_path / f"b_{kind}", positives="first")
    assert len(first.rows) == 40 * 3 and set(rows(first)) < set(rows(in_order))


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_file_in_any_order_is_read_through_a_temporary_folder(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    given = made(4_000, length=1000)
    mixed = put(tmp_path / f"x_{kind}", random.Random(1).sample(given, len(given)))
    assert mixed.suffix == ".parquet" or mixed.stat().st_size > 2 * pairs.WINDOW
    found = of(mixed)
    assert rows(found) == sorted((q, p, n) for (q, p, a), (_, n, b) in together(given) if a and not b)
    assert found.reasons == {} and list((tmp_path / "tmp").iterdir()) == []
    again = of(mixed)
    assert again.rows.equals(found.rows)
    place = {(q, p): i for i, (q, p, _) in enumerate(random.Random(1).sample(given, len(given)))}
    numbers = found.rows.select("query", "negative", "row").unique().rows()
    first = min(number - place[q, n] for q, n, number in numbers)
    assert all(number - place[q, n] == first for q, n, number in numbers)


def together(given: list[tuple[str, str, int]]) -> Any:
    for i in range(0, len(given), 5):
        for one in given[i : i + 5]:
            for other in given[i : i + 5]:
                yield one, other


def test_a_large_file_with_its_queries_together_is_read_as_it_goes_by_and_in_its_order(tmp_path: Path) -> None:
    given = made(4_000, length=1000)
    bad = json.dumps({"query": given[3][0], "passage": 1.5, "label": 1})
    path = put(tmp_path / "x.jsonl", given)
    lines = path.read_text().splitlines()
    late = json.dumps({"query": given[0][0], "passage": "late", "label": 0})
    path.write_text("\n".join([*lines[:3], bad, *lines[3:], late]) + "\n")
    found = of(path)
    assert len(found.rows) == 4_000 * 6 and found.rows["row"].is_sorted()
    assert [(r[0], r[2]) for r in found.rejects.sort("row").rows()] == [(4, "bad_record"), (20_002, "bad_record")]
    assert found.rejects.sort("row")["detail"][1] == (
        "1 pairs apart from the query's first ones at 1: sort the file by query"
    )


def test_a_plan_of_a_large_file_looks_at_its_beginning(tmp_path: Path) -> None:
    given = made(4_000, length=1000)
    path = put(tmp_path / "x.jsonl", random.Random(2).sample(given, len(given)))
    few = sum(len(batch.rows) for batch in batches(path, glimpse=True))
    assert 0 < few < 0.6 * 24_000
    plan = make_plan(make_config({"inputs": [{"triples": str(path)}], "out": "nowhere", "no_probe": True}))
    assert plan["rows_rejected"] == 0 and plan["formats"] == ["labeled"]


def batches(path: Path, **options: Any) -> Any:
    from jobs.formats import format_named
    from jobs.formats.base import Unit

    return format_named("labeled").read(Unit(str(path)), Options(**options))


def test_a_run_over_pairs_in_any_order_is_the_run_over_them_in_order(tmp_path: Path) -> None:
    given = made(40)
    passages = [p for _, p, _ in given]
    sides = ["query"] * 40 + ["passage"] * 200
    texts = [*dict.fromkeys(q for q, _, _ in given), *passages]
    vectors = pa.array([[float(k % 7), float(k % 5), 1.0] for k in range(240)], pa.list_(pa.float32()))
    pq.write_table(pa.table({"side": sides, "text": texts, "vector": vectors}), tmp_path / "vectors.parquet")
    totals = []
    for name, order in (("a", given), ("b", random.Random(3).sample(given, 200))):
        path = put(tmp_path / f"{name}.jsonl", order)
        inputs = [{"triples": str(path), "source": "mined"}]
        done = run_lake(
            tmp_path / name, None, inputs=inputs, vectors=str(tmp_path / "vectors.parquet"), folds=2, no_probe=True
        )
        totals.append((done.totals["scored"], done.ranking.to_pylist()[0]["eci"]))
    assert totals[0] == totals[1] and totals[0][0] == 240


def test_pairs_of_one_label_alone_give_nothing_and_say_so(tmp_path: Path) -> None:
    path = put(tmp_path / "x.jsonl", [(q, p, 1) for q, p, _ in made(5)])
    found = of(path)
    assert len(found.rows) == 0 and found.reasons == {"null_field": 5}
    with pytest.raises(InputError, match=r"no triple is left: 5 rows in, all rejected \(5 x null_field\)"):
        make_plan(make_config({"inputs": [{"triples": str(path)}], "out": "nowhere"}))
