"""What each source of a validation may and may not hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.errors import InputError
from jobs.retrieval.collection import Collection, Texts, read_collection
from jobs.retrieval.rankings import MISSING
from jobs.validation.sources import Training, false_negatives, mine, read_negatives, training_side
from jobs.validation.splits import Split, split_collection
from tests.unit.test_splits import write_collection

K = 4


def units(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def divided(tmp_path: Path) -> tuple[Collection, Split, Training]:
    pairs = [(i, i) for i in range(200)] + [(i, 200 + i) for i in range(0, 200, 3)]
    collection = read_collection(str(write_collection(tmp_path / "c", {"all": pairs})))
    split = split_collection(collection)
    return collection, split, training_side(collection, split)


@pytest.fixture
def training(divided: tuple[Collection, Split, Training]) -> Training:
    side = divided[2]
    mine(side, units(len(side.queries), 1), units(len(side.passages), 2), K)
    return side


def test_there_are_eleven_sources_of_the_same_shape(training: Training) -> None:
    assert len(training.negatives) == 11
    assert {found.shape for found in training.negatives.values()} == {(len(training.query), K)}


def test_only_the_unfiltered_and_no_other_source_holds_labelled_positives(training: Training) -> None:
    for name, found in training.negatives.items():
        rows = zip(training.query, found.tolist(), strict=True)
        labelled = sum(n in training.relevant[q] for q, row in rows for n in row)
        assert (labelled > 0) == (name == "dense-unfiltered"), name


def test_negatives_of_a_pair_are_distinct_training_texts(
    training: Training, divided: tuple[Collection, Split, Training]
) -> None:
    held_out = {divided[0].documents.texts[d] for d in divided[1].test_documents.tolist()}
    for found in training.negatives.values():
        for row in found.tolist():
            given = [n for n in row if n != MISSING]
            assert len(set(given)) == len(given)
            assert not held_out & {training.passages[n] for n in given}


def test_half_of_the_polluted_negatives_are_pieces_of_the_positive(training: Training) -> None:
    for positive, row in zip(training.positive, training.negatives["half-polluted"].tolist(), strict=True):
        pieces = [training.passages[n] for n in row[K // 2 :]]
        assert all(piece in training.passages[positive] and piece != training.passages[positive] for piece in pieces)


def test_pieces_of_a_text_are_short_and_never_the_text() -> None:
    assert false_negatives("one two three four", 2) == ["one two", "three four"]
    assert [len(piece.split()) for piece in false_negatives("word " * 900, 2)] == [50, 50]
    assert false_negatives("one", 2) == []


def test_a_users_file_becomes_sources_without_held_out_documents(
    divided: tuple[Collection, Split, Training], tmp_path: Path
) -> None:
    collection, split, side = divided
    mine(side, units(len(side.queries), 1), units(len(side.passages), 2), K)
    ids = {text: key for key, text in enumerate(collection.queries.texts)}
    query = ids[side.queries[0]]
    own, held_out = int(split.train_documents[-1]), int(split.test_documents[0])
    file = tmp_path / "mined.jsonl"
    systems = {"ours": [f"d{own}", f"d{held_out}"], "other": [f"d{own}"]}
    record = {"qid": f"q{query}", "pos": [f"d{query}"], "neg": systems}
    file.write_text(json.dumps(record) + "\n")
    assert read_negatives(side, collection, str(file), None, K) == ["ours", "other"]
    texts = [negative for _, _, negative in side.triples("ours")]
    assert set(texts) == {collection.documents.texts[own]}


def test_a_users_passages_are_ids_where_the_collection_has_them_and_else_texts(
    divided: tuple[Collection, Split, Training], tmp_path: Path
) -> None:
    """A record with the id and the text of its query: ids that hold blanks are known by the collection alone."""
    collection, split, side = divided
    query = collection.queries.texts.index(side.queries[0])
    own = int(split.train_documents[-1])
    index = {f"document {key}": place for key, place in collection.documents.index.items()}
    titled = replace(collection, documents=Texts(collection.documents.texts, index))
    record = {"qid": f"q{query}", "query": side.queries[0], "pos": [f"document d{query}"]}
    for name, negative in (("ids", f"document d{own}"), ("texts", collection.documents.texts[own])):
        positive = record["pos"] if name == "ids" else [collection.documents.texts[query]]
        (tmp_path / "m.jsonl").write_text(json.dumps(record | {"pos": positive, "neg": {name: [negative]}}) + "\n")
        assert read_negatives(side, titled, str(tmp_path / "m.jsonl"), None, K) == [name]
        assert {text for _, _, text in side.triples(name)} == {collection.documents.texts[own]}


def test_a_run_file_gives_its_ranks_and_a_new_name(divided: tuple[Collection, Split, Training], tmp_path: Path) -> None:
    collection, split, side = divided
    query = collection.queries.texts.index(side.queries[0])
    documents = [d for d in split.train_documents.tolist() if d not in collection.relevant[query]][:5]
    lines = [f"q{query} Q0 d{d} {rank} {10 - rank} tag" for rank, d in enumerate(documents, start=1)]
    (tmp_path / "ce.trec").write_text("\n".join(lines) + "\n")
    assert read_negatives(side, collection, f"cross={tmp_path / 'ce.trec'}", "2:3", K) == ["cross"]
    assert {n for _, _, n in side.triples("cross")} == {collection.documents.texts[d] for d in documents[1:3]}


def test_a_file_for_other_queries_is_refused(divided: tuple[Collection, Split, Training], tmp_path: Path) -> None:
    (tmp_path / "alien.trec").write_text("q999 Q0 d1 1 5.0 tag\n")
    with pytest.raises(InputError, match="no negative for any of the"):
        read_negatives(divided[2], divided[0], str(tmp_path / "alien.trec"), None, K)
