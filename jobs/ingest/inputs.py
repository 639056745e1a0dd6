"""Input files as they were when the run was prepared, and the tasks that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jobs.config import Input, RunConfig
from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options, Unit
from jobs.formats.beir import DEFAULT_RANKS, Beir
from jobs.formats.finding import expand, find
from jobs.formats.names import check_columns
from jobs.formats.opening import filesystem
from jobs.formats.recognise import recognise
from jobs.formats.records import columns_of, holds_nothing, records
from jobs.formats.source_names import FOLDER, FileSource, file_sources
from jobs.formats.texts_by_id import text_units
from jobs.formats.triples import Triples
from jobs.ids import Side
from jobs.lakes.naming import named
from jobs.output.records import PASSED_OVER, NamedSource, RanksTaken


@dataclass(frozen=True)
class File:
    """An input file as it was when the run was prepared."""

    path: str
    size: int
    stamp: str
    what: str

    @property
    def passed_over(self) -> bool:
        """Whether it is none that is read: it is empty, or goes with data and holds none."""
        return self.what.startswith(PASSED_OVER)


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
        found = find(item.triples, "triples", config.out, config.skip_bad_files)
        empty = [path for path in found.files if holds_nothing(path)]
        if len(empty) == len(found.files) and not config.skip_bad_files:
            raise InputError(f"triples: {all_empty(empty)}")
        passed = [*found.passed_over, *((path, "empty") for path in empty if len(empty) < len(found.files))]
        files += [file_of(path, PASSED_OVER + why) for path, why in passed]
        skipped, formats = {path for path, _ in passed}, _Formats(found.files, options.columns)
        for path in found.files:
            if path in skipped:
                continue
            try:
                name, units, error = _units(path, item, options, formats)
            except InputError as problem:
                if not config.skip_bad_files:
                    raise
                name, units, error = item.format, [None], str(problem)
            files.append(file_of(path, "triples"))
            for unit in units:
                tasks.append(InputTask(f"{len(tasks):06d}", path, unit, name, options, error, indexes=indexes))
        for path, why in found.bad:
            files.append(File(path, 0, why, "triples"))
            tasks.append(InputTask(f"{len(tasks):06d}", path, None, item.format, options, why, indexes=indexes))
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


def ranks_taken(inputs: Sequence[InputTask]) -> list[RanksTaken]:
    """Return which ranks are taken of which run files, in the files' order; nothing where there is no run file."""
    found: dict[tuple[int, int] | None, dict[str, None]] = {}
    for item in inputs:
        if item.unit is not None and item.format == Beir.name:
            found.setdefault(item.options.ranks, {})[item.path] = None
    return [
        {"ranks": "{}:{}".format(*(ranks or DEFAULT_RANKS)), "by_default": ranks is None, "files": list(files)}
        for ranks, files in found.items()
    ]


def _units(path: str, item: Input, options: Options, formats: _Formats) -> tuple[str, list[Unit | None], str]:
    if item.format == "auto":
        name = formats.of(path)
    else:
        name, columns = item.format, columns_of(path)
        if columns is not None:
            check_columns(path, columns, options.columns)
    return name, list(format_named(name).units(path, options)), ""


class _Formats:
    """The formats of an input's files, by what they hold; of a table's files the first that has a row shows it for all."""

    def __init__(self, paths: list[str], columns: tuple[tuple[str, str], ...]) -> None:
        self._columns = columns
        self._files: dict[str, list[str]] = {}
        self._of_tables: dict[str, str] = {}
        for path in paths:
            if (table := named(path)) is not None:
                self._files.setdefault(str(table.of_file("")), []).append(path)

    def of(self, path: str) -> str:
        """Return the name of a file's format. Raises InputError as `recognise`, and where --where takes no row of a table."""
        table = named(path)
        if table is None:
            return recognise(path, self._columns)
        whole = str(table.of_file(""))
        if whole not in self._of_tables:
            with_row = (path for path in self._files[whole] if next(records(Unit(path)), None) is not None)
            example = next(with_row, None)
            if example is None:
                raise InputError(f"{table.at_version}: none of its rows is one where {table.where}")
            self._of_tables[whole] = recognise(example, self._columns)
        return self._of_tables[whole]


def all_empty(paths: list[str]) -> str:
    """Return what is wrong where no file of several holds a record."""
    listed = f"{', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''}"
    return f"{listed}: empty" if len(paths) == 1 else f"all {len(paths)} files are empty: {listed}"


def _options(config: RunConfig, item: Input, separator: str) -> Options:
    first, _, last = (item.ranks or "").partition(":")
    return Options(
        source=item.source,
        positives=item.positives,
        ranks=(int(first), int(last)) if item.ranks else None,
        title_separator=separator,
        numbered=item.numbered,
        columns=tuple(item.columns.items()),
        qrels=tuple(expand(item.qrels, "qrels")) if item.qrels else (),
        corpus=config.corpus if item.corpus is None else item.corpus,
        queries=config.queries if item.queries is None else item.queries,
    )


def text_tasks(config: RunConfig, separator: str) -> tuple[list[TextTask], list[File]]:
    """Return the tasks over files of queries and passages by id, and these files. Raises InputError."""
    tasks: list[TextTask] = []
    files: list[File] = []
    options = Options(title_separator=separator)
    for (side, patterns), index in text_indexes(config).items():
        for path in _with_records(patterns, "queries" if side == "query" else "corpus"):
            files.append(file_of(path, index))
            tasks += [
                TextTask(f"{len(tasks) + i:06d}", u, side, options, index) for i, u in enumerate(text_units(path))
            ]
    return tasks, files


def _with_records(patterns: tuple[str, ...], what: str) -> list[str]:
    """Return the files of texts that hold any. Raises InputError where none does."""
    paths = expand(patterns, what)
    held = [path for path in paths if not holds_nothing(path)]
    if not held:
        raise InputError(f"{what}: {all_empty(paths)}")
    return held


def file_of(path: str, what: str) -> File:
    """Return an input file as it is now. Raises OSError where it is not there."""
    fs, inner = filesystem(path)
    info = fs.info(inner)
    stamp = next((str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), "")
    return File(path, int(info.get("size") or 0), stamp, what)
