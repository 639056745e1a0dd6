"""Pairs from docstrings: what is taken, what is left out, and that it is the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.demo.docstrings import cut, prose_paragraphs, split_docstring
from jobs.demo.documentation import (
    DocPair,
    Docstring,
    collect_pairs,
    file_docstrings,
    package_docstrings,
    pair_docstrings,
    sample_pairs,
)

REST = (
    "The order of the rows is kept unless the caller asks for speed instead, in which case the "
    "rows may come in any order at all."
)
NUMPYDOC = f"""Join two tables on a key.

    {REST}

    .. deprecated:: 2.0
        Use something else entirely.

    Parameters
    ----------
    on : str
        The key.

    Notes
    -----
    Keys that are ``None`` never match, see `Table.merge`_ for those.

    Examples
    --------
    >>> join(a, b)
    """


@pytest.fixture(scope="module")
def pairs() -> list[DocPair]:
    return collect_pairs(4000)


def test_the_query_is_the_first_sentence_and_the_positive_the_prose_after_it() -> None:
    split = split_docstring(f"Join two\n  tables, e.g. sorted ones, on a key. {REST}")
    assert split == ("Join two tables, e.g. sorted ones, on a key.", REST)


def test_parameters_examples_directives_and_markup_are_left_out() -> None:
    split = split_docstring(NUMPYDOC)
    note = "Keys that are None never match, see Table.merge for those."
    assert split == ("Join two tables on a key.", f"{REST} {note}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"Too short. {REST}",
        "Join two tables on a key.",
        f"Join two tables on a key.\n\nArgs:\n    on: {REST}",
        f"Deprecated since version 3: use merge. {REST}",
    ],
)
def test_a_docstring_without_a_question_and_an_answer_gives_no_pair(text: str) -> None:
    assert split_docstring(text) is None


def test_code_after_a_double_colon_goes_with_the_sentence_that_leads_to_it() -> None:
    text = "It is fast. Call it like this::\n\n    join(a, b)\n    print(a)\n\nThat is all."
    assert list(prose_paragraphs(text)) == ["It is fast.", "That is all."]


def test_a_long_text_is_cut_at_a_sentence_where_that_keeps_half() -> None:
    assert cut("One two three. Four five six. Seven eight.", 7) == "One two three. Four five six."
    assert cut("One. Two three four five six seven.", 6) == "One. Two three four five six"


def test_repeated_queries_and_positives_are_kept_once_the_first_in_order() -> None:
    first = Docstring("a", "a.m", "f", f"Join two tables on a key. {REST}")
    same_query = Docstring("a", "a.m", "g", f"Join two TABLES on a key. Another. {REST}")
    same_rest = Docstring("b", "b.m", "f", f"Glue two tables on a key. {REST}")
    kept = pair_docstrings([same_rest, same_query, first])
    assert kept == [DocPair("Join two tables on a key.", REST, "a", "a.m")]


def test_a_smaller_sample_is_part_of_a_larger_one_in_the_same_order() -> None:
    many = [DocPair(f"query {i}", f"positive {i}", "l", "m") for i in range(50)]
    large, small = sample_pairs(many, 20), sample_pairs(many, 5)
    assert len(large) == 20
    assert small == [pair for pair in large if pair in small]


def test_files_that_cannot_be_parsed_have_no_docstrings(tmp_path: Path) -> None:
    for name, content in {
        "syntax.py": b'"""A docstring."""\ndef f(:\n',
        "bytes.py": b'"""\xff\xfe"""\n',
        "null.py": b'"""A\0b"""\n',
    }.items():
        (tmp_path / name).write_bytes(content)
        assert list(file_docstrings("l", "m", tmp_path / name)) == []
    assert list(file_docstrings("l", "m", tmp_path / "absent.py")) == []


def test_methods_have_qualified_names_and_private_names_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        '"""M."""\nclass A:\n    """A."""\n    def b(self):\n        """B."""\n    def _c(self):\n        """C."""\n'
    )
    found = [(item.qualname, item.text) for item in file_docstrings("l", "m", path)]
    assert found == [("", "M."), ("A", "A."), ("A.b", "B.")]


def test_a_library_that_is_not_installed_has_no_docstrings() -> None:
    assert list(package_docstrings("x", "no_such_library_at_all")) == []


def test_an_installation_has_thousands_of_distinct_pairs(pairs: list[DocPair]) -> None:
    assert len(pairs) >= 3000
    assert len({pair.query.casefold() for pair in pairs}) == len(pairs)
    assert len({pair.positive.casefold() for pair in pairs}) == len(pairs)
    assert all(4 <= len(pair.query.split()) <= 40 for pair in pairs)
    assert all(15 <= len(pair.positive.split()) <= 150 for pair in pairs)
    assert not [pair for pair in pairs if ".tests." in pair.module or "_vendor" in pair.module]


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        collect_pairs(0)
