"""The commands that show or explain: report, init, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Json, Out
from jobs.commands.showing import echo_json


def report(
    out: Out,
    run_id: Annotated[str | None, typer.Option("--run", help="A run's id (default: the newest).")] = None,
    to: Annotated[
        str | None, typer.Option(help="The file to write (default: report.html in the run's folder).")
    ] = None,
) -> None:
    """Write a run's report: one HTML file that needs no network.

    Example: eci report --out demo-out --to report.html
    """
    from jobs.reports.page import report as write

    typer.echo(write(out, run_id, to))


def init(
    path: Annotated[str, typer.Argument(help="The settings file to write; it must not be there yet.")] = "eci.toml",
) -> None:
    """Write a settings file with every option, its default and what it means.

    Example: eci init nightly.toml
    """
    from jobs.settings_file import write_settings

    write_settings(path)
    typer.echo(f"{path}: edit `out` and `triples`, then: eci run {path}")


def doctor(
    encoder: Annotated[
        str | None, typer.Option(envvar="ECI_ENCODER", help="An encoder's name, or the folder of its card.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", envvar="ECI_OUT", help="An output root to check for room.")
    ] = None,
    json: Json = False,
) -> None:
    """Check what is installed, the encoder (golden vectors), cores, memory and disk; exit code 3 if something is wrong.

    Example: eci doctor
    """
    from jobs.errors import AttentionError
    from jobs.planning.doctor import examine

    findings = examine(encoder, out)
    if json:
        echo_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.what:<12} {finding.found}")
            if finding.advice:
                typer.echo(f"     {'':<12} -> {finding.advice}")
    bad = [finding.what for finding in findings if not finding.ok]
    if bad:
        raise AttentionError(f"needs attention: {', '.join(bad)}")


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    for command in (report, init, doctor):
        app.command()(command)
