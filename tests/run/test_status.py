"""A run that stopped half way is seen from another terminal, and every finished task has left one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.output.store import Store
from jobs.pipeline.status import Recorded
from jobs.terminal.progress import Silent
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


def test_of_stages_side_by_side_the_one_that_was_begun_first_is_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    recorded = Recorded(Silent(), store, "work/key")

    def told() -> dict[str, Any]:
        return dict(json.loads(store.read_text("work/key/status.json")))

    recorded.start("moments", 1, 0, None)
    recorded.start("information", 2, 0, None)
    recorded.finished("information", "00000", {})
    assert (told()["stage"], told()["tasks_done"]) == ("moments", 0)
    recorded.finished("moments", "all", {})
    recorded.end("moments")
    recorded.finished("information", "00001", {})
    recorded.end("information")
    assert (told()["stage"], told()["tasks_done"]) == ("information", 2)
