"""Names of sources and texts of the lake as HTML: isolated from what stands beside them, cut in the middle, words marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from jobs.output.markup import esc

MOST = 48
"""Letters of a name in a table or a sentence; its card has all of them."""
WORD = re.compile(r"\w+")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")
LEAST_WORD = 3
SHORT = frozenset({
    "and", "are", "but", "can", "for", "from", "has", "how",
    "into", "its", "not", "that", "the", "their", "this", "was", "what", "when",
    "where", "which", "who", "why", "with", "you",
})  # fmt: skip


def cut(name: str, most: int = MOST) -> str:
    """Return a name as wide as `most` letters at most: its beginning and its end, which tell names apart."""
    widths = [_width(c) for c in name]
    if sum(widths) <= most:
        return name
    first = _fitting(widths, most // 2)
    last = _fitting(widths[::-1], most - 1 - most // 2)
    return f"{name[:first].rstrip()}…{name[len(name) - last :].lstrip()}"


def _width(character: str) -> int:
    """Return the letters that a character is as wide as: none for a mark on another, two for Han, kana, Hangul and emoji."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitting(widths: list[int], most: int) -> int:
    """Return how many characters from the first on are no wider than `most` together."""
    total = 0
    for number, width in enumerate(widths):
        total += width
        if total > most:
            return number
    return len(widths)


def named(name: str, most: int = MOST) -> str:
    """Return a name as HTML that neither takes nor gives a direction, cut in the middle, whole as its title."""
    shown = cut(name, most)
    title = f' title="{esc(name)}"' if shown != name else ""
    return f"<bdi{title}>{esc(shown)}</bdi>"


def said(sentence: str, names: Iterable[str]) -> str:
    """Return a sentence as HTML with the names in it isolated and cut. `names`: those of the run's sources and hybrids."""
    known = sorted({name for name in names if name}, key=len, reverse=True)
    if not known:
        return esc(sentence)
    # a name within a longer word or number is none
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in known))
    parts, end = [], 0
    for found in pattern.finditer(sentence):
        parts += [esc(sentence[end : found.start()]), named(found[0])]
        end = found.end()
    return "".join([*parts, esc(sentence[end:])])


def labels(names: Iterable[str], most: int) -> dict[str, str]:
    """Return each name as a chart shows it: printable, cut in the middle, no two alike, and isolated.

    Isolated labels keep their direction to themselves; and none is a word that JavaScript has for its own objects, such as
    `constructor`, on which Vega fails.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = "".join(c if c.isprintable() else "\N{WHITE SQUARE}" for c in name)
        label, number = cut(plain, most), 2
        while label in taken:
            end = f" ({number})"
            label, number = cut(plain, most - len(end)) + end, number + 1
        taken.add(label)
        found[name] = isolated(label)
    return found


def isolated(text: str) -> str:
    """Return a text between the characters that keep its direction from what stands beside it, for one line of a chart."""
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text that are worth marking in another, and of scripts without spaces the pairs of characters."""
    words = {word for word in WORD.findall(text.casefold()) if len(word) >= LEAST_WORD and word not in SHORT}
    return frozenset(words | {run[i : i + 2] for run in UNSPACED.findall(text) for i in range(len(run) - 1)})


def marked(text: str, words: frozenset[str]) -> str:
    """Return a text as HTML with those of its words marked that are in `words`."""
    spans = [found.span() for found in WORD.finditer(text) if found[0].casefold() in words]
    spans += [
        (i, i + 2) for run in UNSPACED.finditer(text) for i in range(run.start(), run.end() - 1) if text[i : i + 2] in words
    ]  # fmt: skip
    parts, end = [], 0
    for start, stop in _joined(spans):
        parts += [esc(text[end:start]), f"<mark>{esc(text[start:stop])}</mark>"]
        end = stop
    return "".join([*parts, esc(text[end:])])


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found
