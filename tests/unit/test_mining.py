"""Rankings against brute force, the rules of each source, and the lake that the demo writes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.demo import lake as demo
from jobs.demo.documentation import DocPair
from jobs.retrieval.negatives import (
    band_negatives,
    group_negatives,
    positive_aware_negatives,
    random_negatives,
    shuffled,
)
from jobs.retrieval.rankings import Floats, Indices, bm25_rank, dense_rank

QUERIES = [f"query {i}" for i in range(60)]
LABELS = [{i} for i in range(60)]


def unit_vectors(rows: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((rows, 16)).astype(np.float32)
    normalised: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def ranked(depth: int = 60) -> tuple[Indices, Floats]:
    return dense_rank(unit_vectors(60, 1), unit_vectors(60, 2), depth)


def test_bm25_ranks_rare_and_repeated_words_first_and_leaves_out_the_rest() -> None:
    passages = ["cat dog", "cat mouse lion", "zebra", "cat dog", "lion lion lion"]
    ranking = bm25_rank(["zebra cat", "lion", "unheard", ""], passages, 4)
    assert ranking.tolist() == [[2, 0, 3, 1], [4, 1, -1, -1], [-1] * 4, [-1] * 4]
    assert ranking.dtype == np.int32


def test_bm25_leaves_out_what_is_excluded() -> None:
    ranking = bm25_rank(["lion"], ["lion", "a lion", "the lion sleeps"], 3, [{0, 1}])
    assert ranking.tolist() == [[2, -1, -1]]


def test_bm25_over_passages_without_words_ranks_nothing() -> None:
    assert bm25_rank(["lion"], ["", "?"], 2).tolist() == [[-1, -1]]


@pytest.mark.parametrize("block", [1, 7, 512])
def test_dense_ranking_equals_brute_force_for_any_block(block: int) -> None:
    queries, passages = unit_vectors(60, 1), unit_vectors(90, 2)
    indices, similarities = dense_rank(queries, passages, 10, block=block)
    exact = queries.astype(np.float64) @ passages.T.astype(np.float64)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(similarities, np.take_along_axis(exact, expected, 1), atol=1e-6)
    assert indices.dtype == np.int32
    assert similarities.dtype == np.float32


def test_equal_similarities_are_ranked_by_passage_index() -> None:
    passages = np.ones((9, 2), dtype=np.float32)
    indices, _ = dense_rank(passages[:1], passages, 4)
    assert indices.tolist() == [[0, 1, 2, 3]]


def test_a_ranking_deeper_than_the_passages_is_padded() -> None:
    one = np.ones((1, 2), dtype=np.float32)
    indices, similarities = dense_rank(one, np.ones((3, 2), dtype=np.float32), 4, [{1}])
    assert indices.tolist() == [[0, 2, -1, -1]]
    assert similarities.tolist() == [[2.0, 2.0, -np.inf, -np.inf]]


def test_vectors_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of columns"):
        dense_rank(np.ones((1, 2), dtype=np.float32), np.ones((1, 3), dtype=np.float32), 1)


def test_positive_aware_takes_the_best_ranked_below_the_share() -> None:
    ranking = np.array([[5, 6, 7], [5, 6, 7], [5, 6, 7]], dtype=np.int32)
    similarities = np.array([[0.9, 0.8, 0.5], [0.9, 0.8, 0.5], [0.9, -0.97, -2]], dtype=np.float32)
    positive = np.array([0.9, 0.5, -1.0], dtype=np.float32)
    chosen = positive_aware_negatives(ranking, similarities, positive, [(), (), ()])
    assert chosen.tolist() == [[6], [-1], [7]]


def test_no_source_returns_a_labelled_positive_or_repeats_itself() -> None:
    ranking, similarities = ranked()
    groups = [str(i % 4) for i in range(60)]
    labels = [{i, (i + 4) % 60} for i in range(60)]
    own = np.full(60, 0.5, dtype=np.float32)
    for chosen in (
        random_negatives(QUERIES, 60, labels, k=20),
        band_negatives(QUERIES, ranking, 1, 58, labels, k=20),
        positive_aware_negatives(ranking, similarities, own, labels, k=20),
        group_negatives(QUERIES, groups, groups, labels, k=20),
    ):
        for row, negatives in enumerate(chosen):
            kept = negatives[negatives >= 0].tolist()
            assert kept
            assert len(set(kept)) == len(kept)
            assert not labels[row] & set(kept)


def test_a_band_counts_ranks_from_one_without_the_positives() -> None:
    ranking = np.array([[3, 4, 5, 6]], dtype=np.int32)
    assert band_negatives(["q"], ranking, 1, 1, [{3}]).tolist() == [[4]]
    assert band_negatives(["q"], ranking, 4, 4, [{3}]).tolist() == [[-1]]
    both = band_negatives(["q"], ranking, 2, 3, [{3}], k=2)
    assert sorted(both[0].tolist()) == [5, 6]
    with pytest.raises(ValueError, match="band 1-5 is not within the ranks 1-4"):
        band_negatives(["q"], ranking, 1, 5, [{3}])


def test_a_group_of_one_has_no_negative() -> None:
    groups = ["a", "b", "b"]
    chosen = group_negatives(["x", "y", "z"], groups, groups, [{0}, {1}, {2}])
    assert chosen.tolist() == [[-1], [2], [1]]


def test_draws_depend_on_the_query_and_the_seed_not_on_the_order() -> None:
    forward = random_negatives(QUERIES, 1000, [()] * 60)
    backward = random_negatives(QUERIES[::-1], 1000, [()] * 60)
    np.testing.assert_array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, random_negatives(QUERIES, 1000, [()] * 60, seed=1))
    assert len(np.unique(forward)) > 50


def test_a_shuffle_is_a_permutation_and_each_first_place_is_as_likely() -> None:
    assert sorted(shuffled(100, "q", 0)) == list(range(100))
    first = [next(shuffled(4, str(i), 0)) for i in range(4000)]
    assert np.bincount(first, minlength=4).min() > 900


def hashed_vectors(texts: list[str], _side: str) -> Floats:
    rows = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in texts]
    vectors = np.stack(rows).astype(np.float32) - 127.5
    normalised: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


@pytest.fixture
def documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = [
        DocPair(f"how task {i} works", f"Task {i} works alone. It ends in {i}.", "l", f"m{i // 9}") for i in range(73)
    ]
    monkeypatch.setattr(demo, "collect_pairs", lambda limit: docs[:limit])


@pytest.mark.usefixtures("documentation")
def test_the_same_documentation_gives_the_same_lake_byte_for_byte(tmp_path: Path) -> None:
    lines: list[str] = []
    one = demo.build_lake(tmp_path / "a", hashed_vectors, 100, lines.append)
    two = demo.build_lake(tmp_path / "b", hashed_vectors, 100)
    assert [f.read_bytes() for f in one.files] == [f.read_bytes() for f in two.files]
    assert (one.pairs, len(one.files), len(lines)) == (73, 8, 4)
    assert sorted(p.name for p in (tmp_path / "a/triples").iterdir()) == [file.name for file in one.files]


@pytest.mark.usefixtures("documentation")
def test_every_triple_has_a_negative_that_is_not_its_positive(tmp_path: Path) -> None:
    summary = demo.build_lake(tmp_path, hashed_vectors, 100)
    for file, (source, count) in zip(summary.files, summary.triples.items(), strict=True):
        rows = pq.read_table(file).to_pylist()
        assert len(rows) == count
        assert {row["source"] for row in rows} == {source} == {file.stem}
        assert all(row["negative"] and row["negative"] != row["positive"] for row in rows)
    assert summary.triples["same-module"] == 72
    assert summary.triples["random"] == 73


@pytest.mark.usefixtures("documentation")
def test_about_half_of_the_polluted_negatives_are_cut_positives(tmp_path: Path) -> None:
    summary = demo.build_lake(tmp_path, hashed_vectors, 100)
    rows = pq.read_table(tmp_path / "triples" / "polluted.parquet").to_pylist()
    false = [row for row in rows if row["positive"].startswith(row["negative"])]
    assert 25 <= len(false) <= 48
    assert summary.triples["polluted"] == len(rows)
