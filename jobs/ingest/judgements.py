"""Judgements that people made in a report: of a query and a negative, whether the negative is a false one.

A judged triple's consistency is what the judgement says in place of what the encoder thinks. A judgement is of the query and
the negative, so it counts in every source that has the two, whatever the positive.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from jobs.errors import InputError, nearest, reason_of
from jobs.formats.finding import expand
from jobs.formats.opening import open_input
from jobs.ids import ID_BYTES, id_array, lookup, unique

FALSE, FINE = "false negative", "fine"
CONSISTENCY = {FALSE: -1.0, FINE: 1.0}
FORMAT = "eci-judgements/1"
JUDGED = "judgements"
"""What an input file of them is."""
MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Judgements:
    """Judgements by the 32 bytes of query_id and negative_id, and the runs whose reports they were made in, sorted."""

    pairs: Mapping[bytes, str]
    runs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over what is judged and how, 16 hex digits: not over the files' form or order."""
        listed = sorted((pair.hex(), judgement) for pair, judgement in self.pairs.items())
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]

    def consistency(self, queries: np.ndarray, negatives: np.ndarray) -> pa.Array:
        """Return the consistency of n triples by their judgements, float64, null where there is none.

        Args:
            queries, negatives: ids, S16 (n,) each.
        """
        found = np.full(len(queries), np.nan)
        if self.pairs:
            judged = unique(id_array(pair[ID_BYTES:] for pair in self.pairs))
            for at in np.flatnonzero(lookup(judged, negatives) >= 0).tolist():
                judgement = self.pairs.get(queries[at : at + 1].tobytes() + negatives[at : at + 1].tobytes())
                found[at] = np.nan if judgement is None else CONSISTENCY[judgement]
        return pa.array(found, mask=np.isnan(found))


def judgement_files(patterns: Sequence[str]) -> list[str]:
    """Return the files of judgements that paths and globs name. Raises InputError where one names nothing."""
    return expand(patterns, JUDGED) if patterns else []


def read_judgements(files: Sequence[str]) -> Judgements:
    """Read files that reports have exported.

    Raises:
        InputError: a file is not of this form, or judges a query and a negative in two ways; names the file and the entry.
    """
    pairs: dict[bytes, str] = {}
    where: dict[bytes, str] = {}
    runs = set()
    for path in files:
        document = _document(path)
        if isinstance(document.get("run_id"), str):
            runs.add(document["run_id"])
        for number, entry in enumerate(document["judgements"], 1):
            place = f"{path}: judgement {number}"
            pair, judgement = _entry(place, entry)
            if pairs.setdefault(pair, judgement) != judgement:
                raise InputError(
                    f"{place} says {judgement!r} where {where[pair]} says {pairs[pair]!r}; leave one of them out"
                )
            where.setdefault(pair, place)
    return Judgements(pairs, tuple(sorted(runs)))


def _document(path: str) -> dict[str, Any]:
    try:
        with open_input(path) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES >> 20} MiB; a report exports a few kilobytes")
    try:
        found = json.load(io.BytesIO(data))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not JSON ({error}); give a file that a report's section Judge has exported"
        ) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("judgements"), list):
        raise InputError(
            f"{path}: no judgements of format {FORMAT!r}; give a file that a report's section Judge has exported"
        )
    return found


def _entry(place: str, entry: Any) -> tuple[bytes, str]:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: not an object with query_id, negative_id and judgement")
    judgement = entry.get("judgement")
    if not isinstance(judgement, str) or judgement not in CONSISTENCY:
        raise InputError(f"{place}: judgement {judgement!r} is not known{nearest(str(judgement), CONSISTENCY)} "
                         f"(allowed: {', '.join(CONSISTENCY)})")  # fmt: skip
    return b"".join(_id(place, entry, name) for name in ("query_id", "negative_id")), judgement


def _id(place: str, entry: dict[str, Any], name: str) -> bytes:
    try:
        return UUID(entry[name]).bytes
    except (KeyError, ValueError, AttributeError, TypeError):
        given = f"is {entry[name]!r}" if name in entry else "is missing"
        raise InputError(f"{place}: {name} {given}; it is an id of the table scores, such as "
                         "0123456789abcdef0123456789abcdef") from None  # fmt: skip
