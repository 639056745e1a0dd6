"""SQL over the published tables: the views of catalog.duckdb, and the connection of `eci sql`.

Both come from one list of statements. `eci sql` makes its views afresh, so that it follows LATEST even where OUT was
moved; it can read the files of OUT and nothing else, and its settings are locked.

The views of catalog.duckdb look for their files where OUT was when it was written, or below DuckDB's `file_search_path`
where that is set: so a catalog that was moved or copied with its root needs one SET and no other change.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import duckdb

from eci_sql.connection import connect
from eci_sql.udfs import register_information
from jobs.errors import DamagedError, notice, reason_of
from jobs.output import layout
from jobs.output.parquet import read_sealed
from jobs.output.records import Manifest, value_of
from jobs.output.runs import latest, layout_of, read_manifest, whole
from jobs.output.store import Store
from jobs.output.tables import ABLATIONS, HISTORIES, ID_COLUMNS, RUNS, TABLES, TABLES_LAYOUT, TEXT_IDS, Table, sql_type
from jobs.output.verified import check


def literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


# The names, types and literals that go into statements are this package's own, or quoted by `literal`.


def rows_of(files: str, table: Table, layout_of_run: int) -> str:
    """Return the SELECT of a table's rows with the columns' types of today.

    Args:
        files: SQL of a list of paths.  layout_of_run: of the run's tables (`runs.layout_of`).
    """
    ids = [column.name for column in table.columns if column.name in ID_COLUMNS] if layout_of_run < TEXT_IDS else []
    as_text = ", ".join(f"""replace("{name}"::VARCHAR, '-', '') AS "{name}\"""" for name in ids)
    replaced = f" REPLACE ({as_text})" if ids else ""
    return f"SELECT *{replaced} FROM read_parquet({files}, hive_partitioning = false, union_by_name = true)"


def listed(paths: list[str]) -> str:
    """Return the SQL of a list of paths."""
    return f"[{', '.join(map(literal, paths))}]"


def _below(store: Store, paths: list[str]) -> str:
    """Return the SQL of a list of paths that are given relative to the root."""
    base = f"CASE WHEN current_setting('file_search_path') = '' THEN {literal(store.path() + '/')} ELSE '' END"
    return f"list_transform({listed(paths)}, lambda path: {base} || path)"


def _view(store: Store, name: str, table: Table, files: list[str], comment: str, layout_of_run: int) -> list[str]:
    """Return the statements that make a view of some files, without rows where there is none."""
    # Files of older versions may lack a column that has been added since: it is null for their rows.
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    nothing = ", ".join(f'NULL::{sql_type(column.type)} AS "{column.name}"' for column in table.columns)
    rows = rows_of(_below(store, files), table, layout_of_run)
    found = f" UNION ALL BY NAME ({rows})" if files else ""
    statements = [f"CREATE OR REPLACE VIEW {name} AS SELECT {columns} FROM ((SELECT {nothing} WHERE false){found})"]
    return statements + _comments(name, table, comment)


def _comments(name: str, table: Table, comment: str) -> list[str]:
    return [f"COMMENT ON VIEW {name} IS {literal(comment)}"] + [
        f'COMMENT ON COLUMN {name}."{column.name}" IS {literal(column.comment)}' for column in table.columns
    ]


def views(store: Store) -> list[list[str]]:
    """Return the SQL statements that make each view: the newest run's tables, and the history over all runs.

    Files of the history and of ablations that are damaged are named and left out; those of the newest run are not checked.
    """
    newest = latest(store)
    manifests = whole(store)
    statements = []
    for table in TABLES:
        files, comment = _paths([manifests[newest]], table), f"newest run: {table.grain}"
        statements.append(_view(store, table.name, table, files, comment, layout_of(manifests[newest])))
    for table in HISTORIES:
        files, comment = _paths(_with_whole(store, manifests, table), table), f"all runs: {table.grain}"
        statements.append(_view(store, f"{table.name}_history", table, files, comment, TABLES_LAYOUT))
    perturbed = _ablations(store, manifests)
    if perturbed:
        comment = f"all runs that were perturbed: {ABLATIONS.grain}"
        statements.append(_view(store, "ablations", ABLATIONS, perturbed, comment, TABLES_LAYOUT))
    rows = ", ".join(f"({', '.join(_run_row(manifest))})" for manifest in manifests.values())
    names = ", ".join(column.name for column in RUNS.columns)
    made = f"CREATE OR REPLACE VIEW runs AS SELECT * FROM (VALUES {rows}) AS t({names})"
    return [*statements, [made, *_comments(RUNS.name, RUNS, "all runs: one row for each")]]


def _with_whole(store: Store, manifests: dict[str, Manifest], table: Table) -> list[Manifest]:
    """Return the runs whose files of a table are whole; the others are named: they keep nobody from the rest."""
    found = []
    for run_id, manifest in manifests.items():
        files = [file for file in manifest["files"] if file["table"] == table.name]
        try:
            check(store, layout.run_folder(run_id), files)
            found.append(manifest)
        except DamagedError as error:
            notice(f"run {run_id} is left out of {table.name}_history: {error}")
    return found


def _ablations(store: Store, runs: Iterable[str]) -> list[str]:
    found = []
    for path in filter(store.exists, map(layout.ablations_of, runs)):
        try:
            read_sealed(store, path)
            found.append(path)
        except DamagedError as error:
            notice(f"left out: {error}")
    return found


def _paths(manifests: list[Manifest], table: Table) -> list[str]:
    """Return the files of a table in some runs, relative to the root."""
    return [
        f"{layout.run_folder(manifest['run_id'])}/{file['path']}"
        for manifest in manifests
        for file in manifest["files"]
        if file["table"] == table.name
    ]


def _run_row(manifest: Manifest) -> list[str]:
    totals, stages = manifest["totals"], manifest["stages"]
    seconds = ", ".join(f"{literal(stage)}: {float(value['seconds'])}::DOUBLE" for stage, value in stages.items())
    counts = ("rows_in", "scored", "rejected", "duplicates", "texts", "texts_embedded", "cache_hits")
    return [
        literal(str(manifest["run_id"])),
        f"TIMESTAMPTZ {literal(str(manifest['created_at']))}",
        f"MAP {{{seconds}}}",
        *(f"{int(value_of(totals, name))}::BIGINT" for name in counts),
    ]


def write_catalog(store: Store) -> None:
    """Write OUT/catalog.duckdb: the views, in a file that replaces the old one by rename."""
    with store.attempt(layout.CATALOG) as path:
        Path(path).unlink(missing_ok=True)
        with duckdb.connect(path) as con:
            if not store.local:
                con.register_filesystem(store.filesystem()[0])
            for statements in views(store):
                try:
                    for statement in statements:
                        con.execute(statement)
                except duckdb.Error as error:  # the file of a table is damaged: who reads it here is told
                    notice(f"{layout.CATALOG} lacks a view: {reason_of(error)}; `eci verify` names what is damaged")


def open_catalog(store: Store, memory: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open a connection for users' SQL: views and `eci_information`, files of OUT only, settings locked.

    Files of OUT may be written, too, as far as DuckDB is concerned: query_process.py is where nothing can be.

    Args:
        memory: bytes that DuckDB may use.  threads: its threads.

    Raises:
        InputError: there is no finished run.  DamagedError: a file of the newest one cannot be opened.
    """
    statements = views(store)
    con = connect(memory, threads)
    register_information(con)
    if not store.local:
        con.register_filesystem(store.filesystem()[0])
    readable = ", ".join(literal(store.path(folder) + "/") for folder in (layout.RUNS, layout.ABLATIONS))
    con.execute(f"SET allowed_directories = [{readable}]")
    con.execute("SET enable_external_access = false")
    try:
        for statement in chain.from_iterable(statements):
            con.execute(statement)
    except duckdb.Error:
        check_tables(store, None)
        raise
    con.execute("SET lock_configuration = true")
    return con


def check_tables(store: Store, names: set[str] | None) -> None:
    """Check the files of some tables of the newest run (None: all), as DuckDB does not.

    Raises:
        InputError: there is no finished run.  DamagedError: a file is not what the manifest says, or not there.
    """
    manifest = read_manifest(store, latest(store))
    files = [file for file in manifest["files"] if names is None or file["table"] in names]
    check(store, layout.run_folder(manifest["run_id"]), files)


def tables_in(sql: str) -> set[str] | None:
    """Return the names of the tables that a statement looks at, None where that cannot be said. Reads no file."""
    with duckdb.connect(config={"enable_external_access": "false", "lock_configuration": "true"}) as con:
        try:
            return {name.lower() for name in con.get_table_names(sql)}
        except (duckdb.Error, RuntimeError):
            return None
