"""Encoder cards: everything that one must know of an encoder to use it, in one TOML file.

Covers: reading, validation, built-in cards, and the fingerprint that names the embedding cache.
Does not cover: opening the model or checking its golden vectors (running).
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from onnx_models.batching import BATCHING_VERSION, TOKEN_BUDGET
from onnx_models.errors import EncoderError
from onnx_models.fields import Fields, did_you_mean
from onnx_models.files import CardFile

Pooling = Literal["mean", "cls", "last", "none"]
Side = Literal["query", "passage"]

DEFAULT_ENCODER = "minilm-l6-v2-int8"
"""Name of the encoder that is used when the user names none."""

DEFAULT_TEMPERATURE = 0.05
"""Temperature of a card that gives none: scale 20, as in sentence-transformers' ranking losses."""

REBUILD_VERSION = 1
"""Changes with the graph that rebuilding makes, so that vectors of two graphs never meet in one cache."""

CARD_FILE = "card.toml"
POOLINGS = ("mean", "cls", "last", "none")
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")

_BUILT_IN = Path(__file__).parent / "cards"
FAMILIES = _BUILT_IN / "families"
"""The folder of the ready cards that ship no weights."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near a quantised encoder is to the one that it was made from, as measured when it was made.

    Attributes:
        reference: fingerprint of the encoder that it was made from.
        texts: number of texts, none of them used for calibration.
        cosine_mean: mean cosine to the reference's vectors.
        cosine_p1: first percentile of that cosine.
        neighbours_kept: share of the ten nearest neighbours among the texts that are the same.
    """

    reference: str
    texts: int
    cosine_mean: float
    cosine_p1: float
    neighbours_kept: float


@dataclass(frozen=True)
class EncoderCard:
    """An encoder's description.

    Attributes:
        name: letters, digits, dot, dash and underscore; part of folder names.
        dim: length of a vector.
        pooling: how token states become one vector: `mean` over real tokens, `cls` (first),
            `last` (last real token), or `none` (the model's output is one vector a text).
        normalise: whether vectors are scaled to unit L2 norm after pooling.
        query_prefix: put before every query.
        passage_prefix: put before every passage.
        title_separator: put between a passage's title and its text.
        max_tokens: longest input in tokens, special tokens included; longer texts are cut.
        temperature: InfoNCE temperature that the encoder is fine-tuned with.
        licence: SPDX identifier of the weights.
        source: URL of the original model.
        model: the ONNX file.
        tokenizer: the tokenizer.json file.
        inputs: names of the model's inputs, out of `INPUT_NAMES`; all int64, (batch, tokens).
        output: name of the model's output, float32: (batch, tokens, dim), or (batch, dim) for
            pooling `none`.
        precision: arithmetic of the model file, for people to read.
        batch_invariant: whether a text's vector was shown not to depend, in any bit, on the other
            texts of its batch. Where false, texts are run one at a time, so that it cannot.
        golden: file name of the golden vectors, beside the card, or empty.
        folder: the folder that the card was read from.
        data: files with the weights of the ONNX file, where it keeps them outside itself.
        approximate: whether its vectors differ from the model's by more than a ranking should bear
            unseen (mean cosine below 0.999).
        fidelity: what was measured of that; None for a model as it was exported.
        rebuild: the architecture by the keys of config.json, where the file's weights are put into this package's own
            graph when it is opened (rebuilding.py); empty where the file runs as it is. `inputs` and `output` are then
            those of that graph.
    """

    name: str
    dim: int
    pooling: Pooling
    normalise: bool
    query_prefix: str
    passage_prefix: str
    title_separator: str
    max_tokens: int
    temperature: float
    licence: str
    source: str
    model: CardFile
    tokenizer: CardFile
    inputs: tuple[str, ...]
    output: str
    precision: str
    batch_invariant: bool
    golden: str
    folder: Path
    data: tuple[CardFile, ...] = ()
    approximate: bool = False
    fidelity: Fidelity | None = None
    rebuild: Mapping[str, str | int | float] = field(default_factory=dict, hash=False)

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of everything that changes a vector, fit for a folder name.

        The temperature is left out (it changes scores, not vectors); so are the versions of
        ONNX Runtime and of the CPU, which move the last bits of a float32 only.
        """
        text = json.dumps(self._vector_settings(), sort_keys=True, ensure_ascii=True)
        return f"{self.name}-{hashlib.sha256(text.encode('ascii')).hexdigest()[:16]}"

    def prefix(self, side: Side) -> str:
        """Return what is put before a text of that side. Raises EncoderError for another side."""
        prefixes = {"query": self.query_prefix, "passage": self.passage_prefix}
        if side not in prefixes:
            raise EncoderError(f"side is {side!r}, allowed is one of query, passage")
        return prefixes[side]

    def verify_files(self) -> None:
        """Compare every file with its SHA-256. Raises EncoderError for one that is missing or another."""
        for file in (self.model, self.tokenizer, *self.data):
            file.verified_path()

    def _vector_settings(self) -> dict[str, object]:
        data: dict[str, object] = {"data_sha256": [file.sha256 for file in self.data]} if self.data else {}
        if self.rebuild:
            data["rebuild"] = [REBUILD_VERSION, dict(self.rebuild)]
        return data | {
            "batching": [BATCHING_VERSION, TOKEN_BUDGET if self.batch_invariant else 1],
            "dim": self.dim,
            "inputs": self.inputs,
            "max_tokens": self.max_tokens,
            "model_sha256": self.model.sha256,
            "normalise": self.normalise,
            "output": self.output,
            "passage_prefix": self.passage_prefix,
            "pooling": self.pooling,
            "query_prefix": self.query_prefix,
            "title_separator": self.title_separator,
            "tokenizer_sha256": self.tokenizer.sha256,
        }


def load_card(name_or_dir: str) -> EncoderCard:
    """Return a built-in card by its name, or the card of a folder that holds card.toml.

    Raises:
        EncoderError: no such name or folder, or the card is not valid.
    """
    if name_or_dir in built_in_names():
        return read_card(_BUILT_IN / f"{name_or_dir}.toml")
    if name_or_dir in family_names():
        raise EncoderError(
            f"encoder {name_or_dir!r} ships no weights: with its folder from Hugging Face, `eci encoders export FOLDER "
            f"--to DIR` (or `eci encoders add FOLDER` for an ONNX export), then give DIR"
        )
    folder = Path(name_or_dir)
    if (folder / CARD_FILE).is_file():
        return read_card(folder / CARD_FILE)
    if folder.is_dir():
        raise EncoderError(f"encoder folder {name_or_dir!r} holds no {CARD_FILE}: make one with `eci encoders add`")
    known = built_in_names()
    raise EncoderError(
        f"unknown encoder {name_or_dir!r}{did_you_mean(name_or_dir, known)}: "
        f"give one of {', '.join(known)}, or a folder that holds {CARD_FILE} (made by `eci encoders add` or `export`)"
    )


def built_in_names() -> tuple[str, ...]:
    """Return the names of the cards that come with this package, sorted."""
    return tuple(sorted(path.stem for path in _BUILT_IN.glob("*.toml")))


def family_names() -> tuple[str, ...]:
    """Return the names of the ready cards that ship no weights (families.py), sorted."""
    return tuple(sorted(path.stem for path in FAMILIES.glob("*.toml")))


def read_card(path: Path) -> EncoderCard:
    """Read and validate one card file.

    Raises:
        EncoderError: not TOML, or a key is missing, unknown or has a value that is not allowed;
            the message names the key, the value and what is allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EncoderError(f"{path} is not a readable TOML file ({error}): correct it") from error
    return card_of(values, str(path), path.parent)


def card_of(values: Mapping[str, Any], origin: str, folder: Path) -> EncoderCard:
    """Validate a card's values; files are relative to `folder`, `origin` names the card in messages.

    Raises:
        EncoderError: as `read_card`.
    """
    fields = Fields(values, origin)
    name = fields.text("name")
    # Also a folder name (fingerprint), hence no leading dot.
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise fields.refuse("name", "letters, digits, '.', '_' and '-', not starting with '.'")
    model, tokenizer = fields.table("model"), fields.table("tokenizer")
    card = EncoderCard(
        name=name,
        dim=fields.integer("dim", 1, 65_536),
        pooling=cast("Pooling", fields.choice("pooling", POOLINGS)),
        normalise=fields.flag("normalise", default=True),
        query_prefix=fields.text("query_prefix", ""),
        passage_prefix=fields.text("passage_prefix", ""),
        title_separator=fields.text("title_separator", " "),
        max_tokens=fields.integer("max_tokens", 3, 1_000_000),
        temperature=fields.temperature("temperature", DEFAULT_TEMPERATURE),
        licence=fields.text("licence"),
        source=fields.text("source"),
        model=_card_file(model, folder),
        tokenizer=_card_file(tokenizer, folder),
        inputs=model.names("inputs", INPUT_NAMES),
        output=model.text("output"),
        precision=fields.text("precision"),
        batch_invariant=fields.flag("batch_invariant", default=False),
        golden=fields.text("golden", ""),
        folder=folder,
        data=tuple(_card_file(table, folder) for table in model.tables("data")),
        approximate=fields.flag("approximate", default=False),
        fidelity=_fidelity(fields.table("fidelity")) if fields.has("fidelity") else None,
        rebuild=_rebuild(model.table("rebuild")) if model.has("rebuild") else {},
    )
    for table in (fields, model, tokenizer):
        table.finish()
    return card


def _fidelity(table: Fields) -> Fidelity:
    fidelity = Fidelity(
        reference=table.text("reference"),
        texts=table.integer("texts", 1, 1_000_000_000),
        cosine_mean=table.number("cosine_mean"),
        cosine_p1=table.number("cosine_p1"),
        neighbours_kept=table.number("neighbours_kept"),
    )
    table.finish()
    return fidelity


def _rebuild(table: Fields) -> dict[str, str | int | float]:
    sizes = ("num_hidden_layers", "num_attention_heads", "hidden_size", "max_position_embeddings")
    config: dict[str, str | int | float] = {
        "model_type": table.choice("model_type", ("bert",)),
        "hidden_act": table.text("hidden_act", "gelu"),
        "layer_norm_eps": table.positive("layer_norm_eps", 1e-12),
        **{key: table.integer(key, 1, 1_000_000) for key in sizes},
    }
    table.finish()
    return config


def _card_file(table: Fields, folder: Path) -> CardFile:
    location, sha256 = table.text("file"), table.text("sha256")
    if not location:
        raise table.refuse("file", "a path relative to the card or package:module/path")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise table.refuse("sha256", "64 lower-case hexadecimal digits")
    return CardFile(location, sha256, folder)
