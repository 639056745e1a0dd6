"""Int8: what it keeps is measured, marked, and the same in any batch and on any repeat."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_models.cards import load_card
from onnx_models.errors import EncoderError
from onnx_models.exporting.export import export_encoder
from onnx_models.quantising.calibration import Sample, quantize_linear, quantize_weight
from onnx_models.quantising.quantize import quantize_encoder
from onnx_models.running.fidelity import likeness, measure
from onnx_models.running.session import open_encoder
from tests.encoders.models import WORDS, write_model

TEXTS = [" ".join(np.random.default_rng(seed).choice(WORDS, 2 + seed % 40)) for seed in range(60)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("encoders")
    export_encoder(write_model(folder / "hf", prompts={"query": "the "}), folder / "float")
    return str(folder / "float")


@pytest.mark.parametrize("method", ["static", "weights"])
def test_an_int8_encoder_is_near_its_source_and_its_card_says_how_near(
    source: str, tmp_path: Path, method: str
) -> None:
    made = quantize_encoder(source, TEXTS, tmp_path / "q", method, target=0.995)  # type: ignore[arg-type]
    card = load_card(str(tmp_path / "q"))
    assert card.fidelity is not None
    assert card.fidelity.reference == load_card(source).fingerprint != card.fingerprint
    assert card.fidelity.cosine_mean > 0.99
    assert card.approximate is (card.fidelity.cosine_mean < 0.999)
    assert card.query_prefix == "the "
    vectors, reference = (
        open_encoder(load_card(name)).encode(TEXTS, "passage") for name in (str(tmp_path / "q"), source)
    )
    assert likeness(vectors, reference).cosine_mean == pytest.approx(card.fidelity.cosine_mean, abs=0.005)
    assert "ten nearest neighbours" in "\n".join(made.understood)


def test_static_int8_gives_the_same_bits_alone_and_in_batches(source: str, tmp_path: Path) -> None:
    card = quantize_encoder(source, TEXTS, tmp_path / "q", target=0.9).card
    _, measured = measure(open_encoder(card), TEXTS)
    assert (measured.same_alone == 1.0) or not card.batch_invariant
    assert measured.largest_change < 1e-6  # dynamic int8 moves by 0.1


def test_static_int8_keeps_layers_in_float_until_the_target_is_met(source: str, tmp_path: Path) -> None:
    loose = quantize_encoder(source, TEXTS, tmp_path / "loose", target=0.9).card
    strict = quantize_encoder(source, TEXTS, tmp_path / "strict", target=0.99999).card
    kinds = [[node.op_type for node in onnx.load(str(card.model.path())).graph.node] for card in (loose, strict)]
    assert kinds[0].count("MatMulIntegerToFloat") > kinds[1].count("MatMulIntegerToFloat")
    assert loose.fidelity is not None
    assert strict.fidelity is not None
    assert strict.fidelity.cosine_mean > loose.fidelity.cosine_mean


def test_the_same_texts_give_the_same_bytes(source: str, tmp_path: Path) -> None:
    one, two = (quantize_encoder(source, TEXTS, tmp_path / name, target=0.9).card for name in ("one", "two"))
    assert one.model.sha256 == two.model.sha256
    assert one.fingerprint == two.fingerprint


def test_int8_weights_make_a_smaller_file(source: str, tmp_path: Path) -> None:
    card = quantize_encoder(source, TEXTS, tmp_path / "q", "weights").card
    assert card.model.path().stat().st_size < 0.45 * load_card(source).model.path().stat().st_size


def test_too_few_texts_are_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="3 distinct texts, needed are 40"):
        quantize_encoder(source, ["a", "b", "b", " ", "c"], tmp_path / "q")


def test_an_encoder_is_not_quantised_onto_itself(source: str) -> None:
    with pytest.raises(EncoderError, match="holds the encoder itself"):
        quantize_encoder(source, TEXTS, Path(source))


def test_what_is_quantised_already_is_refused(source: str, tmp_path: Path) -> None:
    quantize_encoder(source, TEXTS, tmp_path / "one", "weights")
    with pytest.raises(EncoderError, match="no float32 linear layers"):
        quantize_encoder(str(tmp_path / "one"), TEXTS, tmp_path / "two")


def test_one_layer_keeps_its_output_in_spite_of_an_outlying_channel() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((500, 32)).astype(np.float32)
    rows[:, 3] = rows[:, 3] * 5 + 40
    weight = rng.standard_normal((32, 16)).astype(np.float32)
    layer = quantize_linear(Sample(rows, rows.min(axis=0), rows.max(axis=0)), weight)
    numbers = np.clip(np.rint(rows / layer.smooth / layer.scale) + int(layer.zero), 0, 255) - int(layer.zero)
    ours = (numbers * layer.scale) @ (layer.weight * layer.weight_scale) + layer.correction
    plain_scale = np.abs(rows).max() / 127
    plain = (np.rint(rows / plain_scale) * plain_scale) @ weight
    assert np.square(ours - rows @ weight).mean() < 0.5 * np.square(plain - rows @ weight).mean()
    assert abs((ours - rows @ weight).mean()) < 1e-3


def test_a_column_of_zeros_stays_zero() -> None:
    weight = np.zeros((4, 3), np.float32)
    weight[:, 1] = [1, -2, 3, 0.5]
    numbers, scale = quantize_weight(weight)
    np.testing.assert_allclose(numbers * scale, weight, atol=3 / 127)


def test_likeness_counts_kept_neighbours() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    same = likeness(vectors, vectors)
    assert same.cosine_mean == pytest.approx(1, abs=1e-6)
    assert same.neighbours_kept == 1
    assert likeness(vectors, vectors[::-1].copy()).neighbours_kept < 0.6
    with pytest.raises(EncoderError, match="cannot be compared"):
        likeness(vectors, vectors[:, :4])


def test_a_card_that_hides_batch_dependence_shows_in_what_is_measured(source: str) -> None:
    card = replace(load_card(source), batch_invariant=False)
    _, measured = measure(open_encoder(card), TEXTS)
    assert measured.padded_over_real == 1
    assert 0 <= measured.same_alone <= 1
    assert measured.texts_per_second > 0
