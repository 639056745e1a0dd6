"""Names of columns as people have them: capitals, blanks, other words by a map; separators; columns of bare digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.config import Input, make_config
from jobs.errors import InputError
from jobs.formats import Options
from jobs.formats.names import known_names
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import read_texts, text_units
from tests.formats.reading import read

ROWS = [("q one", "p, with a comma", 'n "quoted"; and more', "bm25"), ("q two", "p\ttab", "n|pipe", "dense")]


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["query{}positive{}negative{}source", " Query {} POSITIVE{}Negative {}Source"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_as_people_have_it(tmp_path: Path, delimiter: str, header: str, mark: str) -> None:
    lines = [header.format(delimiter, delimiter, delimiter), *(delimiter.join(map(quoted, row)) for row in ROWS)]
    path = tmp_path / "x.csv"
    path.write_text(mark + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    assert recognise(str(path)) == "triples"
    found = read("triples", path)
    assert [(*row[1:4], row[7]) for row in found.rows.rows()] == ROWS and found.reasons == {}


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "tsv"])
def test_capitals_and_blanks_in_other_files(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"Query": ["q 1"], " Positive": ["p 1"], "NEGATIVE_1": ["n 1"], "Negative_2 ": ["m 1"]})
    path = tmp_path / f"x.{ending}"
    {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet,
     "tsv": lambda p: frame.write_csv(p, separator="\t")}[ending](path)  # fmt: skip
    assert recognise(str(path)) == "sbert-tuples"
    assert [row[1:4] for row in read("sbert-tuples", path).rows.rows()] == [
        ("q 1", "p 1", "n 1"),
        ("q 1", "p 1", "m 1"),
    ]


def test_names() -> None:
    assert known_names(["query", "pos"]) == {}
    assert known_names(["Query", "POS "]) == {"Query": "query", "POS ": "pos"}
    assert known_names(["Query", "query"]) == {}, "of two that differ by case, neither is renamed to the other"
    assert known_names(["QUERY", "Query"]) == {}
    assert known_names(["claim", "positive"], (("query", "claim"),)) == {"claim": "query"}
    assert known_names(["Claim "], (("query", "claim"),)) == {"Claim ": "query"}
    assert known_names(["answer", "positive"], (("positive", "answer"),)) == {"answer": "positive", "positive": ""}


MAPPED: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("sbert-tuples", {"claim": "q", "evidence": "p", "distractor": "n"},
     {"query": "claim", "positive": "evidence", "negative": "distractor"}),
    ("triples", {"claim": "q", "evidence": "p", "distractor": "n", "miner": "x"},
     {"query": "claim", "positive": "evidence", "negative": "distractor", "source": "miner"}),
    ("sbert-hard-negatives", {"claim": "q", "evidence": ["p"], "distractors": ["n"]},
     {"query": "claim", "positive": "evidence", "negative": "distractors"}),
    ("labeled", {"claim": "q", "evidences": ["n", "p"], "marks": [0, 1]},
     {"query": "claim", "docs": "evidences", "labels": "marks"}),
    ("sbert-tuples", {"anchor": "q", "positive": "an old column", "answer": "p", "negative": "n"}, {"positive": "answer"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "record", "columns"), MAPPED)
@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_a_column_map(tmp_path: Path, ending: str, name: str, record: dict[str, Any], columns: dict[str, str]) -> None:
    path = tmp_path / f"x.{ending}"
    if ending == "csv":
        if any(isinstance(value, list) for value in record.values()):
            pytest.skip("no lists in CSV")
        pl.DataFrame([record]).write_csv(path)
    else:
        frame = pl.DataFrame([record])
        frame.write_parquet(path) if ending == "parquet" else path.write_text(json.dumps(record) + "\n")
    pairs = tuple(columns.items())
    assert recognise(str(path), pairs) == name
    found = read(name, path, Options(columns=pairs))
    assert [row[1:4] for row in found.rows.rows()] == [("q", "p", "n")]
    assert found.sources == {"x": 1}


@pytest.mark.parametrize("given", [
    "positive=answer,negative=distractor", ["positive=answer", "negative=distractor"], ["positive=answer,negative=distractor"],
    {"positive": "answer", "negative": "distractor"}, "positive = answer, negative = distractor",
])  # fmt: skip
def test_a_map_is_given_in_words_or_as_a_table(given: Any) -> None:
    assert Input(triples="x", columns=given).columns == {"positive": "answer", "negative": "distractor"}


@pytest.mark.parametrize(("given", "said"), [
    ("postive=answer", "'postive' is no name to give; did you mean 'positive'?"),
    ("positive", "positive needs the name of a column, such as positive=answer"),
    ("positive=a,positive=b", "'positive' is named twice"),
])  # fmt: skip
def test_a_wrong_map_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        make_config({"inputs": [{"triples": "x", "columns": given}], "out": "o"})
    assert said in str(error.value)


def test_a_map_of_columns_that_are_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"claim": "q", "evidence": "p", "negative": "n"}\n["a", "b", "c"]\n')
    with pytest.raises(
        InputError, match=r"no column 'evidnce', which --columns positive=evidnce names; did you mean 'evide"
    ):
        recognise(str(path), (("query", "claim"), ("positive", "evidnce")))
    (tmp_path / "y.tsv").write_text("a b\tc d\te f\n")
    with pytest.raises(InputError, match="no header that names columns"):
        recognise(str(tmp_path / "y.tsv"), (("query", "claim"),))


@pytest.mark.parametrize(("keys", "meant"), [
    (["query", "passage", "negative_1", "negative_2"], "positive=passage"),
    (["claim", "evidence", "negative_1"], "query=claim,positive=evidence"),
    (["user query", "good", "hard_neg"], "query=user query,positive=good,negative=hard_neg"),
    (["question", "gold", "wrong"], "positive=gold,negative=wrong"),
])  # fmt: skip
def test_the_refusal_names_a_map(tmp_path: Path, keys: list[str], meant: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({key: f"a text of {key}" for key in keys}) + "\n")
    with pytest.raises(InputError) as error:
        recognise(str(path))
    assert f"did you mean --columns {meant}?" in str(error.value)
    pairs = tuple(tuple(pair.split("=")) for pair in meant.split(","))
    assert recognise(str(path), pairs) == "sbert-tuples"  # type: ignore[arg-type]


@pytest.mark.parametrize(("ending", "cut"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
@pytest.mark.parametrize("sourced", [True, False])
def test_columns_of_bare_digits_are_ids(tmp_path: Path, ending: str, cut: str, sourced: bool) -> None:
    """With a source they are `triples`, without one sentence-transformers' columns. Zeros before a number stay."""
    names = ["query", "positive", "negative", *(["source"] if sourced else [])]
    values = [["007", "17", "18"], ["8", "17", ""], ["8", "17", "20"]]
    lines = [cut.join(names), *(cut.join([*row, *(["a"] if sourced else [])]) for row in values)]
    path = tmp_path / f"x.{ending}"
    path.write_text("\n".join(lines) + "\n")
    found = read(recognise(str(path)), path)
    ids = [row[4:7] for row in found.rows.rows() if row[6]]
    assert ids == [("007", "17", "18"), ("8", "17", "20")]
    assert set(found.rows["query"]) == set(found.rows["positive"]) == {None}


def test_a_column_with_one_word_in_it_is_text(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("query,positive,negative,source\n1984,17,18,a\n2001,17,18,a\nbrave new world,17,19,a\n")
    found = read("triples", path)
    assert found.rows["query"].to_list() == ["1984", "2001", "brave new world"]
    assert found.rows["query_id"].to_list() == [None] * 3 and found.rows["negative_id"].to_list() == ["18", "18", "19"]


def test_digits_beside_another_id_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("query,query_id,positive,negative,source\n5,q5,p x,n x,a\n6,6,p x,n x,a\n")
    found = read("triples", path)
    assert found.reasons == {"bad_record": 1} and found.rows["query_id"].to_list() == ["6"]


def test_texts_by_id_under_any_spelling(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ID;Title;Text\n1;T;one\n")
    (tmp_path / "b.jsonl").write_text('{"docid": "1", "document_text": "T one"}\n')
    pl.DataFrame({"Doc_ID": ["1"], "Text": ["T one"]}).write_parquet(tmp_path / "c.parquet")
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        units = text_units(str(tmp_path / name))
        found = [
            row for unit in units for batch in read_texts(unit, Options(), "passage") for row in batch.texts.rows()
        ]
        assert [row[1:] for row in found] == [("1", "T one")], name
    (tmp_path / "q.jsonl").write_text('{"query_id": "1", "query_text": "what"}\n')
    (unit,) = text_units(str(tmp_path / "q.jsonl"))
    assert [row[1:] for b in read_texts(unit, Options(), "query") for row in b.texts.rows()] == [("1", "what")]


def test_the_handed_cases(cases: Path) -> None:
    """40 queries with three negatives each, under other names."""
    for name, pairs in {
        "st_ntuple_query_passage.parquet": (("positive", "passage"),),
        "st_ntuple_claim_evidence.parquet": (("query", "claim"), ("positive", "evidence")),
    }.items():
        path = cases / name
        meant = ",".join(f"{role}={column}" for role, column in pairs)
        with pytest.raises(InputError, match=rf"did you mean --columns {meant}\?"):
            recognise(str(path))
        assert recognise(str(path), pairs) == "sbert-tuples"
        found = read("sbert-tuples", path, Options(columns=pairs))
        assert (len(found.rows), found.rows["query"].n_unique(), found.reasons) == (120, 40, {})
