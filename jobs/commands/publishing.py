"""What brings a run to tables of a lake: publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from jobs.commands.options import Json, Out, RunId, filled
from jobs.commands.showing import echo_json, say


def publish(
    out: Out,
    run_id: RunId = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            callback=filled,
            help="delta: and a folder or URL, or iceberg:CATALOG/NAMESPACE (default: where the run was to go).",
        ),
    ] = None,
    scores: Annotated[
        bool | None, typer.Option("--scores/--no-scores", help="The table scores as well (default: as the run says).")
    ] = None,
    json: Json = False,
) -> None:
    """Append a run to Delta or Iceberg tables over all runs; what is there already stays as it is.

    Example: eci publish --to delta:eci-tables --out demo-out
    """
    from dataclasses import asdict

    from jobs.publishing.publish import publish as publish_run

    done = publish_run(out, to, run_id, scores)
    if json:
        echo_json(asdict(done))
    else:
        say(published_line(done.run_id, done.to, done.appended))


def published_line(run_id: str, to: str, appended: Mapping[str, int]) -> str:
    """Return what was published where, as a sentence."""
    told = ", ".join(f"{rows:,} row{'s' * (rows != 1)} of {table}" for table, rows in appended.items() if rows)
    if not told:
        return f"Run {run_id} is in {to} already; nothing was appended."
    return f"Published run {run_id} to {to}: {told}."


def register(app: typer.Typer) -> None:
    """Add this module's command to the application."""
    app.command()(publish)
