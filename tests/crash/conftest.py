"""What the crash tests have in common."""

from __future__ import annotations

import pytest

from jobs.output import cleaning


@pytest.fixture(autouse=True)
def nobody_else_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """`eci gc` leaves what is young, as somebody may be writing it; here whoever did is dead."""
    monkeypatch.setattr(cleaning, "STALE_SECONDS", 0.0)
