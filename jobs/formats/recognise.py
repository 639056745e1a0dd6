"""`--format auto`: which format a file is in, by its first records.

Covers: the container (Parquet, CSV, JSONL, JSON array, TREC, TSV) and the keys of its first records. Does not cover:
whether the rest of the file is like its beginning; each reader rejects what is not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeGuard

from jobs.errors import InputError
from jobs.formats import beir, bge, dpr, sbert_hard_negatives, sbert_tuples, tevatron
from jobs.formats.base import ID_COLUMNS, TEXT_COLUMNS, BadRecordError, Unit
from jobs.formats.cbor import is_map
from jobs.formats.columnar import COLUMNAR, container_of
from jobs.formats.json_elements import elements
from jobs.formats.opening import head, parse_json, refuse_pointer, size_of
from jobs.formats.qrels import DOCUMENT_NAMES, QUERY_NAMES, as_number, of_line
from jobs.formats.records import records
from jobs.formats.texts_by_id import ID_NAMES, PASSAGE_TEXT_NAMES, QUERY_TEXT_NAMES

RECORDS = 20
"""How many of a file's first records are looked at."""
MEMBER_BYTES = 8 << 20
"""How much of a JSON object is looked through for the end of its first member."""


def recognise(path: str) -> str:
    """Return the name of the format that a file is in.

    Raises:
        InputError: the file is empty, a Git LFS pointer, of no known format, of several, or something else that a
            run needs (judgements, a corpus); the message lists what the first record holds and what comes near.
    """
    refuse_pointer(path)
    first = head(path)
    if not first.strip():
        raise InputError(f"{path}: {'empty' if not size_of(path) else 'nothing can be read from it'}")
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: UTF-16; convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`")
    if container_of(path) in (*COLUMNAR, "csv"):
        return _of_objects(path, _objects(path))
    if is_map(first):
        return beir.Beir.name
    if first.lstrip().startswith((b"{", b"[")):
        return _of_json(path, first.lstrip())
    return _of_lines(path, first)


def _of_json(path: str, first: bytes) -> str:
    # A run is one object over the whole file, often on several lines; its first member says so.
    member = _first_member(path) if first.startswith(b"{") else None
    if _scores(member):
        return _of_run(path, member)
    values = _objects(path)
    if not values and member:
        raise _unknown(
            path, f"its first key is {_keys(member)}, over several lines (JSONL holds one object a line)", []
        )
    return _of_objects(path, values)


def _objects(path: str) -> list[Any]:
    found = islice(records(Unit(path)), RECORDS)
    return [record.value for record in found if record.error is None]


def _first_member(path: str) -> Any:
    try:
        member = next(iter(elements(io.BytesIO(head(path, MEMBER_BYTES)))), b"")
        return parse_json(b"{" + member + b"}")
    except BadRecordError:
        return None


def _scores(value: Any) -> TypeGuard[dict[str, dict[str, Any]]]:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(v, dict) and v and all(isinstance(x, int | float) for x in v.values()) for v in value.values()
        )
    )


def _of_run(path: str, value: dict[str, dict[str, Any]]) -> str:
    scores = [score for documents in value.values() for score in documents.values()]
    if all(isinstance(score, int) for score in scores):
        raise InputError(
            f"{path}: {{query: {{document: whole number}}}} is a run or judgements; say --format beir if it is a run, "
            "or name it with --qrels if it holds judgements"
        )
    return beir.Beir.name


def _of_objects(path: str, values: list[Any]) -> str:
    if not values:
        raise _unknown(path, "none of its first records can be read", [])
    if all(isinstance(value, list) for value in values):
        if all(len(v) >= 3 and all(isinstance(x, str) for x in v) for v in values):
            return sbert_tuples.SbertTuples.name
        raise _unknown(path, f"its first record is a list of {len(values[0])}", [sbert_tuples.SbertTuples.name])
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        raise _unknown(path, f"its first record is a {type(values[0]).__name__}", [])
    keys = set().union(*objects)
    fits = list(_fitting(keys, objects))
    if len(fits) == 1:
        return fits[0]
    _refuse_company(path, keys)
    raise _unknown(path, f"its first record has the keys {_keys(objects[0])}", fits or list(_near(keys)), bool(fits))


def _fitting(keys: set[str], objects: list[dict[str, Any]]) -> Iterator[str]:
    here = all(keys & {text, key} for text, key in zip(TEXT_COLUMNS, ID_COLUMNS, strict=True))
    lists = any(
        isinstance(o.get(name), list | dict) for o in objects for name in ("pos", "neg", "positive", "negative")
    )
    if here and "source" in keys and not lists:
        yield "triples"
    elif _has(keys, sbert_tuples.SbertTuples.needs) and sbert_tuples.negative_columns(keys) and not lists:
        yield sbert_tuples.SbertTuples.name
    if lists and _has(keys, bge.Bge.needs) and not any(isinstance(o.get("neg"), dict) for o in objects):
        yield bge.Bge.name
    elif lists and _has(keys, sbert_hard_negatives.SbertHardNegatives.needs):
        yield sbert_hard_negatives.SbertHardNegatives.name
    for fmt in (tevatron.Tevatron, dpr.Dpr):
        if _has(keys, fmt.needs):
            yield fmt.name
    if keys & set(QUERY_NAMES) and keys & set(DOCUMENT_NAMES) and "score" in keys:
        scores = [o.get("score") for o in objects]
        if any(isinstance(score, float) for score in scores):
            yield beir.Beir.name


def _has(keys: set[str], needs: tuple[tuple[str, ...], ...]) -> bool:
    return all(keys & set(group) for group in needs)


def _near(keys: set[str]) -> Iterator[str]:
    """Yield the formats of which a record has some of the needed keys, but not all."""
    for fmt in (
        sbert_tuples.SbertTuples,
        sbert_hard_negatives.SbertHardNegatives,
        bge.Bge,
        tevatron.Tevatron,
        dpr.Dpr,
    ):
        lacking = [group for group in fmt.needs if not keys & set(group)]
        if fmt is sbert_tuples.SbertTuples and not sbert_tuples.negative_columns(keys):
            lacking.append(("negative",))
        if len(lacking) < len(fmt.needs):
            yield f"{fmt.name} (lacks {', '.join(' or '.join(group[:3]) for group in lacking) or 'lists'})"


def _refuse_company(path: str, keys: set[str]) -> None:
    """Raise InputError when the records are judgements, passages or queries: what goes with triples."""
    if keys & set(QUERY_NAMES) and keys & set(DOCUMENT_NAMES):
        raise InputError(f"{path}: judgements (keys {_keys(keys)}); name the file with --qrels")
    texts = keys & {*PASSAGE_TEXT_NAMES, *QUERY_TEXT_NAMES}
    if keys & set(ID_NAMES) and texts and len(keys) <= 8 and not list(_near(keys - texts - set(ID_NAMES))):
        raise InputError(
            f"{path}: texts by id (keys {_keys(keys)}); name the file with --corpus (passages) or --queries"
        )


def _of_lines(path: str, first: bytes) -> str:
    complete = first.split(b"\n")
    lines = [line.rstrip(b"\r") for line in complete[: RECORDS + 1] if line.strip()]
    # The last line of what was read may be cut.
    lines = lines[:-1] if len(complete) <= RECORDS + 1 and len(first) >= 1 << 16 and len(lines) > 1 else lines
    columns = [name.strip('"') for name in lines[0].decode("utf-8", "replace").split("\t")]
    if len(columns) > 1 and (set(columns) & {"source", "query", "anchor", *ID_COLUMNS}) and container_of(path) == "tsv":
        return _of_objects(path, _objects(path))
    if all(_is_run(line) for line in lines) or beir.third_column(first) is not None:
        return beir.Beir.name
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
    raise _unknown(path, seen, near)


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


def _keys(record: Any) -> str:
    names = [str(key) for key in (sorted(record) if isinstance(record, set) else record)]
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _unknown(path: str, seen: str, near: list[str], several: bool = False) -> InputError:
    verb = "fits several formats" if several else "fits no known format"
    hint = f"{'candidates' if several else 'near'}: {'; '.join(near)}; " if near else ""
    return InputError(f"{path} {verb}: {seen[:400]}; {hint}name one with --format")
