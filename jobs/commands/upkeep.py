"""What keeps house: init, doctor, gc, verify."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Json, Out, filled_here
from jobs.commands.showing import echo_json, perhaps_unread, say
from jobs.errors import AttentionError, EciError, InputError


def gc(
    out: Out,
    keep_runs: Annotated[int | None, typer.Option(help="How many of the newest runs stay (default: all).")] = None,
    cache_days: Annotated[
        float | None, typer.Option(min=0, help="Remove from the cache what was written longer ago than this.")
    ] = None,
    cache_size: Annotated[
        str | None, typer.Option(help="Most that the cache may hold, such as 20GB; the oldest go first.")
    ] = None,
    unused_encoders: Annotated[
        bool, typer.Option("--unused-encoders", help="Remove caches of encoders that no run names.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Remove the old runs from the tables that they were published to, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove unfinished work and stray files, and what the options name: old runs, old or surplus cache.

    Example: eci gc --out demo-out --keep-runs 30 --cache-size 20GB
    """
    from jobs.machine import parse_bytes
    from jobs.output.cleaning import Rules, clean

    try:
        size = parse_bytes(cache_size) if cache_size else None
    except ValueError as error:
        raise InputError(f"--cache-size: {error}") from None
    expired = _expired(out, keep_runs, dry_run) if published else {}
    cleaned = clean(out, Rules(keep_runs, cache_days, size, unused_encoders, dry_run))
    if json:
        rows = [{"kind": item.kind, "path": item.path, "bytes": item.size} for item in cleaned.removed]
        told = {"left": cleaned.left, "others": cleaned.others, "dry_run": dry_run, "expired": expired}
        echo_json({"removed": rows, **told})
        return
    verb = "would go" if dry_run else "removed"
    kinds = dict.fromkeys(item.kind for item in cleaned.removed)
    for kind in kinds:
        items = [item for item in cleaned.removed if item.kind == kind]
        say(f"{kind}: {len(items)} {verb}, {sum(item.size for item in items):,} bytes")
        for item in items if kind not in MANY else ():
            say(f"    {item.path}")
    for to, tables in expired.items():
        say(
            f"{to}: the old runs {'would go' if dry_run else 'went'} from {', '.join(tables) or 'no table, for none has them'}"
        )
    if not kinds:
        say("Nothing to remove.")
    if cleaned.left:
        say(cleaned.left)
    if cleaned.others:
        say(f"left alone, as eci cannot have made it: {', '.join(cleaned.others)}")


def _expired(out: str, keep_runs: int | None, dry_run: bool) -> dict[str, list[str]]:
    """Remove the runs that will go from the tables that they were published to, before they go: else nothing would name these."""
    from jobs.output.cleaning import Rules, clean
    from jobs.publishing.publish import expire

    planned = clean(out, Rules(keep_runs, None, None, False, True)).removed
    doomed = [item.path.rpartition("/")[2] for item in planned if item.kind == "run"]
    return expire(out, doomed, dry_run)


def verify(
    out: Out,
    run_id: Annotated[
        str | None,
        typer.Option("--run", help="A run's id, or its beginning (default: all runs, and what lies beside them)."),
    ] = None,
    json: Json = False,
) -> None:
    """Read everything that OUT holds and name what is damaged or missing; exit code 1 if anything is.

    Example: eci verify --out demo-out
    """
    from jobs.finished.verification import verify as read_all

    found = read_all(out, run_id)
    with perhaps_unread():
        if json:
            faults = [{"path": fault.path, "what": fault.what} for fault in found.faults]
            echo_json({"runs": found.runs, "files": found.files, "faults": faults, "others": found.others})
        else:
            say(*(f"{fault.path}: {fault.what}" for fault in found.faults))
            say(*(f"{path}: no committed run; left alone" for path in found.others))
            if not found.faults:
                say(f"All is as it was written: {found.files:,} files of {found.runs:,} run{'s' * (found.runs != 1)}.")
    if found.faults:
        raise EciError(f"{len(found.faults):,} of {found.files:,} files are damaged or missing")


MANY = ("cache file", "input as it was read", "attempt")  # counted only


def init(
    path: Annotated[
        str, typer.Argument(callback=filled_here, help="The settings file to write; it must not be there yet.")
    ] = "eci.toml",
) -> None:
    """Write a settings file with every option, its default and what it means.

    Example: eci init nightly.toml
    """
    from jobs.settings_file import write_settings

    write_settings(path)
    say(f"{path}: edit `out` and `triples`, then: eci run {path}")


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
    from jobs.planning.doctor import examine

    findings = examine(encoder, out)
    with perhaps_unread():
        if json:
            echo_json([vars(finding) for finding in findings])
        else:
            for finding in findings:
                say(f"{'ok ' if finding.ok else 'BAD'}  {finding.what:<12} {finding.found}")
                if finding.advice:
                    say(f"     {'':<12} -> {finding.advice}")
    bad = [finding.what for finding in findings if not finding.ok]
    if bad:
        raise AttentionError(f"needs attention: {', '.join(bad)}")


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    for command in (init, doctor, gc, verify):
        app.command()(command)
