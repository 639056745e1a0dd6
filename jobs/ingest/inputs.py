"""Input files as they were when the run was prepared, and the tasks that read them."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.config import Input, RunConfig
from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options, Unit
from jobs.formats.opening import expand, filesystem
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import text_units
from jobs.ids import Side


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


def text_tasks(config: RunConfig, separator: str) -> tuple[list[TextTask], list[File]]:
    """Return the tasks over --queries and --corpus, and the files behind them. Raises InputError."""
    tasks: list[TextTask] = []
    files: list[File] = []
    sides: tuple[tuple[Side, tuple[str, ...]], ...] = (("query", config.queries), ("passage", config.corpus))
    for side, patterns in sides:
        for path in expand(patterns, "queries" if side == "query" else "corpus") if patterns else []:
            files.append(file_of(path, side))
            options = Options(title_separator=separator)
            tasks += [TextTask(f"{len(tasks) + i:06d}", u, side, options) for i, u in enumerate(text_units(path))]
    return tasks, files


def file_of(path: str, what: str) -> File:
    """Return an input file as it is now. Raises OSError where it is not there."""
    fs, inner = filesystem(path)
    info = fs.info(inner)
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), "")
    return File(path, int(info.get("size") or 0), stamp, what)
