"""Work files and caches that were damaged or removed while a run stood still: their tasks are done again, once, and counted.

The run is stopped when all but the commit is done. One kind of file at a time in `make attack`, all at once here.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from jobs import errors
from jobs.config import make_config
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.result import RunResult
from jobs.finished.vectors import spool_vectors, vectors_of
from jobs.ids import from_arrow
from jobs.output.runs import read_manifest
from jobs.output.sealed import unsealed
from jobs.output.store import Store
from jobs.pipeline.encoder import job_for
from jobs.work.layout import WORK_FILES
from jobs.work.markers import damaged_files, read_marker
from tests.attack import ATTACK
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, vector_lake

pytestmark = pytest.mark.attack("work files, markers and caches of a stopped run")

STAGES = ("vectors", "ingest", "settle", "collect", "vocabulary", "exchange", "score", "distinct", "information", "mixture",
          "moments", "rejects", "draw", "probe", "gains", "factor", "triples")  # fmt: skip
OPTIONS = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}


class Stopped(NamedTuple):
    """A root whose run was stopped before its commit, and the tables of one that was not."""

    out: Path
    lake: VectorLake
    settings: dict[str, Any]
    right: dict[str, Any]

    def again(self, out: Path) -> RunResult:
        return run_here(out, self.lake, self.settings)


def run_here(out: Path, lake: VectorLake, settings: dict[str, Any]) -> RunResult:
    """Run with a worker in this process, on one thread, as worker processes are told to."""
    with threadpool_limits(1):
        return run_lake(out, lake.triples, **settings)


def stopped(folder: Path, settings: dict[str, Any], lake: VectorLake) -> Stopped:
    settings = {"cluster": "distributed.LocalCluster", "cluster_options": OPTIONS, "buckets": 2, "folds": 2} | settings
    right = run_here(folder / "right", lake, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECI_FAULT_AT", "open:publish/manifest.json:EIO")
        with pytest.raises(OSError, match="Input/output error"):
            run_here(folder / "out", lake, settings)
    return Stopped(folder / "out", lake, settings, tables_of(folder / "right", right.run_id))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    folder = tmp_path_factory.mktemp("stopped")
    lake = vector_lake(folder / "lake", 8, 600, sources=2, queries=300)
    probe = {"halvings": 1, "steps": 4}
    return stopped(folder, {"vectors": str(lake.vectors), "information": True, "probe": probe}, lake)


def work_of(out: Path) -> Path:
    return next(path for path in (out / "work").iterdir() if path.is_dir())


def files_by_kind(out: Path) -> dict[str, list[Path]]:
    """The work files of a stopped run, and its markers and published files, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(work_of(out).rglob("*")):
        if path.is_file():
            parts = path.relative_to(work_of(out)).parts
            kind = "/".join([parts[1].partition(".")[0], "published"]) if parts[0] == "publish" else parts[0]
            name = path.name.partition(".")[2]
            if kind not in ("status.json", "run.json", "report/published"):
                found.setdefault(f"{kind} {name}" if parts[0] != "publish" else kind, []).append(path)
    return found


def flip(path: Path, numbers: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
    path.write_bytes(data)


def remove(path: Path, numbers: random.Random) -> None:
    path.unlink()


def test_every_flipped_bit_of_a_work_file_is_found(root: Stopped, counted: Callable[..., None]) -> None:
    numbers, tried = random.Random(7), 0
    job = job_for(
        make_config({"inputs": [{"triples": "x"}], "out": str(root.out), "vectors": str(root.lake.vectors)}, "t"),
        f"work/{work_of(root.out).name}",
        2,
        "a run",
    )
    kinds = set()
    for marker_path in sorted([*work_of(root.out).glob("*/*.json"), *root.out.glob("cache/inputs/*/*.json")]):
        stage, name = marker_path.parent.name, marker_path.stem
        marker = read_marker(job, stage, name)
        assert marker is not None and marker.summary is not None
        own = {path: said for path, said in marker.files.items() if stage != "score" or "publish" not in path}
        assert damaged_files(job.store, marker._replace(files=own)) == {}
        for path in own:
            kinds.add((stage, "publish" if "/publish/" in path else path.rpartition("/")[2].partition(".")[2]))
            before = (root.out / path).read_bytes()
            for _ in range(25 if ATTACK else 2):
                flip(root.out / path, numbers)
                tried += 1
                assert list(damaged_files(job.store, marker._replace(files=own))) == [path]
                (root.out / path).write_bytes(before)
        before = marker_path.read_bytes()
        flip(marker_path, numbers)
        found = read_marker(job, stage, name)
        assert found is not None and (found.summary is None or found == marker)
        marker_path.write_bytes(before)
    written = {(file.stage, f"{file.kind}.{file.ending}".lstrip(".")) for file in WORK_FILES}
    assert {kind for kind in written if kind[0] not in ("lookup", "index")} <= kinds
    counted(kind="bits of work files", tried=tried, found=tried)


def test_damaged_and_missing_files_are_made_again_and_counted(
    root: Stopped, tmp_path: Path, caplog: Any, counted: Callable[..., None]
) -> None:
    kinds = [kind for kind in files_by_kind(root.out) if not kind.endswith("json")]
    numbers, found = random.Random(3), 0
    for k, those in enumerate([[kind] for kind in kinds] if ATTACK else [kinds[::2], kinds[1::2]]):
        for harm in (flip, remove) if ATTACK else ((flip, remove)[k % 2],):
            out = tmp_path / f"out{k}"
            shutil.copytree(root.out, out)
            for kind in those:
                harm(out / files_by_kind(root.out)[kind][-1].relative_to(root.out), numbers)
            result = root.again(out)
            assert same_bytes(tables_of(out, result.run_id), root.right) == [], those
            again = read_manifest(Store(str(out)), result.run_id)["made_again"]
            # what a damaged file was made of is whole, and so is what was made of it
            # (stage triples writes its column into what stage score has published: then both are done again; what the driver has
            # published itself, no task, it writes anew whatever lies there)
            tasks = [kind for kind in those if kind not in ("source_eci/published", "source_pairs/published")]
            most = len(tasks) + any(kind.startswith(("score ", "scores/")) for kind in those)
            assert bool(tasks) <= again["tasks"] <= most and again["texts"] == 0, (those, again)
            assert "is done again: work/" in caplog.text
            found += 1
            shutil.rmtree(out)
    counted(kind="work files damaged or gone at a resume", tried=found, found=found, cured=found)


@pytest.mark.parametrize("stage", ["ingest", "settle", "score", "probe"] if not ATTACK else STAGES)
def test_a_damaged_marker_costs_its_task_and_those_behind_it(root: Stopped, tmp_path: Path, stage: str) -> None:
    """What its files were is not known any more, so nothing that was made of them is believed."""
    shutil.copytree(root.out, tmp_path / "out")
    kept = tmp_path / "out/cache/inputs" / stage
    marker = sorted((kept if kept.exists() else work_of(tmp_path / "out") / stage).glob("*.json"))[0]
    marker.write_text(marker.read_text().replace('"rows"', '"r0ws"').replace('"seconds"', '"sec0nds"'))
    result = root.again(tmp_path / "out")
    assert same_bytes(tables_of(tmp_path / "out", result.run_id), root.right) == []
    assert read_manifest(Store(str(tmp_path / "out")), result.run_id)["made_again"]["tasks"] == 1 + (stage == "triples")


def test_a_resume_with_whole_files_makes_nothing_again(root: Stopped, tmp_path: Path) -> None:
    shutil.copytree(root.out, tmp_path / "out")
    result = root.again(tmp_path / "out")
    assert read_manifest(Store(str(tmp_path / "out")), result.run_id)["made_again"]["tasks"] == 0
    assert same_bytes(tables_of(tmp_path / "out", result.run_id), root.right) == []


@pytest.mark.parametrize("damage", ["flipped", "gone", "{}"])
def test_work_that_no_longer_says_whose_it_is_is_begun_again(
    root: Stopped, tmp_path: Path, damage: str, caplog: Any
) -> None:
    out = tmp_path / "out"
    shutil.copytree(root.out, out)
    state = work_of(out) / "run.json"
    former = unsealed(state.read_text())["run_id"]
    if damage == "gone":
        state.unlink()
    else:
        state.write_text("{}" if damage == "{}" else state.read_text().replace(former, former[:-1] + "x"))
    result = root.again(out)
    assert "unfinished work of the run is begun again" in caplog.text
    tables = tables_of(out, result.run_id)
    assert same_bytes(tables, root.right) == []
    scores = json.loads((out / "runs" / result.run_id / "manifest.json").read_text())["files"]
    assert len(scores) == len(tables)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    folder = tmp_path_factory.mktemp("embedded")
    lake = vector_lake(folder / "lake", 8, 60, sources=2)
    return stopped(folder, {"no_probe": True}, lake)


def damage_cache(out: Path) -> None:
    for path in sorted((out / "cache").rglob("*.parquet"))[::3]:
        data = bytearray(path.read_bytes())
        vectors = pq.read_metadata(path).row_group(0).column(1)
        data[vectors.data_page_offset + vectors.total_compressed_size - 20] ^= (
            1  # the last bytes are those of the vectors
        )
        path.write_bytes(data)


def remove_cache(out: Path) -> None:
    shutil.rmtree(out / "cache")


@pytest.mark.parametrize("harm", [damage_cache, remove_cache])
def test_a_cache_that_is_damaged_or_gone_when_a_run_goes_on_is_made_again(
    embedded: Stopped, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """The texts were embedded by the stage before: without it their triples would be rejected as bad_vector."""
    out = tmp_path / "out"
    shutil.copytree(embedded.out, out)
    for stage in ("exchange", "score"):
        for path in work_of(out).glob(f"{stage}/*"):
            path.unlink()
    harm(out)
    result = embedded.again(out)
    assert same_bytes(tables_of(out, result.run_id), embedded.right) == []
    assert result.totals["rejected"] == 0
    again = read_manifest(Store(str(out)), result.run_id)["made_again"]
    assert again["texts"] > 0 and again["tasks"] == 0
    assert (again["cache_files"] > 0) == (harm is damage_cache)


def test_vectors_of_a_finished_run_that_the_cache_has_lost_are_embedded_again(
    embedded: Stopped, tmp_path: Path, caplog: Any
) -> None:
    """Else `eci select`, `ablate` and `probe` would say "run again", and the run "nothing is new"."""
    out = tmp_path / "out"
    shutil.copytree(embedded.out, out)
    embedded.again(out)
    run = Finished.open(str(out))
    ids = np.concatenate([from_arrow(table["text_id"]).copy() for table in run.texts(["text_id"])])
    ids.sort()
    right = spool_vectors(run, str(tmp_path)).take(ids)
    files = sorted((out / "cache").rglob("*.parquet"))
    for look in (lambda: spool_vectors(run, str(tmp_path)).take(ids), lambda: vectors_of(run, ids, str(tmp_path))[0]):
        damage_cache(out)
        errors._SAID.clear()
        for path in sorted((out / "cache").rglob("*.parquet"))[1::3]:
            path.unlink()
        caplog.clear()
        assert np.allclose(look(), right, atol=2e-3)
        assert "missing or damaged in the cache, and embedded again" in caplog.text
        assert len(list((out / "cache").rglob("*.parquet"))) >= len(files) // 2
        assert np.allclose(look(), right, atol=2e-3)


def test_a_file_removed_while_a_run_goes_on_is_named_and_the_next_one_makes_it_again(
    root: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score tasks are to be done again, and what they read is taken away behind the resume's back."""
    import jobs.pipeline.resumed as resumed

    out = tmp_path / "out"
    shutil.copytree(root.out, out)
    for path in [*work_of(out).glob("score/*"), *work_of(out).glob("exchange/*")][:1]:
        path.unlink()
    looked = resumed.damaged_files

    def blind(store: Any, marker: Any) -> Any:
        found = looked(store, marker)
        for path in marker.files:
            if "/settle/" in path and (out / path).exists() and blinded:
                (out / path).unlink()
        return found

    blinded = True
    monkeypatch.setattr(resumed, "damaged_files", blind)
    with pytest.raises(Exception, match=r"settle/.* was damaged or removed; run again: it is made again"):
        root.again(out)
    blinded = False
    result = root.again(out)
    assert same_bytes(tables_of(out, result.run_id), root.right) == []
    assert not isinstance(result, InputError)
