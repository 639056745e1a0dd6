"""From records to batches, for every format whose records are objects: what a record yields, and how it is counted.

A format gives a function that yields the triples of one record. A record that yields nothing at all is rejected here,
so that none vanishes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jobs.errors import InputError
from jobs.formats.base import DEFAULT, TEXT_COLUMNS, BadRecordError, Batch, BatchBuilder, Options, Unit
from jobs.formats.columns import as_id, as_text, is_id, text_and_id
from jobs.formats.names import renamed
from jobs.formats.records import columns_of, record_units, records
from jobs.formats.source_names import file_source
from jobs.formats.texts_by_id import ID_NAMES, PASSAGE_TEXT_NAMES, join_title


class Triple(NamedTuple):
    """Three texts, three user ids (either may be None), and the source."""

    texts: Sequence[str | None]
    ids: Sequence[str | None]
    source: str | None


Item = Triple | BadRecordError
TriplesOf = Callable[[Mapping[str, Any], Options, str], Iterator[Item]]


class Entry(NamedTuple):
    """A query or passage of a record: its text and its id, either of which may be None, and where a negative came from."""

    text: str | None
    id: str | None
    source: str | None = None


def read_records(
    unit: Unit,
    options: Options,
    triples_of: TriplesOf,
    lists: Callable[[list[Any]], dict[str, Any]] | None = None,
) -> Iterator[Batch]:
    """Yield batches of a unit; `triples_of(record, options, path)` yields each object's triples.

    `lists`, where given, turns a record that is a list into an object.

    A record is rejected when it is no object, when `triples_of` raises BadRecordError, or when it yields nothing; an
    entry of a record that cannot be read is yielded as a BadRecordError and rejected by itself.
    """
    builder = BatchBuilder()
    for record in records(unit):
        seen = 0
        try:
            if record.error is not None:
                raise record.error
            value = lists(record.value) if lists and isinstance(record.value, list) else record.value
            if not isinstance(value, dict):
                raise BadRecordError("bad_record", f"a {type(value).__name__}, not a JSON object")
            for item in triples_of(renamed(value, options.columns), options, unit.path):
                seen += 1
                if isinstance(item, Triple):
                    builder.row(record.row, *item)
                else:
                    builder.reject(record.row, item.reason, str(item), record.raw)
                if builder.full:
                    yield builder.take()
            if not seen:
                raise BadRecordError("null_field", "no triple in the record")
        except BadRecordError as error:
            builder.reject(record.row, error.reason, str(error), record.raw)
        if builder.full:
            yield builder.take()
    yield builder.take()


class RecordFormat(ABC):
    """A format whose records are objects. Subclasses say which keys it needs and what a record yields.

    Attributes:
        name, records, sources: as of `Format`.
        needs: groups of keys; a record needs one key of each group. Checked for columns of Parquet and CSV.
    """

    name: str = ""
    records: str = ""
    sources: str = ""
    needs: tuple[tuple[str, ...], ...] = ()

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file into units; see `Format.units`."""
        units, columns = record_units(path), columns_of(path, options.columns)
        for group in self.needs if columns is not None else ():
            if columns is not None and not set(group) & set(columns):
                role = next((name for name in group if name in TEXT_COLUMNS), None)
                other = f"; if it has another name, say --columns {role}=NAME" if role else ""
                raise InputError(
                    f"{path}: no column {' or '.join(map(repr, group))}; its columns are "
                    f"{', '.join(columns) or 'none'} (format {self.name} needs it{other})"
                )
        return units

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        return read_records(unit, options, self.triples_of)

    @abstractmethod
    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield the triples of one record. Raises BadRecordError when it holds none."""


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """Return the first of the keys that the record has, and its value; the first name and None where it has none."""
    for name in names:
        if record.get(name) is not None:
            return name, record[name]
    return names[0], None


def source_of(record: Mapping[str, Any], options: Options, path: str) -> str:
    """Return the source of a record's negatives: --source, else what the record says, else the file's name."""
    if options.source is not None:
        return options.source
    return as_id(record.get("source"), "source") or after_file(options, path)


def after_file(options: Options, path: str) -> str:
    """Return what a source that is named after its file is called: as the input's other files make it, if there are some."""
    return options.file_source if options.file_source is not None else file_source(path)


def query_of(record: Mapping[str, Any], texts: Sequence[str], ids: Sequence[str] = ("query_id", "qid")) -> Entry:
    """Return a record's query. Raises BadRecordError (`null_field`) where it has neither text nor id."""
    name, value = first_of(record, texts)
    id_name, id_value = first_of(record, ids)
    entry = Entry(*text_and_id(value, as_id(id_value, id_name), name))
    if entry.text is None and entry.id is None:
        raise BadRecordError("null_field", f"no query ({' or '.join((*texts, *ids))})")
    return entry


def entry_of(value: Any, where: str, options: Options, as_ids: bool = False) -> Entry:
    """Return a passage of a record: a string or number, or an object with an id, a title and a text.

    Args:
        value: the passage; null gives an entry of nothing.
        where: what to call it in an error.
        options: for the title separator.
        as_ids: whether a string is an id. A number always is.

    Raises:
        BadRecordError: it is anything else.
    """
    if isinstance(value, dict):
        name, text = first_of(value, PASSAGE_TEXT_NAMES)
        title = as_text(value.get("title"), f"{where}.title")
        id_name, key = first_of(value, ID_NAMES)
        joined = join_title(title, as_text(text, f"{where}.{name}"), options.title_separator)
        return Entry(joined, as_id(key, f"{where}.{id_name}"), as_id(value.get("source"), f"{where}.source"))
    if as_ids or is_id(value):
        return Entry(None, as_id(value, where))
    return Entry(as_text(value, where), None)


def entries(value: Any, name: str, options: Options, as_ids: bool = False) -> list[Entry | BadRecordError]:
    """Return a list of passages, each read or its error; one passage alone counts as a list of one, null as none."""
    if value is None:
        return []
    found: list[Entry | BadRecordError] = []
    for i, item in enumerate(value if isinstance(value, list) else [value]):
        try:
            found.append(entry_of(item, f"{name}[{i}]", options, as_ids))
        except BadRecordError as error:
            found.append(error)
    return found


def pairs(
    query: Entry,
    positives: Sequence[Entry | BadRecordError],
    negatives: Sequence[tuple[str | None, Sequence[Entry | BadRecordError]]],
    options: Options,
) -> Iterator[Item]:
    """Yield a triple for each positive and each negative of each source, and the errors among them once each.

    A negative that says where it came from is of that source, unless --source names one for all.

    Raises:
        BadRecordError: (`null_field`) there are no positives or no negatives.
    """
    good = [entry for entry in positives if isinstance(entry, Entry)]
    if not positives:
        raise BadRecordError("null_field", "no positives")
    if not any(entries for _, entries in negatives):
        raise BadRecordError("null_field", "no negatives")
    yield from (entry for entry in positives if isinstance(entry, BadRecordError))
    for source, given in negatives:
        for negative in given:
            if isinstance(negative, BadRecordError):
                yield negative
                continue
            own = source if options.source is not None or negative.source is None else negative.source
            for positive in good[:1] if options.positives == "first" else good:
                yield Triple((query.text, positive.text, negative.text), (query.id, positive.id, negative.id), own)
