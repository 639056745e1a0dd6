"""Rewrites the linear layers of an ONNX model to int8, and reads what they are fed.

A linear layer is a MatMul with a constant float32 matrix, and the constant that is added to its result if there is one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnx_models.errors import EncoderError
from onnx_models.quantising.calibration import Array, QuantizedLinear, Sample, quantize_linear, quantize_weight

ROWS_A_TEXT = 12
LEAST_SIDE = 64
"""Smaller matrices stay as they are."""


@dataclass(frozen=True)
class Linear:
    """A linear layer: its MatMul, weight (in, out), the node that adds the bias (None where there is none), the bias."""

    node: onnx.NodeProto
    weight: Array
    adds: onnx.NodeProto | None
    bias: Array | None

    @property
    def output(self) -> str:
        """Name of what the layer gives, its bias added."""
        return str((self.adds or self.node).output[0])


Groups = dict[str, list[Linear]]
"""Linear layers by the name of their common input, in the order of the graph."""


def linear_groups(model: onnx.ModelProto) -> Groups:
    """Return the linear layers of a model. Raises EncoderError where there is none."""
    constants = {item.name: item for item in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    groups: Groups = {}
    for node in model.graph.node:
        item = constants.get(node.input[1]) if node.op_type == "MatMul" and not node.domain else None
        if item is None or item.data_type != TensorProto.FLOAT or len(item.dims) != 2 or min(item.dims) < LEAST_SIDE:
            continue
        adds, bias = _bias(readers.get(node.output[0], []), node.output[0], constants, item.dims[1])
        groups.setdefault(node.input[0], []).append(Linear(node, numpy_helper.to_array(item), adds, bias))
    if not groups:
        raise EncoderError("the model has no float32 linear layers: quantise a float32 export, not a quantised one")
    return groups


def _bias(
    readers: list[onnx.NodeProto], name: str, constants: Mapping[str, onnx.TensorProto], width: int
) -> tuple[onnx.NodeProto | None, Array | None]:
    if len(readers) != 1 or readers[0].op_type != "Add":
        return None, None
    other = next((item for item in readers[0].input if item != name), "")
    if other not in constants or list(constants[other].dims) != [width]:
        return None, None
    return readers[0], numpy_helper.to_array(constants[other])


def sample_inputs(
    model: onnx.ModelProto, names: Collection[str], feeds: Iterable[Mapping[str, NDArray[np.int64]]]
) -> dict[str, Sample]:
    """Run texts one at a time and return what the named tensors held: a sample of the rows, and all channels' ranges."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = ort.InferenceSession(probe.SerializeToString(), _quiet(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    rows: dict[str, list[Array]] = {name: [] for name in names}
    low: dict[str, Array] = {}
    high: dict[str, Array] = {}
    for feed in feeds:
        for name, value in zip(names, session.run(list(names), dict(feed)), strict=True):
            flat = value.reshape(-1, value.shape[-1])
            rows[name].append(flat[rng.permutation(len(flat))[:ROWS_A_TEXT]])
            low[name] = np.minimum(low.get(name, np.float32(np.inf)), flat.min(axis=0))
            high[name] = np.maximum(high.get(name, np.float32(-np.inf)), flat.max(axis=0))
    return {name: Sample(np.concatenate(rows[name]), low[name], high[name]) for name in names}


def _quiet() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def quantize_groups(groups: Groups, samples: Mapping[str, Sample]) -> dict[str, QuantizedLinear]:
    """Return each group's layers as one quantised layer, side by side."""
    return {
        name: quantize_linear(samples[name], np.concatenate([linear.weight for linear in group], axis=1))
        for name, group in groups.items()
    }


def with_static_int8(
    model: onnx.ModelProto, groups: Groups, quantized: Mapping[str, QuantizedLinear], keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Return the model with its linear layers in int8, but for the groups in `keep`, which stay in float32."""
    changed = [name for name in groups if name not in keep]
    by_output = {str(linear.node.output[0]): name for name in changed for linear in groups[name]}
    dropped = {linear.output for name in changed for linear in groups[name] if linear.adds is not None}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    fed: set[str] = set()
    for node in model.graph.node:
        name = by_output.get(node.output[0])
        if name is not None:
            if name not in fed:
                fed.add(name)
                _add_input(result, name, quantized[name])
            _add_layers(result, name, groups[name], quantized[name], node.output[0])
        elif node.output[0] not in dropped:
            result.graph.node.append(node)
    return _tidied(result)


def _add(model: onnx.ModelProto, name: str, values: object) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, order="C"), name))
    return name


def _add_input(model: onnx.ModelProto, name: str, layer: QuantizedLinear) -> None:
    source = name
    if (layer.smooth != 1).any():
        source = f"{name}_smooth"
        factor = _add(model, f"{name}_factor", (1 / layer.smooth).astype(np.float32))
        model.graph.node.append(helper.make_node("Mul", [name, factor], [source], name=source))
    parts = [_add(model, f"{name}_scale", layer.scale), _add(model, f"{name}_zero", layer.zero)]
    model.graph.node.append(helper.make_node("QuantizeLinear", [source, *parts], [f"{name}_int8"], name=f"{name}_int8"))


def _add_layers(model: onnx.ModelProto, name: str, group: list[Linear], layer: QuantizedLinear, output: str) -> None:
    start = 0
    for linear in group:
        stop = start + linear.weight.shape[1]
        if linear.node.output[0] == output:
            scale = layer.weight_scale[start:stop]
            bias = layer.correction[start:stop] + (0 if linear.bias is None else linear.bias)
            inputs = [
                f"{name}_int8", _add(model, f"{output}_weight", layer.weight[:, start:stop]), f"{name}_scale",
                _add(model, f"{output}_scale", scale), f"{name}_zero",
                _add(model, f"{output}_zero", np.zeros(len(scale), np.int8)), _add(model, f"{output}_bias", bias.astype(np.float32)),
            ]  # fmt: skip
            made = helper.make_node(
                "MatMulIntegerToFloat", inputs, [linear.output], name=f"{output}_linear", domain="com.microsoft"
            )
            model.graph.node.append(made)
        start = stop


def with_int8_weights(model: onnx.ModelProto, groups: Groups) -> onnx.ModelProto:
    """Return the model with weights stored as int8 and turned to float32 when it is loaded: a quarter of the file.

    Embedding tables get a scale a row, linear layers one an output channel.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    kept = list(result.graph.node)
    del result.graph.node[:]
    weights = {str(linear.node.input[1]): False for group in groups.values() for linear in group}
    weights |= dict.fromkeys(_tables(model), True)
    for item in list(result.graph.initializer):
        if item.name in weights:
            values = numpy_helper.to_array(item)
            by_row = weights[item.name]
            numbers, scale = quantize_weight(values.T if by_row else values)
            result.graph.initializer.remove(item)
            parts = _add(result, f"{item.name}_int8", numbers.T if by_row else numbers), f"{item.name}_float"
            factor = _add(result, f"{item.name}_scale", scale[:, None] if by_row else scale)
            result.graph.node.append(
                helper.make_node("Cast", [parts[0]], [parts[1]], to=TensorProto.FLOAT, name=parts[1])
            )
            result.graph.node.append(
                helper.make_node("Mul", [parts[1], factor], [item.name], name=f"{item.name}_scaled")
            )
    result.graph.node.extend(kept)
    return _tidied(result)


def _tables(model: onnx.ModelProto) -> set[str]:
    large = {
        i.name
        for i in model.graph.initializer
        if i.data_type == TensorProto.FLOAT and len(i.dims) == 2 and min(i.dims) >= LEAST_SIDE
    }
    return {node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.input[0] in large}


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop constants that nothing reads any more, and name the operator set that int8 needs."""
    used = {name for node in model.graph.node for name in node.input} | {item.name for item in model.graph.output}
    for item in list(model.graph.initializer):
        if item.name not in used:
            model.graph.initializer.remove(item)
    if not any(entry.domain == "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model
