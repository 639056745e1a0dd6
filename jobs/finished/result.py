"""A committed run as it is shown and returned: its ranking for `eci rank`, and the result of `jobs.run`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from jobs.errors import DamagedError, InputError, nearest, notice
from jobs.machine import available_cores
from jobs.output import layout
from jobs.output.comparable import ablations_of, rows_of, run_before
from jobs.output.records import PASSED_OVER, Loss, Manifest, NamedSource, SourceRow, StageTimes, Totals
from jobs.output.runs import named, read_manifest
from jobs.output.store import Store
from jobs.output.tables import PROBE_CURVE, PROBE_PAIRS, SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE, Table
from jobs.output.verified import read_published
from jobs.probing.answer import Probed
from jobs.probing.cautions import Facts, cautions
from jobs.probing.judged_text import base_of, judged_lines

ORDERS = ("probe", "eci")


def ranking_of(out: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a run's ranking: run_id, rows of source_eci in order, rows of source_pairs, totals, what a whole run costs.

    `ranks` are those that were taken of run files.  `without_text`: rows that name a text by an id that has none.
    `judged` says what `judgements` have done, `warnings` are those of jobs/probing/cautions.py.
    `probe` holds the rows of source_probe, probe_pairs and probe_curve, None where the sources were not tried out.

    Raises:
        InputError: there is no such run.
    """
    store = Store(out)
    run_id = named(store, run_id)
    manifest = read_manifest(store, run_id)
    ranking: list[SourceRow] = _read(store, manifest, SOURCE_ECI).to_pylist()
    probe = probed_of(store, manifest)
    facts = Facts(ranking, probe, _ablations(store, run_id), run_before(store, manifest, ranking))
    used = manifest.get("judgements")
    judged = judged_lines(used, ranking, rows_of(store, base_of(used, run_id), manifest, ranking))
    return {
        "run_id": run_id,
        "ranking": ranking,
        "pairs": _read(store, manifest, SOURCE_PAIRS).to_pylist(),
        "probe": probe,
        "warnings": [caution._asdict() for caution in cautions(facts)],
        "why_no_probe": manifest.get("why_no_probe"),
        "judgements": used,
        "judged": judged,
        "totals": manifest["totals"],
        "rejects": manifest["rejects"],
        "sample": manifest["sample"],
        "left_to_embed": left_to_embed(manifest),
        "formats": manifest.get("formats", {}),
        "made_again": manifest.get("made_again", {"tasks": 0, "cache_files": 0, "texts": 0}),
        "losses": manifest.get("losses", []),
        "ranks": manifest.get("ranks", []),
        "without_text": 0 if manifest["settings"].get("vectors") else manifest["rejects"].get("bad_vector", 0),
        "tables": manifest.get("tables", []),
        "passed_over": [file for file in manifest["inputs"] if file["what"].startswith(PASSED_OVER)],
        "lexical": manifest.get("lexical"),
    }


def _ablations(store: Store, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of `ablations`, none where they are damaged: the ranking is whole without them."""
    try:
        return ablations_of(store, run_id)
    except DamagedError as error:
        notice(f"the warnings are without the ablations: {error}")
        return []


def probed_of(store: Store, manifest: Manifest) -> Probed | None:
    """Return the probe of a run, None where there was none."""
    there = {file["path"] for file in manifest["files"]}
    if SOURCE_PROBE.files not in there:
        return None
    tables = (_read(store, manifest, table) for table in (SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE))
    rows, pairs, curve = (table.to_pylist() for table in tables)
    return Probed(rows, pairs, curve)


def _read(store: Store, manifest: Manifest, table: Table) -> pa.Table:
    """Return a table of one file of a committed run. Raises DamagedError."""
    return read_published(store, layout.run_folder(manifest["run_id"]), manifest, table.files)


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


def rank(out: str, run_id: str | None = None, by: str = "probe") -> RunResult:
    """Return a committed run (default: the newest) as `jobs.run` returned it.

    Args:
        by: the order of the ranking, `probe` (by ECI where there is none) or `eci`.

    Raises:
        InputError: there is no such run.
    """
    check_order(by)
    store = Store(out)
    return result_of(store, named(store, run_id), by)


def check_order(by: str) -> None:
    """Raise InputError for an order that there is none of."""
    if by not in ORDERS:
        raise InputError(f"--by: {by!r} is no order{nearest(by, ORDERS)} (allowed: {', '.join(ORDERS)})")


@dataclass(frozen=True)
class RunResult:
    """A committed run: its id, where it lies, the ranking (table source_eci), and the manifest's totals and stages.

    Attributes:
        probe: the table source_probe, None where the sources were not tried out. Where there is one, `ranking` is in its
            order: the sources by their gains, what was not tried out behind them.
        named_after_files: the sources that neither --source nor a record has named.
        losses: the sources that lost most of their rows to rejects, where that was allowed.
        unchanged: nothing was new since this run, so it stands and nothing was computed.
        published: rows that were appended to each table over all runs, None where none was to be published.
        not_published: why a run that was to be published is not; it is committed all the same.
    """

    run_id: str
    out: str
    ranking: pa.Table
    totals: Totals
    stages: dict[str, StageTimes]
    unchanged: bool = False
    probe: pa.Table | None = None
    named_after_files: tuple[NamedSource, ...] = ()
    losses: tuple[Loss, ...] = ()
    published: dict[str, int] | None = None
    not_published: str = ""


def result_of(store: Store, run_id: str, by: str = "probe") -> RunResult:
    """Read a committed run back. `by`: as for `rank`."""
    manifest = read_manifest(store, run_id)
    ranking = _read(store, manifest, SOURCE_ECI)
    result = RunResult(
        run_id,
        store.path(),
        ranking,
        manifest["totals"],
        manifest["stages"],
        named_after_files=tuple(manifest.get("named_after_files", ())),
        losses=tuple(manifest.get("losses", ())),
    )
    if SOURCE_PROBE.files not in {file["path"] for file in manifest["files"]}:
        return result
    probe = _read(store, manifest, SOURCE_PROBE)
    if by == "probe":
        place = {source: i for i, source in enumerate(probe["source"].to_pylist())}
        names = ranking["source"].to_pylist()
        ranking = ranking.take(sorted(range(len(names)), key=lambda i: (place.get(names[i], len(place)), i)))
    return replace(result, ranking=ranking, probe=probe)
