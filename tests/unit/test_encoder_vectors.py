"""Vectors: right against an independent computation, checked when opened, errors that help."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_models.cards import DEFAULT_ENCODER, EncoderCard, load_card
from onnx_models.errors import EncoderError
from onnx_models.running.session import Encoder, open_encoder

# Vectors of the genuine float32 weights, computed in float64 with NumPy alone.
REFERENCE = Path(__file__).with_name("minilm_l6_v2_float64_reference.json")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return open_encoder(load_card(DEFAULT_ENCODER))


def test_vectors_agree_with_an_independent_float64_computation(encoder: Encoder) -> None:
    for row in json.loads(REFERENCE.read_text(encoding="utf-8")):
        cosine = encoder.encode([row["text"]], row["side"])[0] @ np.array(row["vector"])
        assert cosine > 0.999, row["text"]  # what is left is the int8 rounding of the weights


def test_vectors_are_unit_float32_in_input_order(encoder: Encoder) -> None:
    texts = ["a much longer text about rivers and their dams", "rivers", "dams and rivers"]
    vectors = encoder.encode(texts, "passage")
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    alone = np.concatenate([encoder.encode([text], "passage") for text in texts])
    np.testing.assert_array_equal(vectors, alone)


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([], "query").shape == (0, 384)
    assert list(encoder.encode_batches([], "query")) == []


def test_an_empty_text_gets_a_finite_vector(encoder: Encoder) -> None:
    assert np.isfinite(encoder.encode([""], "query")).all()


def test_batches_cover_every_position_once(encoder: Encoder) -> None:
    texts = ["river " * count for count in range(1, 60)]
    positions = np.concatenate([part for part, _ in encoder.encode_batches(texts, "query")])
    assert sorted(positions.tolist()) == list(range(len(texts)))


def test_tokens_are_counted_with_and_without_padding() -> None:
    encoder = open_encoder(load_card(DEFAULT_ENCODER))
    assert encoder.tokens_seen == (0, 0)
    encoder.encode(["hello", "hello world"], "query")
    assert encoder.tokens_seen == (7, 8)


def test_an_encoder_not_shown_to_be_batch_invariant_runs_texts_one_at_a_time() -> None:
    card = replace(load_card(DEFAULT_ENCODER), batch_invariant=False)
    encoder = open_encoder(card, check_golden=False)
    encoder.encode(["hello", "hello world"], "query")
    assert encoder.tokens_seen == (7, 7)


def test_each_side_gets_its_prefix(encoder: Encoder) -> None:
    card = replace(encoder.card, query_prefix="query: ", passage_prefix="passage: ")
    prefixed = open_encoder(card, check_golden=False)
    for side in ("query", "passage"):
        expected = encoder.encode([f"{side}: rivers"], "query")
        np.testing.assert_array_equal(prefixed.encode(["rivers"], side), expected)


@pytest.mark.parametrize("change", [{"pooling": "cls"}, {"pooling": "last"}, {"max_tokens": 128}])
def test_a_card_that_misdescribes_its_model_fails_the_golden_check(
    change: dict[str, Any],
) -> None:
    with pytest.raises(EncoderError, match=r"fails golden vector \d .*cosine 0\.\d+, required"):
        open_encoder(replace(load_card(DEFAULT_ENCODER), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "embedding"}, "model.output is 'embedding', .* offers last_hidden_state"),
        ({"inputs": ("input_ids",)}, "model.inputs is input_ids, .* takes input_ids, attention"),
        ({"dim": 768, "golden": ""}, r"has shape \(1, 3, 384\) of float32, its card implies \(1, 3, 768\) of floats"),
        ({"pooling": "none", "golden": ""}, r"its card implies \(1, 384\) of floats: correct dim, pooling"),
        ({"golden": "none.json"}, "does not hold golden vectors"),
    ],
)
def test_a_card_that_does_not_fit_its_model_is_refused(change: dict[str, Any], message: str) -> None:
    card = replace(load_card(DEFAULT_ENCODER), **change)
    with pytest.raises(EncoderError, match=message):
        open_encoder(card).encode(["hello"], "query")


def test_wrong_calls_are_refused(encoder: Encoder) -> None:
    with pytest.raises(EncoderError, match="side is 'document', allowed is one of query, passage"):
        encoder.encode(["hello"], "document")  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="texts is one string"):
        encoder.encode("hello", "query")
    with pytest.raises(EncoderError, match="threads is 0"):
        open_encoder(encoder.card, threads=0)


def encode_in_worker(card: EncoderCard) -> NDArray[np.float32]:
    return open_encoder(card, check_golden=False).encode(["hello world"], "query")


def test_a_spawned_worker_gives_the_same_bits(encoder: Encoder) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        vectors = pool.submit(encode_in_worker, encoder.card).result(timeout=120)
    np.testing.assert_array_equal(vectors, encoder.encode(["hello world"], "query"))
