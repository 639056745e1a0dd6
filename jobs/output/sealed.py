"""JSON and pages that carry their own hash: what was not written so is not believed.

The hash of JSON is over the rest in canonical form, so that it does not depend on how the JSON is laid out; that of a page
stands in a comment at its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

SEAL = "sha256"
HASHED = f"<!-- {SEAL} "


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the hash of itself."""
    plain = {key: item for key, item in value.items() if key != SEAL}
    return plain | {SEAL: _hash(json.loads(json.dumps(plain)))}


def unsealed(text: str, known: Collection[str] = ()) -> dict[str, Any]:
    """Return the object of a text that `sealed` made, without its hash.

    Args:
        known: what an object of an older version, which has no hash of itself, may hold; without it there is none.

    Raises:
        ValueError: it is no such object, or not what it was.
    """
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    seal = value.pop(SEAL, None)
    if seal is None and not (known and value.keys() <= {*known}):
        raise ValueError("it has no hash of itself")
    if seal is not None and seal != _hash(value):
        raise ValueError("it is not what its own hash says")
    return value


def _hash(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sealed_page(page: str) -> str:
    """Return an HTML page with the hash of itself behind it."""
    return f"{page}{HASHED}{hashlib.sha256(page.encode()).hexdigest()} -->\n"


def is_page_whole(data: bytes) -> bool:
    """Return whether a page is one that `sealed_page` made, or of an older version and has its end."""
    page, mark, seal = data.rpartition(HASHED.encode())
    if not mark:
        return data.endswith(b"</html>\n")
    return seal == f"{hashlib.sha256(page).hexdigest()} -->\n".encode()
