"""`--format auto` chooses, or says what it saw and what comes near."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.formats.recognise import recognise

KNOWN = [
    ("triples", '{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n'),
    ("triples", '{"query_id": 1, "positive_id": 2, "negative_id": 3, "source": "s"}\n'),
    ("sbert-tuples", '{"anchor": "q", "positive": "p", "negative": "n"}\n'),
    ("sbert-tuples", '{"query": "q", "answer": "p", "negative_1": "n", "negative_2": "n"}\n'),
    ("sbert-tuples", '["q", "p", "n"]\n["q", "p", "n"]\n'),
    ("sbert-tuples", '[["q", "p", "n"], ["q", "p", "n"]]'),
    ("sbert-tuples", '{"query": "q", "doc_pos": "p", "doc_neg": "n"}\n'),
    ("sbert-hard-negatives", '{"qid": 1, "pos": [1], "neg": {"bm25": [2]}}\n'),
    ("sbert-hard-negatives", '{"query": "q", "pos": ["p"], "neg": {"bm25": ["n"]}}\n'),
    ("bge", '{"query": "q", "pos": ["p"], "neg": ["n"], "prompt": ""}\n'),
    ("tevatron", '{"query_id": "1", "query": "q", "positive_passages": [], "negative_passages": []}\n'),
    ("dpr", '[\n {"question": "q", "positive_ctxs": [], "hard_negative_ctxs": []}\n]'),
    ("msmarco-tsv", "a query\ta positive\ta negative\n"),
    ("msmarco-tsv", "184235\t2913423\t4512399\n"),
    ("msmarco-tsv", "184235\t2913423\t4512399\t12.5\n"),
    ("beir", "1 Q0 CACM-1938 1 12.033000 Anserini\n"),
    ("beir", '{"1": {"d1": 0.5}}'),
    ("beir", '{\n "1": {\n  "d1": 0.5\n }\n}'),
]

REFUSED = [
    ("", "empty"),
    ("   \n\n", "nothing can be read"),
    ("\ufeff".encode("utf-16").decode("latin-1"), "UTF-16"),
    ('{"anchor": "q", "positive": "p"}\n', r"keys anchor, positive; near: sbert-tuples \(lacks negative\)"),
    ('{"sentence": "x", "label": 1}\n', "fits no known format: its first record has the keys sentence, label"),
    ('{"query": "q", "pos": ["p"], "neg": ["n"], "negative_passages": [], "positive_passages": []}\n', "bge; tevatron"),
    ("not data at all\n", "its first line is 'not data at all'"),
    ("[1, 2]\n", "list of 2"),
    ('{"query": "q", \n', "its first key is query, over several lines"),
    ('{"q1": {"d1": 1}}', "--qrels"),
    ("q1\t0\td1\t1\n", "--qrels"),
    ("19335\t1720389\t1\n", "--qrels"),
    ('{"_id": "1", "title": "", "text": "t"}\n', "--corpus"),
    ("1\ttext\n", "--corpus"),
]


@pytest.mark.parametrize(("name", "body"), KNOWN)
def test_known(tmp_path: Path, name: str, body: str) -> None:
    path = tmp_path / "data"
    path.write_text(body, encoding="utf-8")
    assert recognise(str(path)) == name


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_refused(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(body.encode("latin-1" if "\xff" in body else "utf-8"))
    with pytest.raises(InputError, match=message):
        recognise(str(path))


def test_columns(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("anchor,positive,negative\nq,p,n\n")
    (tmp_path / "x.tsv").write_text("query\tpositive\tnegative\tsource\nq\tp\tn\ts\n")
    assert recognise(str(tmp_path / "x.csv")) == "sbert-tuples"
    assert recognise(str(tmp_path / "x.tsv")) == "triples"


def test_the_first_record_may_be_damaged(tmp_path: Path) -> None:
    good = json.dumps({"query": "q", "pos": ["p"], "neg": ["n"]})
    (tmp_path / "x.jsonl").write_text(f"{{broken\n{good}\n{good}\n")
    assert recognise(str(tmp_path / "x.jsonl")) == "bge"
