"""The manifest of a run: inputs, settings, versions, files with checksums, totals, timings; and the accounting."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import cast

import pyarrow as pa

from jobs.config import RunConfig
from jobs.errors import EciError
from jobs.ids import ID_BYTES, as_uuid, id_array
from jobs.ingest.judgements import Judgements
from jobs.output.records import JudgementsUsed, Manifest, SampleUsed, StageTimes, TableFile, TopOfRun, Totals, value_of
from jobs.output.tables import FORMULA_VERSION, JUDGEMENTS, TABLES
from jobs.pipeline.prepare import Prepared
from jobs.ranking.looks import Sample
from jobs.work.job import Job
from jobs.work.summaries import Done, PublishedFile

PACKAGES = ("eci-lake", "duckdb", "polars", "pyarrow", "numpy", "onnxruntime", "tokenizers", "dask")


def totals_of(done: Done, sample: Sample) -> Totals:
    """Return a run's counts of rows and texts.

    Raises:
        EciError: rows in are not scored + rejected + duplicates (+ those outside the sample of queries).
    """
    embed = done.embed.values()
    texts = done.lookup.values()
    totals: Totals = {
        "rows_in": sum(s["rows"] for s in done.ingest.values()),
        "scored": sum(s["scored"] for s in done.score.values()),
        "rejected": done.rejects["all"]["rows"] - sum(s["rejected"] for s in texts),
        "duplicates": sum(s["duplicates"] for s in done.settle.values()),
        "not_sampled": sample.rows_left,
        "texts": sum(s["texts"] for s in done.collect.values()),
        "texts_embedded": sum(s["embedded"] for s in embed),
        "cache_hits": sum(s["cache_hits"] for s in embed),
        "rejected_texts": sum(s["rejected"] for s in texts),
    }
    parts = ("scored", "rejected", "duplicates", "not_sampled")
    if totals["rows_in"] != sum(value_of(totals, name) for name in parts):
        raise EciError(f"rows in are not {' + '.join(parts)}: {totals} (this is a bug in eci-lake)")
    return totals


def formats_of(prepared: Prepared) -> dict[str, int]:
    """Return how many input files were read as each format: what `auto` has chosen."""
    chosen = {item.path: item.format for item in prepared.inputs}
    return dict(sorted(Counter(chosen.values()).items()))


def make_manifest(
    job: Job,
    config: RunConfig,
    prepared: Prepared,
    done: Done,
    published: Sequence[PublishedFile],
    sample: Sample,
    key: str,
    created: datetime,
    top: TopOfRun | None,
) -> Manifest:
    """Return the manifest. `published`: every file but itself, as it was written. Raises EciError as `totals_of`."""
    stages: dict[str, StageTimes] = {
        name: {
            "tasks": len(tasks),
            "seconds": round(sum(s.get("seconds", 0) for s in tasks.values()), 3),
            "cpu_seconds": round(sum(s.get("cpu_seconds", 0) for s in tasks.values()), 3),
            "peak_bytes": max((s.get("peak_bytes", 0) for s in tasks.values()), default=0),
        }
        for name, tasks in done.stages().items()
    }
    settings = config.model_dump(mode="json", by_alias=True, exclude={"out", "adopt", "cluster_options"})
    manifest: Manifest = {
        "run_id": job.run_id,
        "work_key": key,
        "created_at": created.isoformat(),
        "formula_version": FORMULA_VERSION,
        "encoder": {"name": prepared.encoder.label, "fingerprint": job.fingerprint, "dim": job.dim},
        "settings": settings | {"temperature": job.temperature, "buckets": job.buckets},
        "inputs": [
            {"path": f.path, "size": f.size, "stamp": f.stamp, "what": f.what}
            for f in (*prepared.files, *prepared.judged)
        ],
        "formats": formats_of(prepared),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "files": [_named(file) for file in sorted(published, key=lambda file: file["path"])],
        "totals": totals_of(done, sample),
        "sample": cast(SampleUsed, asdict(sample)),
        "rejects": done.rejects["all"]["by_reason"],
        "why_no_probe": _why_no_probe(config, done),
        "stages": stages,
        "top": top,
    }
    if prepared.judgements.pairs:
        manifest["judgements"] = _judgements_used(prepared.judgements, done)
    return manifest


def _judgements_used(judgements: Judgements, done: Done) -> JudgementsUsed:
    matched = sum((Counter(s["judged"]) for s in done.score.values()), Counter[str]())
    return {
        "given": len(judgements.pairs),
        "matched": len(matched),
        "triples": matched.total(),
        "runs": list(judgements.runs),
    }


def judgements_table(job: Job, judgements: Judgements, done: Done) -> pa.Table:
    """Return the table `judgements`, by query and negative."""
    matched = sum((Counter(s["judged"]) for s in done.score.values()), Counter[str]())
    pairs = sorted(judgements.pairs)
    columns = {
        "run_id": pa.repeat(job.run_id, len(pairs)),
        "query_id": as_uuid(id_array(pair[:ID_BYTES] for pair in pairs)),
        "negative_id": as_uuid(id_array(pair[ID_BYTES:] for pair in pairs)),
        "judgement": pa.array([judgements.pairs[pair] for pair in pairs], pa.string()),
        "triples": pa.array([matched[pair.hex()] for pair in pairs], pa.int64()),
    }
    return pa.table(columns, schema=JUDGEMENTS.schema)


def _why_no_probe(config: RunConfig, done: Done) -> str | None:
    if config.no_probe:
        return "No probe: --no-probe."
    if done.gains:
        return None
    return [drawn["why_not"] for drawn in done.draw.values()][-1]


def _named(file: PublishedFile) -> TableFile:
    """Return a published file with the name of its table."""
    return {**file, "table": next(table.name for table in TABLES if table.holds(file["path"]))}
