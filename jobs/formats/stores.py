"""Reading from object stores and other servers: their errors in one line with the address, and no file that is half of one.

What fails on the way (a store that does not answer, a body that ends too early, an object that changes while it is read) stops the
run: it is no damage of the file, whose rest would be a reject. Clients send again, with growing waits, what a store answers with
503 or cuts off; only then it is an error here.
"""

from __future__ import annotations

import io
from typing import Any

from jobs.errors import EciError
from jobs.output.store import answering


class Answering:
    """The part of an fsspec filesystem that inputs are read by, each error in one line."""

    def __init__(self, fs: Any, address: str) -> None:
        self._fs, self._address = fs, address

    def __getattr__(self, name: str) -> Any:
        """Return a method of the filesystem that names the address in its errors."""
        method = getattr(self._fs, name)
        if not callable(method):
            return method

        def called(*arguments: Any, **options: Any) -> Any:
            with answering(self._address, f"{name} {arguments[0]}" if arguments else name):
                return method(*arguments, **options)

        return called

    def open(self, path: str, mode: str = "rb") -> io.BufferedReader:
        """Open a file for reading."""
        with answering(self._address, f"open {path}"):
            file = self._fs.open(path, mode)
        return io.BufferedReader(_Whole(file, self._fs.unstrip_protocol(path)), 1 << 20)


class _Whole(io.RawIOBase):
    """A file of a store that ends where its size says, or raises EciError."""

    def __init__(self, file: Any, address: str) -> None:
        self._file, self._address = file, address
        self._size: int | None = getattr(file, "size", None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        with answering(self._address, f"read from byte {at:,}"):
            data = self._file.read(len(buffer))
        if len(data) < len(buffer) and self._size is not None and at + len(data) < self._size:
            raise EciError(
                f"{self._address}: ends after {at + len(data):,} of {self._size:,} bytes; give the same command again"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
