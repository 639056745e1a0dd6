"""The files behind --corpus and --queries: texts by id, as JSONL or a JSON array, TSV, CSV or Parquet.

Ids come from the first column present of ID_NAMES, texts from the first of TEXT_NAMES of that side; a title goes
before its text. A TSV without a header holds id, text; or id, title, text; or id, url, title, text.
Covers: parsing. Does not cover: repeated ids, ids that nobody names, empty texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from jobs.errors import InputError
from jobs.formats.base import BATCH_BYTES, BATCH_ROWS, REJECTS, BadRecordError, Options, Record, Unit, clip_record
from jobs.formats.columnar import COLUMNAR, column_names, column_tables, container_of, rest
from jobs.formats.columns import as_id, as_text, string_column
from jobs.formats.delimited import READ_FAILURES, delimited_rows, quotes_fields
from jobs.formats.names import known_names, renamed
from jobs.formats.opening import extension_of, head, line_units
from jobs.formats.records import columns_of, record_units, records

Side = Literal["query", "passage"]

TEXTS: dict[str, Any] = {"row": pl.Int64, "id": pl.String, "text": pl.String}
ID_NAMES = (
    *("_id", "id", "docid", "doc_id", "pid", "passage_id", "psg_id", "corpus_id", "corpus-id"),
    *("qid", "query_id", "query-id"),
)
QUERY_TEXT_NAMES = ("text", "query", "question", "title", "contents", "query_text")
PASSAGE_TEXT_NAMES = ("text", "contents", "body", "passage", "document", "doc", "segment", "document_text")
_HEADERLESS = {2: ("id", "text"), 3: ("id", "title", "text"), 4: ("id", "url", "title", "text")}


@dataclass(frozen=True)
class TextBatch:
    """Texts by id (columns `TEXTS`: row, id, text) and rejected records (columns `REJECTS`) read from one unit."""

    texts: pl.DataFrame
    rejects: pl.DataFrame


def text_units(path: str) -> list[Unit]:
    """Cut a file of texts into what one task reads.

    Raises:
        InputError: the file cannot be opened, is a Git LFS pointer, or its columns hold no id or no text.
    """
    if extension_of(path) in ("tsv", "txt") and container_of(path) not in COLUMNAR:
        return [Unit(path)] if quotes_fields(path, "\t") else line_units(path)
    units = record_units(path)
    columns = columns_of(path) if container_of(path) in (*COLUMNAR, "csv") else None
    if columns is not None and not (
        _first(columns, ID_NAMES) and _first(columns, (*PASSAGE_TEXT_NAMES, *QUERY_TEXT_NAMES))
    ):
        raise InputError(
            f"{path}: its columns are {', '.join(columns) or 'none'}; a file of texts needs an id (one of "
            f"{', '.join(ID_NAMES)}) and a text (one of {', '.join((*PASSAGE_TEXT_NAMES, *QUERY_TEXT_NAMES[1:]))})"
        )
    return units


def read_texts(unit: Unit, options: Options, side: Side) -> Iterator[TextBatch]:
    """Yield the texts of a unit, in the file's order and at most about BATCH_ROWS or BATCH_BYTES a batch.

    Args:
        unit: one of `text_units`.
        options: of these only the title separator is used.
        side: which names the text goes by; a query's title is not joined to it.

    Raises:
        InputError: the file cannot be opened.
    """
    names = QUERY_TEXT_NAMES if side == "query" else PASSAGE_TEXT_NAMES
    if container_of(unit.path) in COLUMNAR:
        yield from _read_columns(unit, options, names)
        return
    found = _tsv(unit) if extension_of(unit.path) in ("tsv", "txt") else records(unit)
    texts: list[tuple[int, str, str]] = []
    rejects: list[tuple[Any, ...]] = []
    length = 0
    for record in found:
        try:
            if record.error is not None:
                raise record.error
            key, text = _text_of(record.value, options, names)
            texts.append((record.row, key, text))
            length += len(text)
        except BadRecordError as error:
            rejects.append((record.row, None, error.reason, str(error), clip_record(record.raw)))
        if len(texts) + len(rejects) >= BATCH_ROWS or length >= BATCH_BYTES:
            yield _batch(texts, rejects)
            texts, rejects, length = [], [], 0
    yield _batch(texts, rejects)


def join_title(title: str | None, text: str | None, separator: str) -> str | None:
    """Return title and text as the encoder is to see them."""
    if not title:
        return text
    return f"{title}{separator}{text}" if text else title


def _first(present: Iterable[str], names: Sequence[str]) -> str | None:
    here = set(present)
    return next((name for name in names if name in here), None)


def _text_of(value: Any, options: Options, names: Sequence[str]) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise BadRecordError("bad_record", f"a {type(value).__name__}, not a JSON object")
    record = renamed(value)
    id_name, text_name = _first(record, ID_NAMES), _first(record, names)
    title = as_text(record.get("title"), "title") if "title" not in names else None
    if id_name is None or (text_name is None and title is None):
        lacking = "id" if id_name is None else "text"
        raise BadRecordError("null_field", f"no {lacking} among the keys {', '.join(map(str, record))[:200]}")
    key = as_id(record[id_name], id_name)
    text = join_title(title, as_text(record[text_name], text_name) if text_name else None, options.title_separator)
    if key is None or text is None:
        raise BadRecordError("null_field", f"{id_name if key is None else text_name} is null or empty")
    return key, text


def _batch(texts: list[tuple[int, str, str]], rejects: list[tuple[Any, ...]]) -> TextBatch:
    return TextBatch(
        pl.DataFrame(texts, schema=TEXTS, orient="row"), pl.DataFrame(rejects, schema=REJECTS, orient="row")
    )


def _tsv(unit: Unit) -> Iterator[Record]:
    first = head(unit.path).split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r").split("\t")
    header = [name.strip().strip('"').lower() for name in first]
    named = header[0] in ID_NAMES and _first(header, (*PASSAGE_TEXT_NAMES, *QUERY_TEXT_NAMES)) is not None
    row = unit.first_row - 1
    try:
        for row, values in delimited_rows(unit, "\t"):
            if isinstance(values, Record):
                yield values
            elif not (named and row == 1):
                yield _tsv_record(row, values, header if named else None)
    except READ_FAILURES as error:
        yield rest(row + 1, error)


def _tsv_record(row: int, values: list[str], header: list[str] | None) -> Record:
    line = "\t".join(values)
    names = header or _HEADERLESS.get(len(values), ())
    if len(names) != len(values):
        allowed = f"the header has {len(header)}" if header else "2, 3 or 4 are allowed"
        detail = f"{len(values)} tab-separated fields where {allowed}"
        return Record(row, None, line, BadRecordError("bad_record", detail))
    return Record(row, dict(zip(names, values, strict=True)), line)


def _read_columns(unit: Unit, options: Options, names: Sequence[str]) -> Iterator[TextBatch]:
    raw = column_names(unit.path)
    known = known_names(raw)
    present = {known.get(name, name): name for name in raw}
    id_name, text_name = _first(present, ID_NAMES), _first(present, names)
    title_name = "title" if "title" in present and "title" not in names else None
    if id_name is None or (text_name is None and title_name is None):
        raise InputError(f"{unit.path}: no id or no text among its columns {', '.join(present)}")
    chosen = [name for name in (id_name, text_name, title_name) if name]
    for first, table in column_tables(unit, [present[name] for name in chosen], BATCH_ROWS):
        if isinstance(table, Record):
            assert table.error is not None
            yield _batch([], [(table.row, None, table.error.reason, str(table.error), "")])
        else:
            yield _from_arrow(table.rename_columns(chosen), first, unit.path, options, (id_name, text_name, title_name))


def _from_arrow(
    table: pa.Table, first_row: int, path: str, options: Options, chosen: tuple[str, str | None, str | None]
) -> TextBatch:
    columns: dict[str, Any] = {"row": pl.int_range(first_row, first_row + len(table), eager=True)}
    broken = pl.repeat(False, len(table), eager=True)
    for kind, name in zip(("id", "text", "title"), chosen, strict=True):
        columns[kind] = pl.Series([None] * len(table), dtype=pl.String)
        if name is not None:
            columns[kind], bad = string_column(table[name], path, name)
            broken = broken | bad
    title, text = pl.col("title").fill_null(""), pl.col("text").fill_null("")
    separator = pl.when((title != "") & (text != "")).then(pl.lit(options.title_separator)).otherwise(pl.lit(""))
    joined = pl.when(pl.col("text").is_null() & (title == "")).then(None).otherwise(title + separator + text)
    frame = pl.DataFrame(columns).with_columns(joined.alias("text"), broken.alias("broken"))
    reason = (
        pl.when("broken")
        .then(pl.lit("invalid_utf8"))
        .when(pl.col("id").fill_null("") == "")
        .then(pl.lit("null_field"))
        .when(pl.col("text").is_null())
        .then(pl.lit("null_field"))
    ).alias("reason")
    frame = frame.with_columns(reason)
    detail = "id or text is null or not valid UTF-8"
    rejects = [
        (row, None, why, detail, clip_record({"id": key, "text": text}))
        for row, why, key, text in frame.filter(pl.col("reason").is_not_null())
        .select("row", "reason", "id", "text")
        .iter_rows()
    ]
    return TextBatch(
        frame.filter(pl.col("reason").is_null()).select(list(TEXTS)),
        pl.DataFrame(rejects, schema=REJECTS, orient="row"),
    )
