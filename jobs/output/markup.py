"""Text as HTML: the one place where a string of a user becomes part of a page."""

from __future__ import annotations

from html import escape


def esc(value: object) -> str:
    """Return a value as HTML text, quotes escaped too; control and direction characters become visible boxes."""
    text = "".join(c if c.isprintable() or c in "\n\t" else "\N{WHITE SQUARE}" for c in str(value))
    return escape(text, quote=True)
