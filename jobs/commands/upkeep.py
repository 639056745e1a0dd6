"""`eci gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.commands.options import Json, Out
from jobs.commands.showing import echo_json
from jobs.errors import InputError


def gc(
    out: Out,
    keep_runs: Annotated[int | None, typer.Option(help="How many of the newest runs stay (default: all).")] = None,
    cache_days: Annotated[
        float | None, typer.Option(min=0, help="Remove cached vectors written longer ago than this.")
    ] = None,
    cache_size: Annotated[
        str | None, typer.Option(help="Most that the cache may hold, such as 20GB; the oldest go first.")
    ] = None,
    unused_encoders: Annotated[
        bool, typer.Option("--unused-encoders", help="Remove caches of encoders that no run names.")
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
    cleaned = clean(out, Rules(keep_runs, cache_days, size, unused_encoders, dry_run))
    if json:
        rows = [{"kind": item.kind, "path": item.path, "bytes": item.size} for item in cleaned.removed]
        echo_json({"removed": rows, "left": cleaned.left, "dry_run": dry_run})
        return
    verb = "would go" if dry_run else "removed"
    kinds = dict.fromkeys(item.kind for item in cleaned.removed)
    for kind in kinds:
        items = [item for item in cleaned.removed if item.kind == kind]
        typer.echo(f"{kind}: {len(items)} {verb}, {sum(item.size for item in items):,} bytes")
    if not kinds:
        typer.echo("Nothing to remove.")
    if cleaned.left:
        typer.echo(cleaned.left)


def register(app: typer.Typer) -> None:
    """Add this module's command to the application."""
    app.command()(gc)
