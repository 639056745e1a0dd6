"""A text's vector is, bit for bit, a function of the text: the cache may be filled in any order.

The texts are docstrings of the standard library, from a few tokens to beyond the cut.
"""

import inspect
import random
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from onnx_models.cards import DEFAULT_ENCODER, load_card
from onnx_models.running.session import Encoder, open_encoder

MODULES = ("argparse", "collections", "datetime", "decimal", "email", "fractions", "inspect",
           "json", "logging", "os", "random", "shutil", "statistics", "textwrap")  # fmt: skip
COUNT = 150


def docstrings() -> Iterator[str]:
    for name in MODULES:
        module = import_module(name)
        members = [value for _, value in inspect.getmembers(module) if callable(value)]
        for item in (module, *members):
            text = inspect.getdoc(item)
            if text:
                yield text
                yield text.splitlines()[0]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return random.Random(0).sample(sorted(set(docstrings())), COUNT)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return open_encoder(load_card(DEFAULT_ENCODER))


@pytest.fixture(scope="module")
def alone(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    return np.concatenate([encoder.encode([text], "passage") for text in texts])


def test_the_texts_cover_short_long_and_cut(encoder: Encoder, texts: list[str]) -> None:
    lengths = [len(ids) for ids in encoder.tokenizer.token_ids(texts)]
    assert min(lengths) < 12
    assert max(lengths) == 256


def test_batch_mates_change_no_bit(encoder: Encoder, texts: list[str], alone: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(encoder.encode(texts, "passage"), alone)
    some = random.Random(1).sample(range(COUNT), 40)  # other mates, other padding, other order
    vectors = encoder.encode([texts[index] for index in some], "passage")
    np.testing.assert_array_equal(vectors, alone[some])


def test_the_thread_count_changes_no_bit(encoder: Encoder, texts: list[str], alone: NDArray[np.float32]) -> None:
    two = open_encoder(encoder.card, threads=2, check_golden=False)
    np.testing.assert_array_equal(two.encode(texts, "passage"), alone)
