"""The encoder graphs that can be built without PyTorch: BERT, DistilBERT, RoBERTa, XLM-RoBERTa and MPNet.

Each is the post-norm transformer of Vaswani et al. 2017 as in the `transformers` library; they differ in the names of
their weights, in how positions are counted, and in MPNet's bias by relative position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from onnx_models.building.graph import GraphBuilder, Matrix
from onnx_models.errors import EncoderError

Array = NDArray[np.float32]

ACTIVATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
    "gelu_pytorch_tanh": ("Gelu", {"approximate": "tanh"}),
    "relu": ("Relu", {}),
}

_BERT = {
    "layer": "encoder.layer.{}.",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm2": "output.LayerNorm",
}
_DISTILBERT = {
    "layer": "transformer.layer.{}.",
    "q": "attention.q_lin",
    "k": "attention.k_lin",
    "v": "attention.v_lin",
    "o": "attention.out_lin",
    "norm1": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm2": "output_layer_norm",
}
_MPNET = _BERT | {
    "q": "attention.attn.q",
    "k": "attention.attn.k",
    "v": "attention.attn.v",
    "o": "attention.attn.o",
    "norm1": "attention.LayerNorm",
}
NAMES = {"bert": _BERT, "distilbert": _DISTILBERT, "roberta": _BERT, "xlm-roberta": _BERT, "mpnet": _MPNET}
"""Names of a layer's weights, by `model_type`."""

OFFSET_POSITIONS = ("roberta", "xlm-roberta", "mpnet")
"""Architectures whose positions start after the padding id and skip padding."""


@dataclass(frozen=True)
class Shape:
    """What config.json says of the graph. `positions` counts the rows of the position table."""

    kind: str
    layers: int
    heads: int
    hidden: int
    positions: int
    epsilon: float
    activation: str
    padding_id: int
    relative_buckets: int

    @property
    def longest(self) -> int:
        """Most tokens of a text."""
        return self.positions - (self.padding_id + 1 if self.kind in OFFSET_POSITIONS else 0)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Read config.json.

    Raises:
        EncoderError: another architecture, or a feature that the graphs here do not have; the message names it.
    """
    kind = str(config.get("model_type", ""))
    if kind not in NAMES:
        raise EncoderError(f"model_type is {kind!r}, built without PyTorch are {', '.join(NAMES)}")
    distil = kind == "distilbert"
    if config.get("position_embedding_type", "absolute") != "absolute" or config.get("is_decoder"):
        raise EncoderError(
            "config.json asks for relative positions or a decoder, built are encoders with absolute positions"
        )
    activation = str(config.get("activation" if distil else "hidden_act", "gelu"))
    if activation not in ACTIVATIONS:
        raise EncoderError(f"activation is {activation!r}, built are {', '.join(ACTIVATIONS)}")
    try:
        return Shape(
            kind=kind,
            layers=int(config["n_layers" if distil else "num_hidden_layers"]),
            heads=int(config["n_heads" if distil else "num_attention_heads"]),
            hidden=int(config["dim" if distil else "hidden_size"]),
            positions=int(config["max_position_embeddings"]),
            epsilon=1e-12 if distil else float(config.get("layer_norm_eps", 1e-12)),
            activation=activation,
            # transformers counts MPNet's positions from 2 whatever config.json says
            padding_id=1 if kind == "mpnet" else int(config["pad_token_id"]) if kind in OFFSET_POSITIONS else 0,
            relative_buckets=int(config.get("relative_attention_num_buckets", 32)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(f"config.json lacks or misstates {error}: take the file as the model was saved") from error


class Weights:
    """A model's arrays by the names that the architectures know, whatever prefix a task head put before them."""

    def __init__(self, arrays: Mapping[str, Matrix]) -> None:
        """Find the prefix. Raises EncoderError when there are no word embeddings."""
        marker = "embeddings.word_embeddings.weight"
        found = sorted((name for name in arrays if name.endswith(marker)), key=len)
        if not found:
            raise EncoderError(f"the weights hold no {marker}: this is not a BERT-like encoder")
        self._arrays, self._prefix = arrays, found[0].removesuffix(marker)

    def __call__(self, name: str, *shape: int) -> Array:
        """Return a float32 array. Raises EncoderError as `matrix` does, and for an array in int8."""
        array = self.matrix(name, *shape)
        if not isinstance(array, np.ndarray):
            raise EncoderError(f"{name} is in int8, allowed are only embedding tables and linear weights")
        return array

    def matrix(self, name: str, *shape: int) -> Matrix:
        """Return an array, float32 or int8. Raises EncoderError when it is missing or not of the shape that config.json implies."""
        full = self._prefix + name
        if full not in self._arrays:
            raise EncoderError(f"the weights lack {full}: config.json and the weights do not belong together")
        array = self._arrays[full]
        if shape and array.shape != shape:
            raise EncoderError(
                f"{full} has shape {array.shape}, config.json implies {shape}: they do not belong together"
            )
        return array

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[Matrix, Array]:
        """Return a linear layer's weight, turned to (in, out), and bias."""
        return self.matrix(f"{name}.weight", outputs, inputs).T, self(f"{name}.bias", outputs)


def add_encoder(graph: GraphBuilder, shape: Shape, weights: Weights) -> str:
    """Add the encoder over inputs `input_ids` and `attention_mask`; returns the token states' name, (batch, tokens, d).

    The token type is 0 throughout: an encoder of single texts never sees another.
    """
    x = _embeddings(graph, shape, weights)
    bias = _attention_bias(graph, shape, weights)
    names, hidden = NAMES[shape.kind], shape.hidden
    operator, attributes = ACTIVATIONS[shape.activation]
    for number in range(shape.layers):
        at = names["layer"].format(number)
        attended = _attention(graph, shape, weights, at, x, bias)
        x = _norm(graph, shape, weights, at + names["norm1"], graph.op("Add", [attended, x]))
        width = weights(f"{at}{names['up']}.bias").shape[0]
        up = graph.linear(x, *weights.linear(at + names["up"], hidden, width))
        down = graph.linear(graph.op(operator, [up], **attributes), *weights.linear(at + names["down"], width, hidden))
        x = _norm(graph, shape, weights, at + names["norm2"], graph.op("Add", [down, x]))
    return x


def _embeddings(graph: GraphBuilder, shape: Shape, weights: Weights) -> str:
    words = weights.matrix("embeddings.word_embeddings.weight")
    places = weights.matrix("embeddings.position_embeddings.weight", shape.positions, shape.hidden)
    tokens = graph.rows(words, "input_ids")
    if shape.kind in OFFSET_POSITIONS:
        # Real tokens are counted from padding_id + 1; padding keeps padding_id. The mask marks the real ones.
        counted = graph.op("CumSum", ["attention_mask", graph.constant(np.array(1, dtype=np.int64))])
        positions = graph.op("Add", [graph.op("Mul", [counted, "attention_mask"]), graph.integers(shape.padding_id)])
        placed = graph.rows(places, positions)
    else:
        length = graph.op("Slice", [graph.op("Shape", ["input_ids"]), graph.integers(1), graph.integers(2)])
        placed = graph.op("Slice", [graph.matrix(places), graph.integers(0), length, graph.integers(0)])
    x = graph.op("Add", [tokens, placed])
    if shape.kind in ("bert", "roberta", "xlm-roberta"):
        x = graph.op("Add", [x, graph.constant(weights("embeddings.token_type_embeddings.weight")[0])])
    return _norm(graph, shape, weights, "embeddings.LayerNorm", x)


def _attention_bias(graph: GraphBuilder, shape: Shape, weights: Weights) -> str:
    """Add what goes onto every layer's attention scores: (batch or 1, heads or 1, tokens or 1, tokens)."""
    floor = graph.constant(np.array(np.finfo(np.float32).min, dtype=np.float32))
    real = graph.op("Cast", [graph.op("Unsqueeze", ["attention_mask", graph.integers(1, 2)])], to=TensorProto.FLOAT)
    padding = graph.op("Mul", [graph.op("Sub", [graph.constant(np.array(1, dtype=np.float32)), real]), floor])
    if shape.kind != "mpnet":
        return padding
    table = weights("encoder.relative_attention_bias.weight", shape.relative_buckets, shape.heads)
    zero, one = (graph.constant(np.array(value, dtype=np.int64)) for value in (0, 1))
    length = graph.op("Gather", [graph.op("Shape", ["input_ids"]), one])
    positions = graph.op("Range", [zero, length, one])
    ahead = graph.op("Unsqueeze", [positions, graph.integers(0)])
    here = graph.op("Unsqueeze", [positions, graph.integers(1)])
    distance = graph.op("Add", [graph.op("Sub", [ahead, here]), graph.integers(shape.positions)])
    buckets = relative_buckets(np.arange(-shape.positions, shape.positions + 1), shape.relative_buckets)
    bias = graph.op("Gather", [graph.constant(table), graph.op("Gather", [graph.constant(buckets), distance])])
    return graph.op("Add", [graph.op("Transpose", [bias], perm=[2, 0, 1]), padding])


def relative_buckets(distance: NDArray[np.int64], buckets: int, longest: int = 128) -> NDArray[np.int64]:
    """Return the bucket of each distance (key minus query), as in T5 and MPNet: exact when short, then logarithmic."""
    half = buckets // 2
    exact = half // 2
    away = np.abs(distance)
    with np.errstate(divide="ignore"):
        far = exact + (np.log(away / exact) / np.log(longest / exact) * (half - exact)).clip(0).astype(np.int64)
    return np.where(distance > 0, half, 0) + np.where(away < exact, away, np.minimum(far, half - 1))


def _attention(graph: GraphBuilder, shape: Shape, weights: Weights, at: str, x: str, bias: str) -> str:
    names, hidden, heads = NAMES[shape.kind], shape.hidden, shape.heads
    size = hidden // heads

    def split(key: str, order: list[int], scale: float = 1.0) -> str:
        weight, offset = weights.linear(at + names[key], hidden, hidden)
        y = graph.linear(x, weight * np.float32(scale), offset * np.float32(scale))
        return graph.op("Transpose", [graph.op("Reshape", [y, graph.integers(0, 0, heads, size)])], perm=order)

    # The scale 1/sqrt(size) goes into the query's weights: one multiplication of the scores less.
    scores = graph.op("MatMul", [split("q", [0, 2, 1, 3], size**-0.5), split("k", [0, 2, 3, 1])])
    shares = graph.op("Softmax", [graph.op("Add", [scores, bias])], axis=-1)
    mixed = graph.op("Transpose", [graph.op("MatMul", [shares, split("v", [0, 2, 1, 3])])], perm=[0, 2, 1, 3])
    joined = graph.op("Reshape", [mixed, graph.integers(0, 0, hidden)])
    return graph.linear(joined, *weights.linear(at + names["o"], hidden, hidden))


def _norm(graph: GraphBuilder, shape: Shape, weights: Weights, name: str, x: str) -> str:
    scale, offset = (graph.constant(weights(f"{name}.{part}", shape.hidden)) for part in ("weight", "bias"))
    return graph.op("LayerNormalization", [x, scale, offset], axis=-1, epsilon=shape.epsilon)
