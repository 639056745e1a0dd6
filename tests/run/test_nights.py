"""A later night reads only what is new of its input, and publishes the bytes of a run from nothing, whatever came or went."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InputError
from jobs.finished.verification import verify
from jobs.ingest.digests import Known, digest_of, unchanged
from jobs.ingest.inputs import file_of
from jobs.output.cleaning import Rules, clean
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from tests.lakes import vector_lake
from tests.nights import Nights


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    lake = vector_lake(tmp_path / "lake", 8, 400, sources=2, queries=60)
    found = Nights(tmp_path, lake)
    rows = lake.rows
    # a copy and a label that come from another file, and a negative that is its positive
    query, positive, negative, source = rows[0]
    found.write(
        b=[*rows[:150], rows[250], (query, positive, positive, source)],
        c=[*rows[150:300], rows[0], (query, negative, rows[1][2], source)],
    )
    found.files = {"more": rows[300:340], "rest": rows[340:]}
    return found


def test_files_that_come_change_and_go_are_read_or_let_go_and_no_others(nights: Nights) -> None:
    more, rest = nights.files["more"], nights.files["rest"]
    assert nights.night() == (2, 0)
    nights.write(a=more)  # before the others: the numbers of all units are others now
    assert nights.night() == (1, 2)
    nights.write(b=None, c=rest + more)
    assert nights.night() == (1, 1)
    assert {name: len(files) for name, files in nights.kept().items()} == dict.fromkeys(nights.kept(), 4)
    assert len(nights.kept()) == 2  # what no unit is of is gone with the commit
    assert nights.run().unchanged
    assert nights.night(folds=4) == (2, 0) and nights.night(folds=4, kappa=0.25) == (0, 2)


def test_what_is_kept_and_damaged_or_lost_is_made_again(nights: Nights, caplog: Any) -> None:
    nights.write(a=nights.files["more"], d=nights.files["rest"])
    nights.run()
    folder, numbers = nights.out / "cache/inputs/ingest", random.Random(5)
    flipped, halved, lost, unmarked = nights.kept()
    for name in (f"{flipped}.texts.arrow", f"{halved}.json"):
        data = bytearray((folder / name).read_bytes())
        data[numbers.randrange(len(data) // 3, len(data) // 2)] ^= 1
        (folder / name).write_bytes(data)
    (folder / f"{lost}.triples.arrow").unlink()
    (folder / f"{unmarked}.json").unlink()
    found = {fault.path.rpartition("/")[2] for fault in verify(str(nights.out)).faults}
    assert found == {f"{flipped}.texts.arrow", f"{halved}.json", f"{lost}.triples.arrow"}
    nights.write(z=nights.files["more"][:5])
    assert nights.night() == (5, 0)
    assert caplog.text.count("is done again: what was kept of it was damaged or missing") == 3
    (last, *_) = sorted((nights.out / "runs").iterdir(), reverse=True)
    assert read_manifest(Store(str(nights.out)), last.name)["made_again"]["tasks"] == 3


@pytest.mark.parametrize("where", ["open:settle/01.parts.arrow", "open:publish/manifest.json", "open:LATEST"])
def test_a_night_that_was_stopped_goes_on_and_the_next_one_with_other_files_too(
    nights: Nights, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.run()
    nights.write(a=nights.files["more"], b=None)
    with monkeypatch.context() as patch:
        patch.setenv("ECI_FAULT_AT", f"{where}:EIO")
        with pytest.raises(Exception, match="Input/output error"):
            nights.run()
    nights.write(d=nights.files["rest"])
    assert sum(nights.night()) == 3
    assert len(nights.kept()) == 3


@pytest.mark.parametrize("where", ["rename:.texts.arrow", "rename:.triples.arrow", "open:.json"])
def test_a_night_that_is_killed_while_it_reads_leaves_nothing_that_is_believed(
    nights: Nights, where: str, eci: Callable[..., Any]
) -> None:
    settings = nights.out.with_suffix(".toml")
    settings.write_text("folds = 2\nbuckets = 2\n")
    given = ["--triples", nights.folder, "--out", nights.out, "--vectors", nights.settings["vectors"]]
    died = eci("run", settings, *given, "--no-probe", "--allow-rejects", "-q", ECI_FAULT_AT=f"{where}:KILL")
    assert died.returncode == -9
    nights.write(a=nights.files["more"])
    assert sum(nights.night()) == 3
    assert len(nights.kept()) == 3 and not [*(nights.out / "cache").rglob(".attempt-*")]


def test_a_run_that_its_input_stops_leaves_what_the_last_one_has_kept(nights: Nights) -> None:
    nights.run()
    before = nights.kept()
    nights.write(z=[("query", "positive", "positive", "all of it wrong")] * 9)
    nights.settings["allow_rejects"] = False
    with pytest.raises(InputError, match="all of it wrong"):
        nights.run()
    assert nights.kept() == before


def test_a_file_given_twice_is_read_twice_as_it_counts(nights: Nights) -> None:
    nights.settings["inputs"] = [{"triples": str(nights.folder)}, {"triples": str(nights.folder / "b.parquet")}]
    assert nights.read(nights.run()) == (3, 0)
    nights.write(a=nights.files["more"])
    assert nights.night() == (1, 3)


def test_a_file_of_texts_that_changes_is_read_again_with_all_that_names_its_ids(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 200, sources=2, queries=40)
    ids: dict[str, str] = {}
    for row in lake.rows:
        for text in row[1:3]:
            ids.setdefault(text, f"p{len(ids)}")
    columns = ("query", "positive_id", "negative_id", "source")
    named = [dict(zip(columns, (q, ids[p], ids[n], s), strict=True)) for q, p, n, s in lake.rows]
    nights = Nights(tmp_path, lake)
    nights.folder.mkdir()
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    nights.settings["corpus"] = str(corpus / "*.jsonl")

    def lines(path: Path, records: list[dict[str, str]]) -> None:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))

    texts = [{"_id": name, "text": text} for text, name in ids.items()]
    lines(corpus / "a.jsonl", texts[:50])
    lines(corpus / "b.jsonl", texts[50:])
    lines(nights.folder / "one.jsonl", named[:120])
    assert nights.night() == (1, 0)
    lines(nights.folder / "two.jsonl", named[120:])
    assert nights.night() == (1, 1)
    # the first passage is called by the second one's id now, too, and comes first
    lines(corpus / "a.jsonl", [{"_id": texts[1]["_id"], "text": texts[0]["text"]}, *texts[:50]])
    assert nights.night() == (2, 0)
    manifest = read_manifest(Store(str(nights.out)), max(p.name for p in (nights.out / "runs").iterdir()))
    assert (manifest["stages"]["lookup"]["tasks"], manifest["stages"]["lookup"]["kept"]) == (1, 1)


def touched(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def other(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("change", [touched, other])
def test_of_a_file_that_changes_while_it_is_read_nothing_is_kept(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "triples.jsonl"
    path.write_text("{}\n")
    file = file_of(str(path), "triples")
    known = Known(file, digest_of(file))
    with unchanged([known]):
        pass
    with pytest.raises(InputError, match="changed while this run was reading it"), unchanged([known]):
        change(path)


def test_gc_takes_what_is_kept_by_age_and_size_and_the_next_night_reads_it_again(nights: Nights) -> None:
    nights.run()
    assert [item.kind for item in clean(str(nights.out), Rules(cache_days=1)).removed] == []
    removed = clean(str(nights.out), Rules(cache_size=0)).removed
    assert [item.kind for item in removed] == ["input as it was read"] * 2
    assert nights.kept() == {} and sum(item.size for item in removed) > 0
    nights.write(a=nights.files["more"])
    assert nights.read(nights.run()) == (3, 0)
