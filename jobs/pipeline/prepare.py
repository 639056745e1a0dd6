"""What a run needs to know before it starts: files, units of work, the encoder, sizes. Reads no row.

Everything that can be wrong with the input as a whole (nothing there, wrong columns, unknown encoder, too little
memory) is found here, before anything is written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from jobs.config import Input, RunConfig
from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options, Unit
from jobs.formats.opening import expand, filesystem
from jobs.formats.recognise import recognise
from jobs.formats.records import parquet_units
from jobs.formats.texts_by_id import text_units
from jobs.ids import Side
from jobs.output.tables import FORMULA_VERSION
from jobs.pipeline.encoder import EncoderChoice, encoder_choice

BUCKET_BYTES = 32 << 20
LEAST_SHARE = 700 << 20
WORK_LAYOUT = 4  # to be raised when the files in work/ change: what an older version has begun is then begun again


@dataclass(frozen=True)
class File:
    """An input file as it was when the run was prepared."""

    path: str
    size: int
    stamp: str
    what: str


@dataclass(frozen=True)
class InputTask:
    """One ingest task: a unit of a file, or (`unit` None) a file that cannot be opened."""

    name: str
    path: str
    unit: Unit | None
    format: str
    options: Options
    error: str = ""


@dataclass(frozen=True)
class TextTask:
    """One task over a file of texts by id, or over a file of vectors (side then means nothing)."""

    name: str
    unit: Unit
    side: Side
    options: Options


@dataclass(frozen=True)
class Prepared:
    """A run's plan. `identity` is everything that its result depends on."""

    files: tuple[File, ...]
    inputs: tuple[InputTask, ...]
    texts: tuple[TextTask, ...]
    vectors: tuple[TextTask, ...]
    encoder: EncoderChoice
    buckets: int
    identity: dict[str, Any]

    @property
    def indexed(self) -> tuple[Side, ...]:
        """The sides whose texts are looked up by id."""
        return tuple(side for side in ("query", "passage") if any(t.side == side for t in self.texts))


def prepare(config: RunConfig) -> Prepared:
    """Make the plan of a run.

    Raises:
        InputError: one clear line for whatever makes the run impossible.
    """
    share = config.share()
    if share < LEAST_SHARE:
        raise InputError(
            f"memory: {config.memory_bytes() >> 20} MiB for {config.cores()} workers is {share >> 20} MiB each; a worker "
            f"needs {LEAST_SHARE >> 20} MiB: give more --memory or fewer --workers"
        )
    choice = encoder_choice(config)
    separator = choice.title_separator
    inputs, files = input_tasks(config, separator)
    texts: list[TextTask] = []
    sides: tuple[tuple[Side, tuple[str, ...]], ...] = (("query", config.queries), ("passage", config.corpus))
    for side, patterns in sides:
        for path in expand(patterns, "queries" if side == "query" else "corpus") if patterns else []:
            files.append(file_of(path, side))
            options = Options(title_separator=separator)
            texts += [TextTask(f"{len(texts) + i:06d}", u, side, options) for i, u in enumerate(text_units(path))]
    vectors: list[TextTask] = []
    for path in expand(config.vectors, "vectors") if config.vectors else []:
        files.append(file_of(path, "vectors"))
        vectors += [
            TextTask(f"{len(vectors) + i:06d}", u, "passage", Options()) for i, u in enumerate(parquet_units(path))
        ]
    buckets = config.buckets or _buckets(sum(file.size for file in files))
    identity = {
        "version": version("eci-lake"),
        "work_layout": WORK_LAYOUT,
        "formula": FORMULA_VERSION,
        "files": sorted((asdict(file) for file in files), key=lambda file: (file["what"], file["path"])),
        "inputs": [[t.path, t.format, asdict(t.options)] for t in inputs],
        "encoder": asdict(choice),
        "buckets": buckets,
        **{
            key: getattr(config, key)
            for key in (
                "kappa",
                "lam",
                "tokenizer",
                "folds",
                "hybrids",
                "information",
                "until_decided",
                "decide",
                "tolerance",
                "sample_queries",
            )
        },
    }
    return Prepared(tuple(files), tuple(inputs), tuple(texts), tuple(vectors), choice, buckets, identity)


def input_tasks(config: RunConfig, separator: str) -> tuple[list[InputTask], list[File]]:
    """Return the ingest tasks of a configuration's inputs, and the files behind them. Raises InputError."""
    tasks: list[InputTask] = []
    files: list[File] = []
    for item in config.inputs:
        options = _options(config, item, separator)
        files += [file_of(path, "qrels") for path in (expand(item.qrels, "qrels") if item.qrels else [])]
        for path in expand(item.triples, "triples"):
            try:
                name, units, error = _units(path, item, options)
            except InputError as problem:
                if not config.skip_bad_files:
                    raise
                name, units, error = item.format, [None], str(problem)
            files.append(file_of(path, "triples"))
            for unit in units:
                tasks.append(InputTask(f"{len(tasks):06d}", path, unit, name, options, error))
    return tasks, files


def _units(path: str, item: Input, options: Options) -> tuple[str, list[Unit | None], str]:
    name = recognise(path) if item.format == "auto" else item.format
    return name, list(format_named(name).units(path)), ""


def _options(config: RunConfig, item: Input, separator: str) -> Options:
    first, _, last = (item.ranks or "").partition(":")
    return Options(
        source=item.source,
        positives=item.positives,
        ranks=(int(first), int(last)) if item.ranks else None,
        title_separator=separator,
        numbered=item.numbered,
        qrels=tuple(expand(item.qrels, "qrels")) if item.qrels else (),
        corpus=config.corpus,
        queries=config.queries,
    )


def file_of(path: str, what: str) -> File:
    """Return an input file as it is now. Raises OSError where it is not there."""
    fs, inner = filesystem(path)
    info = fs.info(inner)
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), "")
    return File(path, int(info.get("size") or 0), stamp, what)


def _buckets(size: int) -> int:
    """Return the number of buckets for inputs of so many bytes: 8 to 256, so that one holds about BUCKET_BYTES."""
    buckets = 8
    while buckets < 256 and size > buckets * BUCKET_BYTES:
        buckets *= 2
    return buckets
