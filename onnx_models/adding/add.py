"""Takes an encoder as users have it: a folder with an ONNX file, as Optimum or sentence-transformers export it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_models.building.folders import ModelFolder, read_model_folder
from onnx_models.building.graph import GraphBuilder, save_model
from onnx_models.building.onnx_checks import ModelFacts, check_model
from onnx_models.cards import POOLINGS, card_of
from onnx_models.errors import EncoderError
from onnx_models.exporting.making import SENTENCES, file_entry, make_encoder
from onnx_models.exporting.new_card import (
    TOKENIZER_FILE,
    Made,
    Overrides,
    apply_overrides,
    card_values,
    copy_into,
    require_pooling,
)
from onnx_models.running.session import open_encoder

STATE_OUTPUTS = ("last_hidden_state", "token_embeddings")
VECTOR_OUTPUTS = ("sentence_embedding", "sentence_embeddings")
SAME = 0.9999
"""Least cosine between a vector as understood and the model's own output of one."""


def add_encoder(path: Path, to: Path | None = None, given: Overrides | None = None) -> Made:
    """Write card and golden vectors for a folder that holds an ONNX file.

    Args:
        path: the folder: model.onnx or onnx/model.onnx, tokenizer.json, config.json, and sentence-transformers' files.
        to: where the encoder goes, with copies of its files; None writes the card into the folder itself.
        given: what the user says in place of the folder.

    Raises:
        EncoderError: the folder lacks a file, or holds what cannot be run here; the message says which.
    """
    given = given or Overrides()
    found = read_model_folder(path)
    model = _model_file(path)
    facts = check_model(model)
    apply_overrides(found, given)
    states = next((name for name in STATE_OUTPUTS if name in facts.outputs), _only_states(facts))
    vector = next((name for name in VECTOR_OUTPUTS if name in facts.outputs), None)
    folder = to or path
    location = model.relative_to(path).as_posix()
    copies = {location: model, **{_beside(location, name): model.parent / name for name in facts.data}}
    tokenizer = TOKENIZER_FILE if to else found.tokenizer.relative_to(path).as_posix()
    copy_into(folder, copies | {tokenizer: found.tokenizer})
    if states is None and vector is None:
        raise EncoderError(
            f"{model} gives {', '.join(facts.outputs)}, needed is one of {', '.join(STATE_OUTPUTS + VECTOR_OUTPUTS)}"
        )
    output, pooling = _output(found, states, vector)
    if found.dense and pooling != "none":
        location, output, pooling = _with_dense(found, folder, location, facts, output)
        facts = check_model(folder / location)
    dim = _dim(found, facts, output)
    entry: dict[str, Any] = file_entry(folder, location) | {"inputs": list(facts.inputs), "output": output}
    if facts.data:
        entry["data"] = [file_entry(folder, _beside(location, name)) for name in facts.data]
    values = card_values(found, given, precision="as exported", dim=dim, pooling=pooling, model=entry,
                         tokenizer=file_entry(folder, tokenizer))  # fmt: skip
    if vector is not None and output != vector:
        _cross_check(found, folder, values, vector)
    return Made(make_encoder(folder, values), tuple(found.understood))


def _model_file(path: Path) -> Path:
    for place in (path / "model.onnx", path / "onnx" / "model.onnx"):
        if place.is_file():
            if not place.resolve().is_relative_to(path.resolve()):
                raise EncoderError(f"{place} is a link out of its folder: copy the file there")
            return place
    every = sorted([*path.glob("*.onnx"), *(path / "onnx").glob("*.onnx")])
    if len(every) == 1:
        return every[0]
    names = ", ".join(str(file.relative_to(path)) for file in every)
    raise EncoderError(
        f"{path} holds no model.onnx or onnx/model.onnx{f' (it holds {names})' if names else ''}: rename the one that is meant, or "
        "make one with `eci encoders export`"
    )


def _only_states(facts: ModelFacts) -> str | None:
    ranks = [name for name, (rank, _) in facts.outputs.items() if rank == 3]
    return ranks[0] if len(ranks) == 1 else None


def _beside(location: str, name: str) -> str:
    return (Path(location).parent / name).as_posix()


def _output(found: ModelFolder, states: str | None, vector: str | None) -> tuple[str, str]:
    """Return the output to use and the card's pooling."""
    if states is not None and (found.pooling or vector is None):
        require_pooling(found)
        found.understood.append(
            f"The model gives token states ({states}); pooling ({found.pooling}) and normalising are done here."
        )
        return states, found.pooling
    assert vector is not None
    found.understood.append(f"The model pools itself and gives one vector a text ({vector}).")
    return vector, POOLINGS[-1]


def _dim(found: ModelFolder, facts: ModelFacts, output: str) -> int:
    dim = facts.outputs[output][1] or (found.dense[-1].weight.shape[1] if found.dense else 0)
    dim = dim or int(found.config.get("hidden_size") or found.config.get("dim") or 0)
    if not dim:
        raise EncoderError(f"{found.path}: neither the model nor config.json says the length of a vector (hidden_size)")
    return dim


def _with_dense(
    found: ModelFolder, folder: Path, location: str, facts: ModelFacts, states: str
) -> tuple[str, str, str]:
    """Write the model with pooling, dense layers and L2 behind its token states; returns location, output, pooling."""
    if facts.data or "attention_mask" not in facts.inputs:
        raise EncoderError(f"{found.path}: dense layers cannot be put behind this model; use `eci encoders export`")
    model = onnx.load(str(folder / location))
    graph = GraphBuilder("eci_")
    vector = graph.finished(graph.pooled(states, "attention_mask", found.pooling), found.dense, normalise=True)
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants)
    del model.graph.output[:]
    dim = found.dense[-1].weight.shape[1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(vector, onnx.TensorProto.FLOAT, ["batch", dim]))
    if next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")) < 13:
        raise EncoderError(f"{found.path}: the model's opset is below 13; export it again with a newer one")
    target = "model-with-dense.onnx"
    save_model(model, folder / target)
    found.understood.append(f"Pooling, the dense layer and normalising were put into {target}.")
    return target, vector, "none"


def _cross_check(found: ModelFolder, folder: Path, values: dict[str, Any], vector: str) -> None:
    """Compare with the model's own sentence vector, which says what its authors meant."""
    ours = open_encoder(card_of(values | {"golden": ""}, "draft", folder), check_golden=False)
    theirs_values = values | {"pooling": "none", "model": values["model"] | {"output": vector}}
    theirs = open_encoder(card_of(theirs_values, "draft", folder), check_golden=False)
    a, b = (encoder.encode(SENTENCES, "passage") for encoder in (ours, theirs))
    cosine = float(np.min(np.einsum("ij,ij->i", a, b)))
    if cosine < SAME:
        raise EncoderError(
            f"{found.path}: {found.pooling} pooling gives other vectors than the model's own output {vector} (cosine {cosine:.4f}): "
            "1_Pooling or --pooling is wrong for this model"
        )
    found.understood.append(f"Checked: the model's own output {vector} gives the same vectors (cosine {cosine:.6f}).")
