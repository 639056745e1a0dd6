"""During a run the scheduler and the workers turn away whoever lacks the run's certificates."""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client
from distributed.core import connect
from distributed.security import Security

from jobs.config import make_config
from jobs.pipeline.cluster import Cluster, _warn_of_plain
from jobs.terminal.progress import Silent

pytestmark = pytest.mark.attack("strangers at the ports")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    out = str(tmp_path_factory.mktemp("private") / "out")
    config = make_config({"inputs": [{"triples": "x.jsonl"}], "out": out, "workers": 2, "memory": "2GB"}, "test")
    with Cluster(config, 1, Silent()) as cluster:
        yield cluster


def addresses(cluster: Any) -> list[str]:
    """Every address that something listens at: the scheduler's, the workers', their nannies'."""
    workers = cluster._client.scheduler_info(n_workers=-1)["workers"]
    return [cluster._client.scheduler.address, *workers, *(worker["nanny"] for worker in workers.values())]


def answers(address: str, **arguments: Any) -> bool:
    """Whether something at the address understands a client with these credentials: it names itself."""

    async def ask() -> bool:
        comm = await connect(address, timeout=3, **arguments)
        try:
            await comm.write({"op": "identity", "reply": True})
            return "id" in await asyncio.wait_for(comm.read(), 3)
        finally:
            comm.abort()

    try:
        return asyncio.run(ask())
    except (TimeoutError, OSError, RuntimeError, TypeError):
        return False


def test_a_client_of_the_run_itself_is_answered_everywhere(running):
    own = running._cluster.security.get_connection_args("client")
    assert len(addresses(running)) == 5
    assert all(answers(address, **own) for address in addresses(running))


def test_a_plain_client_is_turned_away_everywhere(running):
    assert [address for address in addresses(running) if answers(address.replace("tls://", "tcp://"))] == []


def test_a_client_with_certificates_of_its_own_is_turned_away_everywhere(running):
    strange = Security.temporary().get_connection_args("client")
    assert [address for address in addresses(running) if answers(address, **strange)] == []


def test_no_code_is_run_for_a_stranger(running):
    for address, security in (
        (running._client.scheduler.address.replace("tls://", "tcp://"), None),
        (running._client.scheduler.address, Security.temporary()),
    ):
        with pytest.raises((OSError, asyncio.TimeoutError)):
            Client(address, security=security, timeout=3, set_as_default=False)


def test_the_pages_of_the_scheduler_and_the_workers_are_not_there(running):
    info = running._client.scheduler_info(n_workers=-1)
    ports = [info["services"].get("dashboard"), *(w["services"].get("dashboard") for w in info["workers"].values())]
    for port in filter(None, ports):
        for page in ("info/main/workers.html", "health", "json/counts.json", "metrics"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)


@pytest.mark.parametrize(
    ("address", "said"),
    [("tcp://10.1.2.3:8786", True), ("tcp://[fe80::1]:8786", True), ("head-node:8786", True),
     ("tcp://127.0.0.1:8786", False), ("tcp://[::1]:8786", False), ("tcp://localhost:8786", False),
     ("tls://10.1.2.3:8786", False), ("inproc://10.1.2.3/77/1", False)],
)  # fmt: skip
def test_a_plain_scheduler_beyond_loopback_is_said(caplog, address, said):
    with caplog.at_level(logging.WARNING, "eci"):
        _warn_of_plain(address)
    assert bool(caplog.records) == said and (not said or address in caplog.text)
