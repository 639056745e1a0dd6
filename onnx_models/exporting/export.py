"""From a Hugging Face folder to an encoder, without PyTorch: pooling, dense layers and L2 are inside the graph.

Covers the architectures of architectures.py; others go to export_torch.py, which needs the extra `export`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

import onnx

from onnx_models.building.architectures import NAMES, Array, Weights, add_encoder, shape_of
from onnx_models.building.folders import ModelFolder, read_model_folder
from onnx_models.building.graph import VECTOR, GraphBuilder, save_model
from onnx_models.building.weights import INDEX, SINGLE, read_weights
from onnx_models.errors import EncoderError
from onnx_models.exporting.making import file_entry, make_encoder
from onnx_models.exporting.new_card import (
    TOKENIZER_FILE,
    Made,
    Overrides,
    apply_overrides,
    card_values,
    copy_into,
    require_pooling,
)

MODEL_FILE = "model.onnx"
INPUTS = ("input_ids", "attention_mask")


def export_encoder(path: Path, to: Path, given: Overrides | None = None) -> Made:
    """Export a model folder (config.json, safetensors, tokenizer.json, pooling files) into an encoder folder.

    Raises:
        EncoderError: a file is missing or damaged, the architecture is not one of ours and torch is not installed,
            or config.json and the weights do not belong together.
    """
    given = given or Overrides()
    found = read_model_folder(path)
    apply_overrides(found, given)
    require_pooling(found)
    to.mkdir(parents=True, exist_ok=True)
    if to.resolve() == path.resolve():
        raise EncoderError(f"{to} is the model's own folder: give another one to export to")
    if found.config.get("model_type") in NAMES:
        model, dim = build_model(found, _weights(found))
        save_model(model, to / MODEL_FILE)
        found.understood.append(
            f"The graph was built without PyTorch ({found.config['model_type']}), pooling and L2 inside."
        )
    else:
        dim = _torch_exporter().export_model(found, to / MODEL_FILE)
        found.understood.append("The graph was exported with PyTorch, pooling and L2 inside.")
    copy_into(to, {TOKENIZER_FILE: found.tokenizer})
    values = card_values(found, given, precision="float32", dim=dim, pooling="none",
                         model=file_entry(to, MODEL_FILE) | {"inputs": list(INPUTS), "output": VECTOR},
                         tokenizer=file_entry(to, TOKENIZER_FILE))  # fmt: skip
    return Made(make_encoder(to, values), tuple(found.understood))


def build_model(found: ModelFolder, arrays: Mapping[str, Array]) -> tuple[onnx.ModelProto, int]:
    """Return the model and the length of its vectors. Raises EncoderError when the weights do not fit config.json."""
    shape = shape_of(found.config)
    graph = GraphBuilder()
    states = add_encoder(graph, shape, Weights(arrays))
    vector = graph.finished(graph.pooled(states, "attention_mask", found.pooling), found.dense, normalise=True)
    dim = found.dense[-1].weight.shape[1] if found.dense else shape.hidden
    found.max_tokens = min(found.max_tokens, shape.longest)
    return graph.model(INPUTS, vector, dim), dim


def _weights(found: ModelFolder) -> Mapping[str, Array]:
    pickled = found.path / "pytorch_model.bin"
    if pickled.is_file() and not any((found.path / name).is_file() for name in (SINGLE, INDEX)):
        return cast("Mapping[str, Array]", _torch_exporter().read_pickle(pickled))
    return read_weights(found.path)


def _torch_exporter() -> ModuleType:
    try:
        return importlib.import_module("onnx_models.exporting.export_torch")
    except ImportError as error:
        raise EncoderError(
            f"this model needs PyTorch for its export ({error.name} is not installed): pip install 'eci-lake[export]'; "
            f"without it go model.safetensors of {', '.join(NAMES)}"
        ) from error
