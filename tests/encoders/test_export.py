"""Export without PyTorch: the right vectors, the same bytes, the same bits in any batch."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_models.errors import EncoderError
from onnx_models.exporting.export import export_encoder
from onnx_models.exporting.new_card import Overrides
from onnx_models.running.session import open_encoder
from tests.encoders.models import CONFIGS, TEXTS, forward, random_weights, write_model, write_safetensors

TORCH_FREE = [(kind, pooling) for kind in CONFIGS for pooling in ("mean", "cls", "last")]


@pytest.mark.parametrize(("kind", "pooling"), TORCH_FREE)
def test_vectors_agree_with_an_independent_numpy_forward_pass(tmp_path: Path, kind: str, pooling: str) -> None:
    made = export_encoder(write_model(tmp_path / "hf", kind, pooling), tmp_path / "out")
    encoder = open_encoder(made.card)
    rows = encoder.tokenizer.token_ids(TEXTS)
    assert max(len(row) for row in rows) == 48
    expected = np.array([forward(kind, row.tolist(), pooling) for row in rows])
    np.testing.assert_allclose(encoder.encode(TEXTS, "passage"), expected, atol=2e-6)


def test_export_imports_no_torch(tmp_path: Path) -> None:
    import subprocess

    write_model(tmp_path / "hf")
    code = (
        "import sys; from pathlib import Path; from onnx_models.exporting.export import export_encoder; "
        f"export_encoder(Path({str(tmp_path / 'hf')!r}), Path({str(tmp_path / 'out')!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dense_layers_go_into_the_graph(tmp_path: Path) -> None:
    made = export_encoder(write_model(tmp_path / "hf", dense=True), tmp_path / "out")
    encoder = open_encoder(made.card)
    assert made.card.dim == 16
    expected = [forward("bert", row.tolist(), "mean", dense=True) for row in encoder.tokenizer.token_ids(TEXTS)]
    np.testing.assert_allclose(encoder.encode(TEXTS, "passage"), np.array(expected), atol=2e-6)


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    write_model(tmp_path / "hf")
    first, second = (export_encoder(tmp_path / "hf", tmp_path / name).card for name in ("one", "two"))
    assert first.model.sha256 == second.model.sha256
    for name in ("card.toml", "golden.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_text_gets_the_same_bits_alone_and_in_a_batch(tmp_path: Path) -> None:
    encoder = open_encoder(export_encoder(write_model(tmp_path / "hf"), tmp_path / "out").card)
    same = np.array_equal(encoder.batched(True).encode(TEXTS, "query"), encoder.batched(False).encode(TEXTS, "query"))
    assert same or not encoder.card.batch_invariant


def test_a_task_heads_prefix_on_the_weights_is_seen_through(tmp_path: Path) -> None:
    plain = export_encoder(write_model(tmp_path / "a"), tmp_path / "one", Overrides(name="x"))
    headed = export_encoder(write_model(tmp_path / "b", prefix="bert."), tmp_path / "two", Overrides(name="x"))
    assert plain.card.model.sha256 == headed.card.model.sha256


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf")
    arrays = random_weights("bert")
    upper = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in arrays.items()}
    write_safetensors(folder / "model.safetensors", upper, "BF16")
    encoder = open_encoder(export_encoder(folder, tmp_path / "out").card)
    row = encoder.tokenizer.token_ids(["the river"])[0]
    assert encoder.encode(["the river"], "query")[0] @ forward("bert", row.tolist(), "mean") > 0.999


def test_settings_are_read_and_said(tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "hf", pooling="cls", prompts={"query": "query: ", "document": "passage: "}, normalise=False
    )
    made = export_encoder(folder, tmp_path / "out")
    assert (made.card.query_prefix, made.card.passage_prefix, made.card.max_tokens) == ("query: ", "passage: ", 48)
    said = "\n".join(made.understood)
    for part in ("state of its first token", "'query: '", "no Normalize module", "cut at 48 tokens", "without PyTorch"):
        assert part in said


def test_a_ready_card_fills_in_what_the_folder_does_not_say(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "e5-small-v2")
    made = export_encoder(folder, tmp_path / "out")
    assert (made.card.name, made.card.query_prefix, made.card.passage_prefix) == ("e5-small-v2", "query: ", "passage: ")
    assert (made.card.temperature, made.card.licence) == (0.01, "MIT")


def test_a_folder_that_does_not_say_how_it_pools_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf")
    (folder / "modules.json").unlink()
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(EncoderError, match="does not say how it pools .* give --pooling mean, cls or last"):
        export_encoder(folder, tmp_path / "out")
    assert export_encoder(folder, tmp_path / "out", Overrides(pooling="mean")).card.dim == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoModel": "x.Y"}}, "remote code"),
        ({"hidden_act": "silu"}, "activation is 'silu'"),
        ({"position_embedding_type": "relative_key"}, "relative positions"),
        ({"hidden_size": 32}, "config.json implies .* do not belong together"),
        ({"num_hidden_layers": 3}, "the weights lack encoder.layer.2"),
        ({"num_attention_heads": None}, "config.json lacks or misstates"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = write_model(tmp_path / "hf")
    (folder / "config.json").write_text(json.dumps(CONFIGS["bert"] | change))
    with pytest.raises(EncoderError, match=message):
        export_encoder(folder, tmp_path / "out")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf")
    whole = (folder / "model.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:4], b"", b"\xff" * 64):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(EncoderError, match="not a whole safetensors file"):
            export_encoder(folder, tmp_path / "out")


def test_an_architecture_that_needs_torch_says_so(tmp_path: Path) -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        folder = write_model(tmp_path / "hf")
        (folder / "config.json").write_text(json.dumps(CONFIGS["bert"] | {"model_type": "electra"}))
        with pytest.raises(EncoderError, match=r"needs PyTorch .*eci-lake\[export\]"):
            export_encoder(folder, tmp_path / "out")
    else:
        pytest.skip("torch is installed here: test_export_torch.py covers it")
