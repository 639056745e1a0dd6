"""What the READMEs' commands find in the reader's folder: the files that they name, small, and short forms of long ones."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import polars as pl

from jobs.demo.documentation import DocPair, collect_pairs
from onnx_models.building.graph import save_model
from tests.docs.readme import READMES, blocks
from tests.encoders.models import write_model
from tests.encoders.test_add import token_model

PAIRS = 160
REPLACED = {
    "/opt/eci/bin/eci": "eci",
    "/etc/eci/nightly.toml": "etc/nightly.toml",
    "/var/log/eci.log": "eci.log",
    "run nightly.toml": "run etc/nightly.toml",
    "eci demo": "eci demo --pairs 260",
    "eci validate": "eci validate --encoder small-encoder --seeds 1 --per-query 2",
    "collect_pairs(6000)": f"collect_pairs({2 * PAIRS})",
}
RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def shortened(text: str, folder: Path, scheduler: str) -> str:
    """Return a command or block as it can be run here: other places, fewer pairs, the runs and scheduler that there are."""
    for given, put in REPLACED.items():
        text = text.replace(given, put)
    text = re.sub(r"tcp://[\d.]+:\d+", scheduler, text)
    named = RUN_ID.findall(text)
    if named:
        newest = sorted(path.name for path in (folder / "demo-out" / "runs").iterdir())[-len(named) :]
        for old, new in zip(named, newest, strict=True):
            text = text.replace(old, new)
    return text


def furnish(folder: Path) -> None:
    """Write the files that the READMEs' commands name."""
    pairs = collect_pairs(PAIRS)
    _triples_with_ids(folder, pairs)
    _mined(folder, pairs)
    write_model(folder / "all-MiniLM-L6-v2")
    (write_model(folder / "my-onnx-model") / "onnx").mkdir()
    save_model(token_model(), folder / "my-onnx-model" / "onnx" / "model.onnx")
    _lines(folder / "passages.jsonl", [{"text": pair.positive} for pair in pairs])
    lines = [line for readme in READMES for line in readme.command_lines()]
    for name in {match[1] for line in lines if (match := re.search(r"eci validate (\S+)", line))}:
        _collection(folder / name, pairs)
    negatives = [
        {"qid": f"q{i}", "pos": [f"d{i}"], "neg": {"bm25": [f"d{(i + 1) % PAIRS}"], "llm": [f"d{(i + 2) % PAIRS}"]}}
        for i in range(PAIRS)
    ]
    _lines(folder / "msmarco1k_llmneg" / "hard-negatives.jsonl", negatives)
    (folder / "etc").mkdir()
    (folder / "etc" / "nightly.toml").write_text('out = "../NIGHT"\n[[inputs]]\ntriples = "../demo-out/lake/triples"\n')
    (folder / "lake").symlink_to("demo-out/lake/triples")
    settings = next(text for text in blocks("toml") if "mined/bm25" in text)
    (folder / "settings.toml").write_text(settings, encoding="utf-8")


def _triples_with_ids(folder: Path, pairs: list[DocPair]) -> None:
    rows = [(f"q{i}", f"d{i}", f"d{(i + step) % PAIRS}", f"step {step}") for i in range(PAIRS) for step in (1, 7)]
    names = ["query_id", "positive_id", "negative_id", "source"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(folder / "triples.parquet")
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps({"_id": f"d{i}", "text": pair.positive}) + "\n" for i, pair in enumerate(pairs))
    (folder / "queries.tsv").write_text("".join(f"q{i}\t{pair.query}\n" for i, pair in enumerate(pairs)))
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((PAIRS, 8)).astype(np.float32)
    passages = (queries + 0.5 * rng.standard_normal((PAIRS, 8))).astype(np.float32)
    ids = [f"q{i}" for i in range(PAIRS)] + [f"d{i}" for i in range(PAIRS)]
    sides = ["query"] * PAIRS + ["passage"] * PAIRS
    (folder / "vectors").mkdir()
    vectors = {"id": ids, "side": sides, "vector": [*queries.tolist(), *passages.tolist()]}
    pl.DataFrame(vectors).write_parquet(folder / "vectors" / "all.parquet")


def _mined(folder: Path, pairs: list[DocPair]) -> None:
    """Write the inputs of the READMEs' settings file: mined triples, a run file, and its judgements."""
    for name in ("mined", "runs", "qrels"):
        (folder / name).mkdir()
    with gzip.open(folder / "mined" / "bm25.jsonl.gz", "wt", encoding="utf-8") as out:
        for i, pair in enumerate(pairs):
            row = {"query": pair.query, "positive": pair.positive, "negative": pairs[(i + 3) % PAIRS].positive}
            out.write(json.dumps(row) + "\n")
    lines = [
        f"q{i} Q0 d{(i + rank) % PAIRS} {rank + 1} {100 - rank} dense\n" for i in range(PAIRS) for rank in range(45)
    ]
    (folder / "runs" / "dense.trec").write_text("".join(lines))
    (folder / "qrels" / "train.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(PAIRS)))


def _collection(folder: Path, pairs: list[DocPair]) -> None:
    folder.mkdir()
    _lines(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": pair.positive} for i, pair in enumerate(pairs)])
    _lines(folder / "queries.jsonl", [{"_id": f"q{i}", "text": pair.query} for i, pair in enumerate(pairs)])
    (folder / "qrels.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(len(pairs))))


def _lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
