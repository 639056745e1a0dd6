"""Runs of three columns and collections are not triples."""

from __future__ import annotations

import pytest

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options
from jobs.formats.beir import third_column
from jobs.formats.recognise import recognise

RANKED = [(q, f"d{q}{k}", str(k)) for q in range(3) for k in range(1, 13)]
SCORED = [(q, f"d{q}{k}", f"{0.9 - k / 100:.6f}") for q in range(3) for k in range(1, 13)]


@pytest.fixture
def qrels(tmp_path):
    path = tmp_path / "qrels.tsv"
    path.write_text("\n".join(f"{q}\t0\tp{q}\t1" for q in range(3)) + "\n")
    return str(path)


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize(("rows", "third"), [(RANKED, "rank"), (SCORED, "score")])
def test_a_run_of_three_columns_is_read_as_a_run(tmp_path, qrels, rows, third, separator):
    path = tmp_path / "bm25.tsv"
    path.write_text("\n".join(separator.join(map(str, row)) for row in rows) + "\n")
    assert recognise(str(path)) == "beir" and third_column(path.read_bytes()) == third
    beir = format_named("beir")
    (batch, *_) = [b for unit in beir.units(str(path)) for b in beir.read(unit, Options(ranks=(1, 2), qrels=(qrels,)))]
    found = list(batch.rows.select("query_id", "positive_id", "negative_id", "source").iter_rows())
    assert found == [(str(q), f"p{q}", f"d{q}{k}", "bm25") for q in range(3) for k in (1, 2)]
    assert len(batch.rejects) == 0


def test_triples_of_ids_and_margins_are_still_triples(tmp_path):
    path = tmp_path / "ids.tsv"
    path.write_text("\n".join(f"{q}\t{q * 7 % 100}\t{(q * 31 + k) % 100}" for q in range(10) for k in range(3)) + "\n")
    assert recognise(str(path)) == "msmarco-tsv"
    path.write_text("\n".join(f"{q}\tp{q}\tn{q}{k}\t{0.3 * k - 1}" for q in range(10) for k in range(3)) + "\n")
    assert recognise(str(path)) == "msmarco-tsv"


@pytest.mark.parametrize("line", ["{k}\tA title {k}\tthe text of {k}", "doc{k}\ttext of {k}\thttps://x/{k} y"])
def test_a_collection_is_refused_with_what_to_do(tmp_path, line):
    path = tmp_path / "collection.tsv"
    path.write_text("\n".join(line.format(k=k) for k in range(30)) + "\n")
    with pytest.raises(InputError, match="--corpus"):
        recognise(str(path))


def test_triples_of_texts_are_no_collection(tmp_path):
    path = tmp_path / "texts.tsv"
    path.write_text("\n".join(f"what is {k}\tthe answer to {k}\tsomething else {k}" for k in range(30)) + "\n")
    assert recognise(str(path)) == "msmarco-tsv"
    path.write_text("\n".join(f"{k // 3}\tthe answer to {k // 3}\tsomething else {k}" for k in range(30)) + "\n")
    assert recognise(str(path)) == "msmarco-tsv"  # a query may be a number, and comes again


def test_judgements_whose_grades_fall_are_no_run(tmp_path):
    path = tmp_path / "qrels.tsv"
    path.write_text("\n".join(f"{q}\td{q}{k}\t{grade}" for q in range(9) for k, grade in enumerate((3, 2, 0))) + "\n")
    assert third_column(path.read_bytes()) is None
    with pytest.raises(InputError, match="--qrels"):
        recognise(str(path))


def test_ranks_may_count_from_nought():
    assert third_column(b"".join(b"%d d%d %d\n" % (q, k, k) for q in range(3) for k in range(5))) == "rank"
