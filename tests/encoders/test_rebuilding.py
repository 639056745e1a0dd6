"""The default encoder runs on our graph over the weights of its file: the same vectors, and a card that says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_models.building.rebuilding import float_model, rebuilt_model
from onnx_models.cards import DEFAULT_ENCODER, EncoderCard, load_card
from onnx_models.errors import EncoderError
from onnx_models.exporting.making import probe_texts
from onnx_models.quantising.quantize import quantize_encoder
from onnx_models.running.golden import load_golden
from onnx_models.running.session import open_encoder
from tests.encoders.models import write_model


@pytest.fixture(scope="module")
def card() -> EncoderCard:
    return load_card(DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def as_it_is(card: EncoderCard) -> EncoderCard:
    """The card of the same file, run as it is."""
    return replace(card, rebuild={}, inputs=("input_ids", "attention_mask", "token_type_ids"))


def test_the_vectors_are_those_of_the_files_own_graph(card: EncoderCard, as_it_is: EncoderCard) -> None:
    texts = [*probe_texts(card.max_tokens)[::3], *(row.text for row in load_golden(card)), ""]
    ours, theirs = (open_encoder(choice).encode(texts, "passage") for choice in (card, as_it_is))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_both_graphs_have_caches_of_their_own(card: EncoderCard, as_it_is: EncoderCard) -> None:
    assert card.fingerprint != as_it_is.fingerprint
    deeper = replace(card, rebuild={**card.rebuild, "layer_norm_eps": 1e-5})
    assert deeper.fingerprint != card.fingerprint


def test_weights_stay_int8_in_the_model_and_can_be_written_as_float32(card: EncoderCard) -> None:
    small, large = rebuilt_model(card), float_model(card)
    assert small.ByteSize() < 1.1 * card.model.path().stat().st_size
    assert large.ByteSize() > 3.5 * small.ByteSize()
    kinds = {item.data_type for item in large.graph.initializer if len(item.dims) == 2}
    assert kinds == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 7}, "lack .*encoder.layer.6.* model.rebuild does not describe this file"),
        ({"hidden_size": 768}, r"implies \(512, 768\)"),
        ({"num_attention_heads": 6}, "fails golden vector"),
        ({"num_hidden_layers": 5}, "fails golden vector"),
        ({"layer_norm_eps": 0.5}, "fails golden vector"),
    ],
)
def test_a_card_that_misdescribes_the_architecture_is_refused(
    card: EncoderCard, change: dict[str, float], message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        open_encoder(replace(card, rebuild={**card.rebuild, **change}))


def test_a_file_without_pytorchs_names_is_refused(card: EncoderCard, tmp_path: Path) -> None:
    from onnx_models.exporting.export import export_encoder

    exported = export_encoder(write_model(tmp_path / "hf"), tmp_path / "out").card
    with pytest.raises(EncoderError, match="hold no embeddings.word_embeddings.weight"):
        rebuilt_model(replace(exported, rebuild=card.rebuild))


@pytest.mark.slow
def test_the_default_encoder_can_be_quantised(tmp_path: Path) -> None:
    texts = [*probe_texts(60)] + [f"passage number {n} on rivers" for n in range(40)]
    made = quantize_encoder(DEFAULT_ENCODER, texts, tmp_path / "q", "weights").card
    assert made.fidelity is not None
    assert made.fidelity.cosine_mean > 0.9999  # its weights are int8 already
    assert not made.rebuild
