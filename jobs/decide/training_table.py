"""Chosen triples as a table of a lake: one commit puts them in the place of what the table held, once.

The table is the training set as it is now, and its history those before. A commit carries a key of the run and the choice, so that
the same selection is not written again; rows that `eci select` has not written are left alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from jobs.decide.training_files import TRIPLES, Row, records_of_triples
from jobs.errors import InputError
from jobs.lakes.naming import table_at
from jobs.publishing.publish import target_at
from jobs.publishing.tables import Made

BATCH = 5_000
COMMENTS = {
    "query": "the query's text, null where the run has ids alone",
    "positive": "the positive's text",
    "negative": "the negative's text",
    "query_id": "the query's id as the input gave it, null where it gave none",
    "positive_id": "the positive's id as the input gave it",
    "negative_id": "the negative's id as the input gave it",
    "source": "the source of the negative",
    "weight": "the triple's signed weight in the run",
    "information": "what the triple adds to its source, nats per dimension; null where the run has not computed it",
}
MADE = Made(TRIPLES, COMMENTS, "the training set that eci select wrote last", "a training set of eci select")


@dataclass(frozen=True)
class TrainingTable:
    """A table to write a selection to. `target`: of `jobs.publishing`."""

    target: Any

    def write(self, manifest: Mapping[str, Any], rows: Callable[[], Iterator[Row]]) -> dict[str, Any]:
        """Write rows, if the table does not hold them; returns its `table`, its `version`, and whether it was `written`.

        Args:
            manifest: of the selection.  rows: gives them, again for every try.

        Raises:
            InputError, EciError: as `DeltaTarget.replace`.
        """
        asked = {name: manifest[name] for name in ("run_id", "choice", "triples", "sources")}
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        told = {"eci_run_id": manifest["run_id"], "eci_choice": json.dumps(manifest["choice"], sort_keys=True)}
        version, written = self.target.replace(
            key, told, lambda: pa.RecordBatchReader.from_batches(TRIPLES, _batches(rows()))
        )
        return {"table": self.target.address, "version": version, "written": written}


def table_for(to: str, format_name: str, shard_rows: int) -> TrainingTable:
    """Return the table of an address, which is not written yet.

    Raises:
        InputError: no such address; a format or a size that is of files; the table is there, and none of ours.
    """
    kind, place, name = table_at(to)
    if format_name != "triples":
        raise InputError(f"--to {to}: a table holds triples; leave --format {format_name} out, or give a folder")
    if shard_rows:
        raise InputError(f"--to {to}: --shard-rows is of files; leave it out, or give a folder")
    target = target_at(kind, place, name, MADE)
    target.require_ours()
    return TrainingTable(target)


def _batches(rows: Iterator[Row]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, BATCH)):
        yield pa.RecordBatch.from_pylist(records_of_triples(some), TRIPLES)
