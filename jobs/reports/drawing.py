"""A chart as static SVG that takes its colours and its font from the page: made by vl-convert, without a browser or a network.

What a reader of the page has no use for is taken out of the tags; texts are left as they are.
"""

from __future__ import annotations

import re
from typing import Any

import vl_convert

ACCENT, TIED, REST, WARN, INK, MUTED, GRID = (
    f"var(--{name})" for name in ("accent", "tied", "rest", "warn", "ink", "muted", "grid")
)
TAG = re.compile(r'<([a-zA-Z]+)((?:\s[\w:-]+="[^"]*")*)\s*(/?)>')
ATTRIBUTE = re.compile(r'\s([\w:-]+)="([^"]*)"')
EMPTY = re.compile(r"<path/>|<g></g>")
DROPPED = frozenset({
    "role", "aria-roledescription", "aria-hidden", "pointer-events", "font-family", "xmlns:xlink", "version", "xmlns",
    "stroke-miterlimit",
})  # fmt: skip
LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?|-?\d+e-\d+")
LOCAL = re.compile(r"\bclip\d+\b")
TEXT = 12
"""Pixels of a chart's smallest text."""
_AXIS = {
    "labelColor": INK, "titleColor": MUTED, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID,
    "labelFontSize": TEXT, "titleFontSize": TEXT, "titleFontWeight": 400, "titlePadding": 8,
}  # fmt: skip
_LEGEND = {
    "labelColor": INK,
    "labelFontSize": TEXT,
    "symbolSize": 90,
    "symbolStrokeWidth": 2,
    "columnPadding": 44,
}
CONFIG: dict[str, Any] = {
    "aria": False, "mark": {"aria": False}, "background": None, "padding": 2, "view": {"stroke": None}, "axis": _AXIS, "legend": _LEGEND,
    "text": {"fontSize": TEXT, "color": INK},
}  # fmt: skip


def svg(spec: dict[str, Any], name: str) -> str:
    """Return a Vega-Lite specification as an SVG element. `name`: of the chart, for ids that are the page's own."""
    made = vl_convert.vegalite_to_svg(spec, config=CONFIG, allowed_base_urls=[])
    return _compact(TAG.sub(lambda found: _tag(found, name), made))


def _compact(made: str) -> str:
    before = ""
    while before != made:
        before, made = made, EMPTY.sub("", made)
    return made


def _tag(found: re.Match[str], name: str) -> str:
    """Return a tag without what only Vega looks at; a mark's description becomes `data-tip`, which page.js shows."""
    kind, given, closed = found.groups()
    kept = []
    invisible = False
    for key, value in ATTRIBUTE.findall(given):
        if key in DROPPED or (key == "opacity" and value == "1") or (key, value) == ("transform", "translate(0,0)"):
            continue
        if key == "class":
            invisible = value in ("background", "foreground")
            if value != "marks":
                continue
        if key == "aria-label":
            if kind == "g":
                continue
            kept.append(f' data-tip="{value}"')
            continue
        value = LOCAL.sub(lambda clip: f"{name}-{clip[0]}", LONG.sub(_rounded, value))
        kept.append(f' {key}="{value}"')
    if invisible and kind == "path":
        return "<path/>"
    return f"<{kind}{''.join(kept)}{closed}>"


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
