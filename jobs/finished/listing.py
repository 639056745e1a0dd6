"""The committed runs of an output root, for people who look for one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobs.errors import EciError
from jobs.output.records import Manifest
from jobs.output.root import require
from jobs.output.runs import committed, read_manifest
from jobs.output.store import Store
from jobs.terminal.console import size_in_words


def runs_of(out: str) -> list[dict[str, Any]]:
    """Return a row for each committed run, newest first.

    Returns:
        run_id, created_at, bytes (of its tables), scored (triples), queries and all_queries (the same where it is no
        sample), sampled, encoder; `problem` alone beside run_id where its manifest cannot be read, else None.

    Raises:
        InputError: OUT is not there, or no output root.
    """
    store = Store(out)
    require(store)
    return [_row(store, run_id) for run_id in reversed(committed(store))]


def _row(store: Store, run_id: str) -> dict[str, Any]:
    try:
        manifest = read_manifest(store, run_id)
        return {"run_id": run_id, **_said(manifest), "problem": None}
    except (EciError, KeyError, TypeError) as error:  # one that is damaged hides no other
        said = str(error) if isinstance(error, EciError) else f"its manifest has not what a run's has: {error}"
        return {"run_id": run_id, "problem": said}


def _said(manifest: Manifest) -> dict[str, Any]:
    sample = manifest["sample"]
    return {
        "created_at": manifest["created_at"],
        "bytes": sum(file["bytes"] for file in manifest["files"]),
        "scored": manifest["totals"]["scored"],
        "queries": sample["queries"],
        "all_queries": sample["all_queries"],
        "sampled": sample["queries"] < sample["all_queries"],
        "encoder": manifest["encoder"]["name"],
    }


def run_lines(rows: list[dict[str, Any]], out: str) -> list[str]:
    """Return the runs as text, a line each, and what they take together."""
    if not rows:
        return [f"{out} holds no finished run; eci status --out {out} says whether one has begun."]
    lines = [_line(row) for row in rows]
    whole = sum(row.get("bytes", 0) for row in rows)
    lines.append(
        f"{len(rows)} run{'s' * (len(rows) != 1)}, {size_in_words(whole)} of tables, newest first. "
        f"eci gc --keep-runs N --out {out} keeps the newest N."
    )
    return lines


def _line(row: dict[str, Any]) -> str:
    if row["problem"]:
        return f"{row['run_id']}  cannot be read: {row['problem']}"
    made = datetime.fromisoformat(row["created_at"]).strftime("%Y-%m-%d %H:%M UTC")
    part = f"sampled, {row['queries']:,} of {row['all_queries']:,} queries" if row["sampled"] else "whole"
    return f"{row['run_id']}  {made}  {size_in_words(row['bytes']):>8}  {row['scored']:>12,} triples  {part}, {row['encoder']}"
