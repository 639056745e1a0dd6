"""What the terminal says of a ranking."""

from __future__ import annotations

import json
from collections import namedtuple
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest

from jobs.probing.answer import score_lead
from jobs.terminal.console import to_json

Point = namedtuple("Point", "x y")
VALUES = [
    (float("nan"), None), (float("inf"), None), (np.float64("nan"), None), (np.float64(0.1), 0.1), (1e-05, 1e-05), (1e300, 1e300),
    (0.1 + 0.2, 0.1 + 0.2), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (True, True), (None, None), ("Ärger \u2028 \"", "Ärger \u2028 \""),
    (datetime(2026, 11, 27, 1, 2, 3, 450, UTC), "2026-11-27T01:02:03.000450+00:00"), (datetime(2026, 1, 2), "2026-01-02T00:00:00"),
    (date(2026, 1, 2), "2026-01-02"), (UUID(int=7), "00000000-0000-0000-0000-000000000007"), (b"\x00\xff", "00ff"),
    (Decimal("12345678901234567890.50"), "12345678901234567890.50"), ((1, [2.5, (float("nan"),)]), [1, [2.5, [None]]]),
    (Point(1, b"a"), {"x": 1, "y": "61"}), ({1: {"a": b""}}, {"1": {"a": ""}}), ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "read"), VALUES, ids=[type(value).__name__ for value, _ in VALUES])
def test_json_holds_what_json_has_a_form_for_and_null_for_what_is_no_number(value: object, read: object) -> None:
    text = to_json({"value": value})
    assert json.loads(text) == {"value": read} and "\n" not in text


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError):
        to_json({"value": {1, 2}})


@pytest.mark.parametrize("second", [0.02, 1e-8, 0.0])
def test_a_lead_is_a_difference_with_its_interval_and_no_percentage(second: float) -> None:
    """ECI is no amount: twice the ECI is not twice the use."""
    same = {"kind": "source", "eci_se": 0.0, "n_examples": 900, "n_queries": 300, "folds": 32, "folds_done": 32}
    rows = [{"source": "a", "eci": 0.05, "rank": 1} | same, {"source": "b", "eci": second, "rank": 2} | same]
    pair = {"a": "a", "b": "b", "difference": 0.05 - second, "lo": 0.01, "hi": 0.06, "decided": True}
    (line,) = score_lead(rows, [pair])
    assert line.startswith("By ECI, a is ahead of b by 0.0") and line.endswith("decided.")
    assert "%" not in line.replace("95 %", "") and "times" not in line
