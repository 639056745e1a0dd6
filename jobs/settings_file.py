"""Settings files: read, with paths that begin at their folder; and written, with every option, what it means and its default."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.addresses import beside, expanded, refuse_secrets
from jobs.config import FILES, INPUT_FILES, Input, RunConfig
from jobs.config_errors import allowed
from jobs.errors import InputError

EXAMPLES: dict[str, str] = {
    "out": '"OUT"', "triples": '["lake/*.parquet"]', "temperature": "0.05", "source": '"dense"', "ranks": '"1:10"',
    "memory": '"8GB"', "scheduler": '"tcp://127.0.0.1:8786"', "cluster": '"dask_jobqueue.SLURMCluster"',
    "corpus": '["corpus.jsonl"]', "queries": '["queries.jsonl"]', "vectors": '["vectors/*.parquet"]',
    "qrels": '["qrels.tsv"]', "columns": '{ positive = "answer", negative = "distractor" }',
    "until_decided": "0.95", "publish": '"delta:eci-tables"', "metrics": '"/var/lib/node_exporter/eci.prom"', "where": "\"source in ('bm25', 'llm')\"",
    "sample_queries": "10_000", "lineage": '"http://127.0.0.1:5000"',
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


def load_settings(path: str) -> dict[str, Any]:
    """Read a TOML settings file; relative paths in it begin at its folder.

    Raises:
        InputError: it cannot be read (with the line of a syntax error), or an address in it holds a secret.
    """
    try:
        found = tomllib.loads(Path(expanded(path)).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    refuse_secrets(found, path)
    _begin_at(found, os.path.dirname(expanded(path)))
    return found


def _begin_at(settings: dict[str, Any], folder: str) -> None:
    """Let relative paths begin at a folder. What is of a wrong type stays as it is, to be refused."""
    inputs = settings.get("inputs")
    listed = inputs if isinstance(inputs, list) else []
    tables = [(settings, ("out", "publish", "metrics", "lineage", *FILES))] + [
        (item, INPUT_FILES) for item in listed if isinstance(item, dict)
    ]
    for table, names in tables:
        for name in names:
            value = table.get(name)
            if isinstance(value, str) and value.strip():
                table[name] = beside(value, folder)
            elif isinstance(value, list):
                table[name] = [beside(item, folder) if isinstance(item, str) else item for item in value]
    encoder = settings.get("encoder")
    # a name is none of a folder, unless there is one beside the file
    if isinstance(encoder, str) and ("/" in encoder or os.path.isdir(os.path.join(folder, encoder))):
        settings["encoder"] = beside(encoder, folder)


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
