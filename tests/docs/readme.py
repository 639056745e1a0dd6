"""The documentation as tests read it: README.md, and the README.md of every folder of the code.

Of each: fenced blocks, the part between two markers, links and what they lead to, and what a reader would run, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
FOLDERS = ("jobs", "eci_sql", "onnx_models", "tests")
PROGRAMS = "eci|make|pip|pipx|uv|python3?|bash|sh|dask|docker|kubectl|sbatch|curl|git"
COMMAND = re.compile(rf"^(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?(?:{PROGRAMS}) .*$")
CRONTAB = re.compile(r"^(?:[\d*/,-]+ +){5}(?P<command>\S.*)$")
UNIT = re.compile(r"^ExecStart=(?P<command>.*)$")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Something to run: a `command` (a shell line, with the exit code that the README shows) or a `python` block."""

    kind: str
    text: str
    code: int = 0


@dataclass(frozen=True)
class Readme:
    """One README.md: its path, and its text."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path below the repository, such as jobs/output/README.md."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def fenced(self) -> list[tuple[str, str]]:
        """(language, body) of the fenced blocks, in order."""
        return [(language, body.strip("\n")) for language, body in FENCED.findall(self.text)]

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCED.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """Return the fenced blocks of a language, in order."""
        return [body for found, body in self.fenced if found == language]

    def between(self, name: str) -> str | None:
        """Return what is between `<!-- name -->` and `<!-- /name -->`, or None where the markers are not there."""
        found = _part(name).search(self.text)
        return found["part"].strip("\n") if found else None

    def filled(self, name: str, part: str) -> str:
        """Return the text with another part between the markers."""
        return _part(name).sub(lambda found: f"{found['head']}{part}\n{found['tail']}", self.text)

    @cached_property
    def steps(self) -> list[Step]:
        """What the README has a reader run, in order.

        That is: lines of console blocks that begin with `$ `, lines of crontabs and systemd units, and Python blocks. A
        line `$ echo $?` gives the exit code of the line before.
        """
        found: list[Step] = []
        for language, body in self.fenced:
            if language == "python":
                found.append(Step("python", body))
            elif language == "console":
                found += _console(_joined(body))
            else:
                found += [Step("command", line["command"]) for raw in _joined(body) if (line := _scheduled(raw))]
        return found

    def command_lines(self) -> list[str]:
        """Return every line of a block, fenced or indented, that reads as a command, wherever it stands."""
        shown = [line for language, body in self.fenced if language not in ("python", "sql") for line in _joined(body)]
        shown += [line.strip() for line in _joined(self.prose) if re.match(r"^ {4,}\S", line)]
        found = []
        for line in shown:
            if scheduled := _scheduled(line):
                found.append(scheduled["command"])
            elif COMMAND.match(line):
                found.append(line.removeprefix("$ "))
        return found

    def inline_commands(self) -> list[str]:
        """Return the code spans in the text that begin with `eci ` or `make `."""
        return [span for span in re.findall(r"`([^`\n]+)`", self.prose) if re.match(r"(eci|make) ", span)]

    @cached_property
    def anchors(self) -> set[str]:
        """The names that its headings have as targets of links, as GitHub makes them."""
        found: dict[str, int] = {}
        names = set()
        for title in re.findall(r"^#{1,6} +(.*?) *$", self.prose, re.MULTILINE):
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            before = found.get(slug, 0)
            names.add(f"{slug}-{before}" if before else slug)
            found[slug] = before + 1
        return names

    def links(self) -> list[str]:
        """Return the targets of its links and pictures that are not addresses of the web."""
        spoken = re.sub(r"`[^`\n]*`", "", self.prose)
        targets = re.findall(r"\]\(([^)\s]+)\)", spoken)
        return [target for target in targets if not re.match(r"[a-z]+:", target)]

    def where(self, link: str) -> tuple[Path, str]:
        """Return the path that a relative link leads to, and the heading's name behind the `#` ("" for none)."""
        target, _, anchor = link.partition("#")
        return (self.path.parent / unquote(target)).resolve() if target else self.path, anchor


def read(path: Path) -> Readme:
    return Readme(path, path.read_text(encoding="utf-8"))


def of_text(text: str) -> Readme:
    """Return a text as if it were README.md."""
    return Readme(ROOT / "README.md", text)


def _all() -> list[Readme]:
    below = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("README.md"))]
    return [read(path) for path in (ROOT / "README.md", *below)]


READMES = _all()
README = READMES[0]


def named(name: str) -> Readme:
    """Return a README by its path below the repository."""
    return next(readme for readme in READMES if readme.name == name)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language of all READMEs, in order."""
    return [body for readme in READMES for body in readme.blocks(language)]


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<head><!-- {name} -->\n)(?P<part>.*?)(?P<tail><!-- /{name} -->)", re.DOTALL)


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
