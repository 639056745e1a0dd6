"""Vega-Lite specifications as plain values: data, layers of marks with channels, charts side by side.

A few lines in place of Altair, which takes longer to load, to wrap and to copy what is written here than a small run takes
to score. What is drawn is checked by vl-convert, which refuses what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

Spec = dict[str, Any]
"""Values as Vega-Lite has them."""
_TYPES = {"N": "nominal", "O": "ordinal", "Q": "quantitative", "T": "temporal"}
_WITHOUT_TYPE = ("x2", "y2")
"""Channels that have the type of another one."""


def options(**values: Any) -> Spec:
    """Return options of an axis, a scale or a legend, by Vega-Lite's names."""
    return values


def channel(shorthand: str, **values: Any) -> Spec:
    """Return a channel that shows a field, `NAME:Q` with the letter of its type. `values`: its options."""
    name, _, kind = shorthand.rpartition(":")
    return {"field": name, "type": _TYPES[kind], **values}


def fixed(value: Any) -> Spec:
    """Return a channel of one value, in pixels where it is a place."""
    return {"value": value}


def datum(value: Any) -> Spec:
    """Return a channel of one value of the data."""
    return {"datum": value}


@dataclass(frozen=True)
class Layer:
    """Marks over rows of data: each call gives a new one, and leaves this as it was."""

    data: Spec
    encoding: Spec = field(default_factory=dict)
    kind: Spec | None = None

    def mark(self, type: str, **values: Any) -> Layer:
        """Return it with this kind of mark."""
        return replace(self, kind={"type": type, **values})

    def encode(self, **channels: Spec | str) -> Layer:
        """Return it with channels more; a string is a field without options."""
        more = {name: channel(one) if isinstance(one, str) else one for name, one in channels.items()}
        return replace(self, encoding={**self.encoding, **more})

    def spec(self) -> Spec:
        """Return it without its data."""
        without = {name: {k: v for k, v in self.encoding[name].items() if k != "type"} for name in _WITHOUT_TYPE
                   if name in self.encoding}  # fmt: skip
        return {"mark": self.kind, "encoding": dict(sorted({**self.encoding, **without}.items()))}


def layered(*layers: Layer, **values: Any) -> Spec:
    """Return a chart of layers, the first at the back. `values`: its width and height."""
    if all(layer.data is layers[0].data for layer in layers):
        return {"data": layers[0].data, "layer": [layer.spec() for layer in layers], **values}
    return {"layer": [{"data": layer.data, **layer.spec()} for layer in layers], **values}
