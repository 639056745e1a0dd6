"""Models and tokenizers that are made to harm: each is refused in one line, and no file outside the encoder's folder is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jobs.errors import EciError
from onnx_models.adding.add import add_encoder
from onnx_models.building.folders import read_model_folder
from onnx_models.cards import load_card
from onnx_models.errors import EncoderError
from onnx_models.running.session import Encoder, open_encoder
from tests.conftest import run_lake
from tests.encoders.models import write_model, write_tokenizer
from tests.lakes import write_triples

pytestmark = pytest.mark.attack("models and tokenizers")
DIM = 4
WEIGHTS = np.random.default_rng(0).standard_normal((200, DIM)).astype(np.float32)
GATHER = helper.make_node("Gather", ["W", "input_ids"], ["states"])
CARD = """name = "x"
dim = 4
pooling = "mean"
max_tokens = 32
licence = "MIT"
source = "x"
precision = "fp32"
batch_invariant = true
[model]
file = "model.onnx"
sha256 = "MODEL"
inputs = ["input_ids"]
output = "states"
[tokenizer]
file = "tokenizer.json"
sha256 = "TOKENIZER"
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def carded(folder: Path) -> Path:
    """Write a card for what lies in a folder, as a stranger who shares it would."""
    card = CARD.replace("MODEL", sha256(folder / "model.onnx")).replace("TOKENIZER", sha256(folder / "tokenizer.json"))
    (folder / "card.toml").write_text(card)
    return folder


def model_of(
    nodes: list[Any], tensors: list[Any], last: int = DIM, kind: int = TensorProto.FLOAT, domain: str = "evil"
) -> bytes:
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"])]
    outputs = [helper.make_tensor_value_info("states", kind, ["b", "t", last])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString())


def written(folder: Path, model: bytes) -> Path:
    write_tokenizer(folder)
    (folder / "model.onnx").write_bytes(model)
    return carded(folder)


def array(values: np.ndarray = WEIGHTS, name: str = "W") -> onnx.TensorProto:
    return numpy_helper.from_array(values, name)


def outside(location: str) -> bytes:
    """A model whose weights lie in another file."""
    tensor = onnx.TensorProto(name="W", data_type=TensorProto.FLOAT, dims=WEIGHTS.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHTS.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return model_of([GATHER], [tensor])


def opened(folder: Path) -> Encoder:
    return open_encoder(load_card(str(folder)))


def test_the_same_model_without_harm_opens(tmp_path: Path) -> None:
    assert opened(written(tmp_path, model_of([GATHER], [array()]))).encode(["the river"], "query").shape == (1, DIM)


@pytest.mark.parametrize("place", ["../secret.bin", "/SECRET", "inner/../../secret.bin", "link.bin", "weights.bin"])
def test_weights_outside_the_folder_or_unnamed_by_the_card_are_not_read(tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret.bin"
    folder = written(tmp_path / "encoder", outside(place.replace("/SECRET", str(secret))))
    for path in (secret, folder / "weights.bin"):
        path.write_bytes(WEIGHTS.tobytes())
    (folder / "inner").mkdir()
    (folder / "link.bin").symlink_to(secret)
    with pytest.raises(EncoderError, match="which the card does not name|outside its folder: refused") as refused:
        opened(folder)
    assert "\n" not in str(refused.value)


EVIL = helper.make_node("Evil", ["s"], ["states"], domain="evil")
MODELS: dict[str, tuple[bytes, str]] = {
    "a custom operator": (model_of([helper.make_node("Gather", ["W", "input_ids"], ["s"]), EVIL], [array()]), "cannot load .*Evil"),
    "another length": (model_of([GATHER], [array(WEIGHTS[:, :3].copy())], 3), r"has shape \(1, 4, 3\)"),
    "strings": (model_of([GATHER], [helper.make_tensor("W", TensorProto.STRING, (200, DIM), [b"x"] * 800)], kind=TensorProto.STRING),
                "of object, its card implies"),
    "fewer tokens than the tokenizer has": (model_of([GATHER], [array(WEIGHTS[:3].copy())]), "fails on 1 texts .*out of data bounds"),
    "four terabytes": (
        model_of([helper.make_node("ConstantOfShape", ["S"], ["big"]), helper.make_node("ReduceSum", ["big"], ["r"], keepdims=0),
                  helper.make_node("Gather", ["W", "input_ids"], ["s"]), helper.make_node("Add", ["s", "r"], ["states"])],
                 [array(), array(np.array([1 << 40], np.int64), "S")]), "fails on 1 texts .*Failed to allocate"),
    "no model": (b"\x08" * 1000, "cannot load"),
    "nothing": (b"", "cannot load"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_does_not_do_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    model, message = MODELS[kind]
    folder = written(tmp_path, model)
    with pytest.raises(EncoderError, match=message) as refused:
        opened(folder).encode(["the river"], "query")
    assert "\n" not in str(refused.value)


def test_texts_whose_vectors_are_no_numbers_are_rejects_and_the_others_are_scored(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[4 + 3] = np.nan  # the token "carries"
    folder = written(tmp_path / "encoder", model_of([GATHER], [array(weights)]))
    rows = [(f"the river {'to ' * i}", f"a sea {'and ' * i}", f"grow {'down ' * i}", "s") for i in range(1, 20)]
    bad = [("the river to", "a sea and", "river carries", "s")]
    write_triples(tmp_path / "t.parquet", rows + bad)
    result = run_lake(tmp_path / "out", tmp_path / "t.parquet", encoder=str(folder), workers=1, no_probe=True)
    assert result.totals["scored"] == len(rows) and result.totals["rejected"] == 1
    weights[:] = np.nan
    folder = written(tmp_path / "all", model_of([GATHER], [array(weights)]))
    with pytest.raises(EciError) as refused:
        run_lake(tmp_path / "out2", tmp_path / "t.parquet", encoder=str(folder), workers=1, no_probe=True)
    assert "bug" not in str(refused.value) and "\n" not in str(refused.value)


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        found = {"type": "Sequence", "normalizers": [found]}
    return found


def split(pattern: str) -> dict[str, Any]:
    return {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}}


def replace(*contents: str) -> dict[str, Any]:
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": content} for content in contents]
    return {"normalizer": {"type": "Sequence", "normalizers": steps}}


TOKENIZERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda good: [1, 2],
    "no model": lambda good: good | {"model": None},
    "a vocabulary that is a text": lambda good: good | {"model": good["model"] | {"vocab": "x"}},
    "negative ids": lambda good: good | {"model": good["model"] | {"vocab": {"[UNK]": -1}}},
    "ids of four bytes": lambda good: good | {"model": good["model"] | {"vocab": {k: 2**32 - 1 - v for k, v in good["model"]["vocab"].items()}}},
    "no unknown token": lambda good: good | {"model": good["model"] | {"unk_token": "nope"}},
    "a regex that never ends": lambda good: good | split("(a+)+$"),
    "a regex that is none": lambda good: good | split("(a"),
    "a map of characters that is none": lambda good: good | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "a hundred thousand special tokens": lambda good: good | {"post_processor": {
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 100_000, "pair": [],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}}},
    "nested too deep": lambda good: good | {"normalizer": nested(100)},
}  # fmt: skip
TEXT = "the 日本 " + "a" * 60 + "!"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_tokenizer_that_does_not_do_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    folder = written(tmp_path, model_of([GATHER], [array()]))
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(TOKENIZERS[kind](json.loads(path.read_text()))))
    carded(folder)
    with pytest.raises(EncoderError) as refused:
        opened(folder).encode([TEXT], "query")
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.parametrize("content", ["[" * 200_000, '{"model":' * 100_000, "", "\ud800"])
def test_a_tokenizer_that_is_no_json_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    source = write_model(tmp_path / "hf")
    (source / "tokenizer.json").write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(EncoderError, match="tokenizer.json is not readable JSON"):
        read_model_folder(source)


def test_a_tokenizer_that_blows_texts_up_is_refused_before_any_text(tmp_path: Path) -> None:
    source = write_model(tmp_path / "hf")
    path = source / "tokenizer.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | replace("a" * 1000, "a" * 1000, "a" * 1000)))
    with pytest.raises(EncoderError, match="can make a text 1000000000 times as long, allowed are 64"):
        read_model_folder(source)
    path.write_text(json.dumps(good | replace("''", "aa")))
    read_model_folder(source)
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(EncoderError, match="has 300 MiB, allowed are 256"):
        add_encoder(source)
