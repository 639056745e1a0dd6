"""Mutation fuzz over the real samples: a reader never raises anything but InputError, never hangs, loses no record.

Mutants: bit flips, truncation, swapped, doubled and deleted lines, bytes put in and cut out, with fixed seeds. Each is
read in its own format and looked at by `recognise`. The oracle counts records by itself, from the mutant's bytes.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.errors import InputError
from jobs.formats import FORMATS, Options
from jobs.formats.qrels import read_qrels
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import read_texts, text_units
from tests.formats.reading import Reading, read

MUTANTS = 110
SECONDS = 5.0

# Format, file, lines or elements kept of it (the fuzz is about structure, not about size).
SAMPLES = [
    ("bge", "bge_jsonl/toy_finetune_data.jsonl", 10),
    ("bge", "bge_jsonl/msmarco.jsonl", 2),
    ("sbert-hard-negatives", "sbert_hard_negatives_gpl/hard-negatives.jsonl", 30),
    ("sbert-hard-negatives", "../msmarco1k_llmneg/hard-negatives.jsonl", 40),
    ("msmarco-tsv", "sbert_hard_negatives_gpl/gpl-training-data.tsv", 20),
    ("msmarco-tsv", "msmarco_triples_tsv/splade_triplets.tsv", 20),
    ("tevatron", "tevatron_rlhn/msmarco_passage.stage_1.gpt-4o-mini.jsonl", 3),
    ("sbert-tuples", "openmatch_jsonl/train_rank_toy.head200.jsonl", 30),
    ("sbert-tuples", "sbert_triplet_json/embedding_training_sample.json", None),
    ("dpr", "dpr_json/sample.json", None),
    ("beir", "openmatch_jsonl/toy.trec", 60),
    ("beir", "trec_runs/compat.run", 60),
    ("beir", "trec_runs/cacm-bm25.txt", 60),
    ("beir", "ranx_runs/run.trec", None),
    ("beir", "ranx_runs/run.json", None),
    ("beir", "ranx_runs/run.parquet", None),
    ("beir", "ranx_runs/run.lz4", None),
    ("beir", "ranx_runs/run.trec.gz", None),
    ("beir", "msmarco_triples_tsv/splade_scores_toy.json", None),
]

# What a file of each format holds.
_TEXTS = ['a "query" of words', "a passage, it seems", "Ünïcode; a negative"]
_ID_LINES = [f"{q}\t{q + 1}\t{q + 2},{q + 3}" for q in range(100, 140, 4)]
_LISTS = [
    {"query": _TEXTS[0], "docs": _TEXTS[1:], "labels": [1, 0]},
    {"query_id": 1, "document_ids": [2, 3], "scores": [1, 2]},
]
_TRIPLE = dict(zip(("query", "positive", "negative"), _TEXTS, strict=True))
_NEMO = [{"question_id": "q", "question": "what", "pos_doc": [{"id": "1"}], "neg_doc": [{"id": "2"}, "3"]}]
MADE = {
    "labeled.jsonl": ("labeled", "\n".join(json.dumps(record) for record in _LISTS * 5)),
    "labeled.json": ("labeled", json.dumps(_LISTS * 5, indent=1)),
    "pairs.jsonl": (
        "labeled",
        "\n".join(json.dumps({"query": f"q {i // 3}", "passage": f"p {i}", "label": i % 3 % 2}) for i in range(12)),
    ),
    "mixed.jsonl": (
        "labeled",
        "\n".join(json.dumps({"query": f"q {i % 4}", "passage": f"p {i}", "label": i % 3 % 2}) for i in range(12)),
    ),
    "triples.jsonl": ("triples", "\n".join(json.dumps({**_TRIPLE, "source": f"s{i}"}) for i in range(10))),
    "tuples.json": ("sbert-tuples", json.dumps([{**_TRIPLE, "negative_2": f"n {i}"} for i in range(10)], indent=1)),
    "bge.jsonl": (
        "bge",
        "\n".join(json.dumps({"query": _TEXTS[0], "pos": _TEXTS[1:2], "neg": [f"n {i}", "m"]}) for i in range(10)),
    ),
    "tevatron.jsonl": (
        "tevatron",
        "\n".join(
            json.dumps(
                {
                    "query_id": i,
                    "query": _TEXTS[0],
                    "positive_passages": [{"docid": "1", "text": _TEXTS[1]}],
                    "negative_passages": [
                        {"docid": "2", "title": "t", "text": _TEXTS[2]},
                        {"docid": "3", "text": f"n {i}"},
                    ],
                }
            )
            for i in range(8)
        ),
    ),
    "dpr.json": (
        "dpr",
        json.dumps(
            [
                {
                    "question": f"q {i}",
                    "positive_ctxs": [{"text": _TEXTS[1]}],
                    "negative_ctxs": [],
                    "hard_negative_ctxs": [{"text": "n"}],
                }
                for i in range(8)
            ],
            indent=1,
        ),
    ),
    "colbert.json": ("colbert", "\n".join(f"[{i}, {i + 1}, {i + 2}]\n[{i}, [7, 0.5], [8, 0.25]]" for i in range(6))),
    "nemo.json": ("sbert-hard-negatives", json.dumps({"corpus": {"path": "x"}, "data": _NEMO * 5})),
    "de.tsv": (
        "rocketqa",
        "\n".join("\t".join([_TEXTS[0], "-", _TEXTS[1], "title", _TEXTS[2], "0"]) for _ in range(8)),
    ),
    "ce.tsv": ("rocketqa", "\n".join("\t".join([f"q {i // 2}", "-", _TEXTS[1], str(i % 2)]) for i in range(8))),
    "ance.tsv": ("msmarco-tsv", "\n".join(_ID_LINES)),
    "drhard.json": ("beir", json.dumps({"q1": [1, 2, 3], "1": ["a", "b"]}, indent=1)),
    "semicolon.csv": (
        "triples",
        "Query; Positive;Negative;Source\n" + (";".join(f'"{t}"' for t in ("a;b", "c", "d", "s")) + "\n") * 8,
    ),
}
"""Name -> format, content."""
PAIRED = ("pairs.jsonl", "mixed.jsonl", "ce.tsv")
"""Where a positive's record gives no row of its own."""


def test_the_fuzz_knows_every_format() -> None:
    assert {name for name, _ in MADE.values()} == FORMATS.keys()


def mutate(data: bytes, draw: random.Random) -> bytes:
    """Return a mutant: one to three changes."""
    for _ in range(draw.randint(1, 3)):
        change = draw.choice([_flip, _flip, _truncate, _swap, _double, _delete, _insert, _cut])
        data = change(data, draw) if data else data
    return data


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 4, 16])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _lines(change: Callable[[list[bytes], random.Random], None]) -> Callable[[bytes, random.Random], bytes]:
    def changed(data: bytes, draw: random.Random) -> bytes:
        lines = data.split(b"\n")
        change(lines, draw)
        return b"\n".join(lines)

    return changed


def _exchange(lines: list[bytes], draw: random.Random) -> None:
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]


_swap = _lines(_exchange)
_double = _lines(lambda lines, draw: lines.insert(draw.randrange(len(lines)), draw.choice(lines)))
_delete = _lines(lambda lines, draw: lines.pop(draw.randrange(len(lines))) and None)


def _insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    junk = draw.choice([b"\0", b"\xff", b'"', b"\\", b"[", b"]", b"{", b"}", b"\n", b"\r\n", b"\t", b"\xc2\x85", b","])
    return data[:at] + junk * draw.choice([1, 1, 3]) + data[at:]


def _cut(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.randint(1, 40) :]


def check_lines(data: bytes, found: Reading) -> None:
    """Every line that is not blank is a record: each stands in the rows or in the rejects."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    expected = {i for i, line in enumerate(lines, start=1) if line.strip(b" \r")}
    seen = set(found.rows["row"]) | set(found.rejects["row"])
    # A line of JSON that holds only tabs is blank too.
    assert seen <= expected
    assert all(not lines[row - 1].strip() for row in expected - seen)


def check_elements(data: bytes, found: Reading) -> None:
    """Elements: positions are 1 to n without a gap; n is what the standard parser counts, where it can read them.

    A mutant that no longer begins like an array or an object is read line by line.
    """
    begin = rb"\s*\{\s*(\"[^\"]*\"\s*:|\}|$)" if found.name == "beir" else rb"\s*\[\s*[\[{\]]"
    if not re.match(begin, data):
        (check_run if found.name == "beir" else check_lines)(data, found)
        return
    seen = set(found.rows["row"]) | set(found.rejects["row"])
    assert seen == set(range(1, len(seen) + 1))
    try:
        # Surplus commas between elements cost no record here.
        once = re.sub(rb",(?:\s*,)+", b",", data)
        whole = json.loads(re.sub(rb"([\[{])\s*,", rb"\1", re.sub(rb",\s*([\]}])", rb"\1", once)))
    except ValueError:
        # The standard parser gives up on the whole file: then something is rejected here.
        assert len(found.rejects) > 0 or not data.strip()
        return
    if isinstance(whole, list | dict) and data.lstrip()[:1] in b"[{" and whole:
        assert len(seen) == (len(whole) if isinstance(whole, list) or "beir" in found.name else 1)


def check_gz(data: bytes, found: Reading) -> None:
    """A damaged stream always gives a reject; a whole one all its lines."""
    try:
        lines = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        assert len(found.rejects) > 0
    else:
        (check_run if found.name == "beir" else check_lines)(lines, found)


def check_run(data: bytes, found: Reading) -> None:
    """Lines of a run: a bad line is a reject, and every query of the others has a triple or a reject."""
    queries, bad = set(), 0
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.strip(b" \r"):
            continue
        try:
            text = line.removesuffix(b"\r").decode()
            fields = text.split()
            fields = text.split("\t") if text.count("\t") == 5 and len(fields) != 6 else fields
            assert len(fields) in (5, 6) and fields[0] and fields[2] and float(fields[4]) - float(fields[4]) == 0
            queries.add(fields[0])
        except (ValueError, AssertionError):
            bad += 1
    records = [json.loads(record) for record in found.rejects["record"]]
    assert sum(isinstance(record, str) for record in records) == bad
    assert queries == set(found.rows["query_id"]) | {record["query"] for record in records if isinstance(record, dict)}


def oracle(name: str, file: str) -> Callable[[bytes, Reading], None] | None:
    """Return what checks the accounting of a mutant of this file; None where only crashes are looked for."""
    if file.endswith((".parquet", ".lz4", ".csv")):
        return None
    if file.endswith(".gz"):
        return check_gz
    if file.endswith(".json"):
        return check_elements
    return check_run if name == "beir" else check_lines


def mutants(path: Path, keep: int | None, seed: int) -> Iterator[bytes]:
    """Yield the mutants of a file's beginning."""
    data = path.read_bytes()
    data = data if keep is None else b"\n".join(data.split(b"\n")[:keep])
    draw = random.Random(seed)
    for _ in range(MUTANTS):
        yield mutate(data, draw)


def attempt(read_it: Callable[[], Any]) -> Any:
    """Read within the time limit; an InputError is an answer too."""
    started = time.monotonic()
    try:
        return read_it()
    except InputError:
        return None
    finally:
        assert time.monotonic() - started < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "keep"), SAMPLES, ids=[f"{name}-{Path(file).name}" for name, file, _ in SAMPLES]
)
def test_mutants_of_real_files(shared: Path, tmp_path: Path, name: str, file: str, keep: int | None) -> None:
    path = shared / "formats" / file
    qrels = tmp_path / "qrels"
    qrels.write_text("".join(f"{q} 0 judged 1\n" for q in ("q1", "q2", "THUMSR-22", "31_1", "1", "2", "524447")))
    options = Options(qrels=(str(qrels),))
    check = oracle(name, file)
    target = tmp_path / path.name
    for data in mutants(path, keep, seed=len(file)):
        target.write_bytes(data)
        found = attempt(lambda: read(name, target, options))
        if found is not None and check is not None:
            check(data, found)
        attempt(lambda: recognise(str(target)))


@pytest.mark.slow
@pytest.mark.parametrize("file", MADE)
def test_mutants_of_made_files(tmp_path: Path, file: str) -> None:
    name, body = MADE[file]
    qrels = tmp_path / "qrels"
    qrels.write_text("q1 0 judged 1\n1 0 judged 1\n")
    options = Options(qrels=(str(qrels),)) if name == "beir" else Options()
    check = None if file in (*PAIRED, "nemo.json") else oracle(name, file)
    (tmp_path / "whole").write_text(body, encoding="utf-8")
    (tmp_path / file).write_text(body, encoding="utf-8")
    assert recognise(str(tmp_path / file)) == name
    target = tmp_path / file
    for data in mutants(tmp_path / "whole", None, seed=len(file)):
        target.write_bytes(data)
        found = attempt(lambda: read(name, target, options))
        if found is not None and check is not None:
            check(data, found)
        attempt(lambda: recognise(str(target)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stream", "file", "lz4"])
def test_mutants_of_arrow(tmp_path: Path, kind: str) -> None:
    """In a process of its own: what Arrow reads beyond a buffer's end ends a process without a word."""
    table = pa.table({
        "query": [f"q {i}" for i in range(40)], "positive": [f"p {i}" for i in range(40)],
        "negatives": [[f"n {i}", None, "ü"] for i in range(40)], "source": pa.array(["a", "b"] * 20).dictionary_encode(),
    })  # fmt: skip
    whole = tmp_path / "whole.arrow"
    options = pa.ipc.IpcWriteOptions(compression="lz4" if kind == "lz4" else None)
    with pa.OSFile(str(whole), "wb") as file:
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with new(file, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=16)
    for i, data in enumerate(mutants(whole, None, seed=17)):
        (tmp_path / f"{i:03d}.arrow").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READ_ARROW, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [str(MUTANTS)]), done.stderr[-2000:]


READ_ARROW = """
import sys
from pathlib import Path
from jobs.errors import InputError
from jobs.formats.recognise import recognise
from tests.formats.reading import read
count = 0
for path in sorted(Path(sys.argv[1]).glob("[0-9]*.arrow")):
    print(path.name, flush=True)
    for call in (lambda: read("sbert-hard-negatives", path), lambda: recognise(str(path))):
        try:
            call()
        except InputError:
            pass
    count += 1
print(count)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl.gz", "parquet", "csv"])
def test_mutants_of_containers(shared: Path, tmp_path: Path, ending: str) -> None:
    """The toy BGE file in other containers."""
    source = shared / "formats" / "bge_jsonl" / "toy_finetune_data.jsonl"
    whole = tmp_path / f"whole.{ending}"
    if ending == "jsonl.gz":
        whole.write_bytes(gzip.compress(source.read_bytes()))
    else:
        triples = read("bge", source).rows.drop("row").to_arrow().select(["query", "positive", "negative", "source"])
        if ending == "parquet":
            pq.write_table(triples, whole, row_group_size=20)
        else:
            pyarrow.csv.write_csv(triples, whole)
    name = "bge" if ending == "jsonl.gz" else "triples"
    target = tmp_path / f"data.{ending}"
    check = oracle(name, target.name)
    for data in mutants(whole, None, seed=7):
        target.write_bytes(data)
        found = attempt(lambda: read(name, target, Options()))
        if found is not None and check is not None:
            check(data, found)
        attempt(lambda: recognise(str(target)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["sbert_hard_negatives_gpl/corpus.jsonl", "msmarco_triples_tsv/splade_full_collection_raw.tsv"]
)
def test_mutants_of_texts(shared: Path, tmp_path: Path, file: str) -> None:
    """Corpora lose no line."""
    target = tmp_path / Path(file).name
    for data in mutants(shared / "formats" / file, 20, seed=11):
        target.write_bytes(data)
        batches = [b for unit in text_units(str(target)) for b in read_texts(unit, Options(), "passage")]
        seen = {row for b in batches for frame in (b.texts, b.rejects) for row in frame["row"]}
        lines = data.split(b"\n")
        assert all(not line.strip() for i, line in enumerate(lines, start=1) if i not in seen)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["sbert_hard_negatives_gpl/train.tsv", "ranx_runs/qrels.json", "ranx_runs/qrels.trec"])
def test_mutants_of_judgements(shared: Path, tmp_path: Path, file: str) -> None:
    """Judgements are read whole or refused."""
    target = tmp_path / Path(file).name
    for data in mutants(shared / "formats" / file, None, seed=13):
        target.write_bytes(data)
        attempt(lambda: read_qrels((str(target),)))
