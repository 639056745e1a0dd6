"""Relevance judgements: TREC (4 columns), BEIR's TSV with or without a header (3 columns), JSONL, JSON and Parquet.

Columns are split at tabs, or at blanks where tabs give no 3 or 4 fields. One unreadable line stops the run: judgements
are small, and a wrong one would poison negatives without a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.errors import InputError, reason_of
from jobs.formats.base import BadRecordError, Unit
from jobs.formats.columnar import COLUMNAR, column_records, container_of
from jobs.formats.columns import as_id
from jobs.formats.compression import READ_ERRORS
from jobs.formats.json_elements import elements
from jobs.formats.names import Columns, renamed
from jobs.formats.opening import decoded, head, lines, open_input, parse_json, refuse_pointer
from jobs.formats.records import json_records

QUERY_NAMES = ("query-id", "query_id", "qid", "q_id", "query")
DOCUMENT_NAMES = ("corpus-id", "corpus_id", "docid", "doc_id", "pid", "docno", "document_id")
GRADE_NAMES = ("score", "relevance", "rel", "label", "grade")

Judgements = dict[str, dict[str, float]]
Judgement = tuple[str, str, float]


def read_qrels(paths: tuple[str, ...]) -> Judgements:
    """Return the grade of every judged document of every query.

    Raises:
        InputError: a file cannot be read whole; names the file and the row.
    """
    found: Judgements = {}
    for path in paths:
        refuse_pointer(path)
        row = 0
        try:
            for at, (query, document, grade) in _judgements(path):
                found.setdefault(query, {})[document] = grade
                row = at
        except (*READ_ERRORS, BadRecordError) as error:
            raise InputError(
                f"{path}: judgement after row {row}: {reason_of(error)} (qrels are `query 0 document grade`, "
                "`query document grade`, or JSON with query-id, corpus-id, score)"
            ) from error
    return found


def _judgements(path: str) -> Iterator[tuple[int, Judgement]]:
    first = head(path).lstrip()
    if container_of(path) in COLUMNAR:
        for record in column_records(Unit(path, first_row=0)):
            yield record.row, of_record(record.value, record.error)
    elif first.startswith(b"{") and not is_record(first):
        yield from _nested(path)
    elif first.startswith((b"{", b"[")):
        for record in json_records(Unit(path)):
            yield record.row, of_record(record.value, record.error)
    else:
        for row, line in lines(Unit(path)):
            judgement = of_line(line, header=row == 1)
            if judgement is not None:
                yield row, judgement


def _nested(path: str) -> Iterator[tuple[int, Judgement]]:
    """Yield the judgements of one JSON object: query -> document -> grade."""
    with open_input(path) as file:
        for row, member in enumerate(elements(file), start=1):
            for query, documents in parse_json(b"{" + member + b"}").items():
                if not isinstance(documents, dict):
                    raise BadRecordError("bad_record", f"{query!r} holds a {type(documents).__name__}")
                for document, grade in documents.items():
                    yield row, (query, document, as_number(grade))


def is_record(first: bytes, columns: Columns = ()) -> bool:
    """Whether the first line of JSON is one judgement, or a hit of a run, with a query and a document as keys."""
    try:
        value = parse_json(first.split(b"\n", 1)[0])
    except BadRecordError:
        return False
    known = set(renamed(value, columns)) if isinstance(value, dict) else set()
    return bool(set(QUERY_NAMES) & known) and bool(set(DOCUMENT_NAMES) & known)


def of_record(value: Any, error: BadRecordError | None = None) -> Judgement:
    """Return the judgement that an object holds. Raises BadRecordError."""
    if error is not None:
        raise error
    if not isinstance(value, dict):
        raise BadRecordError("bad_record", f"a {type(value).__name__}, not an object")
    value = renamed(value)
    query, document = _named(value, QUERY_NAMES), _named(value, DOCUMENT_NAMES)
    grade = next((value[name] for name in GRADE_NAMES if name in value), 1)
    return query, document, as_number(grade)


def _named(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    name = next((name for name in names if name in record), None)
    key = as_id(record[name], name) if name else None
    if key is None:
        raise BadRecordError("null_field", f"no {names[0]} among the keys {', '.join(map(str, record))[:200]}")
    return key


def of_line(line: bytes, header: bool = False) -> Judgement | None:
    """Return the judgement of a line of text, None for a header. Raises BadRecordError."""
    text = decoded(line)
    fields, tabs = text.split(), text.split("\t")
    # `q 0<tab>d<tab>1` has three fields by tabs and means four.
    trec = len(fields) == 4 and fields[1] in ("0", "Q0")
    if not trec and len(tabs) in (3, 4):
        fields = [field.strip() for field in tabs]
    if len(fields) not in (3, 4) or not fields[0] or not fields[-2]:
        raise BadRecordError("bad_record", f"{len(fields)} fields: {text[:80]!r}")
    if header and not any(c.isdigit() for c in fields[-1]):
        return None
    return fields[0], fields[-2], as_number(fields[-1])


def as_number(value: Any) -> float:
    """Return a grade or a score as a number. Raises BadRecordError when it is none, or not finite."""
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if number - number != 0:
        raise BadRecordError("bad_record", f"{str(value)[:40]!r} is not a number")
    return number
