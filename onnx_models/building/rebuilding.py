"""Puts the weights of an ONNX file into this package's own graph, which is faster than what some exporters write.

Covers: BERT encoders exported by torch.onnx, whose constants keep PyTorch's names. Weights are float32, or int8 that a
Cast and a Mul turn to float32; int8 stays int8 until ONNX Runtime loads the model. Where a linear layer's weight has
lost its name, that of its bias tells which it is.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from onnx_models.building.architectures import Weights, add_encoder, shape_of
from onnx_models.building.graph import STATES, GraphBuilder, Int8Array, Matrix
from onnx_models.building.onnx_checks import check_data
from onnx_models.cards import EncoderCard
from onnx_models.errors import EncoderError
from onnx_models.files import may_keep_weights_outside

Constants = Mapping[str, onnx.TensorProto]
Makers = Mapping[str, onnx.NodeProto]
INPUTS = ("input_ids", "attention_mask")


def rebuilt_model(card: EncoderCard, expand: bool = False) -> onnx.ModelProto:
    """Return our graph over the weights of a card's file: from `INPUTS` to `last_hidden_state`, (batch, tokens, d).

    Args:
        card: one with `rebuild`.
        expand: whether int8 weights are written as float32.

    Raises:
        EncoderError: the file is missing or another, is no ONNX file, lacks a weight, or has one of another shape.
    """
    path = card.model.verified_path()
    try:
        arrays = dict(_named_weights(_loaded(card)))
        if expand:
            arrays = {
                name: array.expanded() if isinstance(array, Int8Array) else array for name, array in arrays.items()
            }
        shape, graph = shape_of(card.rebuild), GraphBuilder()
        return graph.model(INPUTS, add_encoder(graph, shape, Weights(arrays)), shape.hidden, STATES)
    except EncoderError as error:
        raise EncoderError(f"{path}: {error}; the card's model.rebuild does not describe this file") from error


def float_model(card: EncoderCard) -> onnx.ModelProto:
    """Return the model that runs for a card, its weights as float32 where they can be. Raises as `rebuilt_model`."""
    if card.rebuild:
        return rebuilt_model(card, expand=True)
    return _loaded(card)


def _loaded(card: EncoderCard) -> onnx.ModelProto:
    """Return a card's file with its weights. Raises EncoderError for weights that the card does not name."""
    path = card.model.verified_path()
    if may_keep_weights_outside(path):
        check_data(card, path)
    return onnx.load(str(path))


def _named_weights(model: onnx.ModelProto) -> Iterator[tuple[str, Matrix]]:
    """Yield the arrays of a graph by PyTorch's names, linear weights as (out, in)."""
    constants = {item.name: item for item in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    for name, item in constants.items():
        if item.data_type == TensorProto.FLOAT:
            yield name, numpy_helper.to_array(item)
    for node in model.graph.node:
        if node.op_type == "Gather":
            table = _matrix(node.input[0], constants, makers)
            if table is not None:
                yield node.input[0], table
        elif node.op_type == "Add":
            yield from _linear(node, constants, makers)


def _linear(node: onnx.NodeProto, constants: Constants, makers: Makers) -> Iterator[tuple[str, Matrix]]:
    bias = next((name for name in node.input if name in constants and name.endswith(".bias")), None)
    product = next((makers[name] for name in node.input if name in makers and makers[name].op_type == "MatMul"), None)
    if bias is None or product is None:
        return
    weight = _matrix(product.input[1], constants, makers)
    if weight is not None:
        yield f"{bias.removesuffix('.bias')}.weight", weight.T


def _matrix(name: str, constants: Constants, makers: Makers) -> Matrix | None:
    """Return a float32 constant, or an int8 one that is cast and multiplied by a scale; None for anything else."""
    if name in constants:
        array = numpy_helper.to_array(constants[name])
        return array if array.dtype == np.float32 else None
    product = makers.get(name)
    if product is None or product.op_type != "Mul":
        return None
    cast = makers.get(product.input[0])
    if cast is None or cast.op_type != "Cast" or not {cast.input[0], product.input[1]} <= constants.keys():
        return None
    numbers, scale = (numpy_helper.to_array(constants[part]) for part in (cast.input[0], product.input[1]))
    return Int8Array(numbers, scale) if numbers.dtype == np.int8 and scale.dtype == np.float32 else None
