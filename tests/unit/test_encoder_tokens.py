"""Tokens: cut and unpadded for the encoder, whole for lexical overlap."""

import pytest

from onnx_models.cards import DEFAULT_ENCODER, load_card
from onnx_models.running.tokens import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(load_card(DEFAULT_ENCODER))


def test_ids_carry_special_tokens_and_no_padding(tokenizer: TextTokenizer) -> None:
    short, empty = tokenizer.token_ids(["hello world", ""])
    assert short.tolist() == [101, 7592, 2088, 102]
    assert empty.tolist() == [101, 102]


def test_ids_are_cut_at_max_tokens_with_the_end_token_kept(tokenizer: TextTokenizer) -> None:
    (ids,) = tokenizer.token_ids(["river " * 1000])
    assert len(ids) == 256
    assert ids[-1] == 102


def test_wordpieces_are_whole_and_without_special_tokens(tokenizer: TextTokenizer) -> None:
    first, second, empty = tokenizer.wordpieces(["Embeddings!", "river " * 1000, ""])
    assert first == ["em", "##bed", "##ding", "##s", "!"]
    assert second == ["river"] * 1000
    assert empty == []
