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
from jobs.ids import ID_BYTES, as_text, id_array
from jobs.ingest.inputs import named_after_files, ranks_taken
from jobs.ingest.judgements import Judgements
from jobs.ingest.pinning import with_left_out
from jobs.ingest.tokens import TOKENS
from jobs.output.records import (
    JudgementsUsed,
    LexicalSide,
    Manifest,
    SampleUsed,
    StageTimes,
    TableFile,
    TableUsed,
    TopOfRun,
    Totals,
    value_of,
)
from jobs.output.tables import FORMULA_VERSION, JUDGEMENTS, TABLES, TABLES_LAYOUT
from jobs.pipeline.losses import losses
from jobs.pipeline.prepare import Prepared
from jobs.ranking.looks import Sample
from jobs.work.job import Job
from jobs.work.summaries import Done, PublishedFile

APART = 0.5
"""Queries that have no token in common with their positives, as a share of all, beyond which a run says so."""
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
        "near_positive": sum(sum(s["near_positive"].values()) for s in done.score.values()),
        "texts": sum(s["texts"] for s in done.collect.values()),
        "texts_embedded": sum(s["embedded"] for s in embed),
        "cache_hits": sum(s["cache_hits"] for s in embed),
        "rejected_texts": sum(s["rejected"] for s in texts),
        "repeated_ids": sum(s["conflicts"] for s in done.index.values()),
        "ids_of_several_texts": sum(s["ids_of_several_texts"] for s in done.vocabulary.values()),
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
    tasks_again: int,
) -> Manifest:
    """Return the manifest. Raises EciError as `totals_of`.

    Args:
        published: every file but itself, as it was written.
        tasks_again: finished tasks that were done again, as their files were damaged.
    """
    stages: dict[str, StageTimes] = {
        name: {
            "tasks": len(own),
            "seconds": round(sum(s.get("seconds", 0) for s in own), 3),
            "cpu_seconds": round(sum(s.get("cpu_seconds", 0) for s in own), 3),
            "peak_bytes": max((s.get("peak_bytes", 0) for s in own), default=0),
            "kept": len(tasks) - len(own),
        }
        for name, tasks in done.stages().items()
        for own in [[s for s in tasks.values() if s.get("done_by", job.run_id) == job.run_id]]
    }
    digests = done.digests()
    settings = config.model_dump(mode="json", by_alias=True, exclude={"out", "adopt", "cluster_options"})
    manifest: Manifest = {
        "run_id": job.run_id,
        "work_key": key,
        "created_at": created.isoformat(),
        "formula_version": FORMULA_VERSION,
        "layout": TABLES_LAYOUT,
        "encoder": {"name": prepared.encoder.label, "fingerprint": job.fingerprint, "dim": job.dim},
        "settings": settings | {"temperature": job.temperature, "buckets": job.buckets},
        "inputs": [
            *({**asdict(f), "digest": digests[f"{f.what} {f.path}"]["digest"]} for f in prepared.files),  # type: ignore[list-item]
            *prepared.judged,
        ],
        "formats": formats_of(prepared),
        "named_after_files": named_after_files(
            prepared.inputs, {name: summary["sources"] for name, summary in done.ingest.items()}
        ),
        "ranks": ranks_taken(prepared.inputs),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "files": [_named(file) for file in sorted(published, key=lambda file: file["path"])],
        "totals": totals_of(done, sample),
        "sample": cast(SampleUsed, asdict(sample)),
        "rejects": done.rejects["all"]["by_reason"],
        "losses": losses(done, prepared.inputs),
        "why_no_probe": _why_no_probe(config, done),
        "made_again": {
            "tasks": tasks_again,
            "cache_files": sum(s["damaged_cache_files"] for s in [*done.embed.values(), *done.exchange.values()]),
            "texts": sum(s["embedded_again"] for s in done.exchange.values()),
        },
        "lexical": _lexical(config, done),
        "stages": stages,
        "top": top,
    }
    if prepared.judgements.pairs:
        manifest["judgements"] = _judgements_used(prepared.judgements, done)
    if prepared.tables:
        manifest["tables"] = _tables_used(prepared, done)
    return manifest


def _tables_used(prepared: Prepared, done: Done) -> list[TableUsed]:
    left = Counter[str]()
    for item in prepared.inputs:
        left[item.path] += done.ingest[item.name]["left_out"]
    read = {path: rows for path, rows in left.items() if rows}
    return [with_left_out(table, read) for table in prepared.tables]


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
        "query_id": as_text(id_array(pair[:ID_BYTES] for pair in pairs)),
        "negative_id": as_text(id_array(pair[ID_BYTES:] for pair in pairs)),
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


def _lexical(config: RunConfig, done: Done) -> LexicalSide:
    queries = sum(s["queries"] for s in done.score.values())
    apart = sum(s["queries_apart"] for s in done.score.values())
    warning = None
    if config.kappa and apart > APART * queries:
        others = " or ".join(f"--tokenizer {name}" for name in ("char3", "wordpiece") if name != config.tokenizer)
        warning = (
            f"{apart:,} of {queries:,} queries ({apart / queries:.0%}) have no {config.tokenizer} token in common with any of "
            f"their positives: overlaps say little about these texts. Try {others}; where queries and passages are in "
            "different languages, --kappa 0 leaves overlaps out."
        )
    unspaced = sum(s["unspaced"] for s in done.collect.values())
    return {
        "tokens": TOKENS, "unspaced": unspaced, "queries": queries, "queries_apart": apart, "warning": warning,
    }  # fmt: skip


def _named(file: PublishedFile) -> TableFile:
    """Return a published file with the name of its table."""
    return {**file, "table": next(table.name for table in TABLES if table.holds(file["path"]))}
