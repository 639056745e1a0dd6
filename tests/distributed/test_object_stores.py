"""Runs into object stores: a real S3 server on the loopback interface, and fsspec's memory filesystem."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from jobs.config import make_config
from jobs.errors import EciError, HeldError, InputError
from jobs.finished.result import RunResult, ranking_of
from jobs.output import lease, lock
from jobs.output.cleaning import Rules, clean
from jobs.output.commit import finish, seen
from jobs.output.query import query
from jobs.output.runs import latest, latest_says
from jobs.output.store import Store
from jobs.pipeline.run import run
from jobs.pipeline.status import status_of
from tests.conftest import same_bytes, tables_of
from tests.distributed.services import KEY, SECRET, arguments, s3_server
from tests.lakes import VectorLake


@pytest.fixture(scope="module")
def server(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server with the lake in its bucket; this process and its children reach it through their environment."""
    with s3_server(tmp_path_factory.mktemp("s3")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        files = fsspec.filesystem("s3", use_listings_cache=False)
        for path in (small_lake.triples, small_lake.vectors):
            files.put_file(str(path), f"bucket/lake/{path.name}")
        yield environment


@pytest.fixture
def lake_in_s3(server: dict[str, str]) -> VectorLake:
    # addresses in place of paths
    return VectorLake("s3://bucket/lake/triples.parquet", "s3://bucket/lake/vectors.parquet", [], {}, {})  # type: ignore[arg-type]


def published(out: str, folder: Path) -> dict[str, Any]:
    """The tables of the newest run, fetched to a folder."""
    store = Store(out)
    run_id = latest(store)
    files, root = store.filesystem()
    for found in files.find(f"{root}/runs/{run_id}"):
        target = folder / "runs" / found.split("/runs/", 1)[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(found, str(target))
    return tables_of(folder, run_id)


def everything(out: str) -> dict[str, bytes]:
    """The content of every object below an address."""
    files, root = Store(out).filesystem()
    return {name: files.cat_file(name) for name in files.find(root)}


def test_a_run_into_s3_publishes_the_bytes_of_a_local_run_and_every_reader_works_on_it(
    eci: Callable[..., Any], lake_in_s3: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    out = "s3://bucket/whole"
    done = eci("--verbose", *arguments(lake_in_s3, out), "--workers", "2", "--log-json")
    assert done.returncode == 0, done.stderr
    assert same_bytes(published(out, tmp_path), local_tables) == []

    assert len(ranking_of(out)["ranking"]) == 4
    counted = eci("sql", "SELECT count(*) AS n FROM scores", "--out", out, "--format", "csv")
    assert counted.stdout.split() == ["n", "600"], counted.stderr
    with pytest.raises(InputError, match="disabled by configuration"):
        query(Store(out), "SELECT * FROM read_parquet('s3://bucket/lake/triples.parquet')")
    assert status_of(out) == []
    assert clean(out, Rules()).removed == ()
    assert not [name for name in everything(out) if "/work/" in name]

    said = (done.stdout + done.stderr).encode()
    for secret in (KEY.encode(), SECRET.encode()):
        assert secret not in said
        assert [name for name, content in everything(out).items() if secret in content] == []


def test_a_killed_run_in_s3_is_seen_excludes_others_while_it_lives_and_resumes(
    eci: Callable[..., Any], lake_in_s3: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    out = "s3://bucket/killed"
    command = [sys.executable, "-m", "jobs.cli", *arguments(lake_in_s3, out), "--workers", "2"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    store = Store(out)
    wait_for(store, "settle/00.json")
    first.send_signal(signal.SIGSTOP)

    second = eci(*arguments(lake_in_s3, out))
    assert second.returncode == 2 and second.stderr.count("\n") == 1
    assert f"process {first.pid}, since " in second.stderr
    running = json.loads(eci("status", "--out", out, "--json").stdout)
    assert f"process {first.pid}" in running[0]["held_by"] and running[0]["tasks"] > 0
    assert "held by another run" in clean(out, Rules()).left
    assert KEY not in str(everything(out)) and SECRET not in str(everything(out))

    first.kill()
    first.wait()
    dead = status_of(out)
    assert dead[0]["held_by"] is None and dead[0]["run_id"] == running[0]["run_id"]
    resumed = eci(*arguments(lake_in_s3, out), "--workers", "2", "--log-json")
    assert resumed.returncode == 0, resumed.stderr
    logged = [json.loads(line) for line in resumed.stderr.splitlines() if line.startswith("{")]
    stages = [line["stage"] for line in logged if line.get("found") != "whole"]
    assert "ingest" not in stages and stages.count("settle") < 4
    assert latest(store) == running[0]["run_id"]
    assert same_bytes(published(out, tmp_path), local_tables) == []
    assert not store.names("work")


def wait_for(store: Store, end: str, seconds: float = 120) -> None:
    files, root = store.filesystem()
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if any(found.endswith(end) for found in files.find(f"{root}/work")):
            return
        time.sleep(0.05)
    raise AssertionError(f"{end} never came")


ELSEWHERE = {"host": "elsewhere", "machine": "another", "pid": 7, "started": "1", "since": "2026-01-01", "token": "t"}


@pytest.mark.parametrize("root", ["s3://bucket/leases", "memory://leases"])
def test_one_of_many_takes_a_lease_that_has_expired(
    server: dict[str, str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(root)
    store.write_text(lease.LOCK, json.dumps(ELSEWHERE))
    with pytest.raises(HeldError, match="host elsewhere, process 7, since 2026-01-01"), lock.holding(store):
        pass
    assert lock.holder(store) == "host elsewhere, process 7, since 2026-01-01"
    monkeypatch.setattr(lease, "EXPIRY_SECONDS", 1.5)
    time.sleep(2.6)  # S3 tells whole seconds
    assert lock.holder(store) is None
    with lock.holding(store):
        with pytest.raises(HeldError, match=f"process {os.getpid()}"), lock.holding(store):
            pass
        assert f"process {os.getpid()}" in str(lock.holder(store))
    assert not store.exists(lease.LOCK)


def test_of_runs_that_start_at_once_in_s3_one_is_let_in(server: dict[str, str]) -> None:
    store = Store("s3://bucket/at-once")
    store.write_text(lease.LOCK, json.dumps(lease.me() | {"pid": 4_000_000, "started": "1", "token": "t"}))

    def enter(_: int) -> bool:
        try:
            with lock.holding(store):
                time.sleep(2)
        except HeldError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(enter, range(6))) == 1


def test_a_holder_keeps_its_lease_alive_and_learns_that_it_has_lost_it(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
    store = Store("s3://bucket/beats")
    with lock.holding(store) as check:
        version = store.version(lease.LOCK)
        time.sleep(1.5)
        assert store.version(lease.LOCK) != version
        check()
        store.write_text(lease.LOCK, json.dumps(ELSEWHERE))
        with pytest.raises(HeldError, match="another run has taken over"):
            check()
    assert json.loads(store.read_text(lease.LOCK)) == ELSEWHERE


def test_a_run_that_was_overtaken_does_not_move_latest_back(server: dict[str, str]) -> None:
    store = Store("s3://bucket/overtaken")
    before = seen(store)
    assert before is None
    store.write_text("LATEST", "the-other\n")
    with pytest.raises(EciError, match="names the-other now"):
        finish(store, "mine", before)
    assert latest_says(store) == "the-other"


def into_memory(lake: VectorLake, root: str, **settings: Any) -> RunResult:
    given = {
        "inputs": [{"triples": str(lake.triples)}],
        "vectors": str(lake.vectors),
        "folds": 4,
        "buckets": 2,
        "memory": "4GB",
    }
    return run(make_config(given | {"out": root} | settings))


def test_a_run_into_memory_equals_a_local_one(
    small_lake: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    into_memory(small_lake, "memory://whole", cluster="distributed.LocalCluster", cluster_options=options)
    assert same_bytes(published("memory://whole", tmp_path), local_tables) == []


def test_a_store_that_workers_cannot_see_is_refused(small_lake: VectorLake) -> None:
    with pytest.raises(InputError, match="seen by one process only"):
        into_memory(small_lake, "memory://refused")
    assert not Store("memory://refused").exists("")


@pytest.mark.parametrize(
    "address",
    ["s3://key:secret@bucket/x", "https://host/x?X-Amz-Signature=abc", "abfs://box@host/x?sv=2024&sig=abc"],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(small_lake: VectorLake, address: str) -> None:
    with pytest.raises(InputError, match="from the environment") as refused:
        into_memory(small_lake, address)
    assert "secret@" not in str(refused.value) and "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer: Could not connect"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "locate credentials"),
    ],
)
def test_a_store_that_does_not_answer_is_one_line(
    eci: Callable[..., Any], server: dict[str, str], environment: dict[str, str], said: str
) -> None:
    environment |= {"AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    done = eci("rank", "--out", "s3://bucket/whole", **environment)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr
