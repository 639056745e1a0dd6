"""Documentation that is made from the code: the commands with their options, the columns of the published tables.

`python -m tests.docs` (`make docs`) writes it between the markers of the READMEs; a test says when that is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import typer

from jobs.cli import app
from jobs.tables import ABLATIONS, RUNS, TABLES


def columns_markdown() -> str:
    """Return the columns of every published table as Markdown: one heading and one table each."""
    parts = []
    for table in (*TABLES, ABLATIONS, RUNS):
        rows = [
            f"| `{c.name}` | {arrow_name(c.type)} | {c.comment.replace('|', chr(92) + '|')} |" for c in table.columns
        ]
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


def arrow_name(kind: pa.DataType) -> str:
    """Return the name that SQL has for an Arrow type."""
    if pa.types.is_list(kind):
        return f"{arrow_name(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {arrow_name(field.type)}' for field in kind)})"
    if pa.types.is_map(kind):
        return f"MAP({arrow_name(kind.key_type)}, {arrow_name(kind.item_type)})"
    names = {
        "string": "VARCHAR", "large_string": "VARCHAR", "double": "DOUBLE", "int32": "INTEGER", "int64": "BIGINT",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ", "extension<arrow.uuid>": "UUID",
    }  # fmt: skip
    return names[str(kind)]


GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "columns": ("jobs/output/README.md", columns_markdown),
    "commands": ("jobs/commands/README.md", commands_markdown),
}
"""Marker -> the README that holds it, and what stands between its two ends."""
