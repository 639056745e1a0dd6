"""A divided collection shares no query and no document between its sides, whatever the official splits share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.errors import InputError
from jobs.retrieval.collection import Collection, read_collection
from jobs.validation.splits import Split, split_collection


def write_collection(
    root: Path, judgements: dict[str, list[tuple[int, int]]], documents: int = 400, queries: int = 200
) -> Path:
    (root / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": f"d{i}", "title": f"title {i}", "text": f"document {i}"}) for i in range(documents)]
    (root / "corpus.jsonl").write_text("\n".join(rows))
    rows = [json.dumps({"_id": f"q{i}", "text": f"query {i}"}) for i in range(queries)]
    (root / "queries.jsonl").write_text("\n".join(rows))
    for split, pairs in judgements.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"q{q}\td{d}\t1" for q, d in pairs)]
        (root / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return root


def assert_disjoint(collection: Collection, split: Split) -> None:
    queries = [set(part.tolist()) for part in (split.train, split.dev, split.test)]
    assert sum(map(len, queries)) == len(set().union(*queries))
    training, evaluation = set(split.train_documents.tolist()), set(split.test_documents.tolist())
    assert not training & evaluation
    assert training | evaluation == set(range(len(collection.documents.texts)))
    for part, own in ((split.train, training), (split.dev, evaluation), (split.test, evaluation)):
        assert all(own & collection.relevant[query].keys() for query in part.tolist())


def test_official_splits_that_share_documents_share_none_afterwards(tmp_path: Path) -> None:
    # queries 0-299 train, 300-399 test; 60 test queries are about documents of the training queries 0-59
    train = [(i, i) for i in range(300)] + [(i, 500 + i) for i in range(50, 70)]
    test = [(i, i - 300) for i in range(300, 360)] + [(i, i) for i in range(360, 400)]
    root = write_collection(tmp_path / "c", {"train": train, "test": test}, documents=600, queries=400)
    collection = read_collection(str(root))
    split = split_collection(collection)
    assert_disjoint(collection, split)
    assert split.official and split.dropped > 0
    # a training query with a document of its own stays, unless it became a dev query
    assert set(range(50, 70)) <= set(split.train.tolist()) | set(split.dev.tolist())


def test_an_official_dev_split_is_used_and_unjudged_documents_are_shared_out(tmp_path: Path) -> None:
    judgements = {"train": range(120), "validation": range(120, 150), "test": range(150, 200)}
    pairs = {name: [(i, i) for i in part] for name, part in judgements.items()}
    split = split_collection(read_collection(str(write_collection(tmp_path / "c", pairs))))
    assert split.dev.tolist() == list(range(120, 150))
    unjudged = [d for d in split.train_documents.tolist() if d >= 200]
    assert 80 < len(unjudged) < 160


def test_without_official_splits_queries_about_a_document_stay_together(tmp_path: Path) -> None:
    pairs = [(i, i // 2) for i in range(200)]
    collection = read_collection(str(write_collection(tmp_path / "c", {"all": pairs})))
    split = split_collection(collection)
    assert_disjoint(collection, split)
    assert not split.official and split.dropped == 0
    assert 0.4 < len(split.train) / 200 < 0.8
    np.testing.assert_array_equal(split.train, split_collection(collection).train)


def test_too_few_queries_are_refused_with_their_number(tmp_path: Path) -> None:
    collection = read_collection(str(write_collection(tmp_path / "c", {"all": [(i, i) for i in range(15)]})))
    with pytest.raises(InputError, match="queries are left after dividing"):
        split_collection(collection)


@pytest.mark.parametrize("name", ["scifact", "medquad_small", "cmrc2018_small"])
def test_real_collections_are_divided_without_overlap(name: str, shared_data: Path) -> None:
    collection = read_collection(str(shared_data / name))
    split = split_collection(collection)
    assert_disjoint(collection, split)
    assert split.official
    assert len(split.test) > 200


def test_texts_that_repeat_are_one_and_their_judgements_merge(tmp_path: Path) -> None:
    root = write_collection(tmp_path / "c", {"all": [(0, 0), (1, 1)]}, documents=3, queries=2)
    (root / "queries.jsonl").write_text('{"_id": "q0", "text": "same"}\n{"_id": "q1", "text": "same"}\n')
    collection = read_collection(str(root))
    assert collection.queries.texts == ["same"]
    assert collection.relevant == [{0: 1.0, 1: 1.0}]
    assert collection.documents.texts[0] == "title 0 document 0"


def test_judgements_beside_the_corpus_are_found_and_unknown_ids_passed_over(tmp_path: Path) -> None:
    root = write_collection(tmp_path / "c", {}, documents=3, queries=2)
    (root / "qrels.tsv").write_text("q0\td1\t2\nq0\td9\t1\nq7\td1\t1\nq1\td2\t0\n")
    assert read_collection(str(root)).relevant == [{1: 2.0}, {}]


@pytest.mark.parametrize(
    ("missing", "message"),
    [("corpus.jsonl", "no corpus.jsonl"), ("queries.jsonl", "no queries.jsonl"), ("qrels/all.tsv", "no judgements")],
)
def test_what_is_missing_is_named(missing: str, message: str, tmp_path: Path) -> None:
    root = write_collection(tmp_path / "c", {"all": [(0, 0)]})
    (root / missing).unlink()
    with pytest.raises(InputError, match=message):
        read_collection(str(root))


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_collection(str(tmp_path / "nothing"))
