"""What people see of a ranking in a terminal: a table they can read, and its answer in one sentence."""

from __future__ import annotations

import math
import os
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from jobs.terminal.escape import shown

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 160
TAKEN_FOR_ONE = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which Rich takes a stream for a terminal that is none."""
TOO_FEW = "too few"


def make_console(stderr: bool = False, color: bool = True) -> Console:
    """Return a console; without colour, or where the stream is no terminal, plain text comes out."""
    from rich.console import Console

    console = Console(stderr=stderr, no_color=not color, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, no_color=not color, highlight=False, width=PLAIN_WIDTH)
    return console


def terminal_of(stderr: bool = False) -> Console | None:
    """Return the console of a stream that is a terminal, or that the user has Rich take for one; None of any other.

    Most commands end before Rich would be loaded.
    """
    stream = sys.stderr if stderr else sys.stdout
    if not stream.isatty() and not any(os.environ.get(name) for name in TAKEN_FOR_ONE):
        return None
    console = make_console(stderr)
    return console if console.is_terminal else None


def to_json(value: Any) -> str:
    """Return rows as JSON, one line a document that a terminal can show; NaN becomes null."""
    return shown(orjson.dumps(value, _plain, orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode())


def _plain(value: Any) -> Any:
    """Return what orjson has no form for as something that it has: bytes in hexadecimal digits, decimals digit by digit."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return value._asdict() if hasattr(value, "_asdict") else list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def number(value: float, top: float) -> str:
    """Return a value with as many decimals as give the largest value `top` four digits."""
    digits = 4 if not top > 0 else max(0, 3 - math.floor(math.log10(top)))
    return f"{value:.{digits}f}"


def interval(low: float, high: float, top: float) -> str:
    """Return an interval's ends as `number` does, or `too few` where there is none: it takes queries of two folds."""
    finite = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    return f"{number(low, top)} .. {number(high, top)}" if finite else TOO_FEW


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 file`, `2,000 files`; `many` where it is not the other with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 12 s, 3 min, 2.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size_in_words(value: float) -> str:
    """Return bytes as people say them: 812 bytes, 3.4 MB, 120 GB."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
