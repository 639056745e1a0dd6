"""A night with 1 % new files of a table in an object store, against a run from nothing over the same version.

ECI_LAKE_ROWS says how many triples (default 200,000: about two minutes on two quiet cores).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow.parquet as pq
import pytest

from tests.conftest import tables_of
from tests.distributed.services import s3_server
from tests.lake.figures import figure
from tests.scale.lake import generate

pytest.importorskip("deltalake")


from deltalake import DeltaTable, write_deltalake

pytestmark = pytest.mark.skipif("ECI_LAKE" not in os.environ, reason="minutes: run it with `make lake`")
ROWS = int(os.environ.get("ECI_LAKE_ROWS", "200000"))
FILES = 101
"""Of one size; the last is the night's."""


class Counting:
    """A relay on the loopback interface that counts the bytes which its server answers."""

    def __init__(self, server: str) -> None:
        self._to = urlsplit(server).hostname, urlsplit(server).port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.answered = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._to)
                for one, other, counted in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=(one, other, counted), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if counted:
                    with self._lock:
                        self.answered += len(data)
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listening.close()


@contextmanager
def store(folder: Path) -> Iterator[Counting]:
    with s3_server(folder) as environment, pytest.MonkeyPatch.context() as patch:
        relay = Counting(environment["AWS_ENDPOINT_URL"])
        for name, value in (environment | {"AWS_ENDPOINT_URL": relay.address}).items():
            patch.setenv(name, value)
        yield relay
        relay.close()


@dataclass(frozen=True)
class Cost:
    """A run: processor seconds of all its processes, those of its tasks that ingest, bytes read from the store."""

    run_id: str
    seconds: float
    ingest: float
    bytes: int
    rows: int


def run(out: Path, vectors: Path, relay: Counting) -> Cost:
    given = ["--triples", "delta:s3://lakes/mined", "--vectors", str(vectors), "--out", str(out), "--no-probe"]
    before = relay.answered
    command = [sys.executable, "-m", "jobs.cli", "run", *given, "--memory", "4GB", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    run_id = (out / "LATEST").read_text().strip()
    manifest: dict[str, Any] = json.loads((out / "runs" / run_id / "manifest.json").read_text())
    seconds = usage.ru_utime + usage.ru_stime
    ingest = manifest["stages"]["ingest"]["cpu_seconds"]
    return Cost(run_id, seconds, ingest, relay.answered - before, manifest["totals"]["rows_in"])


def test_a_night_with_one_per_cent_new_files_against_a_run_from_nothing(tmp_path: Path) -> None:
    lake = generate(tmp_path / "lake", ROWS * FILES // (FILES - 1), FILES)
    files = sorted(lake.triples.glob("*.parquet"))
    with store(tmp_path) as relay:
        fsspec.filesystem("s3", use_listings_cache=False).mkdir("lakes")
        options = {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": relay.address}
        for file in files[:-1]:
            write_deltalake("s3://lakes/mined", pq.read_table(file), mode="append", storage_options=options)
        first = run(tmp_path / "out", lake.vectors, relay)
        write_deltalake("s3://lakes/mined", pq.read_table(files[-1]), mode="append", storage_options=options)
        table = DeltaTable("s3://lakes/mined", storage_options=options)
        sizes = table.get_add_actions(flatten=True).column("size_bytes").to_pylist()
        night = run(tmp_path / "out", lake.vectors, relay)
        whole = run(tmp_path / "other", lake.vectors, relay)
    assert (len(sizes), night.rows, whole.rows) == (FILES, lake.rows, lake.rows)
    assert night.run_id != first.run_id
    assert tables_of(tmp_path / "out", night.run_id) == tables_of(tmp_path / "other", whole.run_id)
    assert night.ingest < 0.2 * whole.ingest and 0 < night.bytes < 0.6 * whole.bytes
    for what, cost in (("a run from nothing", whole), ("a night with 1 % new files", night)):
        figure(
            f"{what}, {cost.rows:,} triples in {FILES} files of {sum(sizes) / 1e6:,.1f} MB: {cost.seconds:.1f} s of processor "
            f"({cost.ingest:.1f} of ingest), {cost.bytes / 1e6:,.1f} MB read from the store"
        )
    figure(
        f"the night against the run from nothing: {night.seconds / whole.seconds:.2f} of the processor time "
        f"({night.ingest / whole.ingest:.2f} of ingest), {night.bytes / whole.bytes:.3f} of the bytes"
    )
