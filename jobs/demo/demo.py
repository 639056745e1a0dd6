"""`eci demo`: a lake of real triples from installed documentation, an ordinary run over it, the ranking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.config import make_config
from jobs.demo.lake import build_lake
from jobs.finished.result import RunResult
from jobs.ids import Side
from jobs.output import layout
from jobs.output.root import claim
from jobs.output.store import Store
from jobs.pipeline.embed_texts import embed_texts
from jobs.pipeline.run import run
from jobs.terminal.progress import Progress


def run_demo(out: str, pairs: int, workers: int, progress: Progress, say: Callable[[str], None]) -> RunResult:
    """Build the lake below `out`/lake, run on it into `out`, and return the result.

    Raises:
        EciError: as `run`.
    """
    lake = Path(out) / layout.DEMO_LAKE
    config = make_config({"inputs": [{"triples": str(lake / "triples")}], "out": out, "workers": workers})

    def embed(texts: list[str], side: Any) -> Any:
        typed: Side = side
        return embed_texts(config, [(typed, text) for text in texts], progress, f"embed {side}")

    claim(Store(out))
    say("Building triples from the documentation of the installed libraries")
    summary = build_lake(lake, embed, pairs, None)
    say(f"{summary.pairs:,} queries, {sum(summary.triples.values()):,} triples from {len(summary.triples)} sources")
    say(f"eci run --triples {lake / 'triples'} --out {out}")
    return run(config, progress)
