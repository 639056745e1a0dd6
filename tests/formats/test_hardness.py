"""What real files do to readers: each case is one record lost at most, and said so."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jobs.errors import InputError
from jobs.formats import FORMATS, Options, columnar
from jobs.formats import json_elements as elements
from jobs.formats import opening as files
from jobs.formats.qrels import read_qrels
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import read_texts, text_units
from tests.formats.reading import Reading, read

BGE = {"query": "q", "pos": ["p"], "neg": ["n1", "n2"]}


def put(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def jsonl(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def triples_of(found: Reading) -> list[tuple]:
    return found.rows.select("query", "positive", "negative").rows()


@pytest.mark.parametrize("hostile", ["\x85", "\u2028", "\u2029", "\0", "\ufeff", "\x1c", "\r\n", "\t"])
def test_characters_that_some_call_line_ends(tmp_path: Path, hostile: str) -> None:
    record = {"query": f"a{hostile}b", "pos": [hostile], "neg": [f"{hostile}{hostile}"]}
    raw = json.dumps(record, ensure_ascii=False)
    found = read("bge", put(tmp_path, "x.jsonl", f"\ufeff{raw}\r\n\r\n{raw}"))
    assert triples_of(found) == [(f"a{hostile}b", hostile, hostile * 2)] * 2
    assert found.rows["row"].to_list() == [1, 3]


def test_invalid_utf8_and_bad_json_cost_one_record(tmp_path: Path) -> None:
    good = jsonl(BGE)
    bad = [b'{"query": "\xff", "pos": ["p"], "neg": ["n"]}\n', b'{"query": "\\ud800", "pos": ["p"], "neg": ["n"]}\n']
    bad += [b'{"query": \n', b"[1]\n", b"null\n", b'{"query": 1.5, "pos": ["p"], "neg": ["n"]}\n']
    found = read("bge", put(tmp_path, "x.jsonl", good + b"".join(bad) + good))
    assert found.sources == {"x": 4}
    assert found.reasons == {"invalid_utf8": 2, "bad_record": 4}
    assert found.rejects["row"].to_list() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"query": "q", "pos": ["p"], "neg": []}, "no negatives"),
        ({"query": "q", "pos": ["p"]}, "no negatives"),
        ({"query": "q", "pos": [], "neg": ["n"]}, "no positives"),
        ({"pos": ["p"], "neg": ["n"]}, "no query (query or query_id or qid)"),
        ({}, "no query (query or query_id or qid)"),
    ],
)
def test_records_without_a_triple_are_rejected(tmp_path: Path, record: dict, detail: str) -> None:
    found = read("bge", put(tmp_path, "x.jsonl", jsonl(record)))
    assert found.rejects.select("row", "reason", "detail").rows() == [(1, "null_field", detail)]
    assert len(found.rows) == 0


def test_one_bad_entry_costs_only_itself(tmp_path: Path) -> None:
    record = {"query": "q", "pos": ["p", ["x"]], "neg": ["n", None, 1.5, {"text": "t", "title": "T", "docid": 7}]}
    found = read("bge", put(tmp_path, "x.jsonl", jsonl(record)))
    rows = found.rows.select("negative", "negative_id").rows()
    assert rows == [("n", None), (None, None), ("T t", "7")]
    details = ["pos[1] is a list, not a string", "neg[2] is a float, not a string"]
    assert found.rejects["detail"].to_list() == details


def test_numbers_and_strings_are_the_same_ids(tmp_path: Path) -> None:
    record = {"qid": 7, "pos": [1, "2"], "neg": {"bm25": [3], "ce": [{"pid": "4", "ce-score": 9.0}], "none": []}}
    found = read("sbert-hard-negatives", put(tmp_path, "x.jsonl", jsonl(record)))
    ids = found.rows.select("query_id", "positive_id", "negative_id", "source").rows()
    assert ids == [("7", "1", "3", "bm25"), ("7", "2", "3", "bm25"), ("7", "1", "4", "ce"), ("7", "2", "4", "ce")]
    corpus = put(tmp_path, "corpus.jsonl", jsonl({"_id": 1, "text": "one"}, {"_id": "2", "text": "two"}))
    batches = [b for unit in text_units(corpus) for b in read_texts(unit, Options(), "passage")]
    assert batches[0].texts["id"].to_list() == ["1", "2"]


def test_a_record_of_50_mb(tmp_path: Path) -> None:
    text = "word " * 10_000_000
    for body in (jsonl({**BGE, "pos": [text]}), json.dumps([{**BGE, "pos": [text]}, BGE]).encode()):
        found = read("bge", put(tmp_path, "x.json", body))
        assert found.reasons == {}
        assert len(found.rows["positive"][0]) == len(text)


def test_a_record_beyond_the_limit_is_rejected_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 100)
    path = put(tmp_path, "x.jsonl", jsonl(BGE, {**BGE, "pos": ["x" * 500]}, BGE))
    found = read("bge", path)
    assert (found.sources, found.reasons, found.rows["row"].to_list()) == ({"x": 4}, {"bad_record": 1}, [1, 1, 3, 3])


def test_deep_nesting(tmp_path: Path) -> None:
    deep = b'{"query": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
    for body in (jsonl(BGE) + deep + jsonl(BGE), b"[" + jsonl(BGE) + b"," + deep + b"," + jsonl(BGE) + b"]"):
        found = read("bge", put(tmp_path, "x.json", body))
        assert (found.sources, found.reasons) == ({"x": 4}, {"bad_record": 1})


@pytest.mark.parametrize("ending", ["gz", "zst", "lz4"])
def test_truncated_compressed_files_give_what_is_before_and_one_reject(tmp_path: Path, ending: str) -> None:
    import random

    draw = random.Random(1)
    values = [{**BGE, "pos": [f"{draw.random()}"]} for _ in range(20_000)]
    pack = {
        "gz": gzip.compress,
        "zst": zstandard.compress,
        "lz4": lambda data: pa.Codec("lz4").compress(data, asbytes=True),
    }[ending]
    data = pack(jsonl(*values))
    assert read("bge", put(tmp_path, f"whole.jsonl.{ending}", data)).sources == {"whole": 40_000}
    found = read("bge", put(tmp_path, f"cut.jsonl.{ending}", data[: len(data) // 2]))
    assert found.reasons == {"bad_record": 1}
    assert found.records - 1 == found.rows["row"].max() == found.rejects["row"][0] - 1
    assert 0 < found.records < 20_000
    assert "nothing can be read from here on" in found.rejects["detail"][0]
    assert read("bge", put(tmp_path, f"junk.jsonl.{ending}", b"no such stream")).reasons == {"bad_record": 1}


def test_several_frames_in_one_file(tmp_path: Path) -> None:
    for ending, pack in (("gz", gzip.compress), ("zst", zstandard.compress)):
        path = put(tmp_path, f"x.jsonl.{ending}", pack(jsonl(BGE)) + pack(jsonl(BGE)))
        assert read("bge", path).sources == {"x": 4}


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet", "x.csv", "x.jsonl.gz", "x.json", "x.tsv"])
def test_a_git_lfs_pointer_is_not_data(tmp_path: Path, name: str) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    path = put(tmp_path, name, pointer)
    with pytest.raises(InputError, match="git lfs pull"):
        recognise(path)
    for fmt in FORMATS.values():
        with pytest.raises(InputError, match="git lfs pull"):
            fmt.units(path)
    with pytest.raises(InputError, match="git lfs pull"):
        text_units(path)
    with pytest.raises(InputError, match="git lfs pull"):
        read_qrels((path,))


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    lines = ['"what is\tp "quoted" x\tn', "a b\t\"\t'", "\t\t", "only two\tfields", "a b\tp\tn\tnot a margin"]
    found = read("msmarco-tsv", put(tmp_path, "x.tsv", "\n".join(lines)))
    assert triples_of(found) == [('"what is', 'p "quoted" x', "n"), ("a b", '"', "'"), ("", "", "")]
    assert found.reasons == {"bad_record": 2}


@pytest.mark.parametrize(
    "body",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n",
        "q1\td1\t1\nq1\td2\t0\n",
        "q1 0 d1 1\nq1\t0\td2\t0\n",
        "q1 0\td1\t1\r\nq1\t0 d2 0\r\n",
        "\ufeffq1 Q0 d1 1\n\nq1 Q0 d2 0",
        '{"query-id": "q1", "corpus-id": "d1", "score": 1}\n{"query_id": "q1", "docid": "d2", "score": 0}\n',
        '{"q1": {"d1": 1, "d2": 0}}',
    ],
)
def test_judgements_in_all_their_shapes(tmp_path: Path, body: str) -> None:
    assert read_qrels((put(tmp_path, "qrels", body),)) == {"q1": {"d1": 1.0, "d2": 0.0}}


def test_ids_with_blanks_need_tabs(tmp_path: Path) -> None:
    assert read_qrels((put(tmp_path, "qrels", "query 0\tGeneva Durben\t1\n"),)) == {"query 0": {"Geneva Durben": 1.0}}


def test_a_bad_judgement_stops_the_run_and_names_the_row(tmp_path: Path) -> None:
    path = put(tmp_path, "qrels", "q1 0 d1 1\nq1 0 d2 high\n")
    with pytest.raises(InputError, match=r"qrels: judgement after row 1: 'high' is not a number"):
        read_qrels((path,))


def test_self_hits_and_judged_documents_are_no_negatives(tmp_path: Path) -> None:
    run = put(
        tmp_path, "bm25.trec", "".join(f"q1 Q0 {d} 1 {9 - i} t\n" for i, d in enumerate(["q1", "d1", "d2", "d3"]))
    )
    qrels = put(tmp_path, "qrels", "q1 0 d1 1\nq1 0 d2 0\n")
    found = read("beir", run, Options(qrels=(qrels,)))
    assert found.rows.select("row", "negative_id", "source").rows() == [(4, "d3", "bm25")]
    found = read("beir", run, Options(qrels=(qrels,), ranks=(1, 3), source="mine"))
    assert found.rejects.select("source", "reason", "detail").rows() == [
        ("mine", "null_field", "no negatives at ranks 1:3")
    ]


def test_hits_apart_from_their_query_are_rejected(tmp_path: Path) -> None:
    run = put(tmp_path, "r.trec", "q1 Q0 a 1 9 t\nq2 Q0 a 1 9 t\nq1 Q0 b 2 8 t\nq1 Q0 c x y\nq2 Q0\n")
    qrels = put(tmp_path, "qrels", "q1 0 d 1\nq2 0 d 1\n")
    found = read("beir", run, Options(qrels=(qrels,)))
    assert found.rows["row"].to_list() == [1, 2]
    assert found.rejects["row"].to_list() == [3, 4, 5]
    assert found.rejects["detail"][0] == "1 hits apart from the query's first ones at 1: sort the run by query"


def test_a_run_without_judgements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--qrels"):
        read("beir", put(tmp_path, "r.trec", "q1 Q0 a 1 9 t\n"))


def test_arrays_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "BLOCK_BYTES", 7)
    values = [{**BGE, "query": f'{i} "\\ {{['} for i in range(50)]
    for indent in (None, 2):
        found = read("bge", put(tmp_path, "x.json", json.dumps(values, indent=indent)))
        assert found.rows["query"].to_list() == [value["query"] for value in values for _ in range(2)]
        assert (found.records, found.reasons) == (50, {})


def test_a_truncated_array_gives_what_is_before(tmp_path: Path) -> None:
    body = json.dumps([BGE, BGE, BGE])
    found = read("bge", put(tmp_path, "x.json", body[:-20]))
    assert (found.sources, found.rejects["row"].to_list()) == ({"x": 4}, [3])
    assert read("bge", put(tmp_path, "y.json", body + "[]")).reasons == {"bad_record": 1}


@pytest.mark.parametrize("name", ["bge", "msmarco-tsv"])
def test_units_of_one_file_give_the_same_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    body = jsonl(*({**BGE, "query": f"q{i}"} for i in range(100)))
    if name == "msmarco-tsv":
        body = b"".join(b"query %d\tp\tn\r\n" % i for i in range(100))
    path = put(tmp_path, "x.data", body)
    whole = read(name, path)
    monkeypatch.setattr(files, "SPLIT_BYTES", 300)
    monkeypatch.setattr(files, "BLOCK_BYTES", 100)
    assert len(FORMATS[name].units(path)) > 3
    assert read(name, path).rows.equals(whole.rows)


def test_units_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"query": [f"q{i}" for i in range(10)], "pos": [["p"]] * 10, "neg": [["n"]] * 10})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=3)
    monkeypatch.setattr(columnar, "PARQUET_UNIT_ROWS", 4)
    found = read("bge", tmp_path / "x.parquet")
    assert found.rows["row"].to_list() == list(range(10))
    assert found.rows["query"].to_list() == [f"q{i}" for i in range(10)]


def test_invalid_utf8_in_parquet_costs_one_row(tmp_path: Path) -> None:
    values = pa.array([b"a", b"\xff", b"c"]).cast(pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, values.buffers())
    names = ["query", "positive", "negative", "source"]
    pq.write_table(
        pa.table([pa.array(["x"] * 3), broken, pa.array(["n"] * 3), pa.array(["s"] * 3)], names), tmp_path / "x.parquet"
    )
    for name in ("triples", "sbert-tuples"):
        found = read(name, tmp_path / "x.parquet")
        assert (found.rows["row"].to_list(), found.rejects["row"].to_list()) == ([0, 2], [1])
        assert found.reasons == {"invalid_utf8": 1}


@pytest.mark.parametrize("name", ["triples", "sbert-tuples", "bge", "beir"])
def test_alien_columns_are_refused_with_their_names(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"sentence": ["a"], "label": [1]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="sentence, label"):
        read(name, tmp_path / "x.parquet")


def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    """A long query stands in each of its triples: rows are copied, so that bytes count and not rows alone."""
    record = {"query": "q" * (10 << 20), "pos": ["p"], "neg": [f"n{i}" for i in range(30)]}
    path = put(tmp_path, "x.jsonl", jsonl(record))
    sizes = [len(batch.rows) for unit in FORMATS["bge"].units(path) for batch in FORMATS["bge"].read(unit, Options())]
    assert sum(sizes) == 30
    assert max(sizes) == 4
