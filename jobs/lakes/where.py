"""`--where`: which rows of a table are taken, as a condition in SQL's words.

    source in ('bm25', 'llm') and day >= '2026-11-01' and not (score is null or score < 0.5)

`not` is taken down to the comparisons, so that there is none in what comes out.
"""

from __future__ import annotations

import re
from typing import Any

from jobs.errors import InputError
from jobs.lakes.conditions import All, Condition, Is, Some

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")+"|`[^`]+`)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d][\w.]*)|(?P<sign><=|>=|<>|!=|==|[=<>(),]))""",
    re.VERBOSE,
)
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "null": "value", "value": "null"}
_WORDS = {"and", "or", "not", "in", "is", "null", "between", "true", "false"}


def parse(text: str) -> Condition:
    """Return the condition that a text says. Raises InputError that shows where it is none."""
    return _Parser(text).whole()


class _Parser:
    """Reads a condition from left to right; `not` is taken down to the comparisons as it goes."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.kind, self.token = "", ""
        self._next()

    def whole(self) -> Condition:
        """Return the condition of the whole text."""
        found = self._some(False)
        if self.kind:
            raise self._wrong("and, or, or the end")
        return found

    def _next(self) -> str:
        """Go one token on and return the one before."""
        before = self.token
        rest = self.text[self.at :]
        if not rest.strip():
            self.kind, self.token = "", ""
            return before
        found = _TOKEN.match(rest)
        if found is None:
            self.kind, self.token = "?", rest.strip()[:20]
            raise self._wrong("a column, a value or a comparison")
        self.kind, self.token = str(found.lastgroup), found[str(found.lastgroup)]
        if self.kind == "word" and self.token.lower() in _WORDS:
            self.kind, self.token = "key", self.token.lower()
        self.at += found.end()
        return before

    def _wrong(self, wanted: str) -> InputError:
        there = repr(self.token) if self.kind else "its end"
        return InputError(
            f"--where: {wanted} should stand where {there} is, in {self.text!r}; it is like: source in ('bm25', 'llm') and "
            "day >= '2026-11-01'"
        )

    def _key(self, word: str) -> bool:
        if self.kind in ("key", "sign") and self.token == word:
            self._next()
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._key(word):
            raise self._wrong(word)

    def _some(self, inverted: bool) -> Condition:
        parts = [self._all(inverted)]
        while self._key("or"):
            parts.append(self._all(inverted))
        return parts[0] if len(parts) == 1 else (All if inverted else Some)(tuple(parts))

    def _all(self, inverted: bool) -> Condition:
        parts = [self._one(inverted)]
        while self._key("and"):
            parts.append(self._one(inverted))
        return parts[0] if len(parts) == 1 else (Some if inverted else All)(tuple(parts))

    def _one(self, inverted: bool) -> Condition:
        if self._key("not"):
            return self._one(not inverted)
        if self._key("("):
            found = self._some(inverted)
            self._need(")")
            return found
        if self.kind not in ("word", "quoted"):
            raise self._wrong("a column")
        quoted = self.kind == "quoted"
        name = self._next()
        return self._compared(name[1:-1].replace('""', '"') if quoted else name, inverted)

    def _compared(self, column: str, inverted: bool) -> Condition:
        if self._key("is"):
            inverted ^= self._key("not")
            self._need("null")
            return Is(column, "value" if inverted else "null")
        inverted ^= self._key("not")
        if self._key("in"):
            return self._listed(column, inverted)
        if self._key("between"):
            low = self._value()
            self._need("and")
            ends = (Is(column, "<" if inverted else ">=", low), Is(column, ">" if inverted else "<=", self._value()))
            return Some(ends) if inverted else All(ends)
        sign = {"==": "=", "<>": "!="}.get(self.token, self.token)
        if self.kind != "sign" or sign not in _OPPOSITE:
            raise self._wrong("=, !=, <, <=, >, >=, in, between or is")
        self._next()
        return Is(column, _OPPOSITE[sign] if inverted else sign, self._value())

    def _listed(self, column: str, inverted: bool) -> Condition:
        self._need("(")
        values = [self._value()]
        while self._key(","):
            values.append(self._value())
        self._need(")")
        leaves = tuple(Is(column, "!=" if inverted else "=", value) for value in values)
        return leaves[0] if len(leaves) == 1 else (All if inverted else Some)(leaves)

    def _value(self) -> Any:
        if self.kind == "text":
            return self._next()[1:-1].replace("''", "'")
        if self.kind == "number":
            token = self._next()
            return int(token) if re.fullmatch(r"[+-]?\d+", token) else float(token)
        if self.kind == "key" and self.token in ("true", "false"):
            return self._next() == "true"
        raise self._wrong("a value (a text in quotes '...', a number, true or false)")
