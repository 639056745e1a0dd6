"""The commands that read finished runs: rank, sql, report, runs, diff."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobs.commands.options import (
    Json,
    Out,
    RunId,
    bytes_of,
    filled,
)
from jobs.commands.showing import echo_json, print_ranking, say

ROWS = "table, tsv, csv, json or parquet (default: table on a terminal, else tsv)."


def report(
    out: Out,
    run_id: RunId = None,
    to: Annotated[
        str | None, typer.Option(callback=filled, help="The file to write (default: report.html in the run's folder).")
    ] = None,
) -> None:
    """Write a run's report: one HTML file that needs no network.

    Example: eci report --out demo-out --to report.html
    """
    from jobs.reports.page import report as write

    say(write(out, run_id, to))


def rank(
    out: Out,
    run_id: RunId = None,
    by: Annotated[str, typer.Option(help="The order: probe (by ECI where there is none) or eci.")] = "probe",
    json: Json = False,
) -> None:
    """Print the ranking with its intervals, and what follows from it.

    Example: eci rank --out demo-out
    """
    if json:
        from jobs.finished.result import ranking_of

        echo_json(ranking_of(out, run_id))
    else:
        print_ranking(out, run_id, by)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views; `SHOW TABLES` lists them.")],
    out: Out,
    format: Annotated[str | None, typer.Option(help=ROWS)] = None,
    output: Annotated[
        str | None, typer.Option(callback=filled, help="The file to write, for tsv, csv, json or parquet.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds after which it is ended.")] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory that the query may take, such as 2GB (default: a quarter of what there is)."),
    ] = None,
    json: Json = False,
) -> None:
    """Run read-only SQL over the tables of OUT, in a process that cannot write.

    Example: eci sql "SELECT source, eci, purity FROM source_eci ORDER BY rank" --out demo-out
    """
    from jobs.commands.rows import write_rows
    from jobs.output.query import query as run_query
    from jobs.output.store import Store

    rows = run_query(Store(out), query, bytes_of(memory) or None, timeout)
    write_rows(rows, "json" if json else format, sys.stdout, output)


def runs(out: Out, json: Json = False) -> None:
    """List the finished runs, newest first: when, how large, of all queries or a sample.

    Example: eci runs --out demo-out
    """
    from jobs.finished.listing import run_lines, runs_of

    rows = runs_of(out)
    if json:
        echo_json(rows)
        return
    for line in run_lines(rows, out):
        say(line)


def diff(
    out: Out,
    run_a: Annotated[str | None, typer.Argument(help="The run before (default: the one before the newest).")] = None,
    run_b: Annotated[str | None, typer.Argument(help="The run after (default: the newest).")] = None,
    json: Json = False,
) -> None:
    """Compare two runs, by default the last two: what moved beyond its interval, and what changed in settings and inputs.

    Example: eci diff 20261123T010000Z-1f2e3d 20261124T010000Z-4c5b6a --out OUT
    """
    from jobs.decide.diff import diff as compare
    from jobs.decide.diff import diff_lines

    found = compare(out, run_a, run_b)
    if json:
        echo_json(found)
        return
    for line in diff_lines(found):
        say(line)


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    for command in (rank, sql, report, runs, diff):
        app.command()(command)
