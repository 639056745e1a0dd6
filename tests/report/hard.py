"""A lake that is hard to show: 27 sources with hostile, long and right-to-left names, one of three triples, hybrids, ablations, two runs,
rejects; with given vectors, so that it takes a minute and not ten."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from jobs.decide.ablation import ablate
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.hostile import IMAGE, SCRIPT
from tests.lakes import vector_lake, write_triples, write_vectors

LONG = "mined/2026-11/bge-large-en-v1.5/top-200-of-1000/margin-0.05/no-false-negatives/"
NAMES = [
    SCRIPT, IMAGE, "var(--accent)", "<!-- '\"& {{datum.x}} [datum.y] \\u003c", "مصدر السلبيات الصعبة", "מקור קשה (BM25)",
    "漢字と仮名の長い名前のソース" * 3, LONG + "first", LONG + "second", "x" * 120, "=HYPERLINK(1)", "--out", "a, b; c", "constructor",
    "🦙 llm", "ÅÄÖ åäö", " led by a space", "1", "NaN", "e\u0301\u0300\u0316" * 12,
]  # fmt: skip
TINY = "three triples"
TEXTS = (" נוסח עברי ", " نص عربي طويل ", " 長い文章 ", " " + "unbroken" * 40 + " ", " ")


@cache
def hard_out() -> str:
    """Return an output root, made once for a session."""
    folder = Path(mkdtemp(prefix="eci-hard-"))
    lake = vector_lake(folder / "lake", dim=8, triples=2700, queries=260, sources=26, seed=5)
    names = {f"source {i}": (NAMES + [f"plain {i}" for i in range(26)])[i] for i in range(26)}
    texts = {text: text + TEXTS[i % len(TEXTS)] for i, text in enumerate(lake.passages)}
    rows = [(q, texts[p], texts[n], names[source]) for q, p, n, source in lake.rows]
    rows += [(q, p, n, TINY) for q, p, n, _ in rows[:3]]
    write_vectors(lake.vectors, lake.queries, {texts[text]: vector for text, vector in lake.passages.items()})
    bad = [(rows[0][0], rows[0][1], " ", SCRIPT), ("no vector", rows[0][1], "b", "מקור קשה (BM25)")]
    settings = {"vectors": (str(lake.vectors),), "folds": 8, "information": True}
    for part, more in ((rows[: len(rows) // 2], {"no_probe": True}), (rows, _probed(names))):
        write_triples(lake.triples, [*part, *bad])
        run_lake(folder / "out", lake.triples, **settings, **more)
    ablate(str(folder / "out"), Silent(), only=("temperature", "without"))
    return str(folder / "out")


def _probed(names: dict[str, str]) -> dict[str, object]:
    pooled = [names["source 4"], names["source 7"]]
    return {"probe": {"halvings": 1, "steps": 20}, "hybrids": {"+".join(pooled): pooled}}
