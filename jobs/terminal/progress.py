"""Progress for people: stage, done of total, texts a second, time left of the stage and of all; plain lines without a terminal."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.terminal.console import duration

ROOM_FOR_BAR = 100


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

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Hear about how long stages that are ahead will take, by name."""

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

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say nothing."""

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """Say nothing."""

    def advance(self, stage: str, rows: int) -> None:
        """Say nothing."""

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """Say nothing."""

    def end(self, stage: str) -> None:
        """Say nothing."""


UNITS = {"embed": "texts", "score": "triples"}
"""What the rows of a stage are, by the first word of its name."""


def unit_of(stage: str) -> str:
    """Return what a stage counts."""
    return UNITS.get(stage.partition(" ")[0], "rows")


@dataclass
class _Stage:
    name: str
    started: float
    tasks: int
    done: int
    rows: int | None
    expected: float | None = None
    rows_done: int = 0
    at_start: int = field(default=0)

    @property
    def share(self) -> float:
        """The share of this attempt's work that is done."""
        if self.rows:
            return min(self.rows_done / self.rows, 1.0)
        return (self.done - self.at_start) / max(self.tasks - self.at_start, 1)

    def left(self) -> float | None:
        """Return the seconds left by what was done so far, or else as expected; None where nothing is known."""
        seconds, share = time.monotonic() - self.started, self.share
        if share > 0:
            return seconds * (1 - share) / share
        return None if self.expected is None else max(self.expected - seconds, 0.0)

    def line(self, ahead: float | None) -> str:
        """Return how far the stage is. `ahead`: seconds of the stages after it."""
        seconds = max(time.monotonic() - self.started, 1e-3)
        text = f"{self.done}/{self.tasks} tasks"
        if self.rows:
            unit = unit_of(self.name)
            text = f"{self.rows_done:,}/{self.rows:,} {unit}, {self.rows_done / seconds:,.0f} {unit}/s"
        left = self.left()
        text += f", {duration(left)} left" if left is not None and left >= 1 else f", {seconds:.1f} s"
        if left is None or ahead is None or ahead < 1:
            return text
        return f"{text}, about {duration(left + ahead)} in all"


class _Shown(ABC):
    """A progress that shows: keeps the stages that run and what is expected of those to come."""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}
        self._expected: dict[str, float] | None = None

    def expect(self, seconds: Mapping[str, float]) -> None:
        """See Progress."""
        self._expected = dict(seconds)

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """See Progress."""
        expected = None if self._expected is None else self._expected.pop(stage, None)
        self._stages[stage] = _Stage(stage, time.monotonic(), tasks, done, rows, expected, at_start=done)

    def advance(self, stage: str, rows: int) -> None:
        """See Progress."""
        if stage in self._stages:
            self._stages[stage].rows_done += rows
            self._show(stage)

    def finished(self, stage: str, name: str, summary: Mapping[str, object] | None = None) -> None:
        """See Progress."""
        self._stages[stage].done += 1
        self._show(stage)

    def _line(self, stage: str) -> str:
        return self._stages[stage].line(None if self._expected is None else sum(self._expected.values()))

    @abstractmethod
    def _show(self, stage: str) -> None:
        """Show how far a stage is."""


def _ended(state: _Stage) -> str:
    seconds = time.monotonic() - state.started
    kept = f", {state.at_start} of them kept from before" if state.at_start else ""
    return f"  {state.name:<12} {state.tasks} task{'s' * (state.tasks != 1)}{kept} in {seconds:.1f} s"


class Lines(_Shown):
    """Plain lines to a stream: one when a stage ends, and one every `every` seconds within."""

    def __init__(self, write: Any, every: float = 10.0) -> None:
        super().__init__()
        self._write, self._every, self._last = write, every, time.monotonic()

    def _show(self, stage: str) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._write(f"  {stage:<12} {self._line(stage)}")

    def end(self, stage: str) -> None:
        """See Progress."""
        self._write(_ended(self._stages.pop(stage)))


class Bars(_Shown):
    """A live line for the current stage on a terminal, by rich; on a narrow one without the bar."""

    def __init__(self, console: Any) -> None:
        super().__init__()
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._console = console
        bar = [BarColumn(24)] if console.width >= ROOM_FOR_BAR else []
        self._rich = RichProgress(
            TextColumn("  {task.description:<12}"),
            *bar,
            TextColumn("{task.fields[line]}"),
            console=console,
            transient=True,
        )
        self._rich.start()
        self._ids: dict[str, Any] = {}

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        """See Progress."""
        super().start(stage, tasks, done, rows)
        self._ids[stage] = self._rich.add_task(stage, total=rows or tasks, completed=0 if rows else done, line="")

    def _show(self, stage: str) -> None:
        state = self._stages[stage]
        completed = state.rows_done if state.rows else state.done
        self._rich.update(self._ids[stage], completed=completed, line=self._line(stage))

    def end(self, stage: str) -> None:
        """See Progress."""
        self._rich.remove_task(self._ids.pop(stage))
        self._console.print(_ended(self._stages.pop(stage)), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live line off the terminal."""
        self._rich.stop()
