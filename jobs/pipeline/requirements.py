"""What a run needs of its input as a whole, and the sentence where it is not there: texts for ids, vectors for texts.

Single rows without them are rejected for themselves; here is what makes most of a run's rows useless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from jobs.errors import EciError, InputError
from jobs.finished.text import NUMBERS
from jobs.formats import format_named
from jobs.formats.base import ROWS
from jobs.formats.records import parquet_file
from jobs.ids import Side
from jobs.ingest.checks import ROLES
from jobs.ingest.distinct_texts import not_blank
from jobs.ingest.inputs import InputTask
from jobs.vectors.given import sides_of
from jobs.work.files import read_unfinished
from jobs.work.job import Job
from jobs.work.summaries import Sent, VectorsRead

HEADS = 4
IDS_ALONE = 0.01
"""Ids without a text, as a share of the rows, beyond which a file of texts must be missing."""
USELESS = 0.5
"""Rows of --vectors without a usable vector or side, as a share of all, beyond which they are not what was meant."""
_NOTHING = pl.DataFrame(schema=ROWS)
_NAMED: dict[str, tuple[str, str]] = {"query": ("queries", "--queries"), "passage": ("passages", "--corpus")}


def require_texts(alone: Mapping[str, int], rows: int) -> None:
    """Raise InputError where an encoder would have to embed what is named by an id alone.

    Args:
        alone: by side, the texts of `rows` rows that are named by an id and have no text.
    """
    # single ones among many are rejected for themselves, where no vector is found for them
    if sum(alone.values()) > IDS_ALONE * rows:
        _refuse_ids(alone)


def _refuse_ids(alone: Mapping[str, int], where: str = "") -> None:
    told = " and ".join(f"{count:,} {_NAMED[side][0]}" for side, count in sorted(alone.items()) if count)
    options = " and ".join(_NAMED[side][1] for side, count in sorted(alone.items()) if count)
    raise InputError(
        f"{told} are named by an id alone{where} ({NUMBERS}), and the encoder needs their texts: give {options} (files of texts by id), "
        "or vectors by id with --vectors"
    )


def ids_alone(rows: pl.DataFrame, indexed: Collection[Side]) -> dict[str, int]:
    """Return how many distinct texts of each side rows (columns ROWS) name by an id alone that no file can resolve."""
    found: Counter[str] = Counter()
    for side in ("query", "passage"):
        cells = [
            rows[f"{role}_id"].filter(rows[role].is_null() & pl.Series(not_blank(rows[f"{role}_id"]), dtype=pl.Boolean))
            for role, of in ROLES
            if of == side and side not in indexed
        ]
        found[side] = pl.concat(cells).n_unique() if cells else 0
    return {side: count for side, count in found.items() if count}


def sides_by_id(item: InputTask) -> list[Side]:
    """Return the sides that an input has files of texts by id for."""
    sides: tuple[tuple[Side, tuple[str, ...]], ...] = (
        ("query", item.options.queries),
        ("passage", item.options.corpus),
    )
    return [side for side, patterns in sides if patterns]


def require_texts_of_heads(inputs: Iterable[InputTask], sizes: Mapping[str, int]) -> None:
    """Raise InputError where the first records of files that are no small share of the input are all ids without texts.

    What only comes later in a file is found when it has been read. `sizes`: of the files, in bytes.
    """
    those = [item for item in inputs if item.unit is not None and len(sides_by_id(item)) < len(_NAMED)]
    first = list({item.path: item for item in reversed(those)}.values())[::-1]
    looked = [first[k * len(first) // HEADS] for k in range(HEADS)] if len(first) > HEADS else first
    alone = {item.path: sides for item in looked if (sides := _wholly_ids(_head(item), sides_by_id(item)))}
    if sum(map(sizes.__getitem__, alone)) > IDS_ALONE * sum(sizes[item.path] for item in looked):
        path, others = next(iter(alone)), f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        total = sum((Counter(sides) for sides in alone.values()), Counter[str]())
        _refuse_ids(total, f" in the first records of {path}{others}")


def _wholly_ids(rows: pl.DataFrame, indexed: Collection[Side]) -> dict[str, int]:
    """Return how many texts of a side rows name by ids, for each side that they name by ids alone."""
    return {
        side: count
        for side, count in ids_alone(rows, indexed).items()
        if all(rows[role].is_null().all() for role, of in ROLES if of == side)
    }


def _head(item: InputTask) -> pl.DataFrame:
    assert item.unit is not None
    with suppress(EciError, OSError):  # said when the file is read
        batches: Any = format_named(item.format).read(item.unit, replace(item.options, glimpse=True))
        with closing(batches):
            return next((batch.rows for batch in batches if len(batch.rows)), _NOTHING)
    return _NOTHING


def require_usable(read: Mapping[str, VectorsRead]) -> None:
    """Raise InputError where most rows of --vectors are of no use."""
    rows, bad, sideless = (sum(int(s[key]) for s in read.values()) for key in ("rows", "bad", "sideless"))  # type: ignore[literal-required]
    if bad + sideless > USELESS * rows:
        raise InputError(
            f"vectors: of {rows:,} rows {bad:,} have no usable vector (another length than most, not finite, or of no length) and "
            f"{sideless:,} a side that is neither query nor passage; take the vectors of one encoder, with a side each"
        )


def require_matches(job: Job, sent: Iterable[Sent], paths: Iterable[str], buckets: Iterable[str]) -> None:
    """Raise InputError where no query, or no passage, has a vector of its own among the user's.

    Args:
        sent: the exchange's summaries.  paths: the files of vectors.  buckets: the published files of texts.
    """
    total: Counter[str] = Counter()
    for summary in sent:
        total.update({key: int(summary[key]) for key in ("texts", "queries", "without_vector", "queries_without")})  # type: ignore[literal-required]
    passages = (total["texts"] - total["queries"], total["without_vector"] - total["queries_without"])
    told = {"query": (total["queries"], total["queries_without"]), "passage": passages}
    for side, (count, without) in told.items():
        if count and count == without:
            raise InputError(
                f"vectors: none of the {count:,} {_NAMED[side][0]} has a usable vector; --vectors has {_vector_names(paths, side)}, "
                f"the triples {_text_names(job, buckets, side)}: column 'text' holds a text as the triples have it, or 'id' its id "
                f"there (where the triples have texts, give {_NAMED[side][1]} with the ids), and 'side' {side}"
            )


def _vector_names(paths: Iterable[str], side: str) -> str:
    """Return what the first row of a side is called in the first file of vectors that has one."""
    for path in paths:
        with parquet_file(path) as file:
            names = [name for name in ("id", "text") if name in file.schema_arrow.names]
            for batch in file.iter_batches(1000, columns=["side", *names]):
                for at in np.flatnonzero(sides_of(batch["side"], path) == side)[:1].tolist():
                    return " and ".join(f"the {name} {_clip(batch[name][at].as_py())}" for name in names)
    return f"no {side}"


def _text_names(job: Job, buckets: Iterable[str], side: str) -> str:
    for path in buckets:
        for row in read_unfinished(job, path, columns=["side", "text", "user_id"]).to_pylist():
            if row["side"] == side:
                names = {"id": row["user_id"], "text": row["text"]}
                return " and ".join(f"the {name} {_clip(value)}" for name, value in names.items() if value is not None)
    return f"no {side}"


def _clip(value: object) -> str:
    told = str(value)
    return repr(told if len(told) <= 40 else f"{told[:39]}…")
