"""What is wrong with settings, in words: the key as it was given, what was given, what is allowed, the nearest name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from jobs.errors import nearest

Fields = Callable[[tuple[Any, ...]], dict[str, Any]]
"""What gives the settings that are allowed at a place."""

MISSING = {
    "out": "give --out, ECI_OUT, or `out` in the settings file",
    "inputs": "give --triples, or [[inputs]] in the settings file",
}
_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def explain(item: Any, where: str, typed: Mapping[str, str], fields_at: Fields) -> str:
    """Return one error of pydantic's as key, what was given, what is allowed, and the nearest valid name."""
    key = ".".join(str(part) for part in item["loc"])
    option = _typed(item["loc"], typed)
    if item["type"] == "extra_forbidden":
        names = [field.alias or name for name, field in fields_at(item["loc"]).items()]
        return f"{where}: {key} is not a setting{nearest(str(item['loc'][-1]), names)} (allowed: {', '.join(names)})"
    if item["type"] == "missing":
        return f"{where}: {key} is missing: {MISSING.get(key, 'it has no default')}"
    message = item["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ")
    if item["type"] == "literal_error":
        choices = re.findall("'([^']*)'", item["ctx"]["expected"])
        message = f"allowed: {', '.join(choices)}{nearest(str(item['input']), choices)}"
    field = fields_at(item["loc"]).get({"lambda": "lam"}.get(key, str(item["loc"][-1]))) if item["loc"] else None
    if item["type"] in _BOUNDS and field is not None:
        message = f"must be a number, {allowed(field)}"
    given = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
    return f"{option}: {message}{given}" if option else f"{where}: {key + ': ' if key else ''}{message}{given}"


def _typed(loc: tuple[Any, ...], typed: Mapping[str, str]) -> str | None:
    """Return the option or variable that a setting at a place was typed as; None for one of a file, or of the whole."""
    of_input = len(loc) > 2 and loc[0] == "inputs"
    if of_input and "triples" not in typed:
        return None
    return typed.get(str(loc[2 if of_input else 0])) if loc else None


def allowed(field: FieldInfo) -> str:
    """Return what a setting may be in words: the choices, or the limits; empty where its type says it all."""
    kind = field.annotation
    if typing.get_origin(kind) is typing.Literal:
        return "one of: " + ", ".join(str(choice) for choice in typing.get_args(kind))
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(item, sign):g}"
        for item in field.metadata
        for sign, word in signs.items()
        if hasattr(item, sign)
    ]
    origin = typing.get_origin(kind)
    listed = (
        ["a list"]
        if kind is not None and (origin is tuple or (origin is types.UnionType and tuple in typing.get_args(kind)))
        else []
    )
    return ", ".join(listed + limits)
