"""`eci plan`: what a run would read, embed and write, and about how long it takes. Touches nothing.

Rows are exact for Parquet and estimated from the first lines elsewhere. Texts are extrapolated from a sample of the first
rows of a few files; the cache is asked for the sample's texts; the encoder's speed is measured on them for a second or two.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from jobs.cache import Cache
from jobs.checks import ROLES
from jobs.config import RunConfig
from jobs.formats import format_named
from jobs.formats.files import compression_of, extension_of, open_input, size_of
from jobs.formats.records import parquet_file
from jobs.ids import id_array, text_id, unique
from jobs.prepare import InputTask, Prepared, prepare
from jobs.settings import threads_of
from jobs.store import Store

SAMPLE_ROWS = 4000
SAMPLE_FILES = 5
MEASURE_TEXTS = 96
GZIP_RATIO = 3.0
# Seconds of one core for a row through ingest, settle, exchange and score, as `make bench` shows them (d = 384).
ROW_SECONDS = 60e-6
SCORE_ROW_BYTES = 110
MOMENT_BYTES = 4.5


@dataclass(frozen=True)
class Sample:
    """The first rows of a few files: how many rows, their distinct texts (side, text) and sources."""

    rows: int
    texts: list[tuple[str, str]]
    sources: int


def make_plan(config: RunConfig) -> dict[str, Any]:
    """Return the plan as plain values (sizes in bytes, times in seconds).

    Raises:
        InputError: whatever would stop the run before it starts.
    """
    prepared = prepare(config)
    rows, exact = _rows(prepared)
    sample = _sample(prepared)
    per_row = len(sample.texts) / sample.rows if sample.rows else 0.0
    texts = _extrapolated(rows, sample.rows, len(sample.texts))
    cached = _cached_share(config, prepared, sample)
    new = round(texts * (1 - cached)) if prepared.encoder.name else 0
    speed = _speed(config, prepared, sample) if new else None
    dim, workers = prepared.encoder.dim, config.cores()
    embed = new / (speed * workers) if speed else 0.0
    other = rows * ROW_SECONDS / workers * (dim / 384) + 5
    return {
        "files": len(prepared.files),
        "bytes_in": sum(file.size for file in prepared.files),
        "formats": sorted({item.format for item in prepared.inputs}),
        "rows": rows,
        "rows_exact": exact,
        "texts": texts,
        "texts_per_row_in_sample": round(per_row, 3),
        "texts_cached": texts - new if prepared.encoder.name else 0,
        "texts_to_embed": new,
        "encoder": prepared.encoder.label,
        "encoder_fingerprint": prepared.encoder.fingerprint,
        "texts_per_second_and_worker": round(speed, 1) if speed else None,
        "seconds_embedding": round(embed),
        "seconds_other": round(other),
        "seconds": round(embed + other),
        "sources_in_sample": sample.sources,
        "bytes_published": rows * SCORE_ROW_BYTES + round(sample.sources * config.folds * dim**2 * MOMENT_BYTES),
        "bytes_cache": new * dim * 2,
        "bytes_work": texts * dim * (2 if prepared.encoder.name else 4) + rows * 80,
        "workers": workers,
        "threads_per_worker": threads_of(config),
        "memory_per_worker": config.share(),
        "tasks": len(prepared.inputs) + 2 * config.folds + 4 * prepared.buckets,
    }


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan as lines to read."""
    about = "" if plan["rows_exact"] else "about "
    lines = [
        f"reads      {plan['files']:,} files, {_size(plan['bytes_in'])}, format {', '.join(plan['formats'])}: "
        f"{about}{plan['rows']:,} rows",
        f"texts      at most about {plan['texts']:,} distinct",
    ]
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
        f"writes     about {_size(plan['bytes_published'])} of tables, {_size(plan['bytes_cache'])} of cache; "
        f"{_size(plan['bytes_work'])} of work files until the commit",
        f"runs       {plan['tasks']:,} tasks on {plan['workers']} workers of {plan['threads_per_worker']} thread(s), "
        f"{_size(plan['memory_per_worker'])} of memory each",
        f"takes      about {_time(plan['seconds'])} ({_time(plan['seconds_embedding'])} of it embedding)",
    ]
    return lines


def _rows(prepared: Prepared) -> tuple[int, bool]:
    """Return the number of rows of all inputs, and whether it is exact. A record of a text format counts as a row."""
    total, exact = 0, True
    for item in {item.path: item for item in prepared.inputs}.values():
        if extension_of(item.path) == "parquet":
            with parquet_file(item.path) as file:
                total += file.metadata.num_rows
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
    size = size_of(item.path) * (GZIP_RATIO if compression_of(item.path) else 1)
    first = next(iter(format_named(item.format).read(item.unit, item.options)), None)
    if first is None or not len(first.rows):
        return 0
    if len(head) < 1 << 20:
        return len(first.rows)
    records = max(first.rows["row"].n_unique(), 1)
    return round(lines * size / len(head) * len(first.rows) / records)


def _sample(prepared: Prepared) -> Sample:
    rows = 0
    texts: set[tuple[str, str]] = set()
    sources: set[str] = set()
    for item in _spread(prepared.inputs):
        if item.unit is None:
            continue
        batch = next(iter(format_named(item.format).read(item.unit, item.options)), None)
        frame = batch.rows.head(SAMPLE_ROWS) if batch else pl.DataFrame()
        rows += len(frame)
        for role, side in ROLES if len(frame) else ():
            texts.update((side, text) for text in frame[role].drop_nulls().to_list() if text.strip())
        sources.update(frame["source"].drop_nulls().to_list() if len(frame) else ())
    return Sample(rows, sorted(texts), len(sources))


def _spread(items: tuple[InputTask, ...]) -> Iterator[InputTask]:
    step = max(1, len(items) // SAMPLE_FILES)
    yield from items[::step][:SAMPLE_FILES]


def _extrapolated(rows: int, sampled: int, texts: int) -> int:
    return round(rows * texts / sampled) if sampled else 0


def _cached_share(config: RunConfig, prepared: Prepared, sample: Sample) -> float:
    if not sample.texts or prepared.encoder.name is None:
        return 0.0
    chosen = sample.texts[:: max(1, len(sample.texts) // 500)]
    ids = unique(id_array(text_id(side, text) for side, text in chosen))  # type: ignore[arg-type]
    cache = Cache(Store(config.out), prepared.encoder.fingerprint, prepared.encoder.dim, read_only=True)
    return float(cache.load(ids)[1].mean())


def _speed(config: RunConfig, prepared: Prepared, sample: Sample) -> float | None:
    """Return the texts a second of one worker's encoder, on texts spread over the sample."""
    from jobs.embed import encoder_of

    if not sample.texts:
        return None
    encoder = encoder_of(str(prepared.encoder.name), threads_of(config))
    order = np.linspace(0, len(sample.texts) - 1, min(MEASURE_TEXTS, len(sample.texts))).astype(int)
    chosen = [sample.texts[i] for i in order.tolist()]
    started = time.perf_counter()
    for side in ("query", "passage"):
        encoder.encode([text for s, text in chosen if s == side], side)  # type: ignore[arg-type]
    return len(chosen) / (time.perf_counter() - started)


def _size(value: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
