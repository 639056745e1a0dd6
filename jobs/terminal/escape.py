"""What a terminal is shown of names, texts and messages: no character in them can move, colour, retitle or reorder it."""

from __future__ import annotations

import logging
import re

_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# C0, DEL and C1; what reorders text (bidi); separators of lines and paragraphs; halves of pairs, as in names that are no UTF-8
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    r"""Return a text as one line without control characters: `\x1b` for ESC, `\n` for the end of a line, `\u202e`.

    Above ASCII the form is that of JSON, so that a JSON document means the same afterwards.
    """
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _NAMES.get(character) or (f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}")


def shown_lines(text: str) -> str:
    """Return a text of our own lines, as a traceback is, with what each line holds escaped."""
    return "\n".join(map(shown, text.split("\n")))


class ShownFormatter(logging.Formatter):
    """A log's line with what it holds escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return shown_lines(super().format(record))
