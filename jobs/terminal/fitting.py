"""Tables, sentences and command lines that fit a terminal's width: no word is broken, no digit is cut.

Covers: widths in cells (a Chinese character takes two). What has no room is left out by columns, in an order that the
table says; names are cut in the middle, and below LEAST_TABLE columns a table becomes a list.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from jobs.terminal.escape import shown

LEAST_TABLE = 60
NAMES = 24
"""Cells that a name has at least while there is a column left that may go."""
LEAST_PART = 7
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
    kept = [replace(column, cells=cut_names(column.cells, max(room, 1))) if column.name else column for column in kept]
    rows = zip(*((column.head, *column.cells) for column in kept), strict=True)
    return [GAP.join(map(_placed, row, kept)).rstrip() for row in rows]


def _least(columns: Sequence[Column]) -> int:
    sizes = (min(column.width, NAMES) if column.name else column.width for column in columns)
    return sum(sizes) + len(GAP) * (len(columns) - 1)


def _placed(cell: str, column: Column) -> str:
    space = " " * (column.width - cell_len(cell))
    return space + cell if column.right else cell + space


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


def cut_names(names: Sequence[str], width: int) -> list[str]:
    """Return names in at most so many cells, cut so that as many as can be stay different from one another."""
    found = [cut_middle(name, width) for name in names]
    wanted = len(set(names))
    for left in range(width - 2, 0, -1):
        if len(set(found)) == wanted:
            break
        other = [cut_middle(name, width, left) for name in names]
        found = max(found, other, key=lambda those: len(set(those)))
    return found


def cut_middle(text: str, width: int, left: int | None = None) -> str:
    """Return a text in at most so many cells (1 or more), with `…` for what is left out in its middle.

    Of sources pooled, `a+b`, each is cut, where that leaves some of each.

    Args:
        left: cells before the `…` (None: half of them).
    """
    if cell_len(text) <= width:
        return text
    parts = text.split("+")
    each = (width - len(parts) + 1) // len(parts)
    if len(parts) > 1 and each >= LEAST_PART and all(parts):
        return _cut_parts(parts, width - len(parts) + 1, left)
    left = width // 2 if left is None else left
    return _start(text, left) + "…" + _start(text[::-1], width - 1 - left)[::-1]


def _cut_parts(parts: list[str], room: int, left: int | None) -> str:
    """Return parts cut to `room` cells together: what a short one does not need goes to the next ones."""
    order = sorted(range(len(parts)), key=lambda i: cell_len(parts[i]))
    cut = list(parts)
    for place, i in enumerate(order):
        share = room // (len(parts) - place)
        cut[i] = cut_middle(parts[i], share, None if left is None else min(left, share - 2))
        room -= cell_len(cut[i])
    return "+".join(cut)


def _start(text: str, width: int) -> str:
    """Return as much of a text's beginning as so many cells hold."""
    end = used = 0
    while end < len(text) and used + cell_len(text[end]) <= width:
        used += cell_len(text[end])
        end += 1
    return text[:end]


def wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    """Return a text as lines of at most `width` cells, broken between words; a word longer than a line has its own.

    Blanks between words that stay on a line are kept.

    Args:
        hanging: blanks before every line but the first, beyond those that the text begins with.
    """
    if cell_len(text) <= width:
        return [text]
    start = len(text) - len(text.lstrip(" "))
    words = [(gap, word) for gap, word in re.findall(r"( *)([^ ]+)", text)]
    return _lines(words, width, " " * start, " " * (start + hanging), "")


def quoted(word: str) -> str:
    r"""Return a word as a shell takes it; `$'...'` with what a terminal may not be shown as `\NNN`, byte by byte."""
    if shown(word) == word:
        return shlex.quote(word)
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    # octal digits, three at most: a hexadecimal digit behind `\xNN` would be taken for one of it
    escaped = "".join(c if shown(c) == c else "".join(f"\\{b:03o}" for b in _bytes(c)) for c in plain)
    return f"$'{escaped}'"


def _bytes(character: str) -> bytes:
    # bytes of a name that is no UTF-8 come as halves of pairs
    return character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")


def command_lines(command: Command, width: int, indent: int = 2) -> list[str]:
    """Return a command to copy: quoted for a shell, broken between its options with a backslash at the end of a line."""
    words = [(" ", " ".join(map(quoted, part))) for part in command]
    return _lines(words, width, " " * indent, " " * (indent + 4), " \\")


def _lines(words: Iterable[tuple[str, str]], width: int, first: str, later: str, end: str) -> list[str]:
    """Return words as lines. `words`: each with the blanks before it.  end: of a line that goes on."""
    lines: list[str] = []
    line, begun = first, False
    for gap, word in words:
        if begun and cell_len(line) + len(gap) + cell_len(word) + len(end) > width:
            lines.append(line + end)
            line, begun = later, False
        line += (gap if begun else "") + word
        begun = True
    return [*lines, line]
