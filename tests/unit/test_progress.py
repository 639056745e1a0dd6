"""What progress says: texts are called texts, and the time left is that of all stages."""

from __future__ import annotations

import pytest

from jobs.config import make_config
from jobs.pipeline.expected import stage_seconds
from jobs.terminal import progress as module
from jobs.terminal.progress import Lines, unit_of


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module.time, "monotonic", found)
    return found


def test_a_stage_over_texts_counts_texts_and_says_what_is_left_in_all(clock: Clock) -> None:
    """A quarter of 4,000 texts in 60 s leaves 180 s; 20 s of scoring and 100 s of the probe are ahead: 300 s are 5 min."""
    said: list[str] = []
    lines = Lines(said.append)
    lines.expect({"embed": 1.0, "score": 20.0, "probe": 100.0})
    lines.start("embed", 8, 0, 4000)
    clock.now += 60
    lines.advance("embed", 1000)
    assert said == ["  embed        1,000/4,000 texts, 17 texts/s, 3 min left, about 5 min in all"]
    lines.end("embed")
    lines.start("score", 4, 0, 600)
    clock.now += 10
    lines.advance("score", 300)
    assert said[-1] == "  score        300/600 triples, 30 triples/s, 10 s left, about 2 min in all"


def test_before_anything_is_done_the_rest_is_as_it_was_expected(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.expect({"probe": 50.0})
    lines.start("probe", 10, 0, None)
    clock.now += 20
    lines.advance("probe", 0)
    assert said == ["  probe        0/10 tasks, 30 s left"]


def test_without_an_expectation_only_the_stage_is_told(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.start("ingest", 4, 0, None)
    clock.now += 20
    lines.finished("ingest", "000000")
    assert said == ["  ingest       1/4 tasks, 60 s left"]
    lines.end("ingest")
    assert said[-1] == "  ingest       4 tasks in 20.0 s"


def test_stages_that_a_kill_left_half_done_are_told_by_what_is_new(clock: Clock) -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.start("collect", 8, 6, None)
    clock.now += 30
    lines.finished("collect", "000006")
    assert said == ["  collect      7/8 tasks, 30 s left"]


def test_units() -> None:
    assert [unit_of(stage) for stage in ("embed", "embed query", "score", "ingest")] == [
        "texts",
        "texts",
        "triples",
        "rows",
    ]


def test_what_is_expected_grows_with_the_texts_and_is_nothing_for_what_is_not_done() -> None:
    config = make_config({"inputs": [{"triples": "x"}], "out": "y", "workers": 2})
    small, large = (stage_seconds(config, 384, 10_000, texts, 4) for texts in (1000, 2000))
    assert large["embed"] == 2 * small["embed"] > 0 and small["probe"] > 0
    without = stage_seconds(config.model_copy(update={"no_probe": True}), 384, 10_000, 0, 4)
    assert without["embed"] == without["probe"] == 0
