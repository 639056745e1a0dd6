"""Input files as they were when the run was prepared, and the tasks that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jobs.config import Input, RunConfig
from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options, Unit
from jobs.formats.opening import expand, filesystem
from jobs.formats.recognise import recognise
from jobs.formats.source_names import FOLDER, FileSource, file_sources
from jobs.formats.triples import Triples
from jobs.ids import Side
from jobs.output.records import NamedSource


@dataclass(frozen=True)
class File:
    """An input file as it was when the run was prepared."""

    path: str
    size: int
    stamp: str
    what: str


@dataclass(frozen=True)
class InputTask:
    """One ingest task: a unit of a file, or (`unit` None) a file that cannot be opened.

    `after_file`: what a source that is named after the file is called, and by which rule.  `indexes`: the names of the indexes
    that its ids are looked up in, by side.
    """

    name: str
    path: str
    unit: Unit | None
    format: str
    options: Options
    error: str = ""
    after_file: FileSource | None = None
    indexes: dict[Side, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TextTask:
    """One task over a file of texts by id, which go to an index, or over a file of vectors (side then means nothing)."""

    name: str
    unit: Unit
    side: Side
    options: Options
    index: str = ""


def input_tasks(config: RunConfig, separator: str) -> tuple[list[InputTask], list[File]]:
    """Return the ingest tasks of a configuration's inputs, and the files behind them. Raises InputError."""
    tasks: list[InputTask] = []
    files: list[File] = []
    names = text_indexes(config)
    for item in config.inputs:
        options = _options(config, item, separator)
        sides: tuple[tuple[Side, tuple[str, ...]], ...] = (("query", options.queries), ("passage", options.corpus))
        indexes = {side: names[side, patterns] for side, patterns in sides if patterns}
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
                tasks.append(InputTask(f"{len(tasks):06d}", path, unit, name, options, error, indexes=indexes))
    return _named(tasks), files


def text_indexes(config: RunConfig) -> dict[tuple[Side, tuple[str, ...]], str]:
    """Return the indexes of texts by id: (side, the files' patterns) -> name, which is the side for those of the whole run.

    What an input names for itself serves it alone: the same id may be another text there.
    """
    found: dict[tuple[Side, tuple[str, ...]], str] = {
        ("query", config.queries): "query",
        ("passage", config.corpus): "passage",
    }
    for number, item in enumerate(config.inputs):
        found.setdefault(("query", item.queries or ()), f"query-{number:03d}")
        found.setdefault(("passage", item.corpus or ()), f"passage-{number:03d}")
    return {(side, patterns): name for (side, patterns), name in found.items() if patterns}


def _named(tasks: list[InputTask]) -> list[InputTask]:
    """Return the tasks with the sources that are named after files: all files together say what tells them apart."""
    found = file_sources(task.path for task in tasks if task.options.source is None)
    return [
        task
        if (of := found.get(task.path)) is None
        else replace(task, options=replace(task.options, file_source=of.name), after_file=of)
        for task in tasks
    ]


def named_after_files(inputs: Sequence[InputTask], met: Mapping[str, Iterable[str]]) -> list[NamedSource]:
    """Return the sources that are named after files, by name. `met`: the sources of each task."""
    found: dict[FileSource, dict[str, None]] = {}
    for item in inputs:
        of = item.after_file
        # rows of `triples` say their source, unless a folder does
        if of is not None and of.name in met.get(item.name, ()) and (item.format != Triples.name or of.rule == FOLDER):
            found.setdefault(of, {})[item.path] = None
    return [{"source": of.name, "rule": of.rule, "files": list(found[of])} for of in sorted(found)]


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
        corpus=config.corpus if item.corpus is None else item.corpus,
        queries=config.queries if item.queries is None else item.queries,
    )


def file_of(path: str, what: str) -> File:
    """Return an input file as it is now. Raises OSError where it is not there."""
    fs, inner = filesystem(path)
    info = fs.info(inner)
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), "")
    return File(path, int(info.get("size") or 0), stamp, what)
