"""What the tests of runs share."""

from __future__ import annotations

import pytest

from jobs import errors


@pytest.fixture(autouse=True)
def _said_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is said once a process: each test is to hear it."""
    monkeypatch.setattr(errors, "_SAID", set())
