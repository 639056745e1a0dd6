"""What commands print on terminals of several widths, as text: the *panes* that are stored beside this file.

`run.json` holds the tables of one real run of the demo (1,200 pairs; eight sources and hybrids of the best); they are laid
out as a committed run here. `python -m tests.terminal` writes the panes anew: look at what has changed before you commit it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.cli import app
from jobs.output import layout
from jobs.output.root import claim
from jobs.output.store import Store
from jobs.output.tables import PROBE_CURVE, PROBE_PAIRS, SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE

HERE = Path(__file__).parent
PANES = HERE / "panes"
WIDTHS = (40, 60, 80, 100, 140)
TABLES = (SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE)
LONG = {
    "dense-aware": "cross-encoder-reranked-above-0.95-of-the-positive-dense-aware",
    "dense-band": "cross-encoder-reranked-above-0.95-of-the-positive-dense-band",
    "random": "無作為に選ばれた否定例_ランダム_全文書から",
}
SQL = "SELECT source, round(eci, 5) AS eci, purity, n_examples, tokenizer FROM source_eci ORDER BY rank NULLS LAST LIMIT 4"
WIDE = "SELECT * FROM source_eci WHERE rank = 1"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("eci",),
    ("eci", "rank", "--out", "demo"),
    ("eci", "rank", "--by", "eci", "--out", "demo"),
    ("eci", "rank", "--out", "long"),
    ("eci", "sql", SQL, "--out", "demo"),
    ("eci", "sql", WIDE, "--out", "demo"),
)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return True."""
        return True


def furnish(folder: Path) -> None:
    """Make the output roots `demo` and, with other names, `long`."""
    whole = (HERE / "run.json").read_text(encoding="utf-8")
    _root(folder / "demo", json.loads(whole))
    _root(folder / "long", json.loads(whole), LONG)


def _root(out: Path, found: dict[str, Any], names: dict[str, str] | None = None) -> None:
    claim(Store(str(out)))
    manifest = found["manifest"]
    run = out / layout.run_folder(manifest["run_id"])
    run.mkdir(parents=True)
    for table in TABLES:
        rows = [dict(zip(found[table.name]["columns"], row, strict=True)) for row in found[table.name]["rows"]]
        rows = [_renamed(_timed(row), names or {}) for row in rows]
        pq.write_table(pa.Table.from_pylist(rows, table.schema), run / table.files)
        data = (run / table.files).read_bytes()
        (file,) = (file for file in manifest["files"] if file["path"] == table.files)
        file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (run / "report.html").write_text("the page", encoding="utf-8")
    (out / layout.LATEST).write_text(manifest["run_id"], encoding="utf-8")


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"created_at": datetime.fromisoformat(row["created_at"])} if "created_at" in row else row


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return "+".join(names.get(part, part) for part in value.split("+")) if isinstance(value, str) else value


@contextmanager
def _within(folder: Path, width: int, stream: Terminal) -> Iterator[None]:
    """Work in a folder, on a terminal of a width."""
    before, stdout, there = dict(os.environ), sys.stdout, Path.cwd()
    os.environ |= {"COLUMNS": str(width), "LINES": "50", "TERM": "xterm"}
    for name in ("NO_COLOR", "ECI_OUT", "FORCE_COLOR"):
        os.environ.pop(name, None)
    sys.stdout = stream
    os.chdir(folder)
    try:
        yield
    finally:
        sys.stdout = stdout
        os.chdir(there)
        os.environ.clear()
        os.environ.update(before)


def printed(folder: Path, command: tuple[str, ...], width: int) -> str:
    """Return what a command prints on a terminal of so many columns, without colours. `folder`: as `furnish` leaves it."""
    stream = Terminal()
    with _within(folder, width, stream):
        app(list(command[1:]), standalone_mode=False)
    return plain(stream.getvalue())


def plain(text: str) -> str:
    """Return what a terminal was sent without its orders for colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.replace("\r\n", "\n"))


def shown(command: tuple[str, ...]) -> str:
    """Return a command as a heading of a pane."""
    return "$ " + " ".join(word if word.isascii() and " " not in word else f'"{word}"' for word in command)


def pane(folder: Path, width: int) -> str:
    """Return all commands with what they print at a width."""
    return "\n".join(f"{shown(command)}\n{printed(folder, command, width)}" for command in COMMANDS)


def path_of(width: int) -> Path:
    """Return where the pane of a width is stored."""
    return PANES / f"{width}.txt"
