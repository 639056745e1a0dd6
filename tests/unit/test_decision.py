"""The answer of a run: what to train on, a tie or none, and the command that selects just that."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from jobs.decide.mixing import parse_parts
from jobs.probing.answer import Probed, answer
from jobs.probing.decision import decide, next_commands
from jobs.terminal.fitting import command_lines

FOUND = json.loads((Path(__file__).parents[1] / "terminal" / "run.json").read_text(encoding="utf-8"))


def rows(name: str) -> list[dict[str, Any]]:
    found = FOUND[name]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def probed() -> Any:
    return Probed(rows("source_probe"), rows("probe_pairs"), rows("probe_curve"))  # type: ignore[arg-type]


def commands(decision: Any, sampled: bool = False, out: str = "OUT") -> list[str]:
    sources = [row["source"] for row in rows("source_eci") if row["kind"] == "source"]
    return [command_lines(c, 10_000, 0)[0] for c in next_commands(decision, out, "R", sources, sampled)]


def decided_for(source: str) -> Any:
    """Return the probe with a source first, and decidedly so."""
    found = probed()
    order = sorted(found.rows, key=lambda row: row["source"] != source)
    for place, row in enumerate(order, 1):
        row |= {"rank": place, "rank_low": 1 if place == 1 else 2, "rank_high": 1 if place == 1 else len(order)}
    for pair in found.pairs:
        pair["decided"] = source in (pair["source_a"], pair["source_b"])
    return Probed(order, found.pairs, found.curve)


def test_one_decided_source_is_what_to_train_on_with_its_lead_and_its_gain() -> None:
    found = decide(decided_for("dense-band"), rows("source_eci"), rows("source_pairs"))
    assert found.sources == ("dense-band",) and not found.tie
    assert found.said[0].startswith(
        "Train on dense-band: it gains +0.79 points of nDCG@10 over the frozen encoder (73.5)"
    )
    assert found.said[0].endswith("decided.") and "+0.38 .. +1.20" in found.said[0] and " against " in found.said[0]
    assert found.said[-1].startswith("ECI disagrees: it has dense-aware first")
    assert commands(found)[0] == "eci select --source dense-band --format triples --to train --out OUT --run R"


def test_all_that_tie_are_in_the_answer_and_the_command_is_of_the_first() -> None:
    found = decide(probed(), rows("source_eci"), rows("source_pairs"))
    assert found.tie and len(found.sources) == sum(row["rank_low"] == 1 for row in probed().rows) == 10
    assert found.said[0].startswith("A tie. ")
    assert set(answer(probed(), rows("source_eci"))) == {*found.said, *found.notes}


def test_the_probe_s_pair_is_selected_in_equal_shares_that_sum_to_one() -> None:
    best = decide(decided_for("dense-aware+dense-top"), rows("source_eci"), rows("source_pairs"))
    words = shlex.split(commands(best)[0])
    assert parse_parts(words[words.index("--mix") + 1]) == {"dense-aware": 0.5, "dense-top": 0.5}


@pytest.mark.parametrize("count", [3, 7])
def test_equal_shares_of_many_sources_are_accepted(count: int) -> None:
    found = decided_for("dense-aware+dense-top")
    parts = [f"s{i}" for i in range(count)]
    found.rows[0]["parts"] = parts
    decision = decide(found, rows("source_eci"), ())
    words = shlex.split(command_lines(next_commands(decision, "OUT", "R", parts, False)[0], 10_000)[0])
    assert parse_parts(words[words.index("--mix") + 1]) == pytest.approx(dict.fromkeys(parts, 1 / count))


def test_where_every_source_harms_there_is_nothing_to_select() -> None:
    found = probed()
    for row in found.rows:
        row |= {"gain": -0.02, "gain_low": -0.03, "gain_high": -0.01}
    decision = decide(found, rows("source_eci"), rows("source_pairs"))
    assert decision.sources == () and any("train on none of them" in line for line in decision.said)
    assert commands(decision) == ["eci report --out OUT --run R"]


def test_without_a_probe_eci_answers_and_a_tie_is_one() -> None:
    ranking, pairs = rows("source_eci"), rows("source_pairs")
    alone = decide(None, ranking, pairs, "Too few queries for a probe.")
    lead = "it ranks first of 8 sources by ECI, ahead of dense-band, and the lead is decided."
    assert alone.said[0] == f"Train on the negatives of dense-aware: {lead}" and alone.said[1].endswith(": decided.")
    assert alone.notes[-1] == "Too few queries for a probe."
    tied = copy.deepcopy(ranking)
    tied[0]["rank_hi"], tied[1]["rank_lo"] = 2, 1
    found = decide(None, tied, [p | {"decided": False} for p in pairs])
    tie = "A tie. No single winner yet: dense-aware ranks first of 8 sources by ECI, but dense-band may be as good."
    assert found.said[0] == tie
    assert found.said[1].endswith("NOT decided.") and found.sources == ("dense-aware", "dense-band")
    one = decide(None, ranking[:1], [])
    assert one.said == ("dense-aware is the only source; a second one is needed to rank.",)
    assert decide(None, [], []).said == ("No source was scored.",)


def test_a_hybrid_of_the_run_is_selected_as_it_was_pooled() -> None:
    ranking = rows("source_eci")
    pooled = ranking[0] | {
        "kind": "hybrid", "source": "x", "parts": [{"source": "dense-aware", "alpha": 0.7}, {"source": "random", "alpha": 0.3}],
    }  # fmt: skip
    pairs = [{"a": "x", "b": "dense-band", "difference": 0.01, "lo": 0.005, "hi": 0.015, "decided": True}]
    found = decide(None, [pooled, *ranking[1:]], pairs)
    assert commands(found)[0].startswith("eci select --source dense-aware --source random --format")


def test_names_that_a_shell_or_the_command_line_would_misread_are_quoted() -> None:
    ranking = rows("source_eci")
    for name, want in (("a b", "--source 'a b'"), ("-x", "--source=-x"), ("$(rm -rf ~)", "--source '$(rm -rf ~)'")):
        named = [ranking[0] | {"source": name}]
        decision = decide(None, named, [])
        (first, _) = next_commands(decision, "a dir", "R", [name], True)
        line = command_lines(first, 10_000, 0)[0]
        assert line == f"eci select {want} --format triples --to train --out 'a dir' --run R --sampled"


def test_a_file_that_was_tried_out_beside_the_sources_is_not_selected_from_the_run() -> None:
    found = decided_for("dense-band")
    found.rows[0] |= {"source": "train-bge", "parts": ["train-bge"]}
    for row, side in [
        *((p, side) for p in found.pairs for side in ("source_a", "source_b")),
        *((p, "source") for p in found.curve),
    ]:
        row[side] = "train-bge" if row[side] == "dense-band" else row[side]
    assert commands(decide(found, rows("source_eci"), ())) == ["eci report --out OUT --run R"]
