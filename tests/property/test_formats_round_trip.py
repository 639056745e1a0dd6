"""Whatever is written in a format is read back equal, hostile strings and all."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.formats import FORMATS, Options
from jobs.formats.texts_by_id import Side, read_texts, text_units
from jobs.ids import tidy
from tests.formats.reading import read

HOSTILE = [
    *("\0", "\x85", "\u2028", "\u2029", "\ufeff", "\x1a", "\x1c", "\x0b", "\\", "\\u0000", '"', '""', "'"),
    *("\t", "\r\n", "\n", "\r", "{", "}", "[", "]", ",", "😀", "\U0001d518", "e\u0301", "\u200f", "\uffff", " "),
]
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

characters = st.characters(exclude_categories=["Cs"])
texts = st.lists(st.sampled_from(HOSTILE) | st.text(characters, max_size=4), max_size=6).map("".join)
ids = st.text(characters, min_size=1, max_size=8)
numbers = st.integers(0, 2**53)
columns = st.text(characters.filter(lambda c: c.isprintable()), min_size=1, max_size=8)


def lists(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists that are not empty."""
    return st.lists(of, min_size=1, max_size=3)


def records(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of records with these fields."""
    return st.lists(st.fixed_dictionaries(fields), min_size=1, max_size=5)


@st.composite
def layouts(draw: st.DrawFn, arrays: bool = True) -> dict[str, Any]:
    """How a file of JSON may be laid out."""
    return {
        "array": arrays and draw(st.booleans()),
        "indent": draw(st.sampled_from([None, 1])),
        "ascii": draw(st.booleans()),
        "end": draw(st.sampled_from(["\n", "\r\n", "\n\n"])),
        "last": draw(st.booleans()),
        "mark": draw(st.sampled_from(["", "\ufeff"])),
        "ending": draw(st.sampled_from(["", *PACKERS])),
    }


def write_json(folder: str, values: list[Any], layout: dict[str, Any]) -> Path:
    """Write records as JSONL or as an array."""
    if layout["array"]:
        body = json.dumps(values, ensure_ascii=layout["ascii"], indent=layout["indent"])
    else:
        body = layout["end"].join(json.dumps(value, ensure_ascii=layout["ascii"]) for value in values)
    body = layout["mark"] + body + (layout["end"] if layout["last"] else "")
    return write(folder, "data.jsonl" + layout["ending"], body.encode("utf-8"))


def write(folder: str, name: str, data: bytes) -> Path:
    """Write a file, compressed as its ending says."""
    path = Path(folder) / name
    data = PACKERS[path.suffix](data) if path.suffix in PACKERS else data
    path.write_bytes(data)
    return path


def same(name: str, path: Path, expected: list[tuple[Any, ...]], options: Options | None = None) -> None:
    """Assert that a file gives these triples and no rejects: three texts, three ids, source."""
    found = read(name, path, options)
    assert found.rejects.rows() == []
    assert [row[1:] for row in found.rows.rows()] == [(*row[:-1], row[-1] and tidy(row[-1])) for row in expected]


triples = records(query=texts, positive=texts, negative=texts, query_id=ids, negative_id=ids, source=columns)


def _triple(r: dict[str, Any]) -> tuple[Any, ...]:
    return r["query"], r["positive"], r["negative"], r["query_id"], None, r["negative_id"], r["source"]


@SETTINGS
@given(triples, layouts())
def test_triples_json(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        same("triples", write_json(folder, values, layout), [_triple(r) for r in values])


@SETTINGS
@given(triples, st.integers(1, 3))
def test_triples_parquet(values: list[dict[str, Any]], group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.Table.from_pylist(values), f"{folder}/data.parquet", row_group_size=group)
        same("triples", Path(folder) / "data.parquet", [_triple(r) for r in values])


@SETTINGS
@given(triples, st.sampled_from(["csv", "tsv", "csv.gz"]), st.sampled_from(["\n", "\r\n"]))
def test_triples_csv(values: list[dict[str, Any]], ending: str, end: str) -> None:
    out = io.StringIO(newline="")
    tabs = ending == "tsv"
    # With "\n" alone the writer leaves a lone "\r" unquoted, and it would end the row.
    quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    # a column of bare digits holds ids: the first row's texts are none
    values = [{**values[0], "query": "q", "positive": "p", "negative": "n"}, *values]
    writer = csv.DictWriter(out, list(values[0]), delimiter="\t" if tabs else ",", lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(values)
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, f"data.{ending}", out.getvalue().encode("utf-8"))
        same("triples", path, [_triple(r) for r in values])


@SETTINGS
@given(records(anchor=texts, positive=texts, negative_1=texts, negative_2=texts | st.none()), layouts())
def test_sbert_tuples(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    expected = [
        (r["anchor"], r["positive"], r[key], None, None, None, key)
        for r in values
        for key in ("negative_1", "negative_2")
        if r[key] is not None
    ]
    with tempfile.TemporaryDirectory() as folder:
        same("sbert-tuples", write_json(folder, values, layout), expected, Options(numbered="each"))


@SETTINGS
@given(st.lists(st.lists(texts, min_size=3, max_size=4), min_size=1, max_size=4), layouts())
def test_sbert_tuples_as_lists(values: list[list[str]], layout: dict[str, Any]) -> None:
    expected = [(r[0], r[1], n, None, None, None, "data") for r in values for n in r[2:]]
    with tempfile.TemporaryDirectory() as folder:
        same("sbert-tuples", write_json(folder, values, layout), expected)


systems = st.dictionaries(columns, lists(ids | numbers), min_size=1, max_size=3)


@SETTINGS
@given(records(qid=ids | numbers, pos=lists(ids | numbers), neg=systems), layouts())
def test_sbert_hard_negatives(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    expected = [
        (None, None, None, str(r["qid"]), str(p), str(n), system)
        for r in values
        for system, found in r["neg"].items()
        for n in found
        for p in r["pos"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        same("sbert-hard-negatives", write_json(folder, values, layout), expected)


@SETTINGS
@given(records(query=texts, pos=lists(texts), neg=lists(texts)), layouts(), st.booleans())
def test_bge(values: list[dict[str, Any]], layout: dict[str, Any], parquet: bool) -> None:
    expected = [(r["query"], p, n, None, None, None, "data") for r in values for n in r["neg"] for p in r["pos"]]
    with tempfile.TemporaryDirectory() as folder:
        path = write_json(folder, values, layout)
        if parquet:
            path = Path(folder) / "data.parquet"
            pq.write_table(pa.Table.from_pylist(values), path)
        same("bge", path, expected)


passages = lists(st.fixed_dictionaries({"docid": ids | numbers, "title": texts, "text": texts}))


def _joined(passage: dict[str, Any]) -> str:
    return " | ".join(part for part in (passage["title"], passage["text"]) if part)


@SETTINGS
@given(records(query_id=ids | numbers, query=texts, positive_passages=passages, negative_passages=passages), layouts())
def test_tevatron(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    expected = [
        (r["query"], _joined(p), _joined(n), str(r["query_id"]), str(p["docid"]), str(n["docid"]), "data")
        for r in values
        for n in r["negative_passages"]
        for p in r["positive_passages"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        same("tevatron", write_json(folder, values, layout), expected, Options(title_separator=" | "))


contexts = lists(st.fixed_dictionaries({"title": texts, "text": texts}))


@SETTINGS
@given(records(question=texts, positive_ctxs=contexts, negative_ctxs=contexts, hard_negative_ctxs=contexts), layouts())
def test_dpr(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    expected = [
        (r["question"], _joined(r["positive_ctxs"][0]), _joined(n), None, None, None, name)
        for r in values
        for name in ("negative_ctxs", "hard_negative_ctxs")
        for n in r[name]
    ]
    options = Options(title_separator=" | ", positives="first")
    with tempfile.TemporaryDirectory() as folder:
        same("dpr", write_json(folder, values, layout), expected, options)


def unmarked(text: str) -> bool:
    """Whether a field is none that a CSV library may have written: with those, tests/formats/test_delimited.py has to do."""
    return not (len(text) > 1 and text.startswith('"') and text.endswith('"'))


fields = texts.map(lambda text: "".join(c for c in text if c not in "\t\r\n\ufeff")).filter(unmarked)
plain = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8).filter(unmarked)


@SETTINGS
@given(st.lists(st.tuples(fields, fields, fields), min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_msmarco_tsv_texts(values: list[tuple[str, ...]], end: str, last: bool) -> None:
    values = [("two words", "a positive", 'a "negative'), *values]
    body = end.join("\t".join(value) for value in values) + (end if last else "")
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "data.tsv", body.encode("utf-8"))
        same("msmarco-tsv", path, [(*value, None, None, None, "data") for value in values])


@SETTINGS
@given(st.lists(st.tuples(plain, plain, plain), min_size=1), st.none() | st.floats(-50, 50))
def test_msmarco_tsv_ids(values: list[tuple[str, ...]], margin: float | None) -> None:
    tail = "" if margin is None else f"\t{margin}"
    body = "".join("\t".join(value) + tail + "\n" for value in values)
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "data.tsv", body.encode("utf-8"))
        same("msmarco-tsv", path, [(None, None, None, *value, "data") for value in values])


runs = st.dictionaries(
    plain, st.dictionaries(plain, st.floats(-1e6, 1e6), min_size=1, max_size=12), min_size=1, max_size=4
)


@SETTINGS
@given(runs, st.sampled_from(["trec", "tsv", "json", "indented", "parquet"]), st.data())
def test_beir(run: dict[str, dict[str, float]], kind: str, data: st.DataObject) -> None:
    positives = {query: data.draw(st.sampled_from(["never retrieved", *documents])) for query, documents in run.items()}
    expected = []
    for query, documents in run.items():
        best = sorted(documents.items(), key=lambda item: -item[1])[:5]
        kept = [document for document, _ in best if document not in (positives[query], query)]
        expected += [(None, None, None, query, positives[query], document, "run") for document in kept]
    hits = [(query, document, score) for query, documents in run.items() for document, score in documents.items()]
    with tempfile.TemporaryDirectory() as folder:
        qrels = write(folder, "qrels.json", json.dumps({q: {d: 1} for q, d in positives.items()}).encode())
        if kind == "parquet":
            path = Path(folder) / "run.parquet"
            names = ("q_id", "doc_id", "score")
            pq.write_table(pa.table(dict(zip(names, zip(*hits, strict=True), strict=True))), path)
        elif kind in ("json", "indented"):
            path = write(folder, "run.json", json.dumps(run, indent=1 if kind == "indented" else None).encode())
        else:
            blank = "\t" if kind == "tsv" else " "
            lines = [blank.join((q, "Q0", d, "1", repr(s), "tag")) + "\n" for q, d, s in hits]
            path = write(folder, f"run.{kind}", "".join(lines).encode())
        found = read("beir", path, Options(ranks=(1, 5), qrels=(str(qrels),)))
    assert [row[1:] for row in found.rows.rows()] == [(*row[:-1], row[-1] and tidy(row[-1])) for row in expected]
    assert set(found.reasons) <= {"null_field"}


@SETTINGS
@given(
    st.lists(st.tuples(ids, texts, texts), min_size=1, max_size=5),
    st.sampled_from(["jsonl", "tsv", "parquet"]),
    st.sampled_from(["query", "passage"]),
    layouts(),
)
def test_texts(values: list[tuple[str, str, str]], kind: str, side: Side, layout: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if kind == "tsv":
            clean = [tuple("".join(c for c in x if c not in "\t\r\n\ufeff") for x in value) for value in values]
            values = [
                (f"_{key}", title, text if unmarked(text) else "") for key, title, text in clean if unmarked(title)
            ]
            values = values or [("_1", "", "")]
            lines = ["\t".join(value if side == "passage" else (value[0], value[2])) + "\n" for value in values]
            path = write(folder, "texts.tsv", "".join(lines).encode("utf-8"))
        else:
            dicts = [{"_id": key, "title": title, "text": text} for key, title, text in values]
            path = Path(folder) / "texts.parquet"
            if kind == "parquet":
                pq.write_table(pa.Table.from_pylist(dicts), path)
            else:
                path = write_json(folder, dicts, layout)
        options = Options(title_separator=" | ")
        batches = [batch for unit in text_units(str(path)) for batch in read_texts(unit, options, side)]
    expected = [
        (key, text if side == "query" else _joined({"title": title, "text": text})) for key, title, text in values
    ]
    assert [row[1:] for batch in batches for row in batch.texts.rows()] == expected
    assert sum(len(batch.rejects) for batch in batches) == 0


@SETTINGS
@given(triples, st.integers(1, 3), st.booleans())
def test_triples_arrow(values: list[dict[str, Any]], chunk: int, stream: bool) -> None:
    table = pa.Table.from_pylist(values)
    with tempfile.TemporaryDirectory() as folder:
        new = pa.ipc.new_stream if stream else pa.ipc.new_file
        with pa.OSFile(f"{folder}/data.bin", "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=chunk)
        same("triples", Path(folder) / "data.bin", [_triple(r) for r in values])


@SETTINGS
@given(triples, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from([str, str.upper, " {} ".format]))
def test_triples_csv_of_any_kind(values: list[dict[str, Any]], delimiter: str, spelled: Callable[[str], str]) -> None:
    """Every field within marks, as Excel and R write it when asked."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    # a column of bare digits holds ids: the first row's texts are none
    values = [{**values[0], "query": "q", "positive": "p", "negative": "n"}, *values]
    writer.writerow([spelled(name) for name in values[0]])
    writer.writerows([value[name] for name in values[0]] for value in values)
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, "data.csv", out.getvalue().encode("utf-8"))
        same("triples", path, [_triple(r) for r in values])


graded = records(
    query=texts, docs=st.lists(st.tuples(texts, st.sampled_from([0, 0, 1, 2])), min_size=2, max_size=5), source=columns
)


def _lists(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what a record of labelled passages gives; none without a positive or a negative."""
    positives = [text for text, label in record["docs"] if label]
    negatives = [text for text, label in record["docs"] if not label]
    return [
        (record["query"], positive, negative, None, None, None, record["source"])
        for negative in negatives
        for positive in positives
    ]


@SETTINGS
@given(graded, layouts(), st.booleans())
def test_labeled_lists(values: list[dict[str, Any]], layout: dict[str, Any], parquet: bool) -> None:
    dicts = [
        {**r, "docs": [text for text, _ in r["docs"]], "labels": [label for _, label in r["docs"]]} for r in values
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        if parquet:
            pq.write_table(pa.Table.from_pylist(dicts), path)
        else:
            path = write_json(folder, dicts, layout)
        found = read("labeled", path)
    expected = [(*row[:-1], tidy(row[-1])) for record in values for row in _lists(record)]
    assert [row[1:] for row in found.rows.rows()] == expected
    assert len(found.rejects) == sum(not _lists(record) for record in values)


@SETTINGS
@given(graded, layouts())
def test_labeled_pairs(values: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """A record a pair; queries are told apart by a number, so that a query's pairs stand together."""
    values = [{**record, "query": f"{i} {record['query']}"} for i, record in enumerate(values)]
    pairs = [
        {"query": r["query"], "answer": text, "label": label, "source": r["source"]}
        for r in values
        for text, label in r["docs"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = read("labeled", write_json(folder, pairs, layout))
    expected = [(*row[:-1], tidy(row[-1])) for record in values for row in _lists(record)]
    assert [row[1:] for row in found.rows.rows()] == expected
    assert len(found.rejects) == sum(not _lists(record) for record in values)


@SETTINGS
@given(graded, layouts(), st.randoms(use_true_random=False))
def test_labeled_pairs_in_any_order(values: list[dict[str, Any]], layout: dict[str, Any], draw: random.Random) -> None:
    """The same triples, in whatever order the pairs stand."""
    pairs = [
        {"query": f"{i} {r['query']}", "answer": text, "label": label, "source": "s"}
        for i, r in enumerate(values)
        for text, label in r["docs"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        expected = read("labeled", write_json(folder, pairs, layout))
        draw.shuffle(pairs)
        found = read("labeled", write_json(folder, pairs, layout))
    triples = [reading.rows.drop("row", "source").rows() for reading in (found, expected)]
    assert Counter(triples[0]) == Counter(triples[1])
    assert found.reasons == expected.reasons


def test_every_format_is_written_and_read_back() -> None:
    assert set(re.findall(r'(?:same|read)\(\s*"([\w-]+)"', Path(__file__).read_text())) == FORMATS.keys()


examples = st.lists(
    st.tuples(numbers | ids, st.lists(numbers, min_size=2, max_size=5), st.booleans()), min_size=1, max_size=5
)


@SETTINGS
@given(examples, layouts(arrays=False))
def test_colbert(values: list[tuple[Any, list[int], bool]], layout: dict[str, Any]) -> None:
    lists = [[q, *([[p, 0.5] for p in pids] if scored else pids)] for q, pids, scored in values]
    expected = [
        (None, None, None, str(q), str(pids[0]), str(negative), "data")
        for q, pids, _ in values
        for negative in pids[1:]
    ]
    with tempfile.TemporaryDirectory() as folder:
        same("colbert", write_json(folder, lists, layout), expected)


@SETTINGS
@given(st.lists(st.tuples(fields, fields, fields, fields, fields), min_size=1, max_size=6))
def test_rocketqa(values: list[tuple[str, ...]]) -> None:
    values = [("a query", "", "pos", "title", "neg"), *values]
    body = "".join("\t".join((*value, "0")) + "\n" for value in values)
    expected = [
        (q, _joined(_titled(a, p)), _joined(_titled(b, n)), None, None, None, "data") for q, a, p, b, n in values
    ]
    with tempfile.TemporaryDirectory() as folder:
        options = Options(title_separator=" | ")
        same("rocketqa", write(folder, "data.tsv", body.encode("utf-8")), expected, options)


def _titled(title: str, text: str) -> dict[str, str]:
    return {"title": "" if title == "-" else title, "text": text}


@SETTINGS
@given(st.lists(st.tuples(numbers, numbers, st.lists(numbers, min_size=1, max_size=4)), min_size=1))
def test_ance(values: list[tuple[int, int, list[int]]]) -> None:
    body = "".join(f"{q}\t{p}\t{','.join(map(str, negatives))}\n" for q, p, negatives in values)
    expected = [(None, None, None, str(q), str(p), str(n), "data") for q, p, negatives in values for n in negatives]
    with tempfile.TemporaryDirectory() as folder:
        same("msmarco-tsv", write(folder, "data.tsv", body.encode()), expected)
