"""SQL over the published tables: the views of catalog.duckdb, and the connection of `eci sql`.

Both come from one list of statements. `eci sql` makes its views afresh, so that it follows LATEST even where OUT was
moved; it can read the files of OUT and nothing else, and its settings are locked.

The views of catalog.duckdb look for their files where OUT was when it was written, or below DuckDB's `file_search_path`
where that is set: so a catalog that was moved or copied with its root needs one SET and no other change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eci_sql.connection import connect
from eci_sql.udfs import register_information
from jobs.output import layout
from jobs.output.records import Manifest, value_of
from jobs.output.runs import committed, latest, layout_of, read_manifest
from jobs.output.store import Store
from jobs.output.tables import ABLATIONS, HISTORIES, ID_COLUMNS, RUNS, TABLES, TABLES_LAYOUT, Table, sql_type

if TYPE_CHECKING:
    import duckdb


def literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


# The names, types and literals that go into statements are this package's own, or quoted by `literal`.


def rows_of(files: str, table: Table, layout_of_run: int) -> str:
    """Return the SELECT of a table's rows with the columns' types of today.

    Args:
        files: SQL of a list of paths.  layout_of_run: of the run's tables (`runs.layout_of`).
    """
    ids = [column.name for column in table.columns if column.name in ID_COLUMNS] if layout_of_run < 2 else []
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


def views(store: Store) -> list[str]:
    """Return the SQL statements that make all views: the newest run's tables, and the history over all runs."""
    runs = committed(store)
    newest = latest(store)
    manifests = {run: read_manifest(store, run) for run in runs}
    statements = []
    for table in TABLES:
        files, comment = _paths([manifests[newest]], table), f"newest run: {table.grain}"
        statements += _view(store, table.name, table, files, comment, layout_of(manifests[newest]))
    for table in HISTORIES:
        files, comment = _paths(list(manifests.values()), table), f"all runs: {table.grain}"
        statements += _view(store, f"{table.name}_history", table, files, comment, TABLES_LAYOUT)
    perturbed = [layout.ablations_of(run) for run in runs if store.exists(layout.ablations_of(run))]
    if perturbed:
        comment = f"all runs that were perturbed: {ABLATIONS.grain}"
        statements += _view(store, "ablations", ABLATIONS, perturbed, comment, TABLES_LAYOUT)
    rows = ", ".join(f"({', '.join(_run_row(manifests[run]))})" for run in runs)
    names = ", ".join(column.name for column in RUNS.columns)
    statements.append(f"CREATE OR REPLACE VIEW runs AS SELECT * FROM (VALUES {rows}) AS t({names})")
    return statements + _comments(RUNS.name, RUNS, "all runs: one row for each")


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
    import duckdb

    with store.attempt(layout.CATALOG) as path:
        Path(path).unlink(missing_ok=True)
        with duckdb.connect(path) as con:
            if not store.local:
                con.register_filesystem(store.filesystem()[0])
            for statement in views(store):
                con.execute(statement)


def open_catalog(store: Store, memory: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open a connection for users' SQL: views and `eci_information`, files of OUT only, settings locked.

    Files of OUT may be written, too, as far as DuckDB is concerned: query_process.py is where nothing can be.

    Args:
        memory: bytes that DuckDB may use.  threads: its threads.

    Raises:
        InputError: there is no finished run.
    """
    statements = views(store)
    con = connect(memory, threads)
    register_information(con)
    if not store.local:
        con.register_filesystem(store.filesystem()[0])
    readable = ", ".join(literal(store.path(folder) + "/") for folder in (layout.RUNS, layout.ABLATIONS))
    con.execute(f"SET allowed_directories = [{readable}]")
    con.execute("SET enable_external_access = false")
    for statement in statements:
        con.execute(statement)
    con.execute("SET lock_configuration = true")
    return con
