"""Judgements that people made: what they say is what a judged triple's consistency is, and every one is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from jobs.config import make_config
from jobs.decide.ablation import ablate
from jobs.errors import InputError
from jobs.finished.result import ranking_of
from jobs.ingest.judgements import Judgements, read_judgements
from jobs.output.records import JudgementsUsed
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.pipeline.prepare import prepare
from jobs.pipeline.run import run, work_key
from jobs.reports.card import card_of
from jobs.reports.data import read_report
from jobs.terminal.progress import Silent
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, vector_lake, write_triples
from tests.parity import literal
from tests.parity.test_run_equals_literal import literal_rows

NOBODY = "00000000000000000000000000000001"
Entry = tuple[str, str, str]


def write(path: Path, entries: list[Entry], run_id: str | None = None) -> Path:
    """Write (query_id, negative_id, judgement) as a report exports them."""
    listed = [dict(zip(("query_id", "negative_id", "judgement"), entry, strict=True)) for entry in entries]
    path.write_text(json.dumps({"format": "eci-judgements/1", "run_id": run_id, "judgements": listed}))
    return path


def scores_of(out: Path, run_id: str) -> list[dict[str, Any]]:
    files = sorted((out / "runs" / run_id / "scores").rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@dataclass(frozen=True)
class Judged:
    """A lake, a run over it, judgements of that run's triples, and the run that was given them."""

    lake: VectorLake
    out: Path
    plain: str
    file: Path
    judgements: dict[tuple[str, str], float]
    run_id: str

    @property
    def settings(self) -> dict[str, Any]:
        return {"vectors": str(self.lake.vectors), "folds": 4, "no_probe": True, "workers": 1, "memory": "4GB"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("judged")
    lake = vector_lake(folder / "lake", 16, 600, sources=3, queries=120)
    # a negative that two sources have for one query: one judgement for both
    query, positive, negative, _ = next(row for row in lake.rows if row[3] == "source 0")
    lake.rows.append((query, positive, negative, "source 1"))
    write_triples(lake.triples, lake.rows)
    settings = {"vectors": str(lake.vectors), "folds": 4, "no_probe": True, "workers": 1}
    plain = run_lake(folder / "out", lake.triples, **settings).run_id
    violations = sorted(str(s["triple_id"]) for s in scores_of(folder / "out", plain) if s["s_neg"] >= s["s_pos"])
    both = {(literal.text_id("q", query), literal.text_id("p", negative))}
    judgements: dict[tuple[str, str], float] = {}
    for s in scores_of(folder / "out", plain):
        pair = (str(s["query_id"]), str(s["negative_id"]))
        if (bytes.fromhex(s["query_id"]), bytes.fromhex(s["negative_id"])) in both or str(s["triple_id"]) in violations[
            :20
        ]:
            judgements[pair] = -1.0 if len(judgements) % 3 == 0 else 1.0
    words = {-1.0: "false negative", 1.0: "fine"}
    entries = [(*pair, words[value]) for pair, value in judgements.items()]
    entries += [(next(iter(judgements))[0], NOBODY, "fine"), (NOBODY, NOBODY, "false negative")]
    file = write(folder / "judged.json", entries, plain)
    second = run_lake(folder / "out", lake.triples, judgements=str(file), **settings)
    return Judged(lake, folder / "out", plain, file, judgements, second.run_id)


def test_a_run_with_judged_triples_equals_the_literal_score(judged: Judged):
    by_ids = {(bytes.fromhex(q), bytes.fromhex(n)): value for (q, n), value in judged.judgements.items()}
    expected = literal_rows(judged.lake, literal.Parameters(folds=4), by_ids)
    plain = literal_rows(judged.lake, literal.Parameters(folds=4))
    rows = {row["source"]: row for row in ranking_of(str(judged.out), judged.run_id)["ranking"]}
    for source, row in expected.items():
        assert row.eci != pytest.approx(plain[source].eci, rel=1e-3), "the judgements change nothing here"
        for field in fields(row):
            if field.name != "leave_out":
                assert rows[source][field.name] == pytest.approx(getattr(row, field.name), rel=1e-5), (
                    f"{source} {field.name}"
                )


def test_only_judged_triples_have_another_score_in_every_source_that_has_the_pair(judged: Judged):
    before = {s["triple_id"]: s for s in scores_of(judged.out, judged.plain)}
    changed = 0
    for s in scores_of(judged.out, judged.run_id):
        old, said = before[s["triple_id"]], judged.judgements.get((str(s["query_id"]), str(s["negative_id"])))
        same = {name: s[name] for name in ("s_pos", "s_neg", "locality", "residuality", "lexical_overlap")}
        assert same == {name: old[name] for name in same}
        if said is None:
            assert (s["consistency"], s["weight"]) == (old["consistency"], old["weight"])
        else:
            changed += 1
            assert s["consistency"] == said and s["weight"] == said * s["locality"] * s["residuality"]
    assert changed == len(judged.judgements) + 1, "the negative of two sources counts in both"


def test_judgements_are_counted_published_and_said(judged: Judged, eci: Callable[..., CompletedProcess[str]]):
    n = len(judged.judgements)
    manifest = read_manifest(Store(str(judged.out)), judged.run_id)
    assert manifest["judgements"] == {"given": n + 2, "matched": n, "triples": n + 1, "runs": [judged.plain]}
    assert [f["what"] for f in manifest["inputs"]].count("judgements") == 1
    table = pq.read_table(judged.out / "runs" / judged.run_id / "judgements.parquet").to_pylist()
    assert sum(row["triples"] for row in table) == n + 1 and sum(row["triples"] == 0 for row in table) == 2
    values = {"false negative": -1.0, "fine": 1.0}
    found = {(str(r["query_id"]), str(r["negative_id"])): values[r["judgement"]] for r in table if r["triples"]}
    assert found == judged.judgements
    assert set(manifest["judgements"]) == set(JudgementsUsed.__annotations__)
    said = eci("rank", "--out", judged.out).stdout
    assert f"{n} of {n + 2} judgements count, in {n + 1} triples; 2 match no triple." in said
    assert f"run {judged.plain}" in said and "is first by ECI with them" in said
    asked = eci("sql", "SELECT count(*) AS n FROM judgements", "--out", judged.out, "--json")
    assert json.loads(asked.stdout) == {"n": n + 2} or json.loads(asked.stdout) == [{"n": n + 2}]


def test_the_card_says_how_the_ranking_changes(judged: Judged):
    def data(run_id: str) -> Any:
        store = Store(str(judged.out))
        return read_report(store, f"runs/{run_id}", read_manifest(store, run_id), 1 << 28, 1)

    before = {r["source"]: r["eci"] for r in data(judged.plain).ranking}
    now = sorted((r for r in data(judged.run_id).ranking if r["kind"] == "source"), key=lambda r: -r["eci"])
    counted, change = card_of(data(judged.run_id)).judged
    assert "judgements count" in counted and f"{now[0]['source']} is first by ECI with them" in change
    for place, r in enumerate(now, 1):
        assert (
            f"{r['source']} from {before[r['source']]:.5f} (number " in change
            and f") to {r['eci']:.5f} ({place})" in change
        )
    assert card_of(data(judged.plain)).judged == ()


def test_without_judgements_the_bytes_are_those_of_a_run_that_never_heard_of_them(judged: Judged, tmp_path: Path):
    empty = write(tmp_path / "none.json", [])
    given = run_lake(tmp_path / "out", judged.lake.triples, **judged.settings, judgements=str(empty))
    assert not same_bytes(tables_of(judged.out, judged.plain), tables_of(tmp_path / "out", given.run_id))
    assert "judgements" not in read_manifest(Store(str(tmp_path / "out")), given.run_id)


def test_the_identity_is_what_the_judgements_say_wherever_they_lie(judged: Judged, tmp_path: Path):
    def key(*files: Path) -> str:
        inputs = [{"triples": str(judged.lake.triples)}]
        given = {"judgements": [str(f) for f in files]} if files else {}
        return work_key(
            prepare(make_config({"inputs": inputs, "out": str(tmp_path / "o"), **judged.settings, **given}))
        )

    entries = [(*pair, "fine") for pair in judged.judgements]
    one, two = write(tmp_path / "one.json", entries), write(tmp_path / "two.json", entries[::-1], "elsewhere")
    other = write(tmp_path / "other.json", [(*entries[0][:2], "false negative"), *entries[1:]])
    halves = [write(tmp_path / "a.json", entries[:5]), write(tmp_path / "b.json", entries[3:])]
    assert key(one) == key(two) == key(*halves) and len({key(one), key(other), key()}) == 3
    assert key(write(tmp_path / "empty.json", [])) == key()


def test_the_same_judgements_again_are_nothing_new(judged: Judged):
    inputs = [{"triples": str(judged.lake.triples)}]
    again = run(
        make_config({"inputs": inputs, "out": str(judged.out), **judged.settings, "judgements": str(judged.file)})
    )
    assert again.unchanged and again.run_id == judged.run_id


def test_ablations_keep_what_was_judged(judged: Judged):
    rows = ablate(str(judged.out), Silent(), judged.run_id, ("temperature", "kappa"))
    own = {r["source"]: r["eci"] for r in ranking_of(str(judged.out), judged.run_id)["ranking"]}
    tau, kappa = 0.05, 0.5
    by_ids = {(bytes.fromhex(q), bytes.fromhex(n)): value for (q, n), value in judged.judgements.items()}
    expected = literal_rows(judged.lake, literal.Parameters(temperature=2 * tau, kappa=kappa, folds=4), by_ids)
    (double,) = (r for r in rows if (r["ablation"], r["value"]) == ("temperature", f"{2 * tau:g}"))
    (as_run,) = (r for r in rows if r["ablation"] == "none")
    for s in double["sources"]:
        assert s["eci"] == pytest.approx(expected[s["source"]].eci, rel=1e-5)
    assert {s["source"]: s["eci"] for s in as_run["sources"]} == pytest.approx({s: own[s] for s in expected})


A, B = str(UUID(int=1)), str(UUID(int=2))
GOOD = {"query_id": A, "negative_id": B, "judgement": "fine"}


def document(*entries: Any, **changed: Any) -> str:
    return json.dumps({"format": "eci-judgements/1", "judgements": list(entries)} | changed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no judgements of format 'eci-judgements/1'"),
        (document(format="eci-judgements/2"), "no judgements of format"),
        (document(judgements={}), "no judgements of format"),
        (document(GOOD, 1), "judgement 2: not an object"),
        (document({**GOOD, "judgement": "Fine"}), "judgement 1: judgement 'Fine' is not known; did you mean 'fine'? (allowed: "),
        (document({**GOOD, "judgement": ["fine"]}), "judgement 1: judgement ['fine'] is not known"),
        (document({**GOOD, "query_id": "x"}), "judgement 1: query_id is 'x'; it is an id of the table scores"),
        (document({"query_id": A, "judgement": "fine"}), "judgement 1: negative_id is missing"),
        (document(GOOD, {**GOOD, "judgement": "false negative"}),
         "judgement 2 says 'false negative' where {path}: judgement 1 says 'fine'; leave one of them out"),
    ],
)  # fmt: skip
def test_a_wrong_file_stops_the_run_and_names_file_and_entry(text, message, judged, tmp_path, eci):
    path = tmp_path / "j.json"
    path.write_text(text)
    with pytest.raises(InputError) as found:
        read_judgements([str(path)])
    assert str(found.value).startswith(str(path)) and message.format(path=path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_file_that_is_not_there_is_named_before_anything_is_made(judged, eci, tmp_path):
    found = eci(*judged.lake.command("--judgements", "nowhere.json"))
    assert found.returncode == 2 and "nowhere.json" in found.stderr and "Traceback" not in found.stderr
    assert not (tmp_path / "out").exists()


def test_a_judgement_given_twice_is_one():
    assert Judgements({}).digest == Judgements({}, ("a",)).digest
