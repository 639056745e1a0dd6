"""Runs on workers that are not the run's own: a scheduler by its address, with and without TLS, and cluster classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InputError
from jobs.output.runs import latest
from jobs.output.store import Store
from jobs.pipeline import cluster
from tests.conftest import run_lake, same_bytes, tables_of
from tests.distributed.services import REPOSITORY, SMALL, arguments, certificates, dask_cluster
from tests.lakes import VectorLake


def assert_as_local(out: Path, local_tables: dict[str, Any]) -> None:
    assert same_bytes(tables_of(out, latest(Store(str(out)))), local_tables) == []


def test_a_run_on_a_scheduler_publishes_the_bytes_of_a_local_run(
    eci: Callable[..., Any], small_lake: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    with dask_cluster(tmp_path / "dask") as address:
        # a relative path: workers have other working folders
        done = eci(*arguments(small_lake, "out"), "--scheduler", address)
    assert done.returncode == 0, done.stderr
    assert_as_local(tmp_path / "out", local_tables)


def test_workers_of_another_version_are_refused_before_they_do_anything(
    eci: Callable[..., Any], small_lake: VectorLake, tmp_path: Path
) -> None:
    told = tmp_path / "other" / "eci_lake-0.0.1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: eci-lake\nVersion: 0.0.1\n")
    with dask_cluster(tmp_path / "dask", PYTHONPATH=f"{told.parent}:{REPOSITORY}") as address:
        done = eci(*arguments(small_lake, "out"), "--scheduler", address)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has eci-lake 0.0.1, this run" in done.stderr
    assert not (tmp_path / "out" / "LATEST").exists()


def test_a_run_over_tls_publishes_the_same_bytes_and_strangers_are_refused(
    eci: Callable[..., Any], small_lake: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    settings = certificates(tmp_path)
    with dask_cluster(tmp_path / "dask", **settings) as address:
        stranger = eci(*arguments(small_lake, "refused"), "--scheduler", address)
        done = eci(*arguments(small_lake, "out"), "--scheduler", address, **settings)
    assert done.returncode == 0, done.stderr
    assert_as_local(tmp_path / "out", local_tables)
    assert stranger.returncode == 2 and stranger.stderr.count("\n") == 1
    assert stranger.stderr.startswith(f"eci: {address}: no cluster")
    assert not (tmp_path / "refused").exists()


SPEC = """
cluster = "distributed.SpecCluster"
[cluster_options.scheduler]
cls = "distributed.Scheduler"
options = { host = "127.0.0.1", dashboard = false }
[cluster_options.workers.0]
cls = "distributed.Nanny"
options = { nthreads = 1, host = "127.0.0.1", dashboard = false }
[cluster_options.workers.1]
cls = "distributed.Nanny"
options = { nthreads = 1, host = "127.0.0.1", dashboard = false }
"""


def test_a_cluster_class_takes_its_arguments_from_the_settings_file(
    eci: Callable[..., Any], small_lake: VectorLake, local_tables: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "cluster.toml").write_text(SMALL.read_text() + SPEC)
    done = eci(*arguments(small_lake, "out", tmp_path / "cluster.toml"))
    assert done.returncode == 0, done.stderr
    assert_as_local(tmp_path / "out", local_tables)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"cluster": "distributed.SpecCluster", "cluster_options": {"wrokers": 2}},
            "argument 'wrokers'; check .cluster_options",
        ),
        ({"cluster": "pathlib.Path"}, "is no Dask cluster class"),
        ({"cluster": "nosuch.Cluster"}, "cannot be imported"),
    ],
)
def test_a_cluster_that_cannot_be_made_is_one_line(
    small_lake: VectorLake, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_lake(tmp_path / "out", small_lake.triples, vectors=str(small_lake.vectors), **settings)
    assert not (tmp_path / "out").exists()


def test_a_task_that_kills_every_worker_ends_the_run_and_is_named(
    eci: Callable[..., Any], small_lake: VectorLake, tmp_path: Path
) -> None:
    done = eci(*arguments(small_lake, "out"), "--workers", "2", ECI_FAULT_AT="open:exchange/001.arrow:KILL")
    assert done.returncode == 1
    assert done.stderr.startswith("eci: exchange 001: every worker that ran this task died"), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cluster_that_takes_too_long_to_close_fails_no_run(
    small_lake: VectorLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is busy with other things: what the tasks have done is committed all the same."""
    monkeypatch.setattr(cluster, "CLOSE_SECONDS", 1e-6)
    result = run_lake(tmp_path / "out", small_lake.triples, vectors=(str(small_lake.vectors),), no_probe=True)
    assert latest(Store(str(tmp_path / "out"))) == result.run_id
