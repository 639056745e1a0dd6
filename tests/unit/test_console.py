"""What the terminal says of a ranking."""

from __future__ import annotations

import pytest

from jobs.finished.text import verdict


@pytest.mark.parametrize(("second", "said"), [(0.02, "(150% more)"), (1e-8, None), (0.0, None)])
def test_a_lead_is_a_percentage_of_the_second_where_that_says_something(second: float, said: str | None) -> None:
    rows = [{"source": "a", "eci": 0.05}, {"source": "b", "eci": second}]
    pair = {"a": "a", "b": "b", "difference": 0.05 - second, "lo": 0.01, "hi": 0.06, "decided": True}
    (line,) = verdict(rows, [pair])
    assert line.startswith("a is ahead of b by") and line.endswith("decided.")
    assert said in line if said else "%" not in line.replace("95 %", "")
