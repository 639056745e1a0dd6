"""Looks into an ONNX file before it is ever run: operators, files, inputs and outputs.

Refuses custom operators, and weights outside the file's own folder. Loads no weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx

from onnx_models.cards import INPUT_NAMES, EncoderCard
from onnx_models.errors import EncoderError

KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator sets that ONNX Runtime brings itself."""


@dataclass(frozen=True)
class ModelFacts:
    """What an ONNX file takes and gives.

    Attributes:
        inputs: names, in the model's order, each one of `cards.INPUT_NAMES`.
        outputs: name to (rank, last dimension) of each output, 0 where the file does not say.
        data: files of weights beside the ONNX file, relative to its folder.
    """

    inputs: tuple[str, ...]
    outputs: dict[str, tuple[int, int]]
    data: tuple[str, ...]


def check_model(path: Path) -> ModelFacts:
    """Return what an ONNX file says of itself.

    Raises:
        EncoderError: not an ONNX model, an operator that ONNX Runtime does not know, an input that is none of ours,
            or weights that lie outside the folder or are missing.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own classes
        raise EncoderError(f"{path} is not an ONNX model ({type(error).__name__}): copy or export it again") from error
    if not model.graph.output:
        raise EncoderError(f"{path} is not a whole ONNX model (no output): copy or export it again")
    _check_operators(path, model)
    constants = {item.name for item in model.graph.initializer}
    inputs = tuple(item.name for item in model.graph.input if item.name not in constants)
    foreign = [name for name in inputs if name not in INPUT_NAMES]
    if foreign or not inputs:
        raise EncoderError(
            f"{path} takes {', '.join(inputs)}, allowed are {', '.join(INPUT_NAMES)}: export it as a text encoder"
        )
    outputs = {item.name: _shape(item) for item in model.graph.output}
    return ModelFacts(inputs, outputs, _data_files(path, model))


def check_data(card: EncoderCard, path: Path) -> None:
    """Refuse weights outside a card's ONNX file that the card does not name: nobody has hashed them.

    Raises:
        EncoderError: as `check_model`, and for such weights.
    """
    known = {file.path().resolve() for file in card.data}
    strange = [location for location in check_model(path).data if (path.parent / location).resolve() not in known]
    if strange:
        raise EncoderError(
            f"{path} keeps weights in {strange[0]!r}, which the card does not name (model.data): make the card again with "
            "`eci encoders add`"
        )


def _check_operators(path: Path, model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    nodes = list(_nodes(model.graph.node))
    for function in model.functions:
        nodes += _nodes(function.node)
    for node in nodes:
        if node.domain not in KNOWN_DOMAINS and node.domain not in own:
            raise EncoderError(
                f"{path} uses the custom operator {node.domain}::{node.op_type}, allowed are ONNX's and ONNX Runtime's "
                "own: export the model without it"
            )


def _nodes(nodes: "Iterator[onnx.NodeProto] | list[onnx.NodeProto]") -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _shape(item: onnx.ValueInfoProto) -> tuple[int, int]:
    dims = item.type.tensor_type.shape.dim
    return len(dims), int(dims[-1].dim_value) if dims else 0


def _data_files(path: Path, model: onnx.ModelProto) -> tuple[str, ...]:
    tensors = list(model.graph.initializer)
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    for node in (node for body in bodies for node in _nodes(body)):
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            tensors += [t for graph in (attribute.g, *attribute.graphs) for t in graph.initializer]
    found = set()
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        found.add(_inside(path, location))
    return tuple(sorted(found))


def _inside(path: Path, location: str) -> str:
    relative = PurePosixPath(location)
    folder = path.parent.resolve()
    outside = not location or relative.is_absolute() or ".." in relative.parts or "\\" in location
    # A link inside the folder may still point out of it.
    if outside or not (folder / location).resolve().is_relative_to(folder):
        raise EncoderError(
            f"{path} keeps weights in {location!r}, outside its folder: refused; put all files in one folder"
        )
    if not (folder / location).is_file():
        raise EncoderError(f"{path} keeps weights in {location!r}, which is missing: copy it beside the model")
    return location
