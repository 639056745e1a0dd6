"""A settings file with every option: what it means, what is allowed, its default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.config import Input, RunConfig, allowed
from jobs.errors import InputError

EXAMPLES: dict[str, str] = {
    "out": '"OUT"', "triples": '["lake/*.parquet"]', "temperature": "0.05", "source": '"dense"', "ranks": '"1:10"',
    "memory": '"8GB"', "scheduler": '"tcp://127.0.0.1:8786"', "cluster": '"dask_jobqueue.SLURMCluster"',
    "corpus": '["corpus.jsonl"]', "queries": '["queries.jsonl"]', "vectors": '["vectors/*.parquet"]',
    "qrels": '["qrels.tsv"]', "columns": '{ positive = "answer", negative = "distractor" }',
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
# Paths are files, folders, globs or URLs; relative ones begin at the folder of this file.
# No secrets here: credentials come from the environment or the machine's role.
"""


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
    limits = allowed(field)
    comment = f"# {field.description}{f' ({limits})' if limits else ''}"
    required = field.default is PydanticUndefined
    value = EXAMPLES[key] if key in EXAMPLES else _toml(field.default)
    return f"{comment}\n{'' if required else '# '}{key} = {value}"


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
