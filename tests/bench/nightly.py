"""What a night costs after the first one, where the encoder dominates: python -m tests.bench.nightly COLLECTION.

Mines two sources (BM25, random) on a collection of the BEIR layout, scores all but 1 % of its pairs into an empty OUT,
then the whole lake again: only the new texts are embedded. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from jobs.retrieval.collection import Collection, read_collection
from jobs.retrieval.negatives import random_negatives
from jobs.retrieval.rankings import MISSING, bm25_rank

NEGATIVES = 2
NEW = 0.01


def triples_of(collection: Collection) -> pl.DataFrame:
    """Return the triples of all judged queries, two negatives of each source, a query's together."""
    judged = [row for row, found in enumerate(collection.relevant) if found]
    queries = [collection.queries.texts[row] for row in judged]
    labels = [set(collection.relevant[row]) for row in judged]
    documents = collection.documents.texts
    mined = {
        "bm25": bm25_rank(queries, documents, NEGATIVES, labels),
        "random": random_negatives(queries, len(documents), labels, k=NEGATIVES),
    }
    rows = [
        (query, documents[min(labels[row])], documents[negative], source)
        for row, query in enumerate(queries)
        for source, ranking in mined.items()
        for negative in ranking[row].tolist()
        if negative != MISSING
    ]
    return pl.DataFrame(rows, schema=["query", "positive", "negative", "source"], orient="row")


def night(triples: Path, out: Path) -> tuple[float, dict[str, Any]]:
    """Run `eci run` and return its seconds and what it says."""
    command = ["-m", "jobs.cli", "run", "--triples", str(triples), "--out", str(out), "--quiet", "--json"]
    started = time.monotonic()
    told = json.loads(subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE).stdout)
    return round(time.monotonic() - started, 1), told


def main(collection: str) -> None:
    """Measure the first night, the second with 1 % more triples, and a third with nothing new."""
    frame = triples_of(read_collection(collection))
    cut = round(len(frame) * (1 - NEW))
    with tempfile.TemporaryDirectory() as folder:
        lake, out = Path(folder, "lake"), Path(folder, "out")
        lake.mkdir()
        found = {}
        for name, rows in (("first", frame[:cut]), ("second", frame[cut:]), ("nothing_new", None)):
            if rows is not None:
                rows.write_parquet(lake / f"{name}.parquet")
            found[name] = night(lake, out)
    seconds = {f"{name}_seconds": each for name, (each, _) in found.items()}
    embedded = {f"{name}_texts_embedded": told["totals"]["texts_embedded"] for name, (_, told) in found.items()}
    share = round(found["second"][0] / found["first"][0], 3)
    figures = {"bench": "nightly", "collection": Path(collection).name, "triples": len(frame),
               "texts": found["second"][1]["totals"]["texts"], **seconds, **embedded, "second_share_of_first": share}  # fmt: skip
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", help="a folder with corpus, queries and qrels")
    main(parser.parse_args().collection)
