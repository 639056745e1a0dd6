"""What adding and exporting share: overrides of what a folder says, the card's values, safe copying."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_models.building.folders import ModelFolder
from onnx_models.cards import DEFAULT_TEMPERATURE, EncoderCard
from onnx_models.errors import EncoderError

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Overrides:
    """What the user says in place of the folder; None leaves the folder's word."""

    name: str | None = None
    pooling: str | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Made:
    """A card that was written, and sentences on what was understood and found."""

    card: EncoderCard
    understood: tuple[str, ...]


def apply_overrides(found: ModelFolder, given: Overrides) -> None:
    """Put the user's word in place of the folder's. Raises EncoderError where nobody says how to pool."""
    for key in ("pooling", "query_prefix", "passage_prefix", "max_tokens", "licence"):
        value = getattr(given, key)
        if value is not None and value != getattr(found, key):
            found.understood.append(f"{key} is {value!r} as given (the folder says {getattr(found, key)!r}).")
            setattr(found, key, value)


def require_pooling(found: ModelFolder) -> None:
    """Raise EncoderError where neither the folder nor the user says how token states become one vector."""
    if not found.pooling:
        raise EncoderError(
            f"{found.path} does not say how it pools (no modules.json, no 1_Pooling): give --pooling mean, cls or last, as the "
            "model was trained; a wrong one gives no error, only worse vectors"
        )


def card_values(found: ModelFolder, given: Overrides, **parts: Any) -> dict[str, Any]:
    """Return a card's values, `parts` being those that depend on the files (dim, pooling, precision, model, tokenizer)."""
    temperature = given.temperature or (found.family.temperature if found.family else DEFAULT_TEMPERATURE)
    if given.temperature is None and found.family is None:
        found.understood.append(
            f"The training temperature is unknown: {temperature}; give --temperature if it is another."
        )
    return {
        "name": given.name or default_name(found),
        "source": found.source,
        "licence": found.licence,
        "precision": parts.pop("precision"),
        "dim": parts.pop("dim"),
        "max_tokens": found.max_tokens,
        "pooling": parts.pop("pooling"),
        "normalise": True,
        "query_prefix": found.query_prefix,
        "passage_prefix": found.passage_prefix,
        "title_separator": " ",
        "temperature": temperature,
        **parts,
    }


def default_name(found: ModelFolder) -> str:
    """Return a name fit for a card: the family's, or the folder's without what a name may not hold."""
    if found.family is not None:
        return found.family.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", found.path.resolve().name).lstrip(".-") or "encoder"


def copy_into(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy files to names below a folder, which is made; a file that is there already as itself stays."""
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and target.samefile(source)):
            shutil.copyfile(source, target)
