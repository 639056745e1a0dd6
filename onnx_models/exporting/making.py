"""Makes an encoder folder usable: measures it, writes its golden vectors and its card.

The card comes last, so that a folder with a card is a whole one.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_models.cards import CARD_FILE, EncoderCard, Side, card_of, load_card
from onnx_models.running.session import Encoder, open_encoder

GOLDEN_FILE = "golden.json"

SENTENCES = (
    "how do vaccines train the immune system",
    "Rivers carry sediment to the sea, and deltas grow where the current slows down.",
    "The committee's 1987 report (pp. 12-14) was never published; two copies are known.",
    "Ein kurzer Satz über Brücken, Größe und Maß.",
    "北京是中华人民共和国的首都。",
    "def area(r): return 3.14159 * r ** 2  # of a circle",
)
"""Texts of the golden vectors: English, German, Chinese, code; a text beyond the cut is made of them."""


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_entry(folder: Path, location: str) -> dict[str, str]:
    """Return a card's entry for a file below `folder`: where it is, and its SHA-256."""
    return {"file": location, "sha256": sha256_of(folder / location)}


def golden_texts(max_tokens: int) -> list[tuple[Side, str]]:
    """Return sides and texts of the golden vectors; the last text is longer than the encoder's cut."""
    texts: list[tuple[Side, str]] = [("query", SENTENCES[0]), ("passage", SENTENCES[0])]
    texts += [("passage", text) for text in SENTENCES[1:]]
    # Each repeat is at least 60 tokens in any tokenizer; another end would not be seen without the start being cut.
    return [*texts, ("passage", " ".join(f"{number} {' '.join(SENTENCES)}" for number in range(max_tokens // 60 + 2)))]


def probe_texts(max_tokens: int) -> list[str]:
    """Return 40 texts of one word up to more than `max_tokens`, for measuring what batch mates change."""
    words = " ".join(SENTENCES).split()
    longest = max(8, min(max_tokens, 512))
    lengths = np.unique(np.geomspace(1, longest, 40).astype(int)).tolist()
    return [
        " ".join(words[(start + k) % len(words)] for k in range(length)) for start, length in enumerate(lengths * 2)
    ][:40]


def is_batch_invariant(encoder: Encoder) -> bool:
    """Return whether texts of all lengths get the same bits alone and in batches."""
    texts = probe_texts(encoder.card.max_tokens)
    together, alone = (encoder.batched(choice).encode(texts, "passage") for choice in (True, False))
    return bool(np.array_equal(together, alone))


def make_encoder(folder: Path, values: Mapping[str, Any]) -> EncoderCard:
    """Write card and golden vectors of an encoder whose files are in place, and open it as users will.

    Args:
        folder: where card.toml goes; the files that the card names are relative to it.
        values: the card without `golden` and `batch_invariant`, which are made here.

    Raises:
        EncoderError: a value is not allowed, or the model does not do what the card says.
    """
    card_path = folder / CARD_FILE
    card_path.unlink(missing_ok=True)
    draft = dict(values) | {"golden": "", "batch_invariant": False}
    encoder = open_encoder(card_of(draft, str(card_path), folder), check_golden=False)
    _write_golden(folder / GOLDEN_FILE, encoder)
    final = dict(values) | {"golden": GOLDEN_FILE, "batch_invariant": is_batch_invariant(encoder)}
    card_path.write_text(to_toml(final), encoding="utf-8")
    card = load_card(str(folder))
    open_encoder(card)
    return card


def _write_golden(path: Path, encoder: Encoder) -> None:
    rows = []
    for side, text in golden_texts(encoder.card.max_tokens):
        vector = encoder.encode([text], side)[0]
        rows.append({"side": side, "text": text, "vector": [round(float(x), 7) for x in vector]})
    path.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n", encoding="utf-8")


def to_toml(values: Mapping[str, Any]) -> str:
    """Return TOML of strings, numbers, flags, lists of strings, tables and arrays of tables, plain keys first."""
    return "\n".join(_table(values, "")) + "\n"


def _table(values: Mapping[str, Any], name: str) -> list[str]:
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if not _nested(value)]
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{name}{key}]", *_table(value, f"{name}{key}.")]
        elif _nested(value):
            for item in value:
                lines += ["", f"[[{name}{key}]]", *_table(item, f"{name}{key}.")]
    return lines


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in a card")
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return "[" + ", ".join(_value(item) for item in value) + "]"
