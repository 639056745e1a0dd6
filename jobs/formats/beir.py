"""`beir`: a ranked run and judgements. TREC lines, JSON {query: {document: score}}, Parquet, or ranx's .lz4.

JSON {query: [document, ...]} is a run too, the best first: DRhard's hard negatives.

Also lines of three columns, `query document rank` (MS MARCO) and `query document score` (Tevatron).

A run file is a source, named by the file (or --source). Its hits at --ranks (1:10) by falling score are the negatives,
less the query itself and every judged document; the judged documents of a grade above 0 are the positives. Rows hold
ids only. A query with no positive, or no negative at those ranks, is rejected. Hits outside the ranks are no records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import IO, Any, Literal, NamedTuple

from jobs.errors import InputError
from jobs.formats.base import DEFAULT, BadRecordError, Batch, BatchBuilder, Options, Record, Unit
from jobs.formats.cbor import is_map, map_items
from jobs.formats.columnar import COLUMNAR, column_records, container_of, rest
from jobs.formats.columns import as_id
from jobs.formats.compression import READ_ERRORS
from jobs.formats.json_elements import elements
from jobs.formats.names import Columns, renamed
from jobs.formats.opening import decoded, head, lines, open_input, refuse_pointer
from jobs.formats.qrels import DOCUMENT_NAMES, GRADE_NAMES, QUERY_NAMES, Judgements, as_number, is_record, read_qrels
from jobs.formats.record_format import after_file, first_of
from jobs.formats.records import columns_of, json_records, parsed

DEFAULT_RANKS = (1, 10)
RUN_LINES = 200
"""How many of a file's first lines say what its three columns are."""

# A query's id in TREC lines may begin with a brace too.
_OBJECT = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]++|\\.)*+"\s*:|\}|$)', re.DOTALL)


class Hit(NamedTuple):
    """A document that a run returned for a query."""

    row: int
    query: str
    document: str
    score: float


class Beir:
    """The `beir` format."""

    name = "beir"
    records = (
        "run (TREC, JSON, Parquet, ranx .lz4; lines `query document rank` or `query document score`; DRhard's "
        "{query: [document, ...]}) with `--qrels`, `--ranks 1:10` or a band `20:40`; judged documents are left "
        "out"
    )
    sources = "the run file's name"

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Return the file as one unit: ranks need all hits of a query. Raises InputError for alien columns."""
        refuse_pointer(path)
        if container_of(path) not in COLUMNAR:
            return [Unit(path)]
        columns = columns_of(path, options.columns) or []
        for names in (QUERY_NAMES, DOCUMENT_NAMES, GRADE_NAMES):
            if not set(names) & set(columns):
                raise InputError(
                    f"{path}: none of the columns {', '.join(names)}; its columns are {', '.join(columns)} "
                    "(a run in Parquet holds query, document and score)"
                )
        return [Unit(path, first_row=0)]

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`.

        Raises:
            InputError: no judgements are named, or they cannot be read.
        """
        if not options.qrels:
            raise InputError(f"{unit.path}: a run needs the judgements of its queries; name their file with --qrels")
        judged = read_qrels(options.qrels)
        builder, seen = BatchBuilder(), dict[str, int]()
        for query, hits in groupby(
            _hits(unit, options.columns), key=lambda hit: hit.query if isinstance(hit, Hit) else None
        ):
            if query is None:
                for bad in hits:
                    assert isinstance(bad, Record)
                    builder.reject_bad(bad)
            else:
                _add(builder, query, [hit for hit in hits if isinstance(hit, Hit)], judged, seen, unit.path, options)
            if builder.full:
                yield builder.take()
        yield builder.take()


def _add(
    builder: BatchBuilder,
    query: str,
    hits: list[Hit],
    judged: Judgements,
    seen: dict[str, int],
    path: str,
    options: Options,
) -> None:
    row, source = hits[0].row, options.source if options.source is not None else after_file(options, path)
    record = {"query": query, "hits": len(hits)}
    if query in seen:
        detail = f"{len(hits)} hits apart from the query's first ones at {seen[query]}: sort the run by query"
        builder.reject(row, "bad_record", detail, record, source)
        return
    seen[query] = row
    grades = judged.get(query, {})
    positives = [document for document, grade in grades.items() if grade > 0]
    first, last = options.ranks or DEFAULT_RANKS
    ranked = sorted(hits, key=lambda hit: -hit.score)[first - 1 : last]
    negatives = [hit for hit in ranked if hit.document not in grades and hit.document != query]
    if not positives:
        builder.reject(row, "null_field", f"no judged positive for query {query[:200]}", record, source)
    elif not negatives:
        builder.reject(row, "null_field", f"no negatives at ranks {first}:{last}", record, source)
    for hit in negatives:
        for positive in positives[:1] if options.positives == "first" else positives:
            builder.row(hit.row, (None, None, None), (query, positive, hit.document), source)


def _hits(unit: Unit, columns: Columns) -> Iterator[Hit | Record]:
    if container_of(unit.path) in COLUMNAR:
        for record in column_records(unit):
            yield _hit_of_record(record, columns)
    elif is_record(head(unit.path), columns):
        for record in json_records(unit):
            yield _hit_of_record(record, columns)
    elif _OBJECT.match(first := head(unit.path)) or is_map(first):
        yield from _nested_hits(unit.path, _cbor_records if is_map(first) else _json_records)
    else:
        row, third = unit.first_row - 1, third_column(first)
        try:
            for row, line in lines(unit):
                yield _hit_of_line(row, line) if third is None else _hit_of_three(row, line, third)
        except READ_ERRORS as error:
            yield rest(row + 1, error)


def _nested_hits(path: str, members: Callable[[IO[bytes]], Iterator[Record]]) -> Iterator[Hit | Record]:
    row = 0
    try:
        with open_input(path) as file:
            for record in members(file):
                row = record.row
                yield from [record] if record.error else _hits_of_member(record)
    except (*READ_ERRORS, BadRecordError) as error:
        yield rest(row + 1, error)


def _json_records(file: IO[bytes]) -> Iterator[Record]:
    for row, member in enumerate(elements(file), start=1):
        yield parsed(row, b"{" + member + b"}")


def _cbor_records(file: IO[bytes]) -> Iterator[Record]:
    for row, (query, documents) in enumerate(map_items(file), start=1):
        yield Record(row, {query: documents}, {"query": query})


def _hits_of_member(record: Record) -> Iterator[Hit | Record]:
    for query, documents in record.value.items():
        if not query or not isinstance(documents, dict | list):
            detail = f"query {query[:200]!r} holds a {type(documents).__name__}, not documents with scores"
            yield record._replace(error=BadRecordError("bad_record", detail))
        elif not documents:
            yield record._replace(error=BadRecordError("null_field", f"no hits for query {query[:200]!r}"))
        elif isinstance(documents, list):
            yield from _hits_of_list(record, query, documents)
        else:
            for document, score in documents.items():
                try:
                    yield Hit(record.row, query, document, as_number(score))
                except BadRecordError as error:
                    yield record._replace(error=error)


def _hits_of_list(record: Record, query: str, documents: list[Any]) -> Iterator[Hit | Record]:
    for rank, value in enumerate(documents):
        try:
            document = as_id(value, "document")
            if document is None:
                raise BadRecordError("null_field", f"document {rank} of query {query[:200]!r} is null")
            yield Hit(record.row, query, document, -float(rank))
        except BadRecordError as error:
            yield record._replace(error=error)


def _hit_of_record(record: Record, columns: Columns) -> Hit | Record:
    if record.error is not None:
        return record
    try:
        if not isinstance(record.value, dict):
            raise BadRecordError("bad_record", f"a {type(record.value).__name__}, not an object")
        value = renamed(record.value, columns)
        query, document = (as_id(first_of(value, names)[1], names[0]) for names in (QUERY_NAMES, DOCUMENT_NAMES))
        if query is None or document is None:
            raise BadRecordError("null_field", "no query or no document")
        return Hit(record.row, query, document, as_number(first_of(value, GRADE_NAMES)[1]))
    except BadRecordError as error:
        return record._replace(error=error)


def third_column(first: bytes) -> Literal["rank", "score"] | None:
    """Return what the third column of a run of three columns is, by its first lines; None for anything else.

    MS MARCO's runs (query, document, rank) count 1, 2, 3 within a query; Tevatron's (query, document, score) fall.
    """
    whole = first.split(b"\n")[: RUN_LINES + 1]
    rows = [line.split() for line in (whole[:-1] if len(whole) > 1 else whole) if line.strip()]
    if len(rows) < 2 or any(len(fields) != 3 for fields in rows):
        return None
    try:
        numbers = [as_number(fields[2].decode("utf-8", "replace")) for fields in rows]
    except BadRecordError:
        return None
    groups = [
        [number for _, number in group]
        for _, group in groupby(zip(rows, numbers, strict=True), key=lambda pair: pair[0][0])
    ]
    if max(map(len, groups)) < 3:
        return None
    counts = all(group == [group[0] + k for k in range(len(group))] for group in groups)
    if counts and all(group[0] == groups[0][0] for group in groups) and groups[0][0] in (0, 1):
        return "rank"
    falls = all(a >= b for group in groups for a, b in pairwise(group))
    # small whole numbers that fall are grades of judgements
    graded = all(number == int(number) and abs(number) <= 10 for number in numbers)
    return "score" if falls and not graded and any(group[0] > group[-1] for group in groups) else None


def _hit_of_three(row: int, line: bytes, third: Literal["rank", "score"]) -> Hit | Record:
    try:
        fields = decoded(line).split()
        if len(fields) != 3:
            raise BadRecordError("bad_record", f"{len(fields)} fields; the lines before are `query document {third}`")
        number = as_number(fields[2])
        return Hit(row, fields[0], fields[1], -number if third == "rank" else number)
    except BadRecordError as error:
        return Record(row, None, line, error)


def _hit_of_line(row: int, line: bytes) -> Hit | Record:
    try:
        text = decoded(line)
        fields, tabs = text.split(), text.split("\t")
        # Ids with blanks in them are whole only by tabs.
        fields = tabs if len(tabs) == 6 and len(fields) != 6 else fields
        if len(fields) not in (5, 6) or not fields[0] or not fields[2]:
            raise BadRecordError(
                "bad_record", f"{len(fields)} fields; a run line is `query Q0 document rank score tag`"
            )
        return Hit(row, fields[0], fields[2], as_number(fields[4]))
    except BadRecordError as error:
        return Record(row, None, line, error)
