"""The fast sums and scores agree with the literal ones, and the literal ones with worked cases."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from eci_sql.folds import FoldMatrices, Folds
from eci_sql.information import eci_v1, jackknife_se, spectrum
from eci_sql.leave_out import delete_one
from eci_sql.moments import add_outer, pack_upper, residual_rows, unpack_upper
from tests.parity import literal
from tests.parity.literal import Example, Parameters, SourceRow, Triple

DIM = 6
PARAMETERS = Parameters(temperature=0.2, folds=5)
WORDS = ["ab", "bc", "cd", "de", "ef", "fg", "gh"]


@pytest.fixture(scope="module")
def vectors() -> dict[bytes, literal.Vector]:
    rng = np.random.default_rng(5)
    drawn = rng.standard_normal((60, DIM))
    drawn = np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)
    names = [("q", f"q{i}") for i in range(20)] + [("p", f"p{i}") for i in range(40)]
    return {literal.text_id(*name): v for name, v in zip(names, drawn, strict=True)}


@pytest.fixture(scope="module")
def examples(vectors: Mapping[bytes, literal.Vector]) -> list[Example]:
    rng = np.random.default_rng(6)
    ids = list(vectors)
    triples = [
        Triple(ids[int(q)], ids[20 + int(p)], ids[40 + int(n)], f"s{int(s)}")
        for q, p, n, s in rng.integers(0, (20, 20, 20, 3), (150, 4))
    ]
    tokens = {i: set(rng.choice(WORDS, 3)) for i in ids}
    weights = literal.idf(tokens[i] for i in ids[20:])
    unseen = literal.idf_of(0, 40)
    return literal.score_examples(triples, vectors, tokens, weights, unseen, PARAMETERS)


@pytest.fixture(scope="module")
def rows(examples: list[Example]) -> dict[str, SourceRow]:
    return literal.score_sources(examples, PARAMETERS)


def fold_sums(
    examples: list[Example], vectors: Mapping[bytes, literal.Vector]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `delete_one` takes, by the code under test."""
    sums = np.zeros((2, PARAMETERS.folds, DIM, DIM), dtype=np.int64)
    n = np.zeros(PARAMETERS.folds, dtype=np.int64)
    for one in examples:
        ids = (one.triple.query, one.triple.positive, one.triple.negative)
        zq, zp, zn = (np.asarray(vectors[text], dtype=np.float32)[None] for text in ids)
        s_pos, s_neg, weight = (np.array([v]) for v in (one.s_pos, one.s_neg, one.weight))
        add_outer(sums[int(one.weight < 0), one.fold], residual_rows(zq, zp, zn, s_pos, s_neg, weight))
        n[one.fold] += 1
    plus, minus = (np.stack([pack_upper(m) for m in sign]) for sign in sums)
    return plus, minus, n


@pytest.mark.parametrize("source", ["s0", "s1", "s2"])
def test_scores_and_errors_agree(
    source: str,
    examples: list[Example],
    rows: dict[str, SourceRow],
    vectors: Mapping[bytes, literal.Vector],
) -> None:
    own = [one for one in examples if one.triple.source == source]
    plus, minus, n = fold_sums(own, vectors)
    total, leave_out = delete_one(Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), n), PARAMETERS.lam)
    expected = rows[source]
    assert total.information == pytest.approx(expected.information, rel=1e-5)
    assert total.misinformation == pytest.approx(expected.misinformation, rel=1e-5)
    assert total.purity == pytest.approx(expected.purity, rel=1e-5)
    assert total.eci == pytest.approx(expected.eci, rel=1e-5)
    np.testing.assert_allclose(leave_out, expected.leave_out, rtol=1e-5)
    assert jackknife_se(leave_out) == pytest.approx(expected.eci_se, rel=1e-4)
    trace, rank = spectrum(unpack_upper(plus.sum(axis=0), DIM) / n.sum())
    assert trace == pytest.approx(expected.trace, rel=1e-5)
    assert rank == pytest.approx(expected.effective_rank, rel=1e-5)


def test_first_version_agrees(examples: list[Example], rows: dict[str, SourceRow]) -> None:
    own = [one for one in examples if one.triple.source == "s0"]
    hardness = float(np.mean([one.s_neg for one in own]))
    safety = float(np.mean([max(0.0, one.s_pos - one.s_neg) for one in own]))
    assert eci_v1(len(own), hardness, safety) == pytest.approx(rows["s0"].eci_v1, abs=1e-12)


def test_worked_triple() -> None:
    q, p, n = b"query", b"positive", b"negative"
    vectors = {q: [1.0, 0.0], p: [0.8, 0.6], n: [0.6, 0.8]}
    one = literal.example(Triple(q, p, n, "s"), vectors, 0.5, Parameters(temperature=0.1))
    assert one.locality == pytest.approx(1 / (1 + math.e**2))
    assert one.consistency == pytest.approx(math.tanh(1))
    assert one.residuality == 0.75
    assert one.weight == pytest.approx(0.75 * math.tanh(1) / (1 + math.e**2))
    assert one.residual == pytest.approx([0.0, 0.2])


def test_worked_ids() -> None:
    query = literal.text_id("q", "hello")
    assert len(query) == 16
    assert literal.fold_of(query, 32) == int.from_bytes(query[:8], "big") % 32
    assert literal.sample_position(query) == int.from_bytes(query[8:], "big") / 2**64
    assert query != literal.text_id("p", "hello")


def test_worked_tokens() -> None:
    assert literal.word("Straße, ÄRGER_1! 東京") == {"straße", "ärger_1", "東京"}
    assert literal.char3("ABab") == {"aba", "bab"}
    assert literal.char3("Ab") == {"ab"}
    assert literal.word("") == literal.char3("") == set()


def test_worked_overlap() -> None:
    weights = literal.idf([{"a", "b"}, {"a"}])
    assert weights["a"] == pytest.approx(math.log(1 + 0.5 / 2.5))
    assert weights["b"] == pytest.approx(math.log(1 + 1.5 / 1.5))
    a, b = weights["a"], weights["b"]
    assert literal.overlap({"a", "b"}, {"b", "z"}, weights, 9.0) == pytest.approx(b / (a + b))
    assert literal.overlap(set(), {"b"}, weights, 9.0) == 0.0
