"""README.md as tests read it: fenced blocks, the part between two markers, and the commands of its console blocks."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def text_of() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str, text: str | None = None) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", text_of() if text is None else text, re.MULTILINE | re.DOTALL)
    return [block.strip("\n") for block in found]


def between(name: str, text: str | None = None) -> str | None:
    """Return what is between `<!-- name -->` and `<!-- /name -->`, or None where the markers are not there."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text_of() if text is None else text, re.DOTALL)
    return found.group(1).strip("\n") if found else None


def commands(text: str | None = None) -> list[str]:
    """Return the command lines of the console blocks (lines that begin with `$ `), continued lines joined."""
    lines = []
    for block in blocks("console", text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                lines.append(re.sub(r"\s+", " ", line[2:]).strip())
    return lines
