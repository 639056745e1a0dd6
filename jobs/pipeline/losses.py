"""Sources that lose most of their rows to rejects: they look like any other in a ranking, or are not in it at all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from jobs.errors import InputError
from jobs.finished.text import loss_line
from jobs.ingest.inputs import InputTask
from jobs.output import layout
from jobs.output.records import Loss
from jobs.work.files import read_unfinished
from jobs.work.job import Job
from jobs.work.summaries import Done, RowsRead

MOST = 0.5
"""The share of its rows beyond which what a source loses is said, and stops the run."""
TOLD = 5


def losses(done: Done, inputs: Sequence[InputTask]) -> list[Loss]:
    """Return the sources that have lost more than MOST of their rows so far, by name.

    Records that do not say their source count for what their file's source is called.
    """
    rows, lost = Counter[str](), dict[str, Counter[str]]()
    for summary in done.ingest.values():
        rows.update(summary["sources"])
    for read in (*done.ingest.values(), *done.settle.values()):
        for source, reasons in read["rejected_by_source"].items():
            if source:
                lost.setdefault(source, Counter()).update(reasons)
    for summary in done.ingest.values():
        rows.update({s: sum(r.values()) for s, r in summary["rejected_by_source"].items() if s})
    for name, (total, reasons) in _unnamed(done.ingest, inputs).items():
        rows[name] = rows[name] + sum(reasons.values()) if name in rows else total
        lost.setdefault(name, Counter()).update(reasons)
    without, scored = Counter[str](), Counter[str]()
    for score in done.score.values():
        without.update(score["rejected_by_source"])
        scored.update(score["by_source"])
    for source, count in without.items():
        lost.setdefault(source, Counter())["bad_vector"] += count
    return [
        {"source": name, "rows": rows[name], "lost": reasons.total(), "reasons": dict(sorted(reasons.items()))}
        for name, reasons in sorted(lost.items())
        # of a sample, the rows that were scored are those that count
        if reasons.total() > MOST * rows[name] or without[name] > MOST * (without[name] + scored[name])
    ]


def _unnamed(read: Mapping[str, RowsRead], inputs: Sequence[InputTask]) -> dict[str, tuple[int, Counter[str]]]:
    """Return, by what the files' source is called, their rows and the rejects that do not say their source."""
    total, found = Counter[str](), dict[str, Counter[str]]()
    for item in inputs:
        name = item.after_file.name if item.after_file is not None else item.path
        total[name] += read[item.name]["rows"]
        reasons = read[item.name]["rejected_by_source"].get("")
        if reasons:
            found.setdefault(name, Counter()).update(reasons)
    return {name: (total[name], reasons) for name, reasons in found.items()}


def refuse(job: Job, found: Sequence[Loss], rejects: str) -> InputError:
    """Return the error that stops a run for its losses, and keep its rejects in OUT. `rejects`: their file, as published."""
    store = job.store
    with (
        store.attempt(layout.REFUSED) as kept,
        store.open(f"{job.publish}/{rejects}") as source,
        open(kept, "wb") as file,
    ):
        shutil.copyfileobj(source, file)
    return InputError(
        f"{told(found)}{first_detail(job, rejects, found[0]['source'])}; all rejects are in {store.path(layout.REFUSED)}; to go on "
        "without these rows, give --allow-rejects"
    )


def stands_with(found: Sequence[Loss], run_id: str) -> InputError:
    """Return the error for a run that stands with losses which were allowed when it was made, and are not now."""
    return InputError(
        f"{told(found)}; run {run_id}, made with --allow-rejects, stands over the same input (eci rank shows it); to go on "
        "without these rows, give --allow-rejects again"
    )


def told(found: Sequence[Loss]) -> str:
    """Return what sources have lost, the first TOLD of them one by one."""
    more = f"; and {len(found) - TOLD} more" if found[TOLD:] else ""
    return "; ".join(map(loss_line, found[:TOLD])) + more


def first_detail(job: Job, rejects: str, source: str | None = None) -> str:
    """Return what was wrong with the first rejected row, of a source where there is one; nothing where there is none."""
    table = read_unfinished(job, rejects, columns=["file", "row", "source", "detail"])
    at = pc.index(table["source"], source).as_py() if source is not None else 0
    rows = table.slice(max(at, 0), 1).to_pylist()
    return f"; the first: {rows[0]['file']} row {rows[0]['row']}: {rows[0]['detail']}" if rows else ""
