"""A run that stopped half way is seen from another terminal, and every finished task has left one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lakes import vector_lake


def test_an_unfinished_run_shows_its_stage_and_a_finished_one_nothing(eci: Callable[..., Any], tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 120, sources=2)
    command = lake.command("--log-json")
    done = eci(*command, ECI_FAULT_AT="open:exchange/003.arrow:EIO")
    assert done.returncode == 1
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {"ingest", "settle", "collect"} <= {line["stage"] for line in logged}
    assert all(line["seconds"] >= 0 and line["peak_bytes"] > 0 for line in logged)
    (state,) = json.loads(eci("status", "--out", "out", "--json").stdout)
    assert state["stage"] == "exchange" and state["held_by"] is None and 0 <= state["tasks_done"] < 8
    assert "not running" in eci("status", "--out", "out").stdout
    assert eci(*command).returncode == 0
    assert json.loads(eci("status", "--out", "out", "--json").stdout) == []
