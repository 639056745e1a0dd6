"""Tables of a lake among the inputs: the version that is read is settled once, before anything else is looked at."""

from __future__ import annotations

from jobs.config import FILES, RunConfig
from jobs.formats.tables import pinned_table
from jobs.lakes.naming import named
from jobs.lakes.tables import used_of
from jobs.output.records import TableUsed

OF_INPUTS = ("qrels", "corpus", "queries")
"""The settings of an input that name files beside its triples."""


def pinned(config: RunConfig) -> RunConfig:
    """Return a configuration whose tables are named with their versions, and those of triples with what --where says.

    Again, it changes nothing. Raises InputError for a table that cannot be opened, and for --where without one.
    """
    inputs = []
    for item in config.inputs:
        changed: dict[str, object] = {"triples": tuple(pinned_table(p, item.where) for p in item.triples)}
        for name in OF_INPUTS:
            patterns = getattr(item, name)
            changed[name] = None if patterns is None else tuple(map(pinned_table, patterns))
        inputs.append(item.model_copy(update=changed))
    whole = {name: tuple(map(pinned_table, getattr(config, name))) for name in FILES}
    return config.model_copy(update={"inputs": tuple(inputs), **whole})


def tables_read(config: RunConfig) -> list[TableUsed]:
    """Return what is read of the tables of a pinned configuration, each once. Raises InputError."""
    patterns = [pattern for name in FILES for pattern in getattr(config, name)]
    for item in config.inputs:
        patterns += [pattern for name in ("triples", *OF_INPUTS) for pattern in getattr(item, name) or ()]
    return [used_of(pattern) for pattern in dict.fromkeys(patterns) if named(pattern) is not None]


def with_left_out(table: TableUsed, rows: dict[str, int]) -> TableUsed:
    """Return what is read of a table with the rows that --where has left out of the files that were read, by file."""
    ours = 0
    for path, count in rows.items():
        of = named(path)
        assert of is not None
        ours += count if (of.table, of.version, of.where) == (table["table"], table["version"], table["where"]) else 0
    known = table["rows_left_out"]
    return {**table, "rows_left_out": None if known is None else known + ours}
