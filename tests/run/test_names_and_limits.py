"""Names that are not UTF-8, queries behind names, limits of the machine: one clear line, or a run that goes through."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs import machine
from jobs.config import make_config
from jobs.errors import InputError
from jobs.finished.verification import verify
from jobs.formats.finding import expand
from jobs.formats.opening import extension_of, stem_of
from jobs.machine import address_space
from tests.formats.reading import read

LINE = '{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n'
BAD = b"bad\xff\xe9.jsonl"


def eci(arguments: list[bytes | str], folder: Path, **extra: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=100, **extra
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--triples", BAD, "--out", "out"], ["ingest", "--triples", "lake", "--to", "to"],
        ["rank", "--out", b"o\xff"], ["ingest", "--triples", "good.jsonl", b"--to=o\xff"], ["encoders", "show", b"o\xff"],
    ],
)  # fmt: skip
def test_a_name_that_is_not_utf_8_is_one_line(arguments: list[bytes | str], tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    for folder in (tmp_path, tmp_path / "lake"):
        (folder / "good.jsonl").write_text(LINE)
        Path(os.fsdecode(os.path.join(os.fsencode(folder), BAD))).write_text(LINE)
    done = eci(arguments, tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "UTF-8" in done.stderr and "rename the f" in done.stderr and "\\udcff" in done.stderr
    assert not (tmp_path / "to").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mebibytes", "words"), [(400, "to load the libraries"), (6000, "for worker processes")])
def test_an_address_space_limit_is_one_line(mebibytes: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(LINE)
    limit = (mebibytes << 20, mebibytes << 20)
    done = eci(
        ["run", "--triples", "x.jsonl", "--out", "out", "--quiet", "--workers", "2"], tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"limited to {mebibytes} MiB (ulimit -v)" in done.stderr and words in done.stderr
    assert address_space() is None


def test_a_run_without_workers_under_an_address_space_limit_is_whole_but_for_its_report(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(LINE)
    limit = (16_000 << 20, 16_000 << 20)
    done = eci(
        ["run", "--triples", "x.jsonl", "--out", "out", "--quiet"], tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run_id,) = (path.name for path in (tmp_path / "out" / "runs").iterdir())
    assert (tmp_path / "out" / "LATEST").read_text().strip() == run_id
    assert [fault.path for fault in verify(str(tmp_path / "out")).faults] == [f"runs/{run_id}/report.html"]
    assert not (tmp_path / "out" / "runs" / run_id / "report.html").exists()
    assert "no report was written" in done.stderr and "limited to 16000 MiB (ulimit -v)" in done.stderr, done.stderr


def test_a_query_behind_a_name_is_no_part_of_its_ending() -> None:
    for path in ("x.parquet?x=", "https://host/a/x.parquet?x=/y.csv", "lake/x.parquet?a=1&b=.gz", "x.PARQUET.GZ?x"):
        assert (extension_of(path), stem_of(path).lower()) == ("parquet", "x")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_of_a_server_with_a_query_is_read(served: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(LINE)
    address = f"{served}/x.jsonl?download=true"
    assert expand([address], "triples") == [address]
    assert read("triples", address).rows["query"].to_list() == ["q"]
    with pytest.raises(InputError, match="matches no file"):
        expand([f"{served}/missing.jsonl?x="], "triples")


def test_a_local_file_with_a_query_in_its_name_is_read_by_its_ending(tmp_path: Path) -> None:
    pl.DataFrame({"query": ["q"], "positive": ["p"], "negative": ["n"], "source": ["s"]}).write_parquet(tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / "x.parquet?x=")
    (path,) = expand([str(tmp_path / "x.parquet?x=")], "triples")
    assert read("triples", path).rows["negative"].to_list() == ["n"]
    (tmp_path / "x.parquet?x=").write_text(LINE)
    with pytest.raises(InputError, match="cannot be opened as Parquet"):
        read("triples", path)


@pytest.mark.parametrize(
    ("membership", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "1000"}, {1000}),
        ("0::/a/b\n", {"memory.max": "max", "a/memory.max": "500\n", "a/b/memory.max": "900"}, {500, 900}),
        ("0::/gone\n", {"memory.max": "700"}, {700}),
        ("4:memory:/a\n3:cpu:/b\n0::/\n", {"memory/a/memory.limit_in_bytes": "300", "b/memory.max": "1"}, {300}),
        ("0::/../x\n", {}, set()),
        ("", {}, set()),
    ],
)
def test_the_limits_of_all_control_groups_above_a_process_count(
    membership: str, files: dict[str, str], limits: set[int], tmp_path: Path
) -> None:
    (tmp_path / "cgroup").write_text(membership)
    for name, content in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(content)
    assert set(machine._group_limits(tmp_path / "cgroup", tmp_path / "fs")) == limits


def test_a_run_takes_what_there_is_and_not_what_it_is_told_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_group_limits", lambda *_: iter([1 << 30]))
    values = {"inputs": [{"triples": "x"}], "out": "x", "memory": "2TB", "workers": 2}
    assert make_config(values).memory_bytes() == 1 << 30
    assert make_config(values).share() == 1 << 29
    assert make_config(values | {"memory": "512MB"}).memory_bytes() == 512 << 20
    assert make_config(values | {"scheduler": "tcp://host:8786"}).memory_bytes() == 2 << 40
