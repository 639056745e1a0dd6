"""Ready cards of well known encoders whose weights are not shipped: what to use a folder of them with.

They fill in what a folder does not say (E5's prefixes stand in no file of the model) and confirm what it does.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from onnx_models.cards import FAMILIES, Pooling, family_names
from onnx_models.fields import Fields


@dataclass(frozen=True, slots=True)
class Family:
    """One well known encoder; the attributes are those of `EncoderCard`, `architecture` is config.json's model_type."""

    name: str
    source: str
    licence: str
    architecture: str
    dim: int
    max_tokens: int
    pooling: Pooling
    query_prefix: str
    passage_prefix: str
    temperature: float


def load_family(name: str) -> Family:
    """Return a family by its name, one of `cards.family_names()`. Raises EncoderError for a wrong file."""
    path = FAMILIES / f"{name}.toml"
    fields = Fields(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    family = Family(
        name=fields.text("name"),
        source=fields.text("source"),
        licence=fields.text("licence"),
        architecture=fields.text("architecture"),
        dim=fields.integer("dim", 1, 65_536),
        max_tokens=fields.integer("max_tokens", 3, 1_000_000),
        pooling=cast("Pooling", fields.choice("pooling", ("mean", "cls", "last"))),
        query_prefix=fields.text("query_prefix"),
        passage_prefix=fields.text("passage_prefix"),
        temperature=fields.temperature("temperature", 0.05),
    )
    fields.finish()
    return family


def families() -> tuple[Family, ...]:
    """Return all families, sorted by name."""
    return tuple(load_family(name) for name in family_names())


def family_of(*hints: str) -> Family | None:
    """Return the family that a folder's name or a model's `_name_or_path` means, or None.

    A hint matches by its last part, as in `intfloat/e5-base-v2`.
    """
    for hint in hints:
        last = Path(hint.rstrip("/")).name.lower()
        for family in families():
            if last == family.name.lower():
                return family
    return None
