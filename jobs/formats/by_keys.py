"""Which format records are in, by their keys; and what a refusal says of records that fit none.

Covers: objects and lists as they were read. What holds them, and lines that are no JSON, `recognise` looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.errors import InputError
from jobs.formats import beir, bge, colbert, dpr, labeled, sbert_hard_negatives, sbert_tuples, tevatron
from jobs.formats.base import ID_COLUMNS, TEXT_COLUMNS
from jobs.formats.names import Columns, check_columns, renamed
from jobs.formats.qrels import DOCUMENT_NAMES, QUERY_NAMES
from jobs.formats.record_format import first_of
from jobs.formats.texts_by_id import ID_NAMES, PASSAGE_TEXT_NAMES, QUERY_TEXT_NAMES
from jobs.formats.unread import SQUAD, refusal

Keyed = Mapping[str, Any]


def format_of(path: str, values: list[Any], columns: Columns = ()) -> str:
    """Return the name of the format that a file's first records are in.

    Args:
        path: the file, for messages.
        values: its first records.
        columns: what its columns are called, where it is said.

    Raises:
        InputError: they fit none, or several, or are something else that a run needs; or have none of the columns said.
    """
    if not values:
        raise unknown(path, "none of its first records can be read", [])
    if all(isinstance(value, list) for value in values):
        return _of_lists(path, values, columns)
    given = [value for value in values if isinstance(value, dict)]
    if not given:
        raise unknown(path, f"its first record is a {type(values[0]).__name__}", [])
    check_columns(path, dict.fromkeys(key for value in given for key in value), columns)
    objects = [renamed(value, columns) for value in given]
    keys = set().union(*objects)
    fits = list(_fitting(keys, objects))
    if len(fits) == 1:
        return fits[0]
    if not fits:
        _refuse_company(path, keys, objects)
    seen = f"its first record has the keys {shown(given[0])}"
    raise unknown(path, seen, fits or list(_near(keys)), bool(fits), "" if fits else _mapped(keys, objects[0]))


def _of_lists(path: str, values: list[list[Any]], columns: Columns) -> str:
    if columns:
        raise InputError(f"{path}: its records are lists, without names; --columns has nothing to name in it")
    if all(len(value) >= 3 and all(isinstance(x, str) for x in value) for value in values):
        return sbert_tuples.SbertTuples.name
    if colbert.fits(values):
        return colbert.Colbert.name
    near = [f"{sbert_tuples.SbertTuples.name} (texts)", f"{colbert.Colbert.name} (ids, or an id and [id, score])"]
    raise unknown(path, f"its first record is a list of {len(values[0])}", near)


def _fitting(keys: set[str], objects: Sequence[Keyed]) -> Iterator[str]:
    here = all(keys & {text, key} for text, key in zip(TEXT_COLUMNS, ID_COLUMNS, strict=True))
    sides = (sbert_hard_negatives.POSITIVES, sbert_hard_negatives.NEGATIVES)
    lists = any(isinstance(first_of(o, names)[1], list | dict) for o in objects for names in sides)
    pairs = labeled.fits(objects)
    if here and "source" in keys and not lists:
        yield "triples"
    elif _has(keys, sbert_tuples.SbertTuples.needs) and sbert_tuples.negative_columns(keys) and not lists:
        yield sbert_tuples.SbertTuples.name
    elif pairs:
        yield labeled.Labeled.name
    if lists and _has(keys, bge.Bge.needs) and not any(isinstance(o.get("neg"), dict) for o in objects):
        yield bge.Bge.name
    elif lists and not pairs and _has(keys, sbert_hard_negatives.SbertHardNegatives.needs):
        yield sbert_hard_negatives.SbertHardNegatives.name
    for fmt in (tevatron.Tevatron, dpr.Dpr):
        if _has(keys, fmt.needs):
            yield fmt.name
    if not pairs and keys & set(QUERY_NAMES) and keys & set(DOCUMENT_NAMES) and "score" in keys:
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


_OTHERS = {"source", "title", "id", "score", "scores", "label", "labels", "margin", "subset", "split", "type", "prompt"}


def _mapped(keys: set[str], record: Keyed) -> str:
    """Return the column map that may be meant, as an advice; empty where none is likely."""
    roles = {
        "query": {*sbert_tuples.QUERIES, *sbert_hard_negatives.QUERY_IDS},
        "positive": {*sbert_tuples.POSITIVES, *sbert_hard_negatives.POSITIVES, "positive_id"},
        "negative": {*sbert_tuples.negative_columns(keys), *sbert_hard_negatives.NEGATIVES},
    }
    lacking = [role for role, names in roles.items() if not keys & names]
    taken = set().union(*roles.values()) | _OTHERS
    free = [
        key
        for key, value in record.items()
        if key not in taken and not key.endswith("id") and isinstance(value, str | list)
    ]
    texts = [key for key in free if isinstance(record[key], str) and " " in record[key].strip()]
    if not lacking or len(free) < len(lacking) or (len(lacking) == len(roles) and len(texts) < len(roles)):
        return ""
    chosen: dict[str, str] = {}
    for role in sorted(lacking, key=lambda role: not any(role[:3] in key for key in free)):
        like = [key for key in free if role[:3] in key]
        chosen[role] = (like or free)[0]
        free.remove(chosen[role])
    pairs = ",".join(f"{role}={chosen[role]}" for role in lacking)
    return f"if its columns have other names, say which is which: did you mean --columns {pairs}?"


def _refuse_company(path: str, keys: set[str], objects: Sequence[Keyed]) -> None:
    """Raise InputError when the records are judgements, passages or queries: what goes with triples."""
    labeled.refuse_scored_pairs(path, objects)
    if "paragraphs" in keys or {"context", "question", "answers"} <= keys:
        raise refusal(path, SQUAD)
    if keys & set(QUERY_NAMES) and keys & set(DOCUMENT_NAMES):
        raise InputError(f"{path}: judgements (keys {shown(keys)}); name the file with --qrels")
    texts = keys & {*PASSAGE_TEXT_NAMES, *QUERY_TEXT_NAMES}
    if keys & set(ID_NAMES) and texts and len(keys) <= 8 and not list(_near(keys - texts - set(ID_NAMES))):
        raise InputError(
            f"{path}: texts by id (keys {shown(keys)}); name the file with --corpus (passages) or --queries"
        )


def shown(record: Any) -> str:
    """Return a record's keys in words, the first of many."""
    names = [str(key) for key in (sorted(record) if isinstance(record, set) else record)]
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def unknown(path: str, seen: str, near: list[str], several: bool = False, advice: str = "") -> InputError:
    """Return the error of a file that fits no format, or several.

    Args:
        path: the file.
        seen: what its beginning is.
        near: formats that come near, or those that it fits.
        several: whether it fits them.
        advice: what to do, beside naming a format.
    """
    verb = "fits several formats" if several else "fits no known format"
    hint = f"{'candidates' if several else 'near'}: {'; '.join(near)}; " if near else ""
    advice = f"{advice} Else name" if advice else "name"
    return InputError(f"{path} {verb}: {seen[:400]}; {hint}{advice} one with --format")
