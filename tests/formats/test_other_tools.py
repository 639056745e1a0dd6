"""Files as other tools write them: what each gives, by hand, and the handed cases with their counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import InputError
from jobs.formats import FORMATS, Options
from jobs.formats.recognise import recognise
from tests.formats.reading import Reading, read

Row = tuple[str | None, ...]


def put(folder: Path, name: str, *records: Any) -> Path:
    """Write JSONL, or text where strings are given."""
    path = folder / name
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def rows(found: Reading) -> list[Row]:
    """Return query, positive and negative of each row: texts, or else ids."""
    return [
        tuple(text if text is not None else key for text, key in zip(row[1:4], row[4:7], strict=True))
        for row in found.rows.rows()
    ]


def auto(path: Path, expected: str, **options: Any) -> Reading:
    assert recognise(str(path)) == expected
    return read(expected, path, Options(**options))


QP = [("q", "p", "n"), ("q", "p", "m")]
BOTH = [("q", "p", "n"), ("q", "o", "n"), ("q", "p", "m"), ("q", "o", "m")]

RECORDS: list[tuple[str, dict[str, Any] | list[Any], list[Row]]] = [
    ("sbert-hard-negatives", {"query": "q", "positive": "p", "negatives": ["n", "m"]}, QP),
    ("sbert-hard-negatives", {"anchor": "q", "positives": ["p", "o"], "negatives": ["n", "m"]}, BOTH),
    ("sbert-hard-negatives", {"question": "q", "pos_doc": "p", "neg_doc": ["n", "m"]}, QP),
    ("sbert-hard-negatives", {"question": "q", "documents": "p", "neg_doc": ["n", "m"]}, QP),
    ("sbert-hard-negatives", {"query": "q", "positive": ["p"], "hard_negatives": ["n", "m"]}, QP),
    ("labeled", {"query": "q", "docs": ["n", "p", "m"], "labels": [0, 1, 0]}, QP),
    ("labeled", {"anchor": "q", "positive": ["p", "n", "m"], "labels": [1, 0, 0]}, QP),
    ("labeled", {"query": "q", "passages": ["p", "o", "n", "m"], "labels": [2, 1, 0, -1]}, BOTH),
    ("labeled", {"query": "q", "docs": ["n", "p", "m"], "scores": [0.1, 0.9, 0.3]}, QP),
    ("labeled", {"query_id": 1, "document_ids": [3, 2, 4], "scores": [0.2, 7.5, -1.0]}, [("1", "2", "3"), ("1", "2", "4")]),
    ("labeled", {"query_id": "1", "document_ids": "[2, 3]", "scores": "[0.9, 0.1]"}, [("1", "2", "3")]),
    ("labeled", {"query": "q", "docs": [{"title": "t", "text": "p"}, "n"], "label": [1, 0]}, [("q", "t p", "n")]),
    ("colbert", [1, 2, 3], [("1", "2", "3")]),
    ("colbert", [1, 2, 3, 4], [("1", "2", "3"), ("1", "2", "4")]),
    ("colbert", [1, [2, 0.5], [3, 0.9]], [("1", "2", "3")]),
    ("colbert", ["q1", ["d2", 0.5], ["d3", 9]], [("q1", "d2", "d3")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "record", "expected"), RECORDS)
@pytest.mark.parametrize("kind", ["lines", "array", "parquet"])
def test_records(tmp_path: Path, kind: str, name: str, record: Any, expected: list[Row]) -> None:
    if kind == "parquet":
        mixed = isinstance(record, dict) and any(
            isinstance(v, list) and len({type(x) for x in v}) > 1 for v in record.values()
        )
        if isinstance(record, list) or mixed:
            pytest.skip("no columns")
        path = tmp_path / "file.parquet"
        pq.write_table(pa.Table.from_pylist([record]), path)
    elif kind == "array":
        path = put(tmp_path, "file.json", json.dumps([record, record]))
    else:
        path = put(tmp_path, "file.json", record)
    found = auto(path, name)
    assert rows(found) == expected * (2 if kind == "array" else 1) and found.reasons == {}
    assert set(found.sources) == {"file"}


PAIRS = [("q", "p", 1), ("q", "n", 0), ("q", "o", 1), ("q", "m", 0), ("r", "x", 1), ("r", "y", 0)]
OF_PAIRS = [("q", "p", "n"), ("q", "o", "n"), ("q", "p", "m"), ("q", "o", "m"), ("r", "x", "y")]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_pairs_belong_to_their_query(tmp_path: Path, kind: str) -> None:
    records = [{"query": q, "passage": d, "label": label} for q, d, label in PAIRS]
    path = tmp_path / f"file.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path, row_group_size=2)
    elif kind == "csv":
        path.write_text("query,passage,label\n" + "".join(f"{q},{d},{label}\n" for q, d, label in PAIRS))
    else:
        put(tmp_path, path.name, *records)
    found = auto(path, "labeled")
    assert rows(found) == OF_PAIRS and found.reasons == {}
    assert rows(auto(path, "labeled", positives="first")) == [OF_PAIRS[0], OF_PAIRS[2], OF_PAIRS[4]]


def test_pairs_that_give_no_triple_are_rejected(tmp_path: Path) -> None:
    records = [("a", "p", 1), ("b", "n", 0), ("q", "p", 1), ("q", "n", 0), ("a", "n", 0), ("c", None, 1)]
    records = [{"query": q, "answer": d, "label": label} for q, d, label in records]
    path = put(tmp_path, "x.jsonl", *records, "{bad", *([{"query": "d", "answer": "p", "label": 1}] * 2))
    found = auto(path, "labeled")
    assert rows(found) == [("a", "p", "n"), ("q", "p", "n")]
    assert [(r[0], r[2], r[3]) for r in found.rejects.rows()] == [
        (6, "null_field", "no passage (doc or document or passage or text or answer or positive or para or response)"),
        (7, "bad_record", "not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (2, "null_field", "no positive among 1 pairs of the query"),
        (8, "null_field", "no negative among 2 pairs of the query"),
    ]  # fmt: skip


def test_lists_that_do_not_fit_are_rejected(tmp_path: Path) -> None:
    good = {"query": "q", "docs": ["p", "n"], "labels": [1, 0]}
    bad = [
        {**good, "labels": [1]},
        {**good, "labels": [0, 0]},
        {**good, "labels": [1, 1]},
        {**good, "labels": [1, "x"]},
    ]
    found = auto(put(tmp_path, "x.jsonl", good, *bad), "labeled")
    assert rows(found) == [("q", "p", "n")]
    assert [r[3] for r in found.rejects.rows()] == [
        "2 docs and 1 labels", "no positives", "no negatives", "'x' is not a number"
    ]  # fmt: skip


def test_judgements_say_which_of_the_scored_are_positives(tmp_path: Path) -> None:
    qrels = put(tmp_path, "qrels.tsv", "1\t3\t1")
    lists = put(tmp_path, "kd.jsonl", {"query_id": 1, "document_ids": [2, 3, 4], "scores": [9, 5, 1]},
                {"query_id": 7, "document_ids": [2, 3], "scores": [9, 5]})  # fmt: skip
    assert rows(auto(lists, "labeled")) == [("1", "2", "3"), ("1", "2", "4"), ("7", "2", "3")]
    found = auto(lists, "labeled", qrels=(str(qrels),))
    assert rows(found) == [("1", "3", "2"), ("1", "3", "4")] and found.reasons == {"null_field": 1}
    ways = put(tmp_path, "nway.json", [1, [2, 0.9], [3, 0.8], [4, 0.1]], [7, 2, 3])
    found = auto(ways, "colbert", qrels=(str(qrels),))
    assert rows(found) == [("1", "3", "2"), ("1", "3", "4")] and found.reasons == {"null_field": 1}
    # labels are decisions already
    labels = put(tmp_path, "labels.jsonl", {"query_id": 1, "document_ids": [2, 3], "labels": [1, 0]})
    assert rows(auto(labels, "labeled", qrels=(str(qrels),))) == [("1", "2", "3")]


@pytest.mark.parametrize("bad", ["[1, 2]", "[1]", "[null, 2, 3]", "[1, [2], [3, 4]]", "{}", "[1, [2, 0.5], [3, null]]"])
def test_a_bad_example_of_colbert_costs_itself(tmp_path: Path, bad: str) -> None:
    path = put(tmp_path, "x.json", [1, 2, 3], bad, [4, 5, 6])
    found = read("colbert", path)
    assert [row for row in rows(found) if row[0] in ("4", "1")][:1] == [("1", "2", "3")]
    assert rows(found)[-1] == ("4", "5", "6") and set(found.rejects["row"]) == {2}


def test_rocketqa(tmp_path: Path) -> None:
    pairs = put(tmp_path, "ce.tsv", "a query\t-\ta para\t1", "a query\tIts title\tother\t0", "a query\t-\tthird\t0")
    assert rows(auto(pairs, "rocketqa")) == [
        ("a query", "a para", "Its title other"), ("a query", "a para", "third")
    ]  # fmt: skip
    triples = put(tmp_path, "de.tsv", "a query\tT\tpos\tU\tneg\t0", *["b query\t-\tpos\t-\tneg\t0"] * 4, "cut\tT\tpos")
    found = auto(triples, "rocketqa")
    assert rows(found) == [("a query", "T pos", "U neg"), *[("b query", "pos", "neg")] * 4]
    assert found.reasons == {"bad_record": 1}


def test_ance(tmp_path: Path) -> None:
    path = put(tmp_path, "ann.tsv", "1\t2\t3,4", "5\t6\t7", "8\t9\ta,b")
    assert rows(auto(path, "msmarco-tsv")) == [("1", "2", "3"), ("1", "2", "4"), ("5", "6", "7"), ("8", "9", "a,b")]


def test_nemo(tmp_path: Path) -> None:
    """An object with the records under `data`; passages are ids, titles of none."""
    records = [
        {"question_id": "q1", "question": "what", "pos_doc": [{"id": "1"}], "neg_doc": [{"id": "2"}, {"id": "3"}]},
        {"question_id": "q2", "question": "who", "pos_doc": [{"id": "4"}], "neg_doc": [{"id": "5"}]},
    ]
    for i, whole in enumerate((
        json.dumps({"corpus": {"path": "/x", "data": [1]}, "data": records}),
        json.dumps({"data": records, "corpus": [{"path": "/x"}]}, indent=1),
    )):  # fmt: skip
        found = auto(put(tmp_path, f"{i}.json", whole), "sbert-hard-negatives")
        assert rows(found) == [("what", "1", "2"), ("what", "1", "3"), ("who", "4", "5")]
        assert found.rows["row"].to_list() == [1, 1, 2] and set(found.rows["query_id"]) == {"q1", "q2"}
        cut = put(tmp_path, f"{i}-cut.json", whole[: whole.index("who")])
        assert read("sbert-hard-negatives", cut).reasons == {"bad_record": 1}


def test_drhard(tmp_path: Path) -> None:
    """Lists of documents, the best first; the positives are those of the judgements."""
    qrels = put(tmp_path, "qrels.tsv", "0 0 101 1", "1 0 9 1")
    whole = json.dumps({"0": [101, 102, 102, 103], "1": [4, 5], "2": [6], "3": []}, indent=1)
    path = put(tmp_path, "hardneg.json", whole)
    found = auto(path, "beir", qrels=(str(qrels),), ranks=(1, 4))
    assert rows(found) == [
        ("0", "101", "102"),
        ("0", "101", "102"),
        ("0", "101", "103"),
        ("1", "9", "4"),
        ("1", "9", "5"),
    ]
    assert found.reasons == {"null_field": 2}
    assert rows(auto(path, "beir", qrels=(str(qrels),), ranks=(1, 1))) == [("1", "9", "4")]


REFUSED = [
    (b"PK\x03\x04rest", "a ZIP archive"),
    (b"\x80\x04\x95\x10\0\0\0", "a Python pickle, which is not read; write it as JSONL"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"FEA1" + b"\0" * 20, "Feather version 1"),
    (b"x.txt" + b"\0" * 252 + b"ustar\0", "a tar archive"),
    (b'{"query": {"0": "a text", "1": "b"}, "pos": {}}', "JSON by columns"),
    (b'{"query": ["a text", "b text"], "pos": ["c d", "e f"]}', "JSON by columns"),
    (b'{"version": "2", "data": [{"title": "t", "paragraphs": []}]}', "fits no known format"),
    (b'{"data": [{"title": "t", "paragraphs": []}], "version": "2"}', "SQuAD's JSON"),
    (
        b'{"id": "1", "context": "c", "question": "q", "answers": {"text": ["a"]}}\n',
        "SQuAD's JSON: .*; it has no negatives",
    ),
    (b'{"query": "q", "passage": "p", "score": 0.5}\n', "pairs with a score and no label"),
    (b'{"sentence1": "q", "sentence2": "p", "label": 1}\n', "fits no known format"),
    (b'{"query-id": "q", "corpus-id": "p", "label": 1}\n', "judgements"),
]


@pytest.mark.parametrize(("data", "said"), REFUSED)
def test_what_is_not_read_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "data").write_bytes(data)
    with pytest.raises(InputError, match=said):
        recognise(str(tmp_path / "data"))


NOT_TAKEN_FOR_ANOTHER = [
    ("bge", {"tokens": ["a", "b"], "query": "q", "pos": ["p"], "neg": ["n"]}),
    ("bge", {"data": {"x": 1}, "query": "q", "pos": ["p"], "neg": ["n"]}),
    ("bge", {"corpus": {"x": 1}, "query": "q", "pos": ["p"], "neg": ["n"]}),
    ("sbert-tuples", {"anchor": "q", "positive": "p", "negative": "n", "documents": ["x"], "label": 1}),
    ("sbert-hard-negatives", {"query": "q", "positives": ["p"], "negatives": ["n"], "scores": [1, 2]}),
    ("dpr", {"question": "q", "answers": ["a"], "positive_ctxs": [], "hard_negative_ctxs": []}),
]


@pytest.mark.parametrize(("name", "record"), NOT_TAKEN_FOR_ANOTHER)
def test_one_format_is_not_taken_for_another(tmp_path: Path, name: str, record: dict[str, Any]) -> None:
    assert recognise(str(put(tmp_path, "x.jsonl", record, record))) == name


@pytest.mark.parametrize("word", ["ORC", "PARENTS", "BZh", "PKZIP"])
def test_a_text_may_begin_as_another_kind_of_file_does(tmp_path: Path, word: str) -> None:
    path = put(tmp_path, "x.tsv", f"{word} is a query\ta positive\ta negative", "q w\tp\tn")
    assert rows(auto(path, "msmarco-tsv"))[0] == (f"{word} is a query", "a positive", "a negative")


def test_a_run_of_json_lines(tmp_path: Path) -> None:
    qrels = put(tmp_path, "qrels.tsv", "1\t9\t1")
    hits = [{"Query_ID": 1, "docid": d, "score": s} for d, s in ((2, 0.5), (3, 0.75), (9, 0.9))]
    path = put(tmp_path, "run.jsonl", *hits, "[1]", {"Query_ID": 1, "docid": 4, "score": "x"})
    found = auto(path, "beir", qrels=(str(qrels),))
    assert rows(found) == [("1", "9", "3"), ("1", "9", "2")] and found.reasons == {"bad_record": 2}


# Case -> format, rows, queries. A row for each of three negatives of 40 queries in all of them.
CASES_OF_THREE = {
    "v/anchor_positive_negatives.jsonl": "sbert-hard-negatives",
    "v/q_positives_negatives.jsonl": "sbert-hard-negatives",
    "st_labeled_list.jsonl": "labeled",
    "st_labeled_list.parquet": "labeled",
    "st_labeled_pair.parquet": "labeled",
    "nemo_curator_hn.jsonl": "sbert-hard-negatives",
    "semicolon.csv": "triples",
    "Capital.csv": "triples",
    "spaced.csv": "triples",
    "plain.feather": "triples",
    "hf_saved/data-00000-of-00001.arrow": "triples",
}
CASES_OF_IDS = {
    "colbert_triples.json": "colbert",
    "colbert_nway.json": "colbert",
    "pylate_kd.parquet": "labeled",
    "ance.tsv": "msmarco-tsv",
    "nemo_automodel.json": "sbert-hard-negatives",
}


def by_id(cases: Path) -> list[tuple[str, str, str]]:
    """Return the triples of all these cases as ids, in order, as one of them has them."""
    table = pq.read_table(cases / "st_triplet_ids.parquet").to_pylist()
    return [(str(row["query"]), str(row["positive"]), str(row["negative"])) for row in table]


def texts_of(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return dict(line.split("\t", 1) for line in lines if line)  # type: ignore[arg-type]


@pytest.mark.parametrize("file", CASES_OF_THREE)
def test_the_handed_cases_of_texts(cases: Path, file: str) -> None:
    found = auto(cases / file, CASES_OF_THREE[file])
    queries, passages = texts_of(cases / "queries.tsv"), texts_of(cases / "collection.tsv")
    expected = [(queries[q], passages[p], passages[n]) for q, p, n in by_id(cases)]
    assert (len(found.rows), found.reasons) == (120, {})
    assert rows(found) == expected
    sources = {"bm25": 40, "dense": 40, "random": 40} if CASES_OF_THREE[file] == "triples" else None
    assert found.sources == (sources or {Path(file).stem: 120})


@pytest.mark.parametrize("file", CASES_OF_IDS)
def test_the_handed_cases_of_ids(cases: Path, file: str) -> None:
    found = auto(cases / file, CASES_OF_IDS[file])
    assert (len(found.rows), found.reasons) == (120, {})
    triples = by_id(cases)
    if file.startswith("nemo"):
        queries = texts_of(cases / "queries.tsv")
        triples = [(queries[q], p, n) for q, p, n in triples]
    assert rows(found) == triples


def test_the_handed_case_of_drhard(cases: Path, tmp_path: Path) -> None:
    """20 queries of three documents; query 14 names one twice."""
    qrels = put(tmp_path, "qrels.tsv", *(f"{q} 0 {1000 + q} 1" for q in range(20)))
    found = auto(cases / "reports" / "r14_hardneg.json", "beir", qrels=(str(qrels),))
    assert (len(found.rows), found.rows["query_id"].n_unique(), found.reasons) == (60, 20, {})
    assert [row for row in rows(found) if row[0] == "14"] == [
        ("14", "1014", "150"),
        ("14", "1014", "150"),
        ("14", "1014", "151"),
    ]


def test_the_handed_cases_that_are_refused(cases: Path) -> None:
    with pytest.raises(
        InputError, match=r"pandas.read_json\(path\).to_json\('rows.jsonl', orient='records', lines=True\)"
    ):
        recognise(str(cases / "pandas_columns.json"))


def test_every_format_is_found_by_name() -> None:
    assert {"labeled", "colbert", "rocketqa"} < set(FORMATS)
