"""What to say of words that no option takes: mostly a name or a file with blanks in it, or a glob, that was not quoted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

QUOTED = "A glob goes in quotes, for eci and not the shell to expand: --triples 'lake/*.parquet'"

DATA = (
    ".parquet",
    ".jsonl",
    ".ndjson",
    ".json",
    ".csv",
    ".tsv",
    ".arrow",
    ".feather",
    ".txt",
    ".gz",
    ".zst",
    ".bz2",
    ".xz",
)
"""Endings that no settings file has, and no name of a source."""
BLANKS = "What has blanks in it goes in quotes: "


def unquoted(arguments: Sequence[str], word: str) -> str:
    """Return the advice for a word that nothing takes.

    Args:
        arguments: the command's, as they were given.  word: the first that nothing takes, one of them.
    """
    at = arguments.index(word) if word in arguments else 0
    first, last = at, at + 1
    while first and not _is_option(arguments[first - 1]):
        first -= 1
    while last < len(arguments) and not _is_option(arguments[last]):
        last += 1
    option, words = "", list(arguments[first:last])
    if first:
        option, joined, value = arguments[first - 1].partition("=")
        words = [value, *words] if joined else words
    together = " ".join(words)
    files = all(os.path.exists(word) or word.lower().endswith(DATA) for word in words)
    if len(words) < 2 or (files and not os.path.exists(together)):
        return QUOTED.replace("--triples", option) if option.startswith("--") else QUOTED
    return f"{BLANKS}{f'{option} ' if option else ''}{shlex.quote(together)}"


def _is_option(argument: str) -> bool:
    return argument.startswith("-") and argument != "-"
