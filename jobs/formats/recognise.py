"""`--format auto`: which format a file is in, by its first records.

Covers: the container (Parquet, CSV, JSONL, JSON array, TREC, TSV) and the keys of its first records. Does not cover:
whether the rest of the file is like its beginning; each reader rejects what is not.
"""

from __future__ import annotations

import io
from itertools import islice
from typing import Any, TypeGuard

from jobs.errors import InputError
from jobs.formats import beir, labeled, rocketqa, sbert_hard_negatives
from jobs.formats.base import ID_COLUMNS, BadRecordError, Unit
from jobs.formats.by_keys import format_of, shown, unknown
from jobs.formats.cbor import is_map
from jobs.formats.columnar import COLUMNAR, container_of
from jobs.formats.json_elements import elements
from jobs.formats.names import Columns, known_names
from jobs.formats.opening import beginning, head, parse_json, refuse_pointer, size_of
from jobs.formats.qrels import as_number, of_line
from jobs.formats.records import records, wraps_array
from jobs.formats.unread import kind_of_object, refusal, refuse_unread

RECORDS = 20
"""How many of a file's first records are looked at."""
LOOKED_AT = 512
"""How many first bytes say what kind of file it is."""
KNOWN_LISTS = {*sbert_hard_negatives.POSITIVES, *sbert_hard_negatives.NEGATIVES, "corpus", "data"}
MEMBER_BYTES = 8 << 20
"""How much of a JSON object is looked through for the end of its first member."""


def recognise(path: str, columns: Columns = ()) -> str:
    """Return the name of the format that a file is in. `columns`: what its columns are called, where it is said.

    Raises:
        InputError: the file is empty, a Git LFS pointer, of no known format, of several, or something else that a
            run needs (judgements, a corpus); the message lists what the first record holds and what comes near.
    """
    refuse_pointer(path)
    refuse_unread(path, beginning(path, LOOKED_AT))
    container = container_of(path)
    if container in COLUMNAR:
        return format_of(path, _objects(path), columns)
    first = head(path)
    refuse_unread(path, first[:LOOKED_AT])
    if not first.strip():
        raise InputError(f"{path}: {'empty' if not size_of(path) else 'nothing can be read from it'}")
    if container == "csv":
        return format_of(path, _objects(path), columns)
    if is_map(first):
        return beir.Beir.name
    if first.lstrip().startswith((b"{", b"[")):
        return _of_json(path, first.lstrip(), columns)
    return _of_lines(path, first, columns)


def _of_json(path: str, first: bytes, columns: Columns) -> str:
    # A run is one object over the whole file, often on several lines; its first member says so.
    members = _first_members(path) if first.startswith(b"{") and not wraps_array(path) else []
    member = members[0] if members else None
    if _scores(member) and all(isinstance(held, dict) for each in members for held in each.values()):
        return _of_run(path, member)
    if all(map(_lists, members)) and any(held for each in members for held in each.values()):
        return beir.Beir.name
    kind = kind_of_object(member)
    if kind is not None:
        raise refusal(path, kind)
    values = _objects(path)
    if not values and member:
        raise unknown(path, f"its first key is {shown(member)}, over several lines (JSONL holds one object a line)", [])
    return format_of(path, values, columns)


def _objects(path: str) -> list[Any]:
    found = islice(records(Unit(path)), RECORDS)
    return [record.value for record in found if record.error is None]


def _first_members(path: str) -> list[Any]:
    """Return the first members of a JSON object, each as an object; fewer where one cannot be read."""
    found = []
    try:
        for member in islice(elements(io.BytesIO(head(path, MEMBER_BYTES))), RECORDS):
            found.append(parse_json(b"{" + member + b"}"))
    except BadRecordError:
        pass
    return found


def _scores(value: Any) -> TypeGuard[dict[str, dict[str, Any]]]:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(v, dict) and v and all(isinstance(x, int | float) for x in v.values()) for v in value.values()
        )
    )


def _lists(value: Any) -> bool:
    """Whether a member is a query with a list of documents, the best first: ids have no blanks, and keys are none."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    (query, documents), *_ = value.items()
    known = {*KNOWN_LISTS, *(name for group in labeled.Labeled.needs for name in group)}
    return (
        isinstance(documents, list)
        and query not in known
        and all(isinstance(x, int) or (isinstance(x, str) and x and not x.split()[1:]) for x in documents)
    )


def _of_run(path: str, value: dict[str, dict[str, Any]]) -> str:
    scores = [score for documents in value.values() for score in documents.values()]
    if all(isinstance(score, int) for score in scores):
        raise InputError(
            f"{path}: {{query: {{document: whole number}}}} is a run or judgements; say --format beir if it is a run, "
            "or name it with --qrels if it holds judgements"
        )
    return beir.Beir.name


def _of_lines(path: str, first: bytes, columns: Columns) -> str:
    complete = first.split(b"\n")
    lines = [line.rstrip(b"\r") for line in complete[: RECORDS + 1] if line.strip()]
    # The last line of what was read may be cut.
    lines = lines[:-1] if len(complete) <= RECORDS + 1 and len(first) >= 1 << 16 and len(lines) > 1 else lines
    given = lines[0].decode("utf-8", "replace").split("\t")
    known = known_names(given, columns)
    names = {known.get(name, name) for name in given}
    if (
        len(given) > 1
        and (names & {"source", "query", "question", "anchor", *ID_COLUMNS})
        and container_of(path) == "tsv"
    ):
        return format_of(path, _objects(path), columns)
    if columns:
        raise InputError(f"{path}: it has no header that names columns; --columns has nothing to name in it")
    if all(_is_run(line) for line in lines) or beir.third_column(first) is not None:
        return beir.Beir.name
    if rocketqa.width_of(path) is not None:
        return rocketqa.Rocketqa.name
    rows = [line for i, line in enumerate(lines) if i or not _is_header(line)]
    qrels, tabs = bool(rows) and all(map(_is_judgement, rows)), {line.count(b"\t") for line in lines}
    seen = f"its first line is {lines[0][:80].decode('utf-8', 'replace')!r}"
    if qrels:
        raise InputError(
            f"{path}: {seen}: judgements (query, document, small whole number); name the file with --qrels, "
            "or say --format msmarco-tsv if these are ids of a query, a positive and a negative"
        )
    if tabs == {2} and _is_collection(lines):
        raise InputError(
            f"{path}: {seen}: id, title and text by tabs; name the file with --corpus (passages) or --queries, or say "
            "--format msmarco-tsv if these are a query, a positive and a negative"
        )
    if tabs <= {2, 3} and (tabs == {2} or all(_margin(line) for line in lines if line.count(b"\t") == 3)):
        return "msmarco-tsv"
    if tabs == {1}:
        raise InputError(f"{path}: {seen}: id and text by tabs; name the file with --corpus (passages) or --queries")
    near = ["msmarco-tsv (2 tabs a line)"] if tabs & {2, 3} else []
    near += ["beir (a run line is `query Q0 document rank score tag`)"] if any(_is_run(line) for line in lines) else []
    raise unknown(path, seen, near)


def _is_run(line: bytes) -> bool:
    fields = line.split()
    return len(fields) in (5, 6) and fields[1].upper() in (b"Q0", b"0") and _number(fields[3]) and _number(fields[4])


def _is_collection(lines: list[bytes]) -> bool:
    """Whether lines of three fields begin with an id of their own, and texts follow."""
    rows = [line.split(b"\t") for line in lines]
    keys = [fields[0] for fields in rows]
    ids = all(key and not key.split()[1:] and any(c in b"0123456789" for c in key) for key in keys)
    return ids and len(set(keys)) == len(keys) > 1 and any(b" " in field for fields in rows for field in fields[1:])


def _is_header(line: bytes) -> bool:
    try:
        return of_line(line, header=True) is None
    except BadRecordError:
        return False


def _is_judgement(line: bytes) -> bool:
    try:
        found = of_line(line)
    except BadRecordError:
        return False
    return found is not None and found[2] == int(found[2]) and abs(found[2]) <= 10


def _margin(line: bytes) -> bool:
    return _number(line.rsplit(b"\t", 1)[-1])


def _number(field: bytes) -> bool:
    try:
        as_number(field.decode("utf-8", "replace"))
    except BadRecordError:
        return False
    return True
