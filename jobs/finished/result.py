"""A committed run as it is shown and returned: its ranking for `eci rank`, and the result of `jobs.run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.machine import available_cores
from jobs.output.records import Manifest, StageTimes, Totals
from jobs.output.runs import latest, read_manifest, read_published
from jobs.output.store import Store
from jobs.output.tables import SOURCE_ECI, SOURCE_PAIRS


def ranking_of(out: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a run's ranking: run_id, rows of source_eci in order, rows of source_pairs, totals, what a whole run costs.

    Raises:
        InputError: there is no such run.
    """
    store = Store(out)
    run_id = run_id or latest(store)
    manifest = read_manifest(store, run_id)
    return {
        "run_id": run_id,
        "ranking": read_published(store, run_id, SOURCE_ECI.files).to_pylist(),
        "pairs": read_published(store, run_id, SOURCE_PAIRS.files).to_pylist(),
        "totals": manifest["totals"],
        "rejects": manifest["rejects"],
        "sample": manifest["sample"],
        "left_to_embed": left_to_embed(manifest),
        "formats": manifest.get("formats", {}),
    }


def left_to_embed(manifest: Manifest) -> dict[str, Any]:
    """Return the texts that a run over all queries would embed beyond those that this run has, and about how long.

    `texts` is an upper bound: earlier runs may have some of them in the cache. `seconds` follows from this run's own
    embedding, None where it embedded nothing.
    """
    totals, stage = manifest["totals"], manifest["stages"].get("embed")
    texts = max(0, totals["texts"] - totals["texts_embedded"] - totals["cache_hits"]) if stage else 0
    seconds = None
    if stage and texts and totals["texts_embedded"]:
        workers = manifest["settings"].get("workers") or available_cores()
        seconds = round(texts * stage["seconds"] / totals["texts_embedded"] / workers)
    return {"texts": texts, "seconds": seconds}


def rank(out: str, run_id: str | None = None) -> RunResult:
    """Return a committed run (default: the newest) as `jobs.run` returned it.

    Raises:
        InputError: there is no such run.
    """
    store = Store(out)
    return result_of(store, run_id or latest(store))


@dataclass(frozen=True)
class RunResult:
    """A committed run: its id, where it lies, the ranking (table source_eci), and the manifest's totals and stages.

    `unchanged`: nothing was new since this run, so it stands and nothing was computed.
    """

    run_id: str
    out: str
    ranking: pa.Table
    totals: Totals
    stages: dict[str, StageTimes]
    unchanged: bool = False


def result_of(store: Store, run_id: str) -> RunResult:
    """Read a committed run back."""
    manifest = read_manifest(store, run_id)
    ranking = read_published(store, run_id, SOURCE_ECI.files)
    return RunResult(run_id, store.path(), ranking, manifest["totals"], manifest["stages"])
