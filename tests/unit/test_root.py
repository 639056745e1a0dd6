"""Nothing of others is touched: a folder that is no output root is neither written to nor cleaned."""

from __future__ import annotations

import json
import os
from pathlib import Path

import fsspec
import pytest

from jobs.errors import InputError
from jobs.output.cleaning import Rules, clean
from jobs.output.root import claim, is_root, require
from jobs.output.store import Store
from jobs.reports.page import report
from tests.hostile import hostile_out

pytestmark = pytest.mark.attack("foreign folders")

OLD = "20260101T010000Z-0a1b2c"
HEX = "0123456789abcdef"


def project(folder: Path) -> dict[str, bytes]:
    """Make a project with folders that are called like those of an output root; returns its files."""
    for name in ("runs/exp1/best.pt", "runs/exp1/manifest.json", "work/thesis/a.tex", f"work/{HEX}/run.json", "LATEST",
                 "cache/embeddings/e/x.parquet", "ablations/notes.parquet", "lake/pike.csv"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'{"lr": 1e-5}')
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


EVERYTHING = Rules(keep_runs=1, cache_days=0.0, cache_size=0, unused_encoders=True)


def test_gc_touches_nothing_in_the_folder_of_a_project(tmp_path):
    before = project(tmp_path)
    with pytest.raises(InputError, match="is no output root of eci: it holds other things"):
        clean(str(tmp_path), EVERYTHING)
    assert files(tmp_path) == before


def test_in_a_root_gc_leaves_what_it_cannot_have_made_and_names_it(tmp_path):
    before = project(tmp_path)
    for name in (".attempt-1-notes.md", "work/texts/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    before = files(tmp_path)
    (tmp_path / ".eci-root").touch()
    (tmp_path / f"runs/{OLD}/scores").mkdir(parents=True)
    cleaned = clean(str(tmp_path), EVERYTHING)
    assert {item.path for item in cleaned.removed} == {f"runs/{OLD}", f"work/{HEX}"}
    assert cleaned.others == ("runs/exp1", "work/texts", "work/thesis")
    left = {name: held for name, held in files(tmp_path).items() if name not in (".eci-root", "work/LOCK")}
    assert left == {name: held for name, held in before.items() if not name.startswith(f"work/{HEX}")}


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_that_is_new_or_empty_becomes_a_root(tmp_path, made):
    store = Store(str(tmp_path / "out"))
    if made:
        (tmp_path / "out").mkdir()
    claim(store)
    assert is_root(store) and store.names("") == [".eci-root"]
    (tmp_path / "out" / "mine.txt").touch()
    claim(store)  # it is one already


def test_a_folder_with_other_things_is_refused_unless_it_is_said(tmp_path):
    before = project(tmp_path)
    store = Store(str(tmp_path))
    with pytest.raises(InputError, match=r"holds other things \(.*\): name a new or empty folder.*--adopt"):
        claim(store)
    assert files(tmp_path) == before and not is_root(store)
    with pytest.raises(InputError, match=r"cannot be an output root: LATEST, .* is there"):
        claim(store, adopt=True)
    assert files(tmp_path) == before and not is_root(store)


def test_a_folder_with_things_that_are_not_in_the_way_can_be_adopted(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("mine")
    store = Store(str(tmp_path))
    with pytest.raises(InputError):
        claim(store)
    claim(store, adopt=True)
    assert is_root(store) and (tmp_path / "notes/a.md").read_text() == "mine"


def test_a_root_of_an_older_version_is_still_one_after_gc(tmp_path):
    (tmp_path / f"work/{HEX}").mkdir(parents=True)
    (tmp_path / f"work/{HEX}/run.json").write_text(json.dumps({"run_id": OLD, "identity": {"formula": "eci-sem/1"}}))
    assert [item.path for item in clean(str(tmp_path), Rules()).removed] == [f"work/{HEX}"]
    claim(Store(str(tmp_path)))


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "out").touch()
    for asked in (claim, require):
        with pytest.raises(InputError, match="is a file"):
            asked(Store(str(tmp_path / "out")))


@pytest.mark.parametrize(
    ("path", "held", "ours"),
    [
        (f"runs/{OLD}/manifest.json", {"run_id": OLD, "formula_version": "eci-sem/1"}, True),
        (f"work/{HEX}/run.json", {"run_id": OLD, "identity": {"formula": "eci-sem/1"}}, True),
        (f"runs/{OLD}/manifest.json", {"run_id": OLD}, False),
        (f"runs/{OLD}/manifest.json", ["formula_version"], False),
        ("runs/exp1/manifest.json", {"run_id": 7, "formula_version": 1}, False),
        (f"work/{HEX}/run.json", {"run_id": OLD, "identity": 5}, False),
    ],
)
def test_a_root_of_an_older_version_is_known_by_what_it_holds(tmp_path, path, held, ours):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(json.dumps(held))
    store = Store(str(tmp_path))
    assert is_root(store) == ours
    if ours:
        claim(store)
        assert (tmp_path / ".eci-root").exists()


def test_a_folder_with_a_cache_of_ours_is_a_root(tmp_path):
    (tmp_path / "cache/embeddings/minilm-1/bucket=000").mkdir(parents=True)
    assert is_root(Store(str(tmp_path)))


@pytest.mark.parametrize(
    "command", ["run", "plan", "gc", "rank", "sql", "select", "report", "status", "mix", "ablate", "demo"]
)
def test_an_empty_address_is_an_error_of_every_command(command, eci, tmp_path):
    more = {"run": ("--triples", "x"), "plan": ("--triples", "x"), "sql": ("SELECT 1",), "select": ("--to", "t")}
    done = eci(command, *more.get(command, ()), "--out", "")
    assert done.returncode == 2 and "is empty" in done.stderr, done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [("select", "--out", "OUT"), ("report", "--out", "OUT"), ("ingest", "--triples", "x"), ("encoders", "export", "x"),
     ("encoders", "add", "x"), ("encoders", "quantize", "x", "--texts", "t")],
)  # fmt: skip
def test_an_empty_place_to_write_to_is_an_error(command, eci, tmp_path):
    done = eci(*command, "--to", "")
    assert done.returncode == 2 and "an address to write to is empty" in done.stderr, done
    assert list(tmp_path.iterdir()) == []


def test_a_report_goes_to_an_object_store_too():
    path = report(str(hostile_out()), to="memory://reports/night.html")
    assert path == "memory://reports/night.html"
    assert fsspec.filesystem("memory").cat("/reports/night.html").startswith(b"<!DOCTYPE html>")
    assert not Path("memory:").exists()


def test_a_run_into_the_folder_of_a_project_is_refused_before_anything_is_written(tmp_path, eci, small_lake):
    folder = tmp_path / "project"
    before = project(folder)
    arguments = (
        "run",
        "--triples",
        str(small_lake.triples),
        "--vectors",
        str(small_lake.vectors),
        "--out",
        str(folder),
    )
    done = eci(*arguments)
    assert done.returncode == 2 and "no output root of eci" in done.stderr
    assert files(folder) == before


def test_a_lock_that_is_a_link_is_neither_followed_nor_written_to(tmp_path, eci, small_lake):
    precious = tmp_path / "precious.txt"
    precious.write_text("as it was")
    out = tmp_path / "out"
    claim(Store(str(out)))
    (out / "work").mkdir()
    (out / "work" / "LOCK").symlink_to(precious)
    for command in (
        ("run", "--triples", str(small_lake.triples), "--vectors", str(small_lake.vectors)), ("gc",), ("status",)
    ):  # fmt: skip
        done = eci(*command, "--out", str(out))
        assert done.returncode == 2 and "LOCK is a link" in done.stderr, done
        assert precious.read_text() == "as it was"
