"""Adding what users have: read right, said in words, and refused where it cannot be run."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnx_models.adding.add import add_encoder
from onnx_models.building.architectures import Weights, shape_of
from onnx_models.building.architectures import add_encoder as add_graph
from onnx_models.building.graph import GraphBuilder, save_model
from onnx_models.cards import load_card
from onnx_models.errors import EncoderError
from onnx_models.exporting.new_card import Overrides
from onnx_models.running.session import open_encoder
from tests.encoders.models import CONFIGS, TEXTS, forward, random_weights, write_model


def token_model(sentence: str = "") -> onnx.ModelProto:
    """A model that gives token states, as Optimum exports it; with `sentence` (a pooling) a sentence vector too."""
    graph = GraphBuilder()
    states = add_graph(graph, shape_of(CONFIGS["bert"]), Weights(random_weights("bert")))
    if sentence:
        vector = graph.finished(graph.pooled(states, "attention_mask", sentence), [], normalise=True)
        model = graph.model(["input_ids", "attention_mask"], vector, 64)
    else:
        model = graph.model(["input_ids", "attention_mask"], graph.op("Flatten", [states]), 64)
        del model.graph.node[-2:], model.graph.output[:]
    model.graph.node.append(helper.make_node("Identity", [states], ["last_hidden_state"]))
    model.graph.output.append(
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 64])
    )
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_model(tmp_path / "mine", pooling="cls", prompts={"query": "query: ", "passage": "passage: "})
    (folder / "onnx").mkdir()
    save_model(token_model(), folder / "onnx" / "model.onnx")
    return folder


def test_a_folder_is_added_in_place_and_gives_the_right_vectors(folder: Path) -> None:
    made = add_encoder(folder)
    encoder = open_encoder(load_card(str(folder)))
    rows = encoder.tokenizer.token_ids(["query: " + text for text in TEXTS])
    expected = np.array([forward("bert", row.tolist(), "cls") for row in rows])
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), expected, atol=2e-6)
    said = "\n".join(made.understood)
    for part in (
        "state of its first token",
        "Before a query goes 'query: ', before a passage 'passage: '",
        "pooling (cls)",
        "48 tokens",
    ):
        assert part in said
    assert (made.card.name, made.card.pooling, made.card.dim) == ("mine", "cls", 64)


def test_a_folder_is_added_elsewhere_and_left_as_it_was(folder: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    add_encoder(folder, tmp_path / "to", Overrides(name="other", temperature=0.02))
    assert sorted(path.name for path in folder.rglob("*")) == before
    shutil.rmtree(folder)
    card = load_card(str(tmp_path / "to"))
    assert (card.name, card.temperature) == ("other", 0.02)
    assert open_encoder(card).encode(["the river"], "query").shape == (1, 64)


def test_a_dense_module_is_put_behind_the_token_states(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine", dense=True)
    save_model(token_model(), folder / "model.onnx")
    encoder = open_encoder(add_encoder(folder).card)
    rows = encoder.tokenizer.token_ids(TEXTS)
    expected = np.array([forward("bert", row.tolist(), "mean", dense=True) for row in rows])
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), expected, atol=2e-6)


def test_the_models_own_sentence_vector_confirms_the_pooling(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine", pooling="mean")
    save_model(token_model("mean"), folder / "model.onnx")
    assert "Checked: the model's own output sentence_embedding" in "\n".join(add_encoder(folder).understood)
    with pytest.raises(EncoderError, match="cls pooling gives other vectors than the model's own output"):
        add_encoder(folder, given=Overrides(pooling="cls"))
    assert not (folder / "card.toml").exists() or load_card(str(folder)).pooling == "mean"


def test_a_model_that_pools_itself_is_taken_at_its_word(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    for name in ("modules.json", "1_Pooling/config.json"):
        (folder / name).unlink()
    save_model(token_model("mean"), folder / "model.onnx")
    assert add_encoder(folder).card.pooling == "none"


def test_no_onnx_file_and_no_tokenizer_say_what_to_do(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    with pytest.raises(EncoderError, match="holds no model.onnx .*eci encoders export"):
        add_encoder(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"no tokenizer.json: .*save_pretrained"):
        add_encoder(folder)
    with pytest.raises(EncoderError, match="is not a folder"):
        add_encoder(tmp_path / "nowhere")


def test_remote_code_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIGS["bert"] | {"auto_map": {"AutoModel": "modeling.X"}}))
    with pytest.raises(EncoderError, match="remote code"):
        add_encoder(folder)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("my_code.Special", "remote code"), ("sentence_transformers.models.CNN", "module CNN cannot be run")],
)
def test_a_module_that_cannot_be_run_is_refused(folder: Path, kind: str, message: str) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, {"type": kind, "path": "4_X"}]))
    with pytest.raises(EncoderError, match=message):
        add_encoder(folder)


def test_a_module_outside_the_folder_is_refused(folder: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "../../etc"}])
    )
    with pytest.raises(EncoderError, match="outside the folder"):
        add_encoder(folder)


def test_a_pooling_that_there_is_not_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine", pooling="max")
    save_model(token_model(), folder / "model.onnx")
    with pytest.raises(EncoderError, match="pooling max, allowed is one of mean, cls, lasttoken"):
        add_encoder(folder)


@pytest.mark.parametrize("nested", [False, True])
def test_a_custom_operator_is_refused_by_name(folder: Path, nested: bool) -> None:
    model = token_model()
    node = helper.make_node("Magic", ["last_hidden_state"], ["y"], domain="evil.corp")
    if nested:
        graph = helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        node = helper.make_node("If", ["last_hidden_state"], ["y"], then_branch=graph, else_branch=graph)
    model.graph.node.append(node)
    save_model(model, folder / "onnx" / "model.onnx")
    with pytest.raises(EncoderError, match="custom operator evil.corp::Magic"):
        add_encoder(folder)


@pytest.mark.parametrize(
    "location", ["../outside.bin", "/etc/passwd", "a/../../outside.bin", "", "link.bin", "missing.bin"]
)
def test_weights_outside_the_folder_are_refused(folder: Path, location: str) -> None:
    (folder / "outside.bin").write_bytes(bytes(10_000_000))
    (folder / "onnx" / "link.bin").symlink_to(folder / "outside.bin")
    model = token_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    message = "which is missing" if location == "missing.bin" else "outside its folder: refused"
    with pytest.raises(EncoderError, match=message):
        add_encoder(folder)


def test_weights_beside_the_model_are_part_of_the_card(folder: Path, tmp_path: Path) -> None:
    onnx.save_model(
        token_model(),
        str(folder / "onnx" / "model.onnx"),
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=1024,
    )
    card = add_encoder(folder, tmp_path / "to").card
    assert [file.location for file in card.data] == ["onnx/model.onnx_data"]
    assert open_encoder(card).encode(["the river"], "query").shape == (1, 64)
    with (tmp_path / "to" / "onnx" / "model.onnx_data").open("r+b") as stream:
        stream.seek(4000)
        stream.write(b"\x01")
    with pytest.raises(EncoderError, match=r"model.onnx_data has sha256 .*the card says"):
        open_encoder(load_card(str(tmp_path / "to")))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 40])
def test_what_is_no_onnx_model_is_refused(folder: Path, content: bytes) -> None:
    (folder / "onnx" / "model.onnx").write_bytes(content)
    with pytest.raises(EncoderError, match=r"is not an ONNX model|is not a whole ONNX model"):
        add_encoder(folder)


def change_card(folder: Path, old: str, new: str) -> None:
    text = (folder / "card.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "card.toml").write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('pooling = "cls"', 'pooling = "mean"', "fails golden vector .* check the card's pooling"),
        ('query_prefix = "query: "', 'query_prefix = ""', r"fails golden vector \d+ \(query .*prefixes"),
        ('passage_prefix = "passage: "', 'passage_prefix = "query: "', r"fails golden vector \d+ \(passage .*prefixes"),
        ("max_tokens = 48", "max_tokens = 24", r"fails golden vector \d+ .*max_tokens"),
    ],
)
def test_a_card_that_misdescribes_its_encoder_is_refused_at_load(
    folder: Path, old: str, new: str, message: str
) -> None:
    add_encoder(folder)
    change_card(folder, old, new)
    with pytest.raises(EncoderError, match=message):
        open_encoder(load_card(str(folder)))


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["truncated", "one byte changed"])
def test_a_damaged_file_is_refused_at_load_by_its_checksum(folder: Path, name: str, damage: str) -> None:
    add_encoder(folder)
    whole = (folder / name).read_bytes()
    middle = len(whole) // 2
    changed = (
        whole[:middle] if damage == "truncated" else whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )
    (folder / name).write_bytes(changed)
    with pytest.raises(EncoderError, match=rf"{Path(name).name} has sha256 [0-9a-f]+, the card says"):
        open_encoder(load_card(str(folder)))


def test_a_changed_golden_vector_is_refused_at_load(folder: Path) -> None:
    add_encoder(folder)
    rows = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    rows[2]["vector"] = rows[1]["vector"][::-1]
    (folder / "golden.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(EncoderError, match="fails golden vector 2 .*cosine"):
        open_encoder(load_card(str(folder)))
