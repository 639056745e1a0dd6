"""Every error that a user of `eci` can meet, and the exit code each one ends with.

    EciError                 1   something failed while running; a rerun resumes
    ├── InputError           2   the input or a setting is wrong; nothing was started
    ├── DamagedError         2   a file of OUT is damaged or missing; `eci verify` names all such
    ├── HeldError            2   another run holds this OUT
    └── AttentionError       3   finished, but something needs attention (--strict)

A message is one line: what was given, what is allowed, which file, row or key, and what to do next.
"""

from __future__ import annotations

import difflib
import errno
import logging
from collections.abc import Iterable


class EciError(Exception):
    """A run failed while it was running (exit code 1). Work done so far is kept and resumes.

    `below`: lines that show a place in what was given, under the message.
    """

    exit_code = 1
    below: tuple[str, ...] = ()


class InputError(EciError):
    """The input or a setting is wrong (exit code 2). Nothing was published."""

    exit_code = 2


class DamagedError(InputError):
    """A file that eci has written is damaged or missing (exit code 2). It is named, and nothing was made of it."""


class HeldError(InputError):
    """Another run works in the same output root (exit code 2)."""


class AttentionError(EciError):
    """The run finished, but what it found needs a person (exit code 3, only with --strict)."""

    exit_code = 3


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean X?` for the allowed name nearest to `given`, or an empty string."""
    names = list(allowed)
    close = difflib.get_close_matches(given.lower(), [name.lower() for name in names], 1, 0.5)
    for name in names:
        if close and name.lower() == close[0]:
            return f"; did you mean {name!r}?"
    return ""


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk is full; Arrow's have no number."""
    return error.errno == errno.ENOSPC or "No space left" in str(error)


def reason_of(error: BaseException) -> str:
    """Return an exception as a few words on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


_SAID: set[str] = set()


def notice(text: str) -> None:
    """Say one line on the error stream, once a process: what a command goes on without."""
    if text not in _SAID:
        _SAID.add(text)
        logging.getLogger("eci").warning(text)
