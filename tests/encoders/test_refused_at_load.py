"""What makes every vector wrong without an error is refused when the encoder is opened, by a message that names the check."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from onnx_models.cards import DEFAULT_ENCODER, load_card
from onnx_models.errors import EncoderError
from onnx_models.exporting.export import export_encoder
from onnx_models.running.session import open_encoder
from tests.encoders.models import write_model

Change = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An encoder that runs, of a model with prefixes."""
    source = write_model(tmp_path / "hf", prompts={"query": "query: ", "passage": "passage: "})
    export_encoder(source, tmp_path / "encoder")
    open_encoder(load_card(str(tmp_path / "encoder")))
    return tmp_path / "encoder"


def edited(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def truncated(name: str) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def one_byte_changed(name: str) -> Change:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return change


def another_golden_vector(folder: Path) -> None:
    rows = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    rows[1]["vector"][0] += 0.1
    (folder / "golden.json").write_text(json.dumps(rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edited("card.toml", 'query_prefix = "query: "', 'query_prefix = ""'), r"fails golden vector 0 \(query"),
        (edited("card.toml", 'query_prefix = "query: "', 'query_prefix = "a: "'), r"fails golden vector 0 \(query"),
        (edited("card.toml", 'passage_prefix = "passage: "', 'passage_prefix = ""'), r"fails golden vector 1 \(passage"),
        (edited("card.toml", "max_tokens = 48", "max_tokens = 24"), r"fails golden vector \d .*max_tokens"),
        (edited("card.toml", 'pooling = "none"', 'pooling = "mean"'), "has shape .* correct dim, pooling"),
        (another_golden_vector, r"fails golden vector 1 \(passage"),
        (truncated("golden.json"), "does not hold golden vectors"),
        (truncated("model.onnx"), "model.onnx has sha256 .* the card says"),
        (truncated("tokenizer.json"), "tokenizer.json has sha256 .* the card says"),
        (one_byte_changed("model.onnx"), "model.onnx has sha256 .* the card says"),
        (one_byte_changed("tokenizer.json"), "tokenizer.json has sha256 .* the card says"),
        (lambda folder: (folder / "model.onnx").unlink(), "'model.onnx' is not a file"),
    ],
    ids=["no query prefix", "another query prefix", "no passage prefix", "another cut", "pooling", "golden vector", "golden file cut",
         "model cut", "tokenizer cut", "model byte", "tokenizer byte", "model gone"],
)  # fmt: skip
def test_a_changed_encoder_is_refused_by_the_check_that_it_fails(folder: Path, change: Change, message: str) -> None:
    change(folder)
    with pytest.raises(EncoderError, match=message) as caught:
        open_encoder(load_card(str(folder)))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [{"pooling": "cls"}, {"pooling": "last"}, {"query_prefix": "query: "}, {"passage_prefix": "passage: "}, {"max_tokens": 128}],
    ids=lambda change: "-".join(map(str, *change.items())),
)  # fmt: skip
def test_the_default_card_with_another_setting_is_refused(change: dict[str, str]) -> None:
    card = load_card(DEFAULT_ENCODER)
    side = "query" if "query_prefix" in change else "passage" if "passage_prefix" in change else "query|passage"
    with pytest.raises(EncoderError, match=rf"fails golden vector \d \(({side}) .* pooling, prefixes, max_tokens"):
        open_encoder(replace(card, **change))  # type: ignore[arg-type]
