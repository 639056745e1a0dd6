"""Tables, sentences and command lines that fit a terminal's width: no word is broken, no digit is cut.

Covers: widths in cells (a Chinese character takes two). What has no room is left out by columns, in an order that the
table says; names are cut in the middle, and below LEAST_TABLE columns a table becomes a list.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

LEAST_TABLE = 60
NAMES = 24
"""Cells that a name has at least while there is a column left that may go."""
GAP = "  "

Command = Sequence[Sequence[str]]
"""A command in its parts, each of which stays on one line: the command itself, an option with its value, ..."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, its cells, and how it gives way.

    Attributes:
        right: whether cells stand at the right.
        goes: in which order the column is left out where there is no room, from 1; 0: it always stays.
        name: whether cells are names, which may be cut in the middle.
        plot: whether cells are drawings, which a list has no use for.
    """

    head: str
    cells: Sequence[str]
    right: bool = True
    goes: int = 0
    name: bool = False
    plot: bool = False

    @property
    def width(self) -> int:
        """The cells that its longest text takes."""
        return max(map(cell_len, (self.head, *self.cells)))


def fitted(columns: Sequence[Column], width: int) -> list[str]:
    """Return a table as lines of at most `width` cells, the heads first; below LEAST_TABLE a list of its rows."""
    if width < LEAST_TABLE:
        return _listed(columns, width)
    kept = list(columns)
    while _least(kept) > width and (going := [column for column in kept if column.goes]):
        kept.remove(min(going, key=lambda column: column.goes))
    room = width - sum(column.width for column in kept if not column.name) - len(GAP) * (len(kept) - 1)
    sizes = [min(column.width, max(room, 1)) if column.name else column.width for column in kept]
    rows = zip(*((column.head, *column.cells) for column in kept), strict=True)
    return [
        GAP.join(_placed(cell, column, size) for cell, column, size in zip(row, kept, sizes, strict=True)).rstrip()
        for row in rows
    ]


def _least(columns: Sequence[Column]) -> int:
    sizes = (min(column.width, NAMES) if column.name else column.width for column in columns)
    return sum(sizes) + len(GAP) * (len(columns) - 1)


def _placed(cell: str, column: Column, size: int) -> str:
    text = cut_middle(cell, size) if column.name else cell
    space = " " * (size - cell_len(text))
    return space + text if column.right else text + space


def _listed(columns: Sequence[Column], width: int) -> list[str]:
    """Return rows as a list: the columns up to the name on one line, below it a line for each of the others."""
    at = next((i for i, column in enumerate(columns) if column.name), 0)
    others = [column for column in columns[at + 1 :] if not column.plot]
    size = max((cell_len(column.head) for column in others), default=0)
    lines = []
    for row in range(len(columns[0].cells)):
        first = [column.cells[row] for column in columns[:at] if column.cells[row]]
        name = cut_middle(columns[at].cells[row], max(width - sum(cell_len(cell) + len(GAP) for cell in first), 8))
        lines.append(GAP.join([*first, name]))
        for column in others:
            if column.cells[row]:
                head = column.head + " " * (size - cell_len(column.head))
                lines.append(f"  {head}  {column.cells[row]}")
    return lines


def cut_middle(text: str, width: int) -> str:
    """Return a text in at most so many cells (1 or more), with `…` for what is left out in its middle."""
    if cell_len(text) <= width:
        return text
    left = width // 2
    return _start(text, left) + "…" + _start(text[::-1], width - 1 - left)[::-1]


def _start(text: str, width: int) -> str:
    """Return as much of a text's beginning as so many cells hold."""
    end = used = 0
    while end < len(text) and used + cell_len(text[end]) <= width:
        used += cell_len(text[end])
        end += 1
    return text[:end]


def wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    """Return a text as lines of at most `width` cells, broken between words; a word longer than a line has its own.

    Args:
        hanging: blanks before every line but the first.
    """
    if cell_len(text) <= width:
        return [text]
    start = len(text) - len(text.lstrip(" "))
    return _lines(text.split(), width, " " * start, " " * (start + hanging), "")


def command_lines(command: Command, width: int, indent: int = 2) -> list[str]:
    """Return a command to copy: quoted for a shell, broken between its options with a backslash at the end of a line."""
    words = [" ".join(map(shlex.quote, part)) for part in command]
    return _lines(words, width, " " * indent, " " * (indent + 4), " \\")


def _lines(words: Iterable[str], width: int, first: str, later: str, end: str) -> list[str]:
    lines: list[str] = []
    line, begun = first, False
    for word in words:
        if begun and cell_len(line) + 1 + cell_len(word) + len(end) > width:
            lines.append(line + end)
            line, begun = later, False
        line += (" " if begun else "") + word
        begun = True
    return [*lines, line]
