"""`python -m tests.terminal` writes the stored panes anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.terminal.panes import PANES, WIDTHS, furnish, pane, path_of


def main() -> None:
    """Write a file for each width."""
    PANES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        for width in WIDTHS:
            path_of(width).write_text(pane(Path(folder), width), encoding="utf-8")
            print(f"{path_of(width).name} written")


if __name__ == "__main__":
    main()
