"""`eci plan`: what a run would read, embed and write, and about how long it takes. Touches nothing.

Rows are exact for Parquet and estimated from the first lines elsewhere. Texts are extrapolated from pieces of a few
files (plan_sample.py); the cache is asked for the sample's texts; the encoder's speed is measured on them for a second
or two. The looks of a run with --until-decided stand beside the whole run.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from eci_sql.moments import is_few
from jobs.config import RunConfig
from jobs.formats import format_named
from jobs.formats.columnar import COLUMNAR, container_of, rows_taken
from jobs.formats.opening import is_compressed, open_input, size_of
from jobs.ids import id_array, text_id, unique
from jobs.ingest.inputs import InputTask, named_after_files, ranks_taken
from jobs.ingest.pinning import pinned
from jobs.output.records import NamedSource
from jobs.output.store import Store
from jobs.pipeline.encoder import threads_of
from jobs.pipeline.expected import REST_SECONDS, matrix_seconds, probe_cost, row_seconds
from jobs.pipeline.here import is_small
from jobs.pipeline.prepare import Prepared, prepare
from jobs.planning.estimate import Estimate, Sample, sample_of
from jobs.terminal.console import counted, duration, size_in_words
from jobs.vectors.cache import Cache
from jobs.vectors.embed import encoder_of
from jobs.vectors.exchange import shared_files

MEASURE_TEXTS = 96
GZIP_RATIO = 3.0
SCORE_ROW_BYTES, SCORE_FILE_BYTES = 65, 3_400
TEXT_SHARE, TEXT_FILE_BYTES = 0.45, 3_000


def make_plan(config: RunConfig) -> dict[str, Any]:
    """Return the plan as plain values (sizes in bytes, times in seconds).

    Raises:
        InputError: whatever would stop the run before it starts.
    """
    config = pinned(config)
    prepared = prepare(config)
    rows, exact = _rows(prepared)
    sample = sample_of(prepared)
    estimate = Estimate.of(sample, rows, sum(item.unit is not None for item in prepared.inputs))
    texts = estimate.texts
    cached = _cached_share(config, prepared, sample)
    new = round(texts * (1 - cached)) if prepared.encoder.name else 0
    speed = _speed(config, prepared, sample) if new else None
    dim, workers = prepared.encoder.dim, config.cores()
    embed = new / (speed * workers) if speed else 0.0
    trials, seconds = probe_cost(config, dim, estimate.queries, sample.sources)
    matrices = matrix_seconds(estimate.rows, dim, sample.sources, config.folds)
    other = (row_seconds(estimate.rows, dim) + matrices + trials * seconds) / workers + REST_SECONDS
    return {
        "files": sum(not file.passed_over for file in prepared.files),
        "bytes_in": sum(file.size for file in prepared.files if not file.passed_over),
        "passed_over": [{"path": file.path, "what": file.what} for file in prepared.files if file.passed_over],
        "tables": list(prepared.tables),
        "formats": sorted({item.format for item in prepared.inputs}),
        "named_after_files": _named(prepared, sample),
        "ranks": ranks_taken(prepared.inputs),
        "rows": rows,
        "rows_exact": exact,
        "rows_rejected": rows - estimate.rows,
        "rejects_in_sample": dict(sorted(sample.reasons.items())),
        "rows_in_sample": sample.rows,
        "losses": [] if config.allow_rejects else sample.losses(),
        "texts": texts,
        "queries": estimate.queries,
        "texts_cached": texts - new if prepared.encoder.name else 0,
        "texts_to_embed": new,
        "encoder": prepared.encoder.label,
        "encoder_fingerprint": prepared.encoder.fingerprint,
        "texts_per_second_and_worker": round(speed, 1) if speed else None,
        "seconds_embedding": round(embed),
        "seconds_other": round(other),
        "seconds_probe": round(trials * seconds / workers),
        "seconds": round(embed + other),
        "looks": _looks(estimate, new / texts if texts else 0.0, embed / new if new else 0.0, other),
        "sources_in_sample": sample.sources,
        "bytes_published": _published(config, prepared, estimate),
        "bytes_cache": new * dim * 2,
        "bytes_work": texts * dim * (2 if prepared.encoder.name else 4)
        + estimate.rows * 80
        + _sums_bytes(estimate.rows, dim, sample.sources, config.folds),
        "workers": workers,
        "without_workers": is_small(config, prepared.files),
        "threads_per_worker": threads_of(config),
        "memory_per_worker": config.share(),
        "tasks": trials
        + len(prepared.inputs)
        + 2 * config.folds
        + 3 * prepared.buckets
        + len(shared_files(prepared.buckets)),
    }


def _sums_bytes(rows: int, dim: int, sources: int, folds: int) -> int:
    """Return about how many bytes the sums by source and fold take until the commit: few rows as they are, else matrices."""
    of_a_fold = rows / max(sources * folds, 1)
    return round(sources * folds * (of_a_fold * dim * 4 if is_few(round(of_a_fold), dim) else dim * (dim + 1) * 8))


def _published(config: RunConfig, prepared: Prepared, estimate: Estimate) -> int:
    """Return about how many bytes the published tables take."""
    sample, dim = estimate.sample, prepared.encoder.dim
    scores = estimate.rows * SCORE_ROW_BYTES + config.folds * SCORE_FILE_BYTES
    mean = sum(len(text.encode()) for _, text in sample.texts) / max(len(sample.texts), 1)
    texts = estimate.texts * mean * TEXT_SHARE + prepared.buckets * TEXT_FILE_BYTES
    return round(scores + texts + sample.sources * _moments_bytes(dim, estimate.rows / max(sample.sources, 1)))


def _moments_bytes(dim: int, triples: float) -> float:
    """Return about how many bytes the two matrices of a source take that has so many triples: fixed point, packed to its bits.

    As measured over 20 to 25,000 triples a source and 384 and 2,048 dimensions: sums grow with the triples, and fall with
    the dimensions over which a residual's length of 1 is spread.
    """
    bytes_each = 1.7 + 0.26 * np.log2(max(triples, 1.0)) - 0.35 * np.log2(dim / 384)
    return float(dim**2 * np.clip(bytes_each, 1.0, 6.0))


def _named(prepared: Prepared, sample: Sample) -> list[NamedSource]:
    """Return the sources that are named after files; files that were not looked at are like those of their format."""
    seen = named_after_files(prepared.inputs, sample.met)
    files = {path for each in seen for path in each["files"]}
    formats = {item.format for item in prepared.inputs if item.path in files}
    like = {
        item.name: {item.after_file.name}
        for item in prepared.inputs
        if item.after_file is not None and item.format in formats and item.name not in sample.met
    }
    return named_after_files(prepared.inputs, sample.met | like)


def _looks(estimate: Estimate, new: float, seconds: float, other: float) -> list[dict[str, Any]]:
    """Return the looks of a run that may stop early, each with what the run has cost by then.

    Args:
        new: the share of texts that the cache lacks.  seconds: of embedding a text.  other: seconds of all else.
    """
    found = []
    for look in estimate.looks():
        embeds = round(look["texts"] * new)
        found.append(look | {"texts_to_embed": embeds, "seconds": round(embeds * seconds + other)})
    return found


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan as lines to read."""
    about = "" if plan["rows_exact"] else "about "
    formats = plan["formats"]
    lines = [
        f"reads      {counted(plan['files'], 'file')}, {size_in_words(plan['bytes_in'])}, format{'s' * (len(formats) > 1)} "
        f"{', '.join(formats)}: {about}{counted(plan['rows'], 'row')}",
        f"texts      about {plan['texts']:,} distinct, of them {counted(plan['queries'], 'query', 'queries')}",
    ]
    if plan["rejects_in_sample"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in plan["rejects_in_sample"].items())
        lines.insert(
            1,
            f"rejects    about {plan['rows_rejected']:,} of the rows (of {counted(plan['rows_in_sample'], 'row')} looked at: "
            f"{reasons})",
        )
    if plan["encoder"] == "vectors":
        lines.append("embeds     nothing: vectors are given")
    else:
        speed = plan["texts_per_second_and_worker"]
        measured = f", {speed:,} texts a second and worker measured now" if speed else ""
        lines.append(
            f"embeds     about {plan['texts_to_embed']:,} ({plan['texts_cached']:,} are in the cache already) "
            f"with {plan['encoder']}{measured}"
        )
    lines += [
        f"writes     about {size_in_words(plan['bytes_published'])} of tables, {size_in_words(plan['bytes_cache'])} of cache; "
        f"{size_in_words(plan['bytes_work'])} of work files until the commit",
        f"runs       {counted(plan['tasks'], 'task')} {_where(plan)}",
        f"takes      about {duration(plan['seconds'])} ({duration(plan['seconds_embedding'])} of it embedding)",
    ]
    return lines + _look_lines(plan)


def _where(plan: dict[str, Any]) -> str:
    memory = f"{size_in_words(plan['memory_per_worker'])} of memory"
    if plan["without_workers"]:
        return f"in this process, without workers, with {memory}"
    workers = f"{counted(plan['workers'], 'worker')} of {counted(plan['threads_per_worker'], 'thread')}"
    return f"on {workers}, {memory}{' each' * (plan['workers'] > 1)}"


def _look_lines(plan: dict[str, Any]) -> list[str]:
    """Return what --until-decided would cost, where there is something to save: the first three looks and the whole."""
    looks = plan["looks"]
    if len(looks) < 2 or plan["encoder"] == "vectors":
        return []
    lines = ["", "With --until-decided it looks at a sample first and stops when the question is answered:"]
    for number, look in enumerate(looks, 1):
        if number <= 3 or number == len(looks):
            whole = " (the whole run)" if number == len(looks) else ""
            lines.append(
                f"  look {number:<3} {look['queries']:>12,} queries  {look['texts_to_embed']:>12,} texts to embed"
                f"  {duration(look['seconds']):>8}{whole}"
            )
        elif number == 4:
            lines.append(
                f"  ...      each look twice the queries, {looks[3]['texts'] / looks[2]['texts']:.2f} times the texts"
            )
    return lines


def _rows(prepared: Prepared) -> tuple[int, bool]:
    """Return the number of rows of all inputs, and whether it is exact. A record of a text format counts as a row."""
    total, exact = 0, True
    for item in {item.path: item for item in prepared.inputs}.values():
        if container_of(item.path) in COLUMNAR:
            rows, whole = rows_taken(item.path)
            total, exact = total + rows, exact and whole
        else:
            total += _estimated_rows(item)
            exact = False
    return total, exact


def _estimated_rows(item: InputTask) -> int:
    """Estimate rows by the first batch: rows for each byte read, over the file's size."""
    if item.unit is None:
        return 0
    with open_input(item.path) as file:
        head = file.read(1 << 20)
    lines = max(head.count(b"\n"), 1)
    size = size_of(item.path) * (GZIP_RATIO if is_compressed(item.path) else 1)
    batches = format_named(item.format).read(item.unit, replace(item.options, glimpse=True))
    if len(head) < 1 << 20:
        return sum(len(batch.rows) + len(batch.rejects) for batch in batches)
    first = next(iter(batches), None)
    if first is None or not len(first.rows):
        return 0
    records = max(first.rows["row"].n_unique(), 1)
    return round(lines * size / len(head) * len(first.rows) / records)


def _cached_share(config: RunConfig, prepared: Prepared, sample: Sample) -> float:
    if not sample.texts or prepared.encoder.name is None:
        return 0.0
    chosen = sample.texts[:: max(1, len(sample.texts) // 500)]
    ids = unique(id_array(text_id(side, text) for side, text in chosen))
    cache = Cache(Store(config.out), prepared.encoder.fingerprint, prepared.encoder.dim, read_only=True)
    return float(cache.load(ids)[1].mean())


def _speed(config: RunConfig, prepared: Prepared, sample: Sample) -> float | None:
    """Return the texts a second of one worker's encoder, on texts spread over the sample."""
    if not sample.texts:
        return None
    encoder = encoder_of(str(prepared.encoder.name), threads_of(config))
    order = np.linspace(0, len(sample.texts) - 1, min(MEASURE_TEXTS, len(sample.texts))).astype(int)
    chosen = [sample.texts[i] for i in order.tolist()]
    started = time.perf_counter()
    for side in ("query", "passage"):
        encoder.encode([text for s, text in chosen if s == side], side)  # type: ignore[arg-type]
    return len(chosen) / (time.perf_counter() - started)
