"""A triple on the page: its scores, its texts, the query's words marked in the others, and its ids."""

from __future__ import annotations

from typing import Any

from jobs.reports.html_parts import esc
from jobs.reports.names import marked, words_of

ROLES = ("query", "positive", "negative")


def texts(triple: dict[str, Any], roles: tuple[str, ...] = ROLES) -> str:
    """Return a triple's texts as a list of definitions; words of the query are marked in the others."""
    words = words_of(triple["query"])
    return "".join(
        f'<dt>{role}</dt><dd dir="auto">{esc(triple[role]) if role == "query" else marked(triple[role], words)}</dd>'
        for role in roles
    )


def scores(triple: dict[str, Any]) -> str:
    """Return a triple's scores as pieces of a line."""
    overlap = "" if triple["lexical_overlap"] is None else f"<span>overlap {triple['lexical_overlap']:.2f}</span>"
    return (
        f"<span>weight <b>{triple['weight']:+.4f}</b></span><span>s_pos {triple['s_pos']:.3f}</span>"
        f"<span>s_neg {triple['s_neg']:.3f}</span><span>margin {triple['s_pos'] - triple['s_neg']:+.3f}</span>{overlap}"
    )


def ids(triple: dict[str, Any]) -> str:
    """Return a triple's ids: the run's, and the user's own where there are some."""
    own = [triple[f"{role}_user_id"] for role in ROLES]
    given = f"; your ids: {', '.join(esc(i) if i else '–' for i in own)}" if any(own) else ""
    return f'<p class="ids">triple_id {esc(triple["triple_id"])}{given}</p>'


def article(triple: dict[str, Any]) -> str:
    """Return a triple as a box."""
    return f'<article class="triple"><p>{scores(triple)}</p><dl>{texts(triple)}</dl>{ids(triple)}</article>'
