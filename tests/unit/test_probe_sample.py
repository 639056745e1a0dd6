"""The probe's sample: which queries, what is kept of them, and halves that share nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from jobs.ids import lookup, positions_of
from jobs.probing.measure import dealt
from jobs.probing.sample import (
    CAPS,
    LEAST_QUERIES,
    Rows,
    draw,
    half_of_passages,
    half_of_queries,
    lowest,
    most_texts,
    recurring,
    too_few,
)


def ids(names: list[str]) -> np.ndarray:
    return np.frombuffer(b"".join(hashlib.sha256(name.encode()).digest()[:16] for name in names), dtype="S16")


def rows(triples: list[tuple[str, str, str, int]]) -> Rows:
    query, positive, negative, source = zip(*triples, strict=True)
    return Rows(ids(list(query)), ids(list(positive)), ids(list(negative)), np.array(source, dtype=np.int64))


def many(queries: int, negatives: int, sources: int = 1) -> Rows:
    return rows([
        (f"q{q}", f"p{q}", f"p{(q + 1 + k + 7 * s) % (queries + negatives)}", s)
        for q in range(queries) for s in range(sources) for k in range(negatives)
    ])  # fmt: skip


def test_the_queries_of_lowest_position_nest():
    given = many(500, 1)
    few, more = lowest(given.query, 100), lowest(given.query, 200)
    assert len(few) == 100 and (lookup(more, few) >= 0).all()
    others = given.query[lookup(more, given.query) < 0]
    assert positions_of(more).max() < positions_of(others).min()


def test_a_sample_is_the_same_whatever_the_order_of_its_rows():
    given = many(300, 3, sources=2)
    turned = given.take(np.random.default_rng(1).permutation(len(given.source)))
    for one, other in zip(draw(given, 200, 400, 10_000), draw(turned, 200, 400, 10_000), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("halving", [0, 1, 5])
def test_no_document_and_no_query_is_on_both_sides(halving):
    sample = draw(many(400, 4), 400, 10_000, 10_000)
    halves = half_of_passages(sample.passages, halving)
    sides = half_of_queries(sample, halves)
    positive = dict(sample.labels.tolist())
    assert [halves[positive[q]] for q in range(len(sides))] == sides.tolist()
    assert 150 < sides.sum() < 250
    other = half_of_passages(sample.passages, halving + 1)
    assert 0.4 < (halves == other).mean() < 0.6


def test_a_query_with_positives_in_both_halves_goes_with_the_first_one():
    sample = draw(rows([("q", f"p{k}", "n", 0) for k in range(6)] + [("r", "p9", "n", 0)]), 10, 100, 100)
    halves = half_of_passages(sample.passages, 0)
    first = min(p for q, p in sample.labels.tolist() if sample.queries[q] == ids(["q"])[0])
    assert half_of_queries(sample, halves)[lookup(sample.queries, ids(["q"]))[0]] == halves[first]


def test_what_was_written_for_one_query_is_not_in_the_pool():
    """A piece of the positive stands beside each of its queries; a passage of the corpus beside any."""
    given = [("q1", "a", "piece of a", 0), ("q2", "a", "piece of a", 0), ("q3", "b", "written for q3", 1)]
    given += [("q1", "a", "corpus", 2), ("q3", "b", "corpus", 2), ("q1", "a", "b", 2)]
    assert recurring(rows(given)).tolist() == ids(["corpus"]).tolist()
    sample = draw(rows(given), 10, 100, 100)
    assert set(sample.passages[sample.pool].tolist()) == set(ids(["a", "b", "corpus"]).tolist())
    assert len(sample.passages) == 5 and len(sample.triples) == 6


def test_of_a_hundred_negatives_the_same_ones_are_kept_for_every_source():
    given = rows([(f"q{q}", f"p{q}", f"n{q} {k}", s) for q in range(3) for s in range(2) for k in range(100)])
    sample = draw(given, 10, 10, 10_000)
    for source in (0, 1):
        mine = sample.triples[sample.triples[:, 0] == source]
        assert np.bincount(mine[:, 1]).tolist() == [CAPS[0]] * 3
    np.testing.assert_array_equal(*(sample.triples[sample.triples[:, 0] == s][:, 1:] for s in (0, 1)))


def test_a_sample_keeps_to_its_size_and_every_query_keeps_a_negative():
    sample = draw(many(400, 20, sources=5), 400, 300, 800)
    assert len(sample.passages) <= 800
    assert sample.covered(5) == [len(sample.queries)] * 5
    assert 255 << 20 < most_texts(384) * 384 * 4 <= 256 << 20 and most_texts(4096) == 16_384


def test_too_few_queries_are_said():
    assert too_few(draw(many(150, 2), 2000, 100, 1000), 2) is not None
    assert str(LEAST_QUERIES) in str(too_few(draw(many(150, 2), 2000, 100, 1000), 2))
    assert too_few(draw(many(260, 2), 2000, 100, 1000), 2) is None


def test_a_hybrid_deals_its_places_out_in_turn():
    queries = [f"q{q}" for q in range(64)]
    given = [(q, f"p {q}", f"{source} {q} {k}", s) for q in queries for s, source, k in
             ((0, "a", 0), (0, "a", 1), (0, "a", 2), (1, "b", 0), (2, "c", 0))]  # fmt: skip
    sample = draw(rows(given), 100, 100, 1000)
    mine = dealt(sample.triples, [0, 1], sample.queries)
    assert np.bincount(mine[:, 1]).tolist() == [3] * 64  # as many as the one with most
    assert np.bincount(mine[:, 0]).tolist() == [128, 64]  # b has one each: a fills up
    one = dealt(sample.triples, [1, 2], sample.queries)
    assert np.bincount(one[:, 1]).tolist() == [1] * 64
    assert 16 < (one[:, 0] == 1).sum() < 48  # half of the queries each, by their ids


def test_what_both_parts_bring_is_one_place():
    given = [(f"q{q}", f"p{q}", f"n{q} {k}", s) for q in range(20) for s in (0, 1) for k in range(2)]
    sample = draw(rows(given), 100, 100, 1000)
    mine = dealt(sample.triples, [0, 1], sample.queries)
    assert len(mine) == 40 == len(np.unique(mine[:, 1:], axis=0))
