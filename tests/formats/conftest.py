"""The real files, which are no part of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.formats.reading import SHARED


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it are skipped where it is absent."""
    if not (SHARED / "formats" / "INDEX.json").is_file():
        pytest.skip(f"real sample files are not at {SHARED} (they are not part of the repository)")
    return SHARED
