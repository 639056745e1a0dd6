"""Small random encoders as users have them on disk, and an independent NumPy forward pass over their weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from scipy.special import erf, softmax

Array = NDArray[np.float64]
HIDDEN, HEADS, WIDTH, LAYERS, POSITIONS = 64, 4, 128, 2, 80

WORDS = [
    "the",
    "a",
    "river",
    "carries",
    "sediment",
    "to",
    "sea",
    "and",
    "deltas",
    "grow",
    "where",
    "current",
    "slows",
    "down",
]
WORDS += ["how", "do", "vaccines", "train"]
TEXTS = [
    "the river",
    "how do vaccines train the current",
    "a delta " * 30,
    "sea",
    "",
    "rivers unknown Ünïcödé 日本",
    "the " * 200,
]


def write_tokenizer(folder: Path, lower: bool = True) -> None:
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *WORDS,
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    model = tokenizers.models.WordPiece(
        {word: i for i, word in enumerate(dict.fromkeys(vocabulary))}, unk_token="[UNK]"
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "gelu",
             "intermediate_size": WIDTH, "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12, "vocab_size": 90,
             "type_vocab_size": 2, "pad_token_id": 0},
    "distilbert": {"model_type": "distilbert", "dim": HIDDEN, "n_heads": HEADS, "n_layers": LAYERS, "activation": "gelu",
                   "hidden_dim": WIDTH,
                   "max_position_embeddings": POSITIONS, "vocab_size": 90, "pad_token_id": 0},
    "xlm-roberta": {"model_type": "xlm-roberta", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS,
                    "hidden_act": "gelu", "intermediate_size": WIDTH, "max_position_embeddings": POSITIONS + 1, "layer_norm_eps": 1e-5,
                    "vocab_size": 90, "type_vocab_size": 1, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "mpnet": {"model_type": "mpnet", "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "gelu",
              "intermediate_size": WIDTH, "max_position_embeddings": POSITIONS + 2, "layer_norm_eps": 1e-5, "vocab_size": 90,
              "pad_token_id": 1, "relative_attention_num_buckets": 32},
}  # fmt: skip

NAMES = {
    "bert": ("encoder.layer.{}.", ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
             "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]),
    "distilbert": ("transformer.layer.{}.", ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
                   "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"]),
    "mpnet": ("encoder.layer.{}.", ["attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o",
              "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]),
}  # fmt: skip
NAMES["xlm-roberta"] = NAMES["bert"]


def random_weights(kind: str, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    config = CONFIGS[kind]

    def normal(*shape: int, scale: float = 0.3) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": normal(90, HIDDEN, scale=1.0),
        "embeddings.position_embeddings.weight": normal(config["max_position_embeddings"], HIDDEN),
    }
    if "type_vocab_size" in config:
        weights["embeddings.token_type_embeddings.weight"] = normal(config["type_vocab_size"], HIDDEN)
    norms = ["embeddings.LayerNorm"]
    layer, (q, k, v, o, norm1, up, down, norm2) = NAMES[kind]
    for number in range(LAYERS):
        at = layer.format(number)
        sizes = [
            (q, HIDDEN, HIDDEN),
            (k, HIDDEN, HIDDEN),
            (v, HIDDEN, HIDDEN),
            (o, HIDDEN, HIDDEN),
            (up, WIDTH, HIDDEN),
            (down, HIDDEN, WIDTH),
        ]
        for name, *size in sizes:
            weights[f"{at}{name}.weight"], weights[f"{at}{name}.bias"] = normal(*size, scale=0.15), normal(size[0])
        norms += [at + norm1, at + norm2]
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = 1 + normal(HIDDEN, scale=0.1), normal(HIDDEN, scale=0.1)
    if kind == "mpnet":
        weights["encoder.relative_attention_bias.weight"] = normal(32, HEADS, scale=1.0)
    return weights


def write_safetensors(path: Path, arrays: dict[str, NDArray[Any]], kind: str = "F32") -> None:
    header, blobs, at = {}, [], 0
    for name, array in arrays.items():
        data = array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_model(folder: Path, kind: str = "bert", pooling: str = "mean", prompts: dict[str, str] | None = None,
                dense: bool = False, normalise: bool = True, prefix: str = "") -> Path:  # fmt: skip
    """Write a folder as sentence-transformers saves it; `prefix` goes before every weight's name, as a task head's does."""
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind]))
    write_safetensors(
        folder / "model.safetensors", {prefix + name: array for name, array in random_weights(kind).items()}
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48, "do_lower_case": False}))
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    key = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken", "max": "max_tokens"}[pooling]
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": HIDDEN, f"pooling_mode_{key}": True})
    )
    if dense:
        (folder / "2_Dense").mkdir(exist_ok=True)
        values = {
            "in_features": HIDDEN,
            "out_features": 16,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }
        (folder / "2_Dense" / "config.json").write_text(json.dumps(values))
        write_safetensors(folder / "2_Dense" / "model.safetensors", dense_weights())
        modules.append(("Dense", "2_Dense"))
    if normalise:
        (folder / "3_Normalize").mkdir(exist_ok=True)
        modules.append(("Normalize", "3_Normalize"))
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts or {}}))
    return folder


def dense_weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    return {
        "linear.weight": rng.standard_normal((16, HIDDEN)).astype(np.float32) * 0.3,
        "linear.bias": rng.standard_normal(16).astype(np.float32),
    }


def forward(kind: str, ids: list[int], pooling: str, dense: bool = False) -> Array:
    """Return one text's unit vector in float64, written from the papers, one head at a time, without padding."""
    w = {name: array.astype(np.float64) for name, array in random_weights(kind).items()}
    config = CONFIGS[kind]
    eps = 1e-12 if kind == "distilbert" else config["layer_norm_eps"]
    length, size = len(ids), HIDDEN // HEADS
    first = config["pad_token_id"] + 1 if kind in ("xlm-roberta", "mpnet") else 0
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][first : first + length]
    if "type_vocab_size" in config:
        x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = _norm(x, w, "embeddings.LayerNorm", eps)
    layer, (q, k, v, o, norm1, up, down, norm2) = NAMES[kind]
    for number in range(LAYERS):
        at = layer.format(number)

        def linear(y: Array, name: str, at: str = at) -> Array:
            return y @ w[f"{at}{name}.weight"].T + w[f"{at}{name}.bias"]

        parts = []
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            scores = linear(x, q)[:, own] @ linear(x, k)[:, own].T / np.sqrt(size)
            if kind == "mpnet":
                table = w["encoder.relative_attention_bias.weight"][:, head]
                scores += np.array([[table[_bucket(j - i)] for j in range(length)] for i in range(length)])
            parts.append(softmax(scores, axis=-1) @ linear(x, v)[:, own])
        x = _norm(x + linear(np.concatenate(parts, axis=1), o), w, at + norm1, eps)
        inner = linear(x, up)
        x = _norm(x + linear(inner * 0.5 * (1 + erf(inner / np.sqrt(2))), down), w, at + norm2, eps)
    vector = {"mean": x.mean(axis=0), "cls": x[0], "last": x[-1]}[pooling]
    if dense:
        vector = np.tanh(dense_weights()["linear.weight"] @ vector + dense_weights()["linear.bias"])
    return vector / np.linalg.norm(vector)


def _norm(x: Array, w: dict[str, Array], name: str, eps: float) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps) * w[f"{name}.weight"] + w[f"{name}.bias"]


def _bucket(distance: int) -> int:
    """T5's buckets: 16 for each direction, 8 of them exact, the others logarithmic up to 128."""
    base, away = (16 if distance > 0 else 0), abs(distance)
    return base + (away if away < 8 else min(15, 8 + int(np.log(away / 8) / np.log(128 / 8) * 8)))
