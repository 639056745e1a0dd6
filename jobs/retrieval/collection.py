"""A retrieval collection in BEIR's layout: texts and judgements, with repeated texts merged.

Layout: corpus.jsonl, queries.jsonl (other formats of `jobs.formats.texts_by_id` and compression as well), and judgements in
qrels/<split>.tsv, or in one file qrels.tsv. Covers: reading, and ids to indices. Does not cover: splits (splits.py).

Queries with the same text are one query with the judgements of all, documents with the same text are one document: the
job knows texts, not ids, and the same text on two sides of a split would be no split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from jobs.errors import InputError
from jobs.formats.base import Options
from jobs.formats.opening import filesystem, stem_of
from jobs.formats.qrels import Judgements, read_qrels
from jobs.formats.texts_by_id import Side, read_texts, text_units

TEXT_ENDINGS = tuple(
    f".{kind}{packed}" for kind in ("jsonl", "json", "parquet", "tsv", "csv") for packed in ("", ".gz", ".zst")
)
QRELS_ENDINGS = tuple(
    f".{kind}{packed}" for kind in ("tsv", "txt", "qrels", "jsonl", "json", "parquet") for packed in ("", ".gz", ".zst")
)


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a side, in the file's order, and the index of each id's text."""

    texts: list[str]
    index: dict[str, int]


@dataclass(frozen=True)
class Collection:
    """A collection.

    Attributes:
        name: the folder's name.
        queries: Q texts and their ids.
        documents: P texts (title before text) and their ids.
        relevant: for each query the grade, above 0, of each document's index judged relevant.
        splits: the query indices of each official split, by name; a query of several is in the first by name.
        qrels: the files of judgements.
    """

    name: str
    queries: Texts
    documents: Texts
    relevant: list[dict[int, float]]
    splits: dict[str, list[int]]
    qrels: tuple[str, ...]


def read_collection(path: str, title_separator: str = " ") -> Collection:
    """Read a collection.

    Args:
        path: its folder, or an fsspec URL.
        title_separator: what stands between title and text, from the encoder's card.

    Raises:
        InputError: a file is missing or unreadable, or no judgement names a known query and a known document.
    """
    root = path.rstrip("/")
    names = _listing(root)
    documents = _texts(root, names, "corpus", "passage", title_separator)
    queries = _texts(root, names, "queries", "query", title_separator)
    relevant: list[dict[int, float]] = [{} for _ in queries.texts]
    splits: dict[str, list[int]] = {}
    taken: set[int] = set()
    files = _qrels_files(root, names)
    for split, file in files:
        judged = _judge(read_qrels((file,)), queries, documents, relevant)
        splits[split] = sorted(judged - taken)
        taken |= judged
    if not taken:
        raise InputError(
            f"{path}: no judgement above 0 names a query of queries.* and a document of corpus.* (ids must match)"
        )
    name = PurePosixPath(root).name or root
    return Collection(name, queries, documents, relevant, splits, tuple(file for _, file in files))


def _listing(root: str) -> list[str]:
    fs, inner = filesystem(root)
    if not fs.isdir(inner):
        raise InputError(
            f"{root}: no such folder; a collection is a folder with corpus.jsonl, queries.jsonl and qrels/*.tsv"
        )
    found = (
        str(name) for folder in (inner, f"{inner}/qrels") if fs.isdir(folder) for name in fs.ls(folder, detail=False)
    )
    return sorted(name.rstrip("/")[len(inner) :].strip("/") for name in found)


def _texts(root: str, names: list[str], stem: str, side: Side, separator: str) -> Texts:
    file = next((f"{stem}{ending}" for ending in TEXT_ENDINGS if f"{stem}{ending}" in names), None)
    if file is None:
        raise InputError(
            f"{root}: no {stem}.jsonl (or .jsonl.gz, .tsv, .parquet); found: {', '.join(names[:8]) or 'nothing'}"
        )
    places: dict[str, int] = {}
    index: dict[str, int] = {}
    for unit in text_units(f"{root}/{file}"):
        for batch in read_texts(unit, Options(title_separator=separator), side):
            if len(batch.rejects):
                row, _, _, detail, _ = batch.rejects.row(0)
                raise InputError(f"{root}/{file} row {row}: {detail}")
            for key, text in batch.texts.select("id", "text").iter_rows():
                if text.strip():
                    place = places.setdefault(text, len(places))
                    if index.setdefault(key, place) != place:
                        raise InputError(f"{root}/{file}: id {key[:200]!r} stands for two texts; an id has one")
    return Texts(list(places), index)


def _qrels_files(root: str, names: list[str]) -> list[tuple[str, str]]:
    """Return (split, path) of every file of judgements: those of qrels/, else qrels.* beside the corpus."""
    found = [name for name in names if name.startswith("qrels/") and name.endswith(QRELS_ENDINGS)]
    found = found or [name for name in names if name.startswith("qrels.") and name.endswith(QRELS_ENDINGS)][:1]
    if not found:
        raise InputError(f"{root}: no judgements: neither qrels/<split>.tsv nor qrels.tsv")
    return [(stem_of(name), f"{root}/{name}") for name in found]


def _judge(judgements: Judgements, queries: Texts, documents: Texts, relevant: list[dict[int, float]]) -> set[int]:
    """Add the judgements above 0 to `relevant`; return the queries that have one. Unknown ids are passed over."""
    judged: set[int] = set()
    for query_id, grades in judgements.items():
        query = queries.index.get(query_id)
        if query is None:
            continue
        for document_id, grade in grades.items():
            document = documents.index.get(document_id)
            if document is not None and grade > 0:
                relevant[query][document] = max(grade, relevant[query].get(document, 0.0))
                judged.add(query)
    return judged
