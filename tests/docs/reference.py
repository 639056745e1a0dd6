"""Documentation that is made from the code: the commands with their options, the columns of the published
tables, the work files.

`python -m tests.docs` (`make docs`) writes it between the markers of the READMEs; a test says when that is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer

from jobs.cli import app
from jobs.formats import FORMATS
from jobs.formats.unread import UNREAD
from jobs.output.tables import ABLATIONS, RUNS, TABLES, sql_type
from jobs.work.layout import WORK_FILES


def columns_markdown() -> str:
    """Return the columns of every published table as Markdown: one heading and one table each."""
    parts = []
    for table in (*TABLES, ABLATIONS, RUNS):
        rows = [f"| `{c.name}` | {sql_type(c.type)} | {c.comment.replace('|', chr(92) + '|')} |" for c in table.columns]
        head = (
            f"**`{table.name}`**: one row for each {table.grain}.\n\n| column | type | what it holds |\n|---|---|---|"
        )
        parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts)


def commands_markdown() -> str:
    """Return every command with its arguments and options as Markdown."""
    return "\n\n".join(_command(command, path) for path, command in leaves(typer.main.get_command(app), "eci"))


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, command) of a command line: itself where it takes options, and all commands below."""
    if command.params:
        yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, f"{path} {name}")


def _command(command: Any, path: str) -> str:
    said = " ".join((command.help or "").split("Example:")[0].split())
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        is_option = parameter.param_type_name == "option"
        name = ", ".join(parameter.opts) if is_option else parameter.name.upper()
        variable = f" (`{parameter.envvar}`)" if parameter.envvar else ""
        help_text = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}`{variable} | {help_text} |")
    return "\n".join([f"**`{path}`** {said}\n\n| option | meaning |\n|---|---|", *rows])


def work_files_markdown() -> str:
    """Return every work file as Markdown: its path below a run's work folder, what a batch is, who reads it."""
    rows = [
        f"| `{file.stage}/{'.'.join(part for part in ('NAME', file.kind, file.ending) if part)}` | {file.batch} | "
        f"{', '.join(file.readers)} |"
        for file in WORK_FILES
    ]
    return "\n".join(["| file of the stage's task NAME | a batch | read by |", "|---|---|---|", *rows])


def formats_markdown() -> str:
    """Return the formats of triples as Markdown: what their records hold, and what their sources are."""
    rows = [f"| `{name}` | {fmt.records} | {fmt.sources} |" for name, fmt in FORMATS.items()]
    return "\n".join(["| format | records | sources |", "|---|---|---|", *rows])


def unread_markdown() -> str:
    """Return what is not read as Markdown: what it is, and what to do with it."""
    rows = [f"| {kind.what} | {kind.advice} |" for kind in UNREAD]
    return "\n".join(["| not read | what to do |", "|---|---|", *rows])


GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "columns": ("jobs/output/README.md", columns_markdown),
    "commands": ("jobs/commands/README.md", commands_markdown),
    "work files": ("jobs/README.md", work_files_markdown),
    "formats": ("jobs/formats/README.md", formats_markdown),
    "unread": ("jobs/formats/README.md", unread_markdown),
}
"""Marker -> the README that holds it, and what stands between its two ends."""
