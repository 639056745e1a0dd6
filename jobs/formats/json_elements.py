"""The elements of one big JSON array or object, from a stream, without holding the file.

Covers: where an element begins and ends. Does not cover: whether it is valid JSON; the caller parses each by itself,
so that a bad element costs only itself as long as its quotes and brackets balance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from jobs.formats.base import BadRecordError
from jobs.formats.opening import BLOCK_BYTES, MAX_LINE_BYTES, too_long

# A whole string, or what can change the depth, or a quote whose string does not end in the window.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_BLANK = re.compile(rb"[ \t\r\n]*")
_BETWEEN = re.compile(rb"[ \t\r\n,]*")


def elements(file: IO[bytes], within: str = "") -> Iterator[bytes]:
    """Yield each element of the array (`{...}`), or each member of the object (`"key": ...`), that a stream holds.

    Args:
        file: the stream.
        within: the key of the object's member whose array is meant; the members before it are passed over, and those
            behind it not looked at.

    Raises:
        BadRecordError: nothing more can be read: the file ends too early, or goes on after the end, or one element
            is larger than MAX_LINE_BYTES.
    """
    window = _Window(file)
    window.skip(re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*"))
    if window.byte not in (b"[", b"{"):
        raise BadRecordError("bad_record", "neither a JSON array nor a JSON object")
    if within:
        _enter(window, within)
    closing = b"]" if window.byte == b"[" else b"}"
    window.position += 1
    while True:
        window.skip(_BETWEEN)
        if window.byte == closing:
            break
        if window.byte in (b"", b"]", b"}"):
            raise BadRecordError("bad_record", f"{closing.decode()!r} is missing at the end of the records")
        yield window.element()
    window.position += 1
    window.skip(_BLANK)
    if window.byte and not within:
        raise BadRecordError("bad_record", "the file goes on after its closing bracket")


def _enter(window: _Window, key: str) -> None:
    """Move to the array that is an object's member of this key. Raises BadRecordError where there is none."""
    window.position += 1
    named = b'"' + key.encode() + b'"'
    while True:
        window.skip(_BETWEEN)
        if window.byte in (b"", b"]", b"}"):
            raise BadRecordError("bad_record", f"no array under the key {key!r}")
        if window.starts(named):
            window.position += len(named)
            window.skip(re.compile(rb"[ \t\r\n]*:?[ \t\r\n]*"))
            if window.byte == b"[":
                return
        window.element()


class _Window:
    """The part of the stream that is being looked at: from the current element's first byte on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._data = b""
        self._ended = False
        self.position = 0
        self._grow()

    @property
    def byte(self) -> bytes:
        """The byte at the position, empty at the end of the stream."""
        return self._data[self.position : self.position + 1]

    def starts(self, what: bytes) -> bool:
        """Return whether something stands at the position."""
        while len(self._data) - self.position < len(what) and not self._ended:
            self._grow()
        return self._data.startswith(what, self.position)

    def _grow(self) -> None:
        self._data = self._data[self.position :]
        self.position = 0
        # Doubling keeps the work on one very long element linear.
        block = self._file.read(max(BLOCK_BYTES, len(self._data)))
        self._ended = not block
        self._data += block

    def skip(self, pattern: re.Pattern[bytes]) -> None:
        """Move past what the pattern matches."""
        while True:
            match = pattern.match(self._data, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self._data) or self._ended:
                return
            self._grow()

    def element(self) -> bytes:
        """Return the element at the position and move past it."""
        depth, at = 0, self.position
        while True:
            for match in _TOKEN.finditer(self._data, at):
                token = self._data[match.start()]
                if token == 0x22:
                    if match.end() - match.start() == 1:
                        break
                elif token in b"[{":
                    depth += 1
                elif depth == 0:
                    element = self._data[self.position : match.start()]
                    self.position = match.start()
                    return element
                elif token in b"]}":
                    depth -= 1
                at = match.end()
            at -= self.position
            self._grow()
            if self._ended:
                raise BadRecordError("bad_record", "the file ends inside this record")
            if len(self._data) > MAX_LINE_BYTES:
                raise BadRecordError("bad_record", f"{too_long()}; nothing after it is read")
