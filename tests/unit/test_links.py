"""No link below an output root is followed: what it names is somebody else's. The root itself may be one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.commands.showing import print_ranking
from jobs.decide.mixing import mix
from jobs.decide.selection import Choice, select
from jobs.errors import EciError, InputError
from jobs.finished.result import ranking_of
from jobs.output.cleaning import Rules, clean
from jobs.output.query import query
from jobs.output.runs import committed
from jobs.output.store import Store
from jobs.pipeline.status import status_of
from jobs.reports.page import report
from tests.hostile import hostile_out

pytestmark = pytest.mark.attack("links")

EVERYTHING = Rules(keep_runs=1, cache_days=0.0, cache_size=0, unused_encoders=True)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


COMMANDS: dict[str, Callable[[str, Path], Any]] = {
    "rank": lambda out, _: ranking_of(out),
    "rank as text": lambda out, _: print_ranking(out, None),
    "sql": lambda out, _: query(Store(out), "SELECT count(*) FROM scores").read_all(),
    "report": lambda out, _: report(out),
    "mix": lambda out, _: mix(out),
    "select": lambda out, to: select(out, str(to), "triples", Choice()),
    "status": lambda out, _: status_of(out),
    "gc": lambda out, _: clean(out, EVERYTHING),
}
PLACES = (
    ".eci-root", "LATEST", "catalog.duckdb", "runs", "work", "work/LOCK", "runs/NEWEST", "runs/NEWEST/manifest.json",
    "runs/NEWEST/source_eci.parquet", "runs/NEWEST/moments.parquet", "runs/NEWEST/report.html", "runs/NEWEST/scores",
    "runs/NEWEST/scores/fold-03-part-000.parquet", "runs/NEWEST/texts",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("root") / "out"
    shutil.copytree(hostile_out(), out)
    return out


@pytest.mark.parametrize("place", PLACES)
def test_a_link_in_a_root_is_named_or_passed_over_and_what_it_names_stays_as_it_was(
    root: Path, place: str, tmp_path: Path
) -> None:
    out, foreign = tmp_path / "out", tmp_path / "foreign"
    shutil.copytree(root, out, copy_function=os.link)
    linked = out / place.replace("NEWEST", committed(Store(str(out)))[-1])
    foreign.mkdir()
    theirs = foreign / linked.name
    if linked.is_dir():
        shutil.copytree(linked, theirs)  # a copy: the link would serve as well as what it stands for
        shutil.rmtree(linked)
    else:
        shutil.copy(linked, theirs)
        linked.unlink()
    linked.symlink_to(theirs)
    before, named = contents(foreign), 0
    for number, command in enumerate(COMMANDS.values()):
        try:
            command(str(out), tmp_path / f"to-{number}")
        except EciError as error:
            named += f"{linked} is a link, which eci never makes" in str(error)
        assert contents(foreign) == before
        assert linked.is_symlink() or linked.name in ("report.html", "catalog.duckdb")
    assert named > 0 or place == "runs/NEWEST"  # that one is no run: the one before it is the newest


def test_gc_says_of_links_that_they_stay_and_does_not_count_what_lies_behind_them(root: Path, tmp_path: Path) -> None:
    out, foreign = tmp_path / "out", tmp_path / "foreign"
    shutil.copytree(root, out)
    old = foreign / ".attempt-0123456789ab-x"
    foreign.mkdir()
    (foreign / "manifest.json").write_text("theirs")
    old.write_text("theirs")
    os.utime(old, (0, 0))
    links = ["runs/20250101T010000Z-0a1b2c", "work/0123456789abcdef", "cache/embeddings/theirs", "lake"]
    for name in links:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(foreign)
    before = contents(foreign)
    cleaned = clean(str(out), EVERYTHING)
    assert contents(foreign) == before
    assert all((out / name).is_symlink() for name in links)
    assert {item.path for item in cleaned.removed} & set(links) == set()
    assert cleaned.others == tuple(links[:3])


def test_what_gc_cannot_remove_is_an_error_and_not_said_to_be_removed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(root, out)

    def refused(path: str, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError):
        clean(str(out), Rules(keep_runs=1))


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert ranking_of(str(tmp_path / "link"))["run_id"] == committed(Store(str(root)))[-1]


def test_no_path_of_a_store_leads_out_of_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    for relative in ("../x", "runs/../../x"):
        with pytest.raises(InputError, match="leads out of this folder"):
            store.read_bytes(relative)
    with pytest.raises(InputError, match="leads out"), store.attempt("../x"):
        pass
