"""The main job's commands: run, plan, status, ingest, demo."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from jobs.commands.options import (
    INGEST_SETTINGS,
    Json,
    Out,
    Quiet,
    Values,
    Workers,
    add_command,
    config_of,
    filled,
    given_of,
    ingest_options,
    inputs_of,
    run_options,
)
from jobs.commands.publishing import published_line
from jobs.commands.showing import (
    echo_json,
    passed_line,
    perhaps_unread,
    print_ranking,
    progress_for,
    say,
    table_line,
    tell_named,
)
from jobs.errors import AttentionError, EciError

STRICT = "Exit with 3 when the top source changed or a rate jumped since the run before ([strict] in the settings)."

LOST = " in the sample: a run stops there unless it is given --allow-rejects."


def run(
    values: Values,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="One line of JSON for every finished task.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score every source of hard negatives and commit the result to OUT.

    Example: eci run --triples 'demo-out/lake/triples/*.parquet' --out demo-out
    """
    from jobs.pipeline.run import run as run_job

    config = config_of(values)
    started = time.monotonic()
    progress, close = progress_for(quiet or log_json)
    log = (lambda line: say(line, err=True)) if log_json else None
    try:
        result = run_job(config, progress, log)
    finally:
        close()
    with perhaps_unread():
        if json:
            from jobs.finished.result import ranking_of

            echo_json({**ranking_of(result.out, result.run_id), "out": result.out, "unchanged": result.unchanged})
        else:
            if result.unchanged:
                say("Nothing is new since the run below (same inputs, settings, encoder and version): it stands.")
            print_ranking(config.out, result.run_id, seconds=time.monotonic() - started)
    tell_named(result.named_after_files)
    if result.published is not None and not json:
        say(published_line(result.run_id, config.publish, result.published))
    if result.not_published:
        raise EciError(result.not_published)
    if strict and not result.unchanged:
        from jobs.decide.diff import attention

        found = attention(result.out, result.run_id, config.strict)
        if found:
            raise AttentionError(f"needs attention: {'; '.join(found)}")


def ingest(
    to: Annotated[str, typer.Option("--to", callback=filled, help="A new folder for the triples.")],
    values: Values,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn any format into the canonical triples as Parquet, with the rejected records beside them.

    Example: eci ingest --triples 'demo-out/lake/triples' --to canonical
    """
    from dataclasses import asdict

    from jobs.config import make_config
    from jobs.finished.text import NUMBERS, ranks_lines
    from jobs.ingest.canonical import FOLDER, ingest_to

    given = given_of(values)
    whole = {name: given.pop(name) for name in INGEST_SETTINGS if name in given}
    config = make_config({"inputs": inputs_of(given), "out": to, **whole}, "options", values.typed)
    progress, close = progress_for(quiet)
    try:
        done = ingest_to(config, progress)
    finally:
        close()
    tell_named(done.named_after_files)
    if json:
        echo_json(asdict(done))
        return
    if done.passed_over:
        say(passed_line(done.passed_over))
    say(*ranks_lines(done.ranks))
    for table in done.tables:
        say(table_line(table))
    for name, count in done.triples.items():
        say(f"{count:>12,} triples of {name or '(no source)'}")
    for reason, count in done.rejects.items():
        say(f"{count:>12,} rejected: {reason}")
    if done.ids_alone:
        say(
            f"{done.ids_alone:>12,} of the triples hold an id in place of a text ({NUMBERS}): give --corpus and --queries, here or to "
            "eci run"
        )
    rejected = f"; rejected records are in {to}/{FOLDER}" if done.rejects else "; no record was rejected"
    say(f"{done.files} file{'s' * (done.files != 1)} in {to}{rejected}")


def plan(values: Values, json: Json = False) -> None:
    """Say what a run would read, embed and write, and about how long it takes; touches nothing.

    Example: eci plan --triples 'demo-out/lake/triples/*.parquet' --out demo-out
    """
    from jobs.finished.text import loss_line, ranks_lines
    from jobs.planning.plan import make_plan, plan_lines

    plan = make_plan(config_of(values))
    tell_named(plan["named_after_files"])
    if json:
        echo_json(plan)
    else:
        say(*plan_lines(plan), *map(planned_table, plan["tables"]), hanging=11)
        say(*ranks_lines(plan["ranks"]), *(loss_line(loss) + LOST for loss in plan["losses"]))
        if plan["passed_over"]:
            say(passed_line(plan["passed_over"]))


def planned_table(table: dict[str, Any]) -> str:
    """Return what would be read of a table of a lake, as a line of a plan."""
    left = f", and not the other {table['files_left_out']:,}: --where excludes them" if table["files_left_out"] else ""
    return f"table      {table['table']} at version {table['version']}: {table['files']:,} of its files{left}"


def status(out: Out, json: Json = False) -> None:
    """Say how far an unfinished run of OUT is, from another terminal.

    Example: eci status --out demo-out
    """
    from jobs.pipeline.status import status_of
    from jobs.terminal.progress import unit_of

    found = status_of(out)
    if json:
        echo_json(found)
        return
    for state in found:
        rows = f", {state['rows_done']:,} of {state['rows']:,} {unit_of(state['stage'])}" if state["rows"] else ""
        rate = f" at {state['rows_per_second']:,.0f} a second" if state["rows_per_second"] else ""
        say(
            f"{state['run_id']}: {state['stage']}, {state['tasks_done']} of {state['tasks']} tasks{rows}{rate}; "
            f"last heard {state['time']}; {state['held_by'] or 'not running: the same eci run goes on from here'}"
        )
    if not found:
        say("No unfinished run.")


def demo(
    out: Annotated[str, typer.Option("--out", help="Where the lake and its tables go.")] = "demo-out",
    pairs: Annotated[int, typer.Option(min=100, help="Most pairs of query and positive to take.")] = 3000,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Build real triples from the documentation of the installed libraries, run everything, print the ranking.

    Example: eci demo --out demo-out
    """
    from jobs.demo.demo import run_demo

    started = time.monotonic()
    progress, close = progress_for(quiet)
    try:
        run_demo(out, pairs, workers or 0, progress, lambda line: None if quiet else say(line, err=True))
    finally:
        close()
    say(f"The lake is {out}/lake, the tables are in {out}.")
    print_ranking(out, None, seconds=time.monotonic() - started)


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    add_command(app, run, run_options)
    add_command(app, plan, run_options)
    add_command(app, ingest, ingest_options)
    app.command()(status)
    app.command()(demo)
