"""Reads typed values out of a parsed TOML table, with errors that name key, value and choices."""

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from onnx_models.errors import EncoderError


def did_you_mean(given: str, known: Collection[str]) -> str:
    """Return " (did you mean 'x'?)" for the closest known name, or an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Fields:
    """One TOML table. Each reader raises EncoderError when the value is missing or not allowed."""

    def __init__(self, values: Mapping[str, Any], origin: str, prefix: str = "") -> None:
        """Wrap `values`; `origin` names the file and `prefix` the table in error messages."""
        self._values = values
        self._origin = origin
        self._prefix = prefix
        self._read: set[str] = set()

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._error(key, value, "a string")
        return value

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """Return a string that is one of `allowed`."""
        value = self._get(key, None)
        if not isinstance(value, str) or value not in allowed:
            raise self._error(key, value, "one of " + ", ".join(allowed))
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """Return an integer in low..high."""
        value = self._get(key, None)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._error(key, value, f"an integer from {low} to {high}")
        return value

    def positive(self, key: str, default: float) -> float:
        """Return a finite number above 0, as a float."""
        value = self._get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:
            raise self._error(key, value, "a finite number above 0")
        return float(value)

    def temperature(self, key: str, default: float) -> float:
        """Return a temperature: below the least, weights vanish or are all there is, and no source differs from another."""
        value = self._get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 1e-3 <= value <= 10:
            raise self._error(key, value, "a number from 0.001 to 10")
        return float(value)

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return a boolean."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._error(key, value, "true or false")
        return value

    def names(self, key: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Return a non-empty list of distinct strings, each one of `allowed`."""
        value = self._get(key, None)
        good = isinstance(value, list) and value and all(item in allowed for item in value)
        if not good or len(set(value)) != len(value):
            raise self._error(key, value, "a list of distinct names out of " + ", ".join(allowed))
        return tuple(value)

    def table(self, key: str) -> "Fields":
        """Return a nested table."""
        value = self._get(key, None)
        if not isinstance(value, dict):
            raise self._error(key, value, "a table")
        return Fields(value, self._origin, f"{self._prefix}{key}.")

    def tables(self, key: str) -> "list[Fields]":
        """Return the tables of an array of tables; [] where there is none."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._error(key, value, "an array of tables")
        return [Fields(item, self._origin, f"{self._prefix}{key}[{number}].") for number, item in enumerate(value)]

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = self._get(key, None)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise self._error(key, value, "a finite number")
        return float(value)

    def has(self, key: str) -> bool:
        """Return whether a key is there."""
        return key in self._values

    def finish(self) -> None:
        """Refuse keys that nobody read: a misspelt optional key would go unnoticed."""
        for key in self._values:
            if key not in self._read:
                hint = did_you_mean(key, self._read)
                allowed = ", ".join(sorted(self._read))
                raise EncoderError(f"{self._origin}: unknown key {self._prefix}{key}{hint}; allowed: {allowed}")

    def refuse(self, key: str, allowed: str) -> EncoderError:
        """Return the error for a value that was read but is not allowed."""
        return self._error(key, self._values.get(key), allowed)

    def _get(self, key: str, default: object) -> Any:
        self._read.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise EncoderError(f"{self._origin}: key {self._prefix}{key} is missing: add it")
        return value

    def _error(self, key: str, value: object, allowed: str) -> EncoderError:
        return EncoderError(f"{self._origin}: {self._prefix}{key} is {value!r}, allowed is {allowed}: edit the card")
