"""Reads what a Hugging Face or sentence-transformers folder says about its encoder.

Covers: config.json, modules.json, 1_Pooling, Dense and Normalize modules, prompts, the longest input, licence.
Does not cover: the ONNX file (onnx_checks.py) or weights (weights.py). What cannot be honoured is refused, and what was
understood is kept as sentences, for people to check.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnx_models.building.graph import ACTIVATIONS, Dense
from onnx_models.building.weights import read_weights
from onnx_models.errors import EncoderError
from onnx_models.families import Family, family_of

POOLING_NAMES = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
"""sentence-transformers' name of each pooling that there is here."""

MOST_TOKENS = 100_000
"""Tokenizers without a limit say 1e30."""
MOST_TOKENIZER_BYTES = 256 << 20
"""The largest of known encoders, with 256,000 tokens of all languages, have 33 MB."""
MOST_GROWTH = 64
"""Known normalizers replace a character or two by one to three others."""


@dataclass
class ModelFolder:
    """What a folder says. `pooling` is empty where it says nothing; `understood` are sentences for people."""

    path: Path
    config: dict[str, Any]
    family: Family | None
    tokenizer: Path
    pooling: str = ""
    normalises: bool = False
    dense: list[Dense] = field(default_factory=list)
    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = 0
    licence: str = "unknown"
    source: str = "local"
    understood: list[str] = field(default_factory=list)


def read_model_folder(path: Path) -> ModelFolder:
    """Read a folder's settings.

    Raises:
        EncoderError: a file is missing or malformed, or the folder needs what cannot be run here: remote code, an
            unknown module, a pooling that there is not, prompts left out of the pooling.
    """
    if not path.is_dir():
        raise EncoderError(f"{path} is not a folder: give a model's folder, with config.json and tokenizer.json")
    config = read_json(path / "config.json")
    if "auto_map" in config:
        raise EncoderError(
            f"{path}: config.json asks for remote code (auto_map); only models of known code can be used"
        )
    family = family_of(str(config.get("_name_or_path", "")), path.resolve().name)
    found = ModelFolder(path, config, family, _tokenizer(path))
    if family is not None:
        found.understood.append(f"This is {family.name}: its ready card fills in what the folder does not say.")
    _read_modules(found)
    _read_prompts(found)
    _read_length(found)
    _read_origin(found)
    return found


def read_json(path: Path, missing: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a JSON object, or `missing` where there is no file. Raises EncoderError when it is no such thing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return dict(missing)
        raise EncoderError(f"{path.parent} holds no {path.name}: give a model's folder as it was saved") from None
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path} is not readable JSON ({error}): save the model again") from error
    if not isinstance(value, dict):
        raise EncoderError(f"{path} holds no JSON object: save the model again")
    return value


def _tokenizer(path: Path) -> Path:
    for place in (path / "tokenizer.json", path / "onnx" / "tokenizer.json"):
        if place.is_file():
            _check_tokenizer(place)
            return place
    raise EncoderError(
        f"{path} holds no tokenizer.json: save it once with transformers, "
        "AutoTokenizer.from_pretrained(MODEL, use_fast=True).save_pretrained(FOLDER)"
    )


def _check_tokenizer(path: Path) -> None:
    """Refuse a tokenizer that takes more of a machine than any text is worth: of a size, or that makes texts much longer."""
    if path.stat().st_size > MOST_TOKENIZER_BYTES:
        raise EncoderError(
            f"{path} has {path.stat().st_size >> 20} MiB, allowed are {MOST_TOKENIZER_BYTES >> 20}: this is no tokenizer"
        )
    growth = _growth(read_json(path).get("normalizer"))
    if growth > MOST_GROWTH:
        raise EncoderError(
            f"{path}: its normalizer can make a text {growth} times as long, allowed are {MOST_GROWTH}: take out its Replace steps"
        )


def _growth(normalizer: object) -> int:
    """Return how many times as long the replacements of a normalizer can make a text."""
    if not isinstance(normalizer, dict):
        return 1
    below = normalizer.get("normalizers")
    growth = math.prod(_growth(step) for step in below) if isinstance(below, list) else 1
    return growth * max(1, len(str(normalizer["content"]))) if "content" in normalizer else growth


def _read_modules(found: ModelFolder) -> None:
    path = found.path / "modules.json"
    if not path.is_file():
        _read_pooling(found, found.path / "1_Pooling")
    else:
        try:
            modules = [(str(m["type"]), str(m["path"])) for m in json.loads(path.read_text(encoding="utf-8"))]
        except (ValueError, KeyError, TypeError) as error:
            raise EncoderError(f"{path} is not a list of modules ({error!r}): save the model again") from error
        for kind, place in modules:
            _read_module(found, kind, found.path / place)
    if not found.pooling and found.family is not None:
        found.pooling = found.family.pooling
        found.understood.append(f"The folder names no pooling; the ready card says {found.pooling}.")
    elif found.family is not None and found.pooling != found.family.pooling:
        found.understood.append(
            f"CHECK: the folder pools by {found.pooling}, the ready card by {found.family.pooling}."
        )
    if not found.normalises:
        found.understood.append("The folder has no Normalize module; ECI scores unit vectors, so they are normalised.")


def _read_module(found: ModelFolder, kind: str, place: Path) -> None:
    if not kind.startswith("sentence_transformers."):
        raise EncoderError(
            f"{found.path}: module {kind} is remote code; only modules of sentence-transformers can be used"
        )
    if not place.resolve().is_relative_to(found.path.resolve()):
        raise EncoderError(f"{found.path}: modules.json names {place}, outside the folder")
    name = kind.rsplit(".", 1)[-1]
    if name == "Pooling":
        _read_pooling(found, place)
    elif name == "Dense":
        _read_dense(found, place)
    elif name == "Normalize":
        found.normalises = True
        found.understood.append("Vectors are normalised to unit length.")
    elif name != "Transformer":
        raise EncoderError(
            f"{found.path}: module {name} cannot be run, allowed are Transformer, Pooling, Dense, Normalize"
        )


def _read_pooling(found: ModelFolder, place: Path) -> None:
    values = read_json(place / "config.json", {})
    if not values:
        return
    modes = values.get("pooling_mode") or [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, on in values.items()
        if key.startswith("pooling_mode_") and on
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in POOLING_NAMES:
        raise EncoderError(
            f"{place}: pooling {'+'.join(map(str, modes)) or 'none'}, allowed is one of {', '.join(POOLING_NAMES)}"
        )
    if values.get("include_prompt") is False:
        raise EncoderError(
            f"{place}: include_prompt is false (prompts left out of the pooling), which cannot be run here"
        )
    found.pooling = POOLING_NAMES[modes[0]]
    found.understood.append(f"A text's vector is the {_WORDS[found.pooling]} (1_Pooling).")


_WORDS = {"mean": "mean of its token states", "cls": "state of its first token", "last": "state of its last token"}


def _read_dense(found: ModelFolder, place: Path) -> None:
    values = read_json(place / "config.json")
    activation = str(values.get("activation_function", "torch.nn.modules.linear.Identity")).rsplit(".", 1)[-1]
    if activation not in ACTIVATIONS:
        raise EncoderError(f"{place}: activation {activation}, allowed is one of {', '.join(ACTIVATIONS)}")
    if values.get("module_input_name", "sentence_embedding") != "sentence_embedding":
        raise EncoderError(f"{place}: a Dense module over {values['module_input_name']} cannot be run here")
    arrays = read_weights(place)
    if "linear.weight" not in arrays:
        raise EncoderError(f"{place}: the weights lack linear.weight: save the model again")
    layer = Dense(arrays["linear.weight"].T, arrays.get("linear.bias"), activation)
    found.dense.append(layer)
    found.understood.append(f"A dense layer follows, {layer.weight.shape[0]} to {layer.weight.shape[1]}, {activation}.")


def _read_prompts(found: ModelFolder) -> None:
    values = read_json(found.path / "config_sentence_transformers.json", {})
    prompts = {str(k): str(v) for k, v in (values.get("prompts") or {}).items() if v}
    default = prompts.get(str(values.get("default_prompt_name")), "")
    query = prompts.get("query", default)
    passage = next((prompts[key] for key in ("passage", "document", "corpus") if key in prompts), default)
    if not prompts and found.family is not None:
        query, passage = found.family.query_prefix, found.family.passage_prefix
    found.query_prefix, found.passage_prefix = query, passage
    if query or passage:
        found.understood.append(f"Before a query goes {query!r}, before a passage {passage!r}.")
    else:
        found.understood.append("Nothing goes before a query or a passage.")
    others = sorted(set(prompts) - {"query", "passage", "document", "corpus"})
    if others and not (query or passage):
        found.understood.append(
            f"CHECK: prompts {', '.join(others)} are not used; give --query-prefix where one is meant."
        )


def _read_length(found: ModelFolder) -> None:
    table = found.config.get("max_position_embeddings")
    offset = 2 if found.config.get("model_type") in ("roberta", "xlm-roberta", "mpnet") else 0
    limits = [int(table) - offset] if isinstance(table, int) else []
    own = read_json(found.path / "sentence_bert_config.json", {})
    if own.get("do_lower_case") and '"lowercase": true' not in json.dumps(read_json(found.tokenizer).get("normalizer")):
        raise EncoderError(
            f"{found.path}: sentence_bert_config.json lowers the case, the tokenizer does not; cannot be run here"
        )
    said = own.get("max_seq_length") or read_json(found.path / "tokenizer_config.json", {}).get("model_max_length")
    if isinstance(said, int | float) and 3 <= said < MOST_TOKENS:
        limits.append(int(said))
    if found.family is not None:
        limits.append(found.family.max_tokens)
    found.max_tokens = min(limits, default=512)
    found.understood.append(f"Texts are cut at {found.max_tokens} tokens.")


def _read_origin(found: ModelFolder) -> None:
    if found.family is not None:
        found.licence, found.source = found.family.licence, found.family.source
        return
    readme = found.path / "README.md"
    head = readme.read_text(encoding="utf-8", errors="replace")[:4096] if readme.is_file() else ""
    if match := re.search(r"^license:\s*([\w.-]+)\s*$", head, re.MULTILINE):
        found.licence = match[1]
