"""What the READMEs print for an example is of one piece: counts add up, and runs that are named are those of the command."""

from __future__ import annotations

import re

import pytest

from tests.docs.readme import READMES
from tests.docs.stand_ins import RUN_ID

SHOWN = [
    (readme.name, body) for readme in READMES for language, body in readme.fenced if language in ("console", "text")
]


def shown(command: str) -> list[tuple[str, list[str]]]:
    """Return (command line, lines that it prints) wherever a README shows both."""
    found = []
    for _, body in SHOWN:
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            first, *printed = part.strip("\n").splitlines()
            if first.startswith(command) and printed:
                found.append((first, printed))
    return found


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize(("line", "printed"), shown("eci select"))
def test_the_sources_of_a_selection_add_up_to_its_triples(line, printed):
    rows = [found for text in printed if (found := re.fullmatch(r" *([\d,]+)  (\S.*)", text))]
    *sources, whole = rows
    triples, to = number(whole[1]), re.search(r"--to (\S+)", line)[1]
    assert "..." in printed or sum(number(row[1]) for row in sources) == triples
    if asked := re.search(r"--total (\d+)", line):
        assert triples <= int(asked[1])
    if to.startswith("delta:"):
        assert whole[2].startswith("triples, in ") and f"/{to.removeprefix('delta:')} at version " in whole[2]
    else:
        assert whole[2].startswith("triples, best ") and f"{to}/data" in whole[2]


def test_a_selection_is_shown():
    assert shown("eci select")


@pytest.mark.parametrize("body", [body for _, body in SHOWN if " rows in = " in body])
def test_the_triples_of_a_ranking_add_up_to_those_scored(body):
    accounts = re.search(r"([\d,]+) rows in = ([\d,]+) scored (.*);", body)
    rows_in, scored = number(accounts[1]), number(accounts[2])
    others = re.findall(r"\+ ([\d,]+)", accounts[3])
    ranked = re.findall(r"^ *\d+ (?:\(\d+-\d+\) )? *(\S+) .* ([\d,]+)$", body, re.MULTILINE)
    assert sum(number(triples) for source, triples in ranked if "+" not in source) == scored
    assert rows_in == scored + sum(map(number, others))


@pytest.mark.parametrize(("line", "printed"), shown("eci diff"))
def test_a_comparison_begins_with_the_runs_that_it_was_asked_for(line, printed):
    assert printed[0] == " -> ".join(RUN_ID.findall(line))
