"""What surrounds a run: a mask that lets all write, other users, clocks that jump, versions before and after, process ids that come again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.errors import InputError
from jobs.finished.result import ranking_of
from jobs.finished.verification import verify
from jobs.output import lease, lock
from jobs.output.cleaning import Rules, clean
from jobs.output.root import claim
from jobs.output.runs import committed, latest
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.output.tables import TABLES_LAYOUT
from tests.conftest import run_lake, same_bytes, tables_of
from tests.crash.runs import finish, start, workers_of
from tests.crash.test_interrupted_runs import wait_for
from tests.lakes import VectorLake, vector_lake

OPTIONS = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    return vector_lake(tmp_path_factory.mktemp("lake"), 8, 80, sources=2)


def run_here(out: Path, lake: VectorLake, **more: Any) -> Any:
    """Run with a worker in this process."""
    settings = {
        "folds": 2,
        "buckets": 1,
        "no_probe": True,
        "cluster": "distributed.LocalCluster",
        "cluster_options": OPTIONS,
    }
    return run_lake(out, lake.triples, vectors=str(lake.vectors), **settings, **more)


@pytest.fixture(scope="module")
def made(lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two runs."""
    out = tmp_path_factory.mktemp("made") / "out"
    for kappa in (0.2, 0.3):
        run_here(out, lake, kappa=kappa)
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.attack("files for all to write to")
def test_nothing_that_a_command_makes_can_be_written_to_by_all_whatever_the_mask(
    lake: VectorLake, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    environment = os.environ | {"XDG_CACHE_HOME": str(home)}
    commands = [lake.command("--no-probe", "--workers", "1"), ["rank", "--out", "out"], ["report", "--out", "out", "--to", "page/x.html"],
                ["select", "--out", "out", "--to", "train", "--format", "bge"], ["ablate", "--out", "out", "--only", "temperature"],
                ["ingest", "--triples", str(lake.triples), "--to", "canonical"], ["init", "x.toml"]]  # fmt: skip
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *command],
            cwd=tmp_path,
            env=environment,
            umask=0,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    found = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    assert len(found) > 40 and home.exists()
    assert [path for path in found if path.stat().st_mode & stat.S_IWOTH] == []


AS_NOBODY = """
import json, os, sys
from typer.testing import CliRunner
from jobs.cli import app
import distributed, cryptography, jobs.pipeline.run
commands = json.loads(sys.argv[1])
for command in commands:  # what they load lies where nobody may not look
    CliRunner().invoke(app, [part.replace("OUT", sys.argv[2]) for part in command])
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
said = []
for command in commands:
    done = CliRunner().invoke(app, [part.replace("OUT", sys.argv[3]) for part in command])
    said.append([type(done.exception).__name__, str(done.exception), done.stdout])
print(json.dumps(said))
"""


@pytest.fixture
def public(made: Path) -> Iterator[Path]:
    """A folder that everybody may look into, with two copies of the root, one of them to be worn out."""
    if os.geteuid() != 0:
        pytest.skip("only root can be nobody")
    folder = Path(tempfile.mkdtemp(prefix="eci-public-"))
    folder.chmod(0o755)
    for name in ("OUT", "worn"):
        shutil.copytree(made, folder / name)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.attack("another user")
def test_another_user_reads_a_root_and_is_told_in_one_line_what_he_may_not_write(
    lake: VectorLake, public: Path
) -> None:
    shutil.copytree(lake.triples.parent, public / "lake")
    (public / "lake").chmod(0o755)
    run = ["run", "--triples", str(public / "lake/triples.parquet"), "--vectors", str(public / "lake/vectors.parquet"), "--out", "OUT",
           "--workers", "1", "--memory", "2GB"]  # fmt: skip
    commands = [["rank", "--out", "OUT"], ["status", "--out", "OUT"], ["gc", "--out", "OUT"], run, ["report", "--out", "OUT"],
                ["select", "--out", "OUT", "--to", "OUT/train", "--format", "bge"]]  # fmt: skip
    before = {path: path.read_bytes() for path in (public / "OUT").rglob("*") if path.is_file()}
    environment = os.environ | {"XDG_CACHE_HOME": str(public / "cache"), "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, json.dumps(commands), str(public / "worn"), str(public / "OUT")],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert [name for name, _, _ in said[:2]] == ["NoneType"] * 2, said
    assert "source 0" in said[0][2]
    for command, (name, text, _) in zip(commands[2:], said[2:], strict=True):
        assert (
            name in ("PermissionError", "InputError", "EciError") and "ermission denied" in text and "\n" not in text
        ), (command, name, text)
        assert str(public / "OUT") in text
    assert {path: path.read_bytes() for path in (public / "OUT").rglob("*") if path.is_file()} == before


AS_STRANGER = """
import asyncio, json, os, sys
from distributed.core import connect
from distributed.security import Security
addresses = json.loads(sys.argv[1])
async def ask(address, **arguments):
    comm = await connect(address, timeout=3, **arguments)
    try:
        await comm.write({"op": "identity", "reply": True})
        return "id" in await asyncio.wait_for(comm.read(), 3)
    finally:
        comm.abort()
def answers(address, **arguments):
    try:
        return asyncio.run(ask(address, **arguments))
    except (TimeoutError, OSError, RuntimeError, TypeError):
        return False
own = Security.temporary().get_connection_args("client")
answers(addresses[0], **own); answers(addresses[0].replace("tls", "tcp"))
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
print(json.dumps([[answers(a, **own), answers(a.replace("tls://", "tcp://"))] for a in addresses]))
"""


@pytest.mark.attack("another user")
def test_another_user_of_the_machine_is_answered_by_no_port_of_a_run(
    tmp_path: Path, counted: Callable[..., None]
) -> None:
    from jobs.config import make_config
    from jobs.pipeline.cluster import Cluster
    from jobs.terminal.progress import Silent

    if os.geteuid() != 0:
        pytest.skip("only root can be nobody")
    config = make_config(
        {"inputs": [{"triples": "x.jsonl"}], "out": str(tmp_path / "out"), "workers": 2, "memory": "2GB"}, "test"
    )
    with Cluster(config, 1, Silent()) as cluster:
        workers = cluster._client.scheduler_info(n_workers=-1)["workers"]
        addresses = [cluster._client.scheduler.address, *workers, *(worker["nanny"] for worker in workers.values())]
        asked = subprocess.run(
            [sys.executable, "-c", AS_STRANGER, json.dumps(addresses)], capture_output=True, text=True, timeout=180
        )
        assert asked.returncode == 0, asked.stderr[-2000:]
    assert json.loads(asked.stdout) == [[False, False]] * 5
    counted(tried=10, found=10)


@pytest.mark.attack("clocks that jump")
@pytest.mark.parametrize("year", [1970, 1971, 2001, 2106, 2400])
def test_inputs_of_any_time_are_read_and_stand(lake: VectorLake, tmp_path: Path, year: int) -> None:
    folder = tmp_path / "lake"
    shutil.copytree(lake.triples.parent, folder)
    seconds = (year - 1970) * 31_556_952
    for path in folder.iterdir():
        os.utime(path, (seconds, seconds))
    here = VectorLake(folder / "triples.parquet", folder / "vectors.parquet", [], {}, {})
    first = run_here(tmp_path / "out", here)
    again = run_here(tmp_path / "out", here)
    assert again.unchanged and again.run_id == first.run_id
    os.utime(here.triples, (seconds + 5, seconds + 5))
    touched = run_here(tmp_path / "out", here)
    assert not touched.unchanged and touched.run_id != first.run_id  # it may have been written anew, with the same size
    assert same_bytes(tables_of(tmp_path / "out", first.run_id), tables_of(tmp_path / "out", touched.run_id)) == []


@pytest.mark.attack("clocks that jump")
def test_a_clock_that_went_back_since_the_last_run_does_not_hide_the_next_one(out: Path, lake: VectorLake) -> None:
    """A run made while the clock was ahead has the largest id, and the latest time."""
    ahead, store = "20990101T000000Z-abcdef", Store(str(out))
    folder = out / "runs" / latest(store)
    manifest = unsealed((folder / "manifest.json").read_text())
    manifest |= {"run_id": ahead, "created_at": "2099-01-01T00:00:00+00:00"}
    folder.rename(out / "runs" / ahead)
    (out / "runs" / ahead / "manifest.json").write_text(json.dumps(sealed(manifest)))
    (out / "LATEST").write_text(ahead + "\n")
    result = run_here(out, lake, kappa=0.4)
    assert latest(store) == result.run_id == ranking_of(str(out))["run_id"] != ahead
    assert run_here(out, lake, kappa=0.4).unchanged
    told = clean(str(out), Rules(keep_runs=1, dry_run=True)).removed
    assert clean(str(out), Rules(keep_runs=1)).removed == told
    assert result.run_id in committed(store) and latest(store) == result.run_id
    assert [fault.path for fault in verify(str(out)).faults if ahead not in fault.path] == []


@pytest.mark.attack("clocks that jump")
@pytest.mark.parametrize("ahead", [True, False])
def test_gc_takes_no_file_of_a_running_command_whose_time_lies_ahead(out: Path, ahead: bool) -> None:
    attempt = out / "runs" / ".attempt-0123456789ab-x"
    attempt.write_text("half")
    when = time.time() + (86_400 if ahead else -86_400)
    os.utime(attempt, (when, when))
    clean(str(out), Rules(cache_days=0.0))
    assert attempt.exists() == ahead


@pytest.mark.attack("other versions")
@pytest.mark.parametrize("command", [["gc"], ["verify"], ["report"], ["ablate"]])
def test_a_root_of_a_newer_format_is_named_and_not_touched(
    out: Path, lake: VectorLake, eci: Any, command: list[str]
) -> None:
    (out / ".eci-root").write_text(json.dumps(sealed({"made_by": "eci-lake", "format": 2})))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    for asked in (command, ["run", "--triples", lake.triples, "--vectors", lake.vectors]):
        done = eci(*asked, "--out", out)
        assert (
            done.returncode == 2
            and "an output root of format 2, and this version of eci-lake knows up to 1" in done.stderr
        ), done
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.attack("other versions")
@pytest.mark.parametrize("said", ["", "{}", "[]", '{"format": "x"}', '{"made_by": "eci-lake", "format": 5}', "\x00"])
def test_a_damaged_marker_locks_no_root(out: Path, said: str) -> None:
    (out / ".eci-root").write_text(said)
    claim(Store(str(out)))
    assert clean(str(out), Rules()).removed == () and verify(str(out)).faults == ()


@pytest.mark.attack("other versions")
def test_tables_of_a_newer_layout_are_named_and_those_before_are_read(out: Path, lake: VectorLake, caplog: Any) -> None:
    store = Store(str(out))
    first, newest = committed(store)
    path = out / "runs" / newest / "manifest.json"
    path.write_text(json.dumps(sealed(unsealed(path.read_text()) | {"layout": TABLES_LAYOUT + 1})))
    with pytest.raises(
        InputError, match=f"its tables have layout {TABLES_LAYOUT + 1}, and .* reads up to {TABLES_LAYOUT}"
    ):
        ranking_of(str(out), newest)
    assert ranking_of(str(out))["run_id"] == first
    assert f"its tables have layout {TABLES_LAYOUT + 1}" in caplog.text
    result = run_here(out, lake, kappa=0.3)
    assert result.run_id not in (first, newest) and committed(store) == sorted([first, newest, result.run_id])


@pytest.mark.attack("other versions")
def test_unfinished_work_of_another_layout_is_left_to_gc(
    out: Path, lake: VectorLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.pipeline import prepare

    monkeypatch.setattr(prepare, "WORK_LAYOUT", prepare.WORK_LAYOUT + 1)
    monkeypatch.setenv("ECI_FAULT_AT", "open:publish/manifest.json:EIO")
    with pytest.raises(OSError, match="Input/output"):
        run_here(out, lake, kappa=0.4)
    monkeypatch.undo()
    (left,) = (path for path in (out / "work").iterdir() if path.is_dir())
    result = run_here(out, lake, kappa=0.4)
    assert latest(Store(str(out))) == result.run_id and left.exists()
    assert [item.path for item in clean(str(out), Rules()).removed] == [f"work/{left.name}"]


@pytest.mark.attack("process ids that come again")
def test_a_lock_that_names_a_process_that_is_another_now_holds_nobody(out: Path, lake: VectorLake) -> None:
    (out / "work" / "LOCK").write_text(json.dumps(lease.me()))
    assert lock.holder(Store(str(out))) is None
    assert run_here(out, lake, kappa=0.5).run_id


@pytest.mark.attack("process ids that come again")
def test_a_lease_of_a_process_whose_id_another_has_now_is_dead_at_once() -> None:
    store = Store("memory://reused")
    store.put_if(lease.LOCK, json.dumps(lease.me() | {"started": "1"}), None)
    assert lease.dead(store, lease.read(store)[0])  # type: ignore[index]
    assert not lease.dead(store, lease.me())
    with lease.Lease(store) as held:
        held.check()


@pytest.mark.attack("killed drivers")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_the_workers_of_a_killed_driver_end_with_it_and_the_next_run_is_not_disturbed(
    small_lake: VectorLake, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(small_lake, out, workers=2)
    wait_for(out / "cache" / "inputs" / "ingest" / "*.json")
    while not (workers := workers_of(process.pid)):  # it may be starting one anew
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    code, _, err = finish(start(small_lake, out, workers=2))
    assert code == 0, err
    assert [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.attack("ten thousand sources")
def test_more_sources_than_a_run_ranks_are_refused_with_what_to_do(lake: VectorLake, tmp_path: Path) -> None:
    from tests.lakes import write_triples

    rows = [(*lake.rows[i % len(lake.rows)][:3], f"source {i}") for i in range(10_000)]
    write_triples(tmp_path / "t.parquet", rows)
    many = VectorLake(tmp_path / "t.parquet", lake.vectors, [], {}, {})
    with pytest.raises(InputError, match=r"10,000 sources, allowed are 1,000 in all, .*--triples NAME=PATH"):
        run_here(tmp_path / "out", many)
    assert not (tmp_path / "out").exists()
