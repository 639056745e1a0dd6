"""Documentation that is made from the code: columns of the tables, commands, a settings file with every option."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.config import Input, RunConfig
from jobs.errors import InputError
from jobs.tables import ABLATIONS, RUNS, TABLES

EXAMPLES: dict[str, str] = {
    "out": '"OUT"', "triples": '["lake/*.parquet"]', "temperature": "0.05", "source": '"dense"', "ranks": '"1:10"',
    "memory": '"8GB"', "scheduler": '"tcp://127.0.0.1:8786"', "cluster": '"dask_jobqueue.SLURMCluster"',
    "corpus": '["corpus.jsonl"]', "queries": '["queries.jsonl"]', "vectors": '["vectors/*.parquet"]',
    "qrels": '["qrels.tsv"]',
    "until_decided": "0.95",
    "sample_queries": "10_000",
}  # fmt: skip
TABLE_EXAMPLES = {
    "hybrids": ['"dense+llm" = ["dense", "llm"]'],
    "cluster_options": ['queue = "cpu"', "cores = 8", 'memory = "32GB"'],
}
HEADER = """\
# Settings of `eci run` and `eci plan`: every option, with its default. Lines that begin with # are not in force.
# Precedence: an option on the command line, then the environment (ECI_FOLDS, ECI_ENCODER, ...), then this file,
# then the default.
# Paths are files, folders, globs or URLs. No secrets here: credentials come from the environment or the machine's role.
"""


def columns_markdown() -> str:
    """Return the columns of every published table as Markdown: one heading and one table each."""
    parts = []
    for table in (*TABLES, ABLATIONS, RUNS):
        rows = [
            f"| `{c.name}` | {_arrow_name(c.type)} | {c.comment.replace('|', chr(92) + '|')} |" for c in table.columns
        ]
        head = (
            f"**`{table.name}`**: one row for each {table.grain}.\n\n| column | type | what it holds |\n|---|---|---|"
        )
        parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts)


def commands_markdown() -> str:
    """Return every command with its arguments and options as Markdown."""
    import typer

    from jobs.cli import app

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


def _arrow_name(kind: Any) -> str:
    """Return the name that SQL has for an Arrow type."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"{_arrow_name(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {_arrow_name(field.type)}' for field in kind)})"
    if pa.types.is_map(kind):
        return f"MAP({_arrow_name(kind.key_type)}, {_arrow_name(kind.item_type)})"
    names = {
        "string": "VARCHAR", "large_string": "VARCHAR", "double": "DOUBLE", "int32": "INTEGER", "int64": "BIGINT",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ", "extension<arrow.uuid>": "UUID",
    }  # fmt: skip
    return names[str(kind)]


def settings_toml() -> str:
    """Return a settings file with every option: what it means, what is allowed, its default."""
    plain, tables = [], []
    for name, field in RunConfig.model_fields.items():
        key = field.alias or name
        if name == "inputs":
            continue
        model = field.annotation
        if key in TABLE_EXAMPLES:
            tables.append(_table(key, field, [f"# {line}" for line in TABLE_EXAMPLES[key]], commented=True))
        elif isinstance(model, type) and issubclass(model, BaseModel):
            tables.append(_table(key, field, [_setting(k, f) for k, f in model.model_fields.items()], commented=False))
        else:
            plain.append(_setting(key, field))
    inputs = ["# What to score; repeat [[inputs]] for files of another format or source.", "[[inputs]]"]
    inputs += [_setting(name, field) for name, field in Input.model_fields.items()]
    return "\n\n".join([HEADER.rstrip(), *plain, *tables, "\n".join(inputs[:2]), *inputs[2:]]) + "\n"


def _table(key: str, field: FieldInfo, lines: list[str], commented: bool) -> str:
    head = f"# {field.description}\n{'# ' if commented else ''}[{key}]"
    return "\n".join([head, *lines])


def _setting(key: str, field: FieldInfo) -> str:
    allowed = _allowed(field)
    comment = f"# {field.description}{f' ({allowed})' if allowed else ''}"
    required = field.default is PydanticUndefined
    value = EXAMPLES[key] if key in EXAMPLES else _toml(field.default)
    return f"{comment}\n{'' if required else '# '}{key} = {value}"


def _allowed(field: FieldInfo) -> str:
    """Return what a setting may be: the choices, or the limits."""
    kind = field.annotation
    if typing.get_origin(kind) is typing.Literal:
        return "one of: " + ", ".join(str(choice) for choice in typing.get_args(kind))
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(item, sign):g}"
        for item in field.metadata
        for sign, word in signs.items()
        if hasattr(item, sign)
    ]
    origin = typing.get_origin(kind)
    listed = (
        ["a list"]
        if kind is not None and (origin is tuple or (origin is types.UnionType and tuple in typing.get_args(kind)))
        else []
    )
    return ", ".join(listed + limits)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)


def write_settings(path: str) -> None:
    """Write the settings file.

    Raises:
        InputError: something is there already, or the folder is not.
    """
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(settings_toml())
    except FileExistsError:
        raise InputError(f"{path} is there already; name another file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
