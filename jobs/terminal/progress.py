"""Progress for people: stage, done of total, rows per second, time left; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


@contextmanager
def timed(step: str, seconds: dict[str, float], report: Callable[[str], None] | None = None) -> Iterator[None]:
    """Put the wall time of a block into `seconds`, and give a line about it to `report`."""
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
    if report is not None:
        report(f"{step}: {seconds[step]:.1f} s")


class Progress(Protocol):
    """What the driver tells of a run. Rows are texts or triples, whatever the stage counts."""

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """Begin a stage of `tasks` tasks, `done` of them finished by an earlier attempt."""

    def advance(self, stage: str, rows: int) -> None:
        """Count rows done since the last call."""

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """Count a task."""

    def end(self, stage: str) -> None:
        """End a stage."""


class Silent:
    """No progress: what the Python interface uses."""

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """Say nothing."""

    def advance(self, stage: str, rows: int) -> None:
        """Say nothing."""

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """Say nothing."""

    def end(self, stage: str) -> None:
        """Say nothing."""


@dataclass
class _Stage:
    started: float
    tasks: int
    done: int
    rows: int | None
    rows_done: int = 0
    at_start: int = field(default=0)

    def line(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-3)
        text = f"{self.done}/{self.tasks} tasks"
        share = (self.done - self.at_start) / max(self.tasks - self.at_start, 1)
        if self.rows:
            share = min(self.rows_done / self.rows, 1.0)
            text = f"{self.rows_done:,}/{self.rows:,} rows, {self.rows_done / seconds:,.0f} rows/s"
        left = seconds * (1 - share) / share if 0 < share < 1 else 0
        return text + (f", {left:,.0f} s left" if left >= 1 else f", {seconds:.1f} s")


class Lines:
    """Plain lines to a stream: one when a stage ends, and one every `every` seconds within."""

    def __init__(self, write: Any, every: float = 10.0) -> None:
        self._write, self._every, self._last = write, every, time.monotonic()
        self._stages: dict[str, _Stage] = {}

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """See Progress."""
        self._stages[stage] = _Stage(time.monotonic(), tasks, done, rows, at_start=done)

    def advance(self, stage: str, rows: int) -> None:
        """See Progress."""
        if stage in self._stages:
            self._stages[stage].rows_done += rows
            self._tick(stage)

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """See Progress."""
        self._stages[stage].done += 1
        self._tick(stage)

    def _tick(self, stage: str) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._write(f"  {stage:<12} {self._stages[stage].line()}")

    def end(self, stage: str) -> None:
        """See Progress."""
        state = self._stages.pop(stage)
        seconds = time.monotonic() - state.started
        kept = f", {state.at_start} of them kept from before" if state.at_start else ""
        self._write(f"  {stage:<12} {state.tasks} task{'s' * (state.tasks != 1)}{kept} in {seconds:.1f} s")


class Bars:
    """A live line for the current stage on a terminal, by rich."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._console = console
        self._rich = RichProgress(
            TextColumn("  {task.description:<12}"),
            BarColumn(24),
            TextColumn("{task.fields[line]}"),
            console=console,
            transient=True,
        )
        self._rich.start()
        self._stages: dict[str, _Stage] = {}
        self._ids: dict[str, Any] = {}

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """See Progress."""
        self._stages[stage] = _Stage(time.monotonic(), tasks, done, rows, at_start=done)
        self._ids[stage] = self._rich.add_task(stage, total=rows or tasks, completed=0 if rows else done, line="")

    def advance(self, stage: str, rows: int) -> None:
        """See Progress."""
        if stage in self._stages:
            self._stages[stage].rows_done += rows
            self._show(stage)

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """See Progress."""
        self._stages[stage].done += 1
        self._show(stage)

    def _show(self, stage: str) -> None:
        state = self._stages[stage]
        completed = state.rows_done if state.rows else state.done
        self._rich.update(self._ids[stage], completed=completed, line=state.line())

    def end(self, stage: str) -> None:
        """See Progress."""
        state = self._stages.pop(stage)
        self._rich.remove_task(self._ids.pop(stage))
        seconds = time.monotonic() - state.started
        kept = f", {state.at_start} kept from before" if state.at_start else ""
        self._console.print(f"  {stage:<12} {state.tasks} tasks{kept} in {seconds:.1f} s", highlight=False)

    def close(self) -> None:
        """Take the live line off the terminal."""
        self._rich.stop()
