"""README.md as tests read it: fenced blocks, the part between two markers, and what a reader would run, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PROGRAMS = "eci|make|pip|pipx|uv|python3?|bash|sh|dask|docker|kubectl|sbatch|curl|git"
COMMAND = re.compile(rf"^(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?(?:{PROGRAMS}) .*$")
CRONTAB = re.compile(r"^(?:[\d*/,-]+ +){5}(?P<command>\S.*)$")
UNIT = re.compile(r"^ExecStart=(?P<command>.*)$")


@dataclass(frozen=True)
class Step:
    """Something to run: a `command` (a shell line, with the exit code that the README shows) or a `python` block."""

    kind: str
    text: str
    code: int = 0


def text_of() -> str:
    return README.read_text(encoding="utf-8")


def blocks(language: str, text: str | None = None) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return [body for found, body in fenced(text) if found == language]


def fenced(text: str | None = None) -> list[tuple[str, str]]:
    """Return (language, body) of the fenced blocks, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of() if text is None else text, re.MULTILINE | re.DOTALL)
    return [(language, body.strip("\n")) for language, body in found]


def between(name: str, text: str | None = None) -> str | None:
    """Return what is between `<!-- name -->` and `<!-- /name -->`, or None where the markers are not there."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text_of() if text is None else text, re.DOTALL)
    return found.group(1).strip("\n") if found else None


def steps(text: str | None = None) -> list[Step]:
    """Return what the README has a reader run, in order.

    That is: lines of console blocks that begin with `$ `, lines of crontabs and systemd units, and Python blocks. A
    line `$ echo $?` gives the exit code of the line before.
    """
    found: list[Step] = []
    for language, body in fenced(text):
        if language == "python":
            found.append(Step("python", body))
        elif language == "console":
            found += _console(_joined(body))
        else:
            found += [Step("command", line["command"]) for raw in _joined(body) if (line := _scheduled(raw))]
    return found


def _console(lines: list[str]) -> Iterator[Step]:
    last: Step | None = None
    for i, line in enumerate(lines):
        if line == "$ echo $?" and last is not None:
            last = Step(last.kind, last.text, int(lines[i + 1]))
        elif line.startswith("$ "):
            if last is not None:
                yield last
            last = Step("command", line[2:])
    if last is not None:
        yield last


def _scheduled(line: str) -> re.Match[str] | None:
    return CRONTAB.match(line) or UNIT.match(line)


def _joined(body: str) -> list[str]:
    lines = body.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+", " ", line).strip() if line.startswith("$ ") else line.rstrip() for line in lines]


def command_lines(text: str | None = None) -> list[str]:
    """Return every line of a block, fenced or indented, that reads as a command, wherever it stands."""
    whole = text_of() if text is None else text
    shown = [line for language, body in fenced(whole) if language not in ("python", "sql") for line in _joined(body)]
    prose = re.sub(r"^```.*?^```$", "", whole, flags=re.MULTILINE | re.DOTALL)
    shown += [line.strip() for line in _joined(prose) if re.match(r"^ {4,}\S", line)]
    found = []
    for line in shown:
        if scheduled := _scheduled(line):
            found.append(scheduled["command"])
        elif COMMAND.match(line):
            found.append(line.removeprefix("$ "))
    return found


def inline_commands(text: str | None = None) -> list[str]:
    """Return the code spans in the text that begin with `eci ` or `make `."""
    whole = re.sub(r"^```.*?^```$", "", text_of() if text is None else text, flags=re.MULTILINE | re.DOTALL)
    return [span for span in re.findall(r"`([^`\n]+)`", whole) if re.match(r"(eci|make) ", span)]
