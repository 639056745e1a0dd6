"""Builds ONNX graphs node by node, in the same bytes every time.

Covers: nodes and constants with running names, and the tail that makes one unit vector of a text's token states
(pooling, dense layers, L2). Does not cover: what an architecture looks like (architectures.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onnx_models.errors import EncoderError

OPSET = 20
IR_VERSION = 9
STATES = "last_hidden_state"
VECTOR = "sentence_embedding"
ACTIVATIONS = {"Identity": "", "Tanh": "Tanh", "ReLU": "Relu", "GELU": "Gelu", "Sigmoid": "Sigmoid"}
"""Activations of a sentence-transformers Dense module, and the ONNX operator of each."""


@dataclass(frozen=True)
class Dense:
    """A linear layer after pooling: weight float32 (in, out), bias float32 (out,) or None, a key of `ACTIVATIONS`."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    activation: str


@dataclass(frozen=True)
class Int8Array:
    """A matrix as int8 numbers times a float32 scale that broadcasts over them: a quarter of its size in a file."""

    numbers: NDArray[np.int8]
    scale: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.numbers.shape

    @property
    def T(self) -> "Int8Array":  # noqa: N802 - NumPy's name
        """The transpose."""
        return Int8Array(self.numbers.T, self.scale.T)

    def expanded(self) -> NDArray[np.float32]:
        """Return the matrix as float32."""
        return self.numbers * self.scale

    def __mul__(self, factor: np.float32) -> "Int8Array":
        return Int8Array(self.numbers, self.scale * factor)


Matrix = NDArray[np.float32] | Int8Array


class GraphBuilder:
    """Nodes and constants in the order in which they are asked for."""

    def __init__(self, prefix: str = "") -> None:
        """Start an empty graph; `prefix` goes before every name, for adding to a graph that exists."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def op(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs; returns their names."""
        name = f"{self._prefix}n{len(self.nodes):04d}_{kind}"
        names = [name] if outputs == 1 else [f"{name}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names

    def constant(self, values: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        name = f"{self._prefix}c{len(self.constants):04d}"
        self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of int64 (n,); returns its name."""
        return self.constant(np.array(values, dtype=np.int64))

    def matrix(self, values: Matrix) -> str:
        """Add a float32 matrix; returns its name. ONNX Runtime multiplies int8 out once, when it loads the model."""
        if not isinstance(values, Int8Array):
            return self.constant(values)
        return self._multiplied(self.constant(values.numbers), self.constant(values.scale))

    def rows(self, table: Matrix, numbers: str) -> str:
        """Add the choice of a table's rows by number; a table in int8 stays so, only the chosen rows become float32."""
        if not isinstance(table, Int8Array):
            return self.op("Gather", [self.constant(table), numbers])
        chosen = [self.op("Gather", [self.constant(part), numbers]) for part in (table.numbers, table.scale)]
        return self._multiplied(*chosen)

    def _multiplied(self, numbers: str, scale: str) -> str:
        return self.op("Mul", [self.op("Cast", [numbers], to=TensorProto.FLOAT), scale])

    def linear(self, x: str, weight: Matrix, bias: NDArray[np.float32] | None) -> str:
        """Add x @ weight + bias, weight (in, out); returns the output's name."""
        y = self.op("MatMul", [x, self.matrix(weight)])
        return y if bias is None else self.op("Add", [y, self.constant(bias)])

    def pooled(self, states: str, mask: str, pooling: str) -> str:
        """Add the pooling of states (batch, tokens, d) over the real tokens of mask (batch, tokens); returns (batch, d)."""
        if pooling == "cls":
            return self.op("Gather", [states, self.constant(np.array(0, dtype=np.int64))], axis=1)
        counts = self.op("ReduceSum", [mask, self.integers(1)], keepdims=1)
        if pooling == "last":
            last = self.op("Sub", [counts, self.integers(1)])
            return self.op("GatherND", [states, self.op("Max", [last, self.integers(0)])], batch_dims=1)
        if pooling != "mean":
            raise EncoderError(f"pooling is {pooling!r}, allowed is one of mean, cls, last")
        real = self.op("Unsqueeze", [self.op("Cast", [mask], to=TensorProto.FLOAT), self.integers(1)])
        # As a product of two equal rows: for ReduceSum, and for one row, ONNX Runtime takes kernels whose order of
        # additions depends on batch mates or padding.
        totals = self.op("MatMul", [self.op("Concat", [real, real], axis=1), states])
        total = self.op("Gather", [totals, self.constant(np.array(0, dtype=np.int64))], axis=1)
        return self.op(
            "Div", [total, self.op("Cast", [self.op("Max", [counts, self.integers(1)])], to=TensorProto.FLOAT)]
        )

    def finished(self, vector: str, dense: Sequence[Dense], normalise: bool) -> str:
        """Add the dense layers and L2 after pooling; returns the name of the text's vector, (batch, dim)."""
        for layer in dense:
            vector = self.linear(vector, layer.weight, layer.bias)
            if ACTIVATIONS[layer.activation]:
                vector = self.op(ACTIVATIONS[layer.activation], [vector])
        if normalise:
            vector = self.op("LpNormalization", [vector], axis=1, p=2)
        return vector

    def model(self, inputs: Sequence[str], output: str, dim: int, name: str = VECTOR) -> onnx.ModelProto:
        """Return the model: inputs int64 (batch, tokens), output float32, named as given.

        The output is (batch, dim) as `sentence_embedding`, and (batch, tokens, dim) as `last_hidden_state`.

        Raises:
            EncoderError: the graph is not valid (a bug in what built it).
        """
        self.nodes.append(helper.make_node("Identity", [output], [name], name=name))
        size: list[str | int] = ["batch", "tokens", dim] if name == STATES else ["batch", dim]
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, size)],
            self.constants,
        )
        return helper.make_model(
            graph, producer_name="eci-lake", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as one file whose bytes depend on the model alone.

    Raises:
        EncoderError: the model is larger than the 2 GB that one file can hold.
    """
    try:
        data = model.SerializeToString(deterministic=True)
    except ValueError as error:
        raise EncoderError(f"{path}: the model is larger than the 2 GB that one ONNX file can hold") from error
    path.write_bytes(data)
