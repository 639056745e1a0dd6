"""A run in progress, as other terminals see it: OUT/work/<key>/status.json, and one JSON line a task for logs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from jobs.errors import InputError
from jobs.output import layout
from jobs.output.lock import holder
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.terminal.progress import Progress

EVERY_SECONDS = 1.0


class Recorded:
    """A progress that also keeps the status file up to date, and hands every finished task to `log`.

    Passes everything on to `inner`.
    """

    def __init__(self, inner: Progress, store: Store, folder: str, log: Callable[[str], None] | None = None) -> None:
        self._inner, self._store, self._path, self._log = inner, store, layout.status_in(folder), log
        self._states: dict[str, dict[str, Any]] = {}
        self._started: dict[str, float] = {}
        self._written = 0.0

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See Progress."""
        self._inner.expect(seconds)

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """See Progress."""
        self._inner.start(stage, tasks, done, rows)
        self._started[stage] = time.monotonic()
        self._states[stage] = {"stage": stage, "tasks": tasks, "tasks_done": done, "rows": rows, "rows_done": 0}
        self._write(force=True)

    def advance(self, stage: str, rows: int) -> None:
        """See Progress."""
        self._inner.advance(stage, rows)
        if stage in self._states:
            self._states[stage]["rows_done"] += rows
            self._write()

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """See Progress."""
        self._inner.finished(stage, name, summary)
        self._states[stage]["tasks_done"] += 1
        self._write()
        if self._log is not None:
            plain = {key: value for key, value in (summary or {}).items() if isinstance(value, (int, float, str))}
            self._log(json.dumps({"time": _now(), "stage": stage, "task": name, **plain}))

    def end(self, stage: str) -> None:
        """See Progress."""
        self._inner.end(stage)
        self._write(force=True)
        del self._states[stage]

    def _write(self, force: bool = False) -> None:
        """Tell of the stage that was begun first, of those that are running."""
        states = list(self._states.values())
        if states and (force or time.monotonic() - self._written >= EVERY_SECONDS):
            self._written = time.monotonic()
            seconds = self._written - self._started[states[0]["stage"]]
            told = states[0] | {"stage_seconds": round(seconds, 1), "time": _now()}
            self._store.write_text(self._path, json.dumps(sealed(told)), durable=False)


def status_of(out: str) -> list[dict[str, Any]]:
    """Return what is known of every unfinished run in OUT: run_id, whether it is running and by whom, its stage.

    Raises:
        InputError: OUT is not there.
    """
    store = Store(out)
    if not store.exists(""):
        raise InputError(f"{store.path()}: nothing is there")
    who = holder(store)
    found = []
    for name in store.names(layout.WORK):
        try:
            run_id = unsealed(store.read_text(layout.state_in(layout.work_folder(name))))["run_id"]
            state = unsealed(store.read_text(layout.status_in(layout.work_folder(name))))
        except (OSError, ValueError, KeyError):
            continue
        found.append({"run_id": run_id, "held_by": who, **state, "rows_per_second": _rate(state)})
    return found


def _rate(state: dict[str, Any]) -> float | None:
    return (
        round(state["rows_done"] / state["stage_seconds"], 1) if state["stage_seconds"] and state["rows_done"] else None
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
