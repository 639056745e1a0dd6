"""What `make attack` counts: of each kind of attack how many were tried, found, without effect, and cured.

A module of attacks has a mark that names its kind, `pytest.mark.attack("links")`; each of its tests that passes is one that was
tried, and found: named, refused, or held off. A test that tries more takes the fixture `counted` and says how many.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

ATTACK = "ECI_ATTACK" in os.environ
"""Whether all is to be tried, and not a part of it."""
COLUMNS = ("tried", "found", "harmless", "cured")
"""`found`: named or refused. `harmless`: what was read is what was written all the same. `cured`: and right after the next run."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "attack(kind): part of `make attack`, counted as this kind")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("attack")
        if marker is not None:
            item.user_properties.append(("attack", marker.args[0]))


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Take what a test has tried: `counted(tried=25, found=24, harmless=1, kind="texts")`; `kind`: in place of the module's."""

    def add(kind: str = "", **counts: int) -> None:
        assert set(counts) <= set(COLUMNS)
        request.node.user_properties.append(("counted", (kind, counts)))

    return add


def totals(reports: list[Any]) -> dict[str, Counter[str]]:
    """Return the counts by kind of the tests that have passed."""
    found: dict[str, Counter[str]] = {}
    for report in reports:
        kinds = [value for name, value in report.user_properties if name == "attack"]
        own = [value for name, value in report.user_properties if name == "counted"]
        for kind, counts in own or [("", {"tried": 1, "found": 1})]:
            if kinds:
                found.setdefault(kind or kinds[0], Counter()).update(counts)
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    found = totals(terminalreporter.stats.get("passed", []))
    if not ATTACK or not found:
        return
    failed = len(terminalreporter.stats.get("failed", [])) + len(terminalreporter.stats.get("error", []))
    width = max(map(len, found))
    terminalreporter.section("attacks")
    terminalreporter.write_line(f"{'kind':<{width}}" + "".join(f"{name:>10}" for name in COLUMNS))
    for kind, counts in sorted(found.items()) + [("all", sum(found.values(), Counter()))]:
        terminalreporter.write_line(f"{kind:<{width}}" + "".join(f"{counts[name]:>10,}" for name in COLUMNS))
    if failed:
        terminalreporter.write_line(f"{failed} of the tests failed; what they tried is not counted")
