"""Names that are cut, sentences that are broken, commands to copy, and groups of ties."""

from __future__ import annotations

import os
import subprocess
from itertools import combinations

import numpy as np
import pytest
from rich.cells import cell_len

from jobs.finished.text import sample_lines
from jobs.probing.answer import not_decided, ties
from jobs.terminal.escape import shown
from jobs.terminal.fitting import Column, command_lines, cut_middle, cut_names, fitted, wrapped


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("dense-band", 10, "dense-band"),
        ("dense-band", 9, "dens…band"),
        ("dense-band", 1, "…"),
        ("否定例の情報源", 7, "否…源"),
        ("dense-aware+bm25", 15, "dense…ware+bm25"),
        ("a+b+c+dense-aware", 6, "a+b…re"),
    ],
)
def test_a_name_is_cut_in_its_middle(text: str, width: int, cut: str) -> None:
    assert cut_middle(text, width) == cut and cell_len(cut) <= width


def test_names_that_share_both_ends_are_cut_elsewhere() -> None:
    names = ["collection-one-miner-a-version-2", "collection-one-miner-b-version-2", "short"]
    found = cut_names(names, 14)
    assert len(set(found)) == 3 and all(cell_len(name) <= 14 for name in found)


@pytest.mark.parametrize("width", [8, 13, 40, 200])
def test_a_sentence_is_broken_between_words(width: int) -> None:
    text = "Nothing is decided between dense-aware and 無作為 否定例: +0.17 to +0.84 points of nDCG@10."
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(cell_len(line) <= width or " " not in line for line in lines)
    assert all(cell_len(a) + 1 + cell_len(b.split()[0]) > width for a, b in zip(lines, lines[1:], strict=False))


def test_blanks_that_line_up_stay_and_what_goes_on_hangs_below() -> None:
    line = "reads      8 files, 5.7 MB, format triples: 23,357 rows"
    assert wrapped(line, 60, 11) == [line]
    assert wrapped(line, 30, 11) == [
        "reads      8 files, 5.7 MB,",
        "           format triples:",
        "           23,357 rows",
    ]


@pytest.mark.parametrize("width", [10, 40, 1000])
def test_a_command_that_is_copied_is_the_same_command_at_any_width(width: int) -> None:
    command = [
        ("eci", "select"),
        ("--source", "it's a source"),
        ("--source", '$(x) `y` "z"'),
        ("--to", "train"),
        ("--out", "a b"),
    ]
    text = "\n".join(command_lines(command, width))
    script = f"eci() {{ printf '%s\\n' eci \"$@\"; }}\n{text}\n"
    copied = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert copied.splitlines() == [word for part in command for word in part]
    assert (width == 1000) == ("\n" not in text)


def test_a_number_is_never_cut_even_where_it_has_no_room() -> None:
    columns = [
        Column("source", ["a" * 99], right=False, name=True),
        Column("triples", ["123,456,789,012"]),
        Column("x", ["9" * 60]),
    ]
    (_, line) = fitted(columns, 60)
    assert "123,456,789,012" in line and "9" * 60 in line


def test_ties_are_groups_in_which_nothing_is_decided_and_every_open_pair_is_in_one() -> None:
    rng = np.random.default_rng(5)
    for count in range(2, 9):
        order = [f"s{i}" for i in range(count)]
        every = list(combinations(order, 2))
        still = [pair if rng.random() < 0.5 else pair[::-1] for pair in every if rng.random() < 0.6]
        edges = set(map(frozenset, still))
        groups = ties(order, [*still, *still])
        assert all(frozenset(pair) in edges for group in groups for pair in combinations(group, 2))
        assert edges == {frozenset(pair) for group in groups for pair in combinations(group, 2)}
        assert all(group == sorted(group, key=order.index) for group in groups)
        assert not any(set(a) <= set(b) for a in groups for b in groups if a is not b)


def test_all_of_ten_sources_undecided_is_one_group_and_not_forty_five_pairs() -> None:
    order = list("abcdefghij")
    assert ties(order, combinations(order, 2)) == [order]
    assert not_decided(order, combinations(order, 2)) == ["Not decided: a, b, c, d, e, f and 4 more."]
    assert not_decided(order, [("b", "a"), ("c", "b")]) == ["Not decided: a and b; b and c."]
    assert not_decided(order, []) == []


def test_what_a_sample_left_open_is_in_groups() -> None:
    sample = {"queries": 100, "all_queries": 400, "rows_left": 9, "looks": 2, "decided": False,
              "open_pairs": [("a", "b"), ("a", "c"), ("b", "c")]}  # fmt: skip
    assert sample_lines(sample, {"texts": 0, "seconds": None}) == [
        "Used 100 of 400 queries (25.0%) in 2 looks.", "Open with the queries used: a, b and c.",
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["a b", "\x1b]0;owned\x07it's 1", "x\n\u202e2\\n", "a\udcff", "plain"])
def test_a_command_holds_nothing_that_moves_the_terminal_and_means_the_same_to_a_shell(word: str) -> None:
    (line,) = command_lines([("printf", "%s", word)], 1000, 0)
    assert shown(line) == line
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout == os.fsencode(word)
