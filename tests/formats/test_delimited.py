"""Quotation marks in delimited files: as CSV has them, or as any character, decided from the file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options
from jobs.formats.delimited import quotes_fields
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import read_texts, text_units

HEADER = ["query", "positive", "negative", "source"]
CASES = Path(__file__).parents[3] / "shared" / "cases"


def rows_of(path: Path, source: str | None = None) -> tuple[list[tuple[str, str, str]], int]:
    """Return the triples and the number of rejects."""
    kind, found, rejects = format_named(recognise(str(path))), [], 0
    for unit in kind.units(str(path)):
        for batch in kind.read(unit, Options(source=source)):
            found += list(batch.rows.select("query", "positive", "negative").iter_rows())
            rejects += len(batch.rejects)
    return found, rejects


def sixty(marked: dict[int, str]) -> list[list[str]]:
    """Sixty rows; `marked`: the positive of some."""
    return [[f"query {k}", marked.get(k, f"passage {k}"), f"other {k}", "bm25"] for k in range(60)]


def raw(path: Path, rows: list[list[str]], header: bool = True, delimiter: str = "\t") -> Path:
    lines = [delimiter.join(row) for row in ([HEADER] if header else []) + rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("marked", [
    {3: '"begins with a mark', 40: 'ends with one"'},  # a pair that swallows 37 lines where it is taken for CSV's
    {3: '"begins with a mark'},
    {3: '"a title" and more'},
    {3: '"quoted whole"'},
])  # fmt: skip
@pytest.mark.parametrize("header", [True, False])
def test_marks_of_the_texts_own_swallow_no_line_of_a_tsv(tmp_path, marked, header):
    rows = [row if header else row[:3] for row in sixty(marked)]
    path = raw(tmp_path / "t.tsv", rows, header)
    found, rejects = rows_of(path, None if header else "bm25")
    assert found == [tuple(row[:3]) for row in rows] and rejects == 0
    assert not quotes_fields(str(path), "\t")


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_file_that_a_csv_library_wrote_is_read_back(tmp_path, delimiter, quoting):
    rows = sixty({3: 'she said "yes"', 7: f"with a {delimiter} in it", 9: "two\nlines", 11: '"all of it"'})
    path = tmp_path / f"t.{'tsv' if delimiter == chr(9) else 'csv'}"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([HEADER, *rows])
    assert rows_of(path) == ([tuple(row[:3]) for row in rows], 0)


def test_a_carriage_return_within_marks_is_one_that_a_library_quoted(tmp_path):
    rows = [["query 0", "passage 0", "a\rreturn", "bm25"], ["query 1", "passage 1", "\r", "bm25"]]
    path = tmp_path / "t.tsv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([HEADER, *rows])
    assert rows_of(path) == ([tuple(row[:3]) for row in rows], 0)


def test_a_csv_with_a_pair_of_marks_of_its_own_is_read_line_by_line(tmp_path):
    rows = sixty({3: '"begins with a mark', 40: 'ends with one"'})
    assert rows_of(raw(tmp_path / "t.csv", rows, delimiter=",")) == ([tuple(row[:3]) for row in rows], 0)


def test_a_csv_that_fits_no_dialect_is_refused_with_both_readings(tmp_path):
    rows = sixty({3: '"begins with a mark, and goes on', **{k: f"a, comma {k}" for k in range(10, 30)}})
    with pytest.raises(InputError, match=r"fit no dialect.*39 rows of the header's width and 21 others"):
        rows_of(raw(tmp_path / "t.csv", rows, delimiter=","))


def test_a_mark_far_down_a_quoted_file_that_swallows_rows_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.formats.delimited.LOOKED_AT", 500)
    rows = sixty({0: '"all ""quoted"" here"', 30: '"opens', 50: 'closes"'})
    with pytest.raises(InputError, match="row 32 holds 21 lines in one quoted field, and all 19 within"):
        rows_of(raw(tmp_path / "t.tsv", rows))


@pytest.mark.parametrize("name", ["corpus.tsv", "corpus.txt"])
def test_a_corpus_that_is_quoted_loses_its_marks_and_one_that_is_not_keeps_them(tmp_path, name):
    path = tmp_path / name
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["_id", "text"], ["a", 'says "this"'], ["b", "plain"]])
    quoted = [text for unit in text_units(str(path)) for batch in read_texts(unit, Options(), "passage")
              for text in batch.texts["text"].to_list()]  # fmt: skip
    assert quoted == ['says "this"', "plain"]
    path.write_text('a\t"this" is quoted\nb\tplain\n')
    kept = [text for unit in text_units(str(path)) for batch in read_texts(unit, Options(), "passage")
            for text in batch.texts["text"].to_list()]  # fmt: skip
    assert kept == ['"this" is quoted', "plain"]


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")
@pytest.mark.parametrize("name", ["r12_pair.tsv", "r12_header.tsv", "r12_noheader.tsv"])
def test_the_handed_cases_have_sixty_rows(name):
    found, rejects = rows_of(CASES / "reports" / name, "bm25")
    assert (len(found), rejects) == (60, 0)
    assert max(len(text) for row in found for text in row) < 2_000


def test_a_text_with_lines_that_look_like_rows_is_read(tmp_path):
    rows = sixty({5: "a list:\n1, 2, 3, 4\n5, 6, 7, 8\nand an end\nof it"})
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    assert rows_of(path) == ([tuple(row[:3]) for row in rows], 0)


def test_a_quoted_field_that_goes_on_where_the_look_ends_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.formats.delimited.LOOKED_AT", 900)
    rows = sixty({k: f"first line\nsecond, of {k}\nthird" for k in range(60)})
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    for size in range(600, 900, 7):  # somewhere the cut is within a field
        monkeypatch.setattr("jobs.formats.delimited.LOOKED_AT", size)
        assert rows_of(path) == ([tuple(row[:3]) for row in rows], 0)


def test_a_line_without_a_tab_does_not_let_a_pair_of_marks_swallow_a_collection(tmp_path):
    lines = [f"{k}\ttext {k}" for k in range(1000)]
    lines[100], lines[500], lines[900] = '100\t"opens', '500\tcloses"', "no tab"
    path = tmp_path / "collection.tsv"
    path.write_text("\n".join(lines) + "\n")
    batches = [batch for unit in text_units(str(path)) for batch in read_texts(unit, Options(), "passage")]
    assert (sum(len(b.texts) for b in batches), sum(len(b.rejects) for b in batches)) == (999, 1)


def test_one_malformed_row_of_a_quoted_csv_costs_that_row_at_most(tmp_path):
    rows = sixty({k: f"yes, {k}" for k in range(0, 60, 5)})
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
        file.write('q,"well" said he,n,bm25\r\n')
    found, rejects = rows_of(path)
    assert found[:60] == [tuple(row[:3]) for row in rows] and len(found) + rejects == 61


def test_a_tsv_whose_header_is_quoted_is_quoted_though_a_field_is_not(tmp_path):
    lines = ['"query"\t"positive"\t"negative"\t"source"']
    lines += [f'"q{k}"\t"p{k}"\t{"NA" if k == 7 else chr(34) + f"n{k}" + chr(34)}\t"a"' for k in range(100)]
    path = tmp_path / "r.tsv"
    path.write_text("\n".join(lines) + "\n")
    found, rejects = rows_of(path)
    assert found[0] == ("q0", "p0", "n0") and found[7][2] == "NA" and (len(found), rejects) == (100, 0)
