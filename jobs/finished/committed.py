"""A finished run read back: its sources, sums, scores part by part, vectors and texts. Everything by its manifest.

Covers: what the commands that work on a run's tables share. Memory stays bounded: vectors and texts that a command
needs are laid into one file in id order by one pass over the cache or the texts (a *spool*), and mapped from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.folds import FoldMatrices, Folds
from jobs.errors import InputError, nearest
from jobs.ids import from_arrow, unique_inverse
from jobs.ingest.judgements import Judgements
from jobs.output import layout
from jobs.output.records import InputFile, Manifest, SampleUsed, SourceRow
from jobs.output.runs import named, read_manifest
from jobs.output.store import Store
from jobs.output.tables import JUDGEMENTS, MOMENTS, SOURCE_ECI
from jobs.output.verified import read_published
from jobs.scoring.moments import folds_of_table, matrices_of

IDS = ("query_id", "positive_id", "negative_id")


@dataclass(frozen=True)
class Finished:
    """A committed run. `run_id` is a whole id; `Finished.open` takes its beginning, or None for the newest."""

    store: Store
    run_id: str

    @classmethod
    def open(cls, out: str, run_id: str | None = None) -> Finished:
        """Open a run. Raises InputError where there is none, or none with this id."""
        store = Store(out)
        found = cls(store, named(store, run_id))
        _ = found.manifest
        return found

    @cached_property
    def manifest(self) -> Manifest:
        """The run's manifest."""
        return read_manifest(self.store, self.run_id)

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings, by their names in a settings file."""
        return dict(self.manifest["settings"])

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self.manifest["encoder"]["dim"])

    @property
    def lam(self) -> float:
        """The ridge lambda."""
        return float(self.settings["lambda"])

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.settings["folds"])

    @cached_property
    def rows(self) -> list[SourceRow]:
        """The rows of source_eci: sources, hybrids and the mixture, by rank."""
        rows: list[SourceRow] = self.read(SOURCE_ECI.files).to_pylist()
        return rows

    @property
    def sources(self) -> list[str]:
        """The scored sources, by rank."""
        return [row["source"] for row in self.rows if row["kind"] == "source"]

    def require(self, names: list[str]) -> None:
        """Raise InputError for a name that is no scored source of this run."""
        for name in names:
            if name not in self.sources:
                listed = ", ".join(self.sources)
                raise InputError(
                    f"run {self.run_id} has no source {name!r}{nearest(name, self.sources)}; it has {listed}"
                )

    @property
    def sample(self) -> SampleUsed | None:
        """What a run over a sample of the queries has used; None for a run over all of them."""
        found = self.manifest.get("sample")
        return found if found and found["queries"] < found["all_queries"] else None

    def require_whole(self, sampled: bool) -> None:
        """Raise InputError for a run over a sample of the queries, unless that is known (`sampled`)."""
        if self.sample is not None and not sampled:
            # here, since it loads what draws tables, which who reads a run's tables can do without
            from jobs.finished.text import used_of

            raise InputError(
                f"run {self.run_id} scored a sample, {used_of(self.sample)}: nothing is known of the triples of the others; give "
                "--sampled (from Python: sampled=True) to go on with these, or make a whole run, without --until-decided and "
                "--sample-queries"
            )

    def examples(self) -> dict[str, int]:
        """Return the scored triples of each source."""
        return {row["source"]: int(row["n_examples"]) for row in self.rows if row["kind"] == "source"}

    def read(self, relative: str, **options: Any) -> pa.Table:
        """Read one Parquet file, by its path in the run's folder; options are those of pyarrow's read_table.

        Raises:
            DamagedError: it is not what the manifest says.
        """
        return read_published(self.store, layout.run_folder(self.run_id), self.manifest, relative, **options)

    def judgements(self) -> Judgements:
        """Return what people had judged when it ran."""
        if not self.files(JUDGEMENTS.name):
            return Judgements({})
        table = self.read(JUDGEMENTS.files)
        queries, negatives = (from_arrow(table[name]) for name in ("query_id", "negative_id"))
        pairs = [queries[i : i + 1].tobytes() + negatives[i : i + 1].tobytes() for i in range(len(table))]
        return Judgements(dict(zip(pairs, table["judgement"].to_pylist(), strict=True)))

    def files(self, table: str) -> list[str]:
        """Return the files of a table, relative to the run's folder, in order."""
        return [file["path"] for file in self.manifest["files"] if file["table"] == table]

    def totals(self, source: str) -> Folds:
        """Return one source's sums over all folds, as those of a single fold."""
        columns = ["n_examples", "plus", "minus"]
        table = self.read(MOMENTS.files, columns=columns, filters=[("source", "==", source)])
        one_row = [FoldMatrices.of(matrices_of(table, name)).whole[None] for name in ("plus", "minus")]
        plus, minus = (FoldMatrices.of(packed) for packed in one_row)
        return Folds(plus, minus, np.array([table["n_examples"].to_numpy().sum()]))

    def published_folds(self, source: str) -> Folds:
        """Return one source's sums by fold, from a run of layout 2 or before; for others see fold_sums.py."""
        columns = ["fold", "n_examples", "plus", "minus"]
        table = self.read(MOMENTS.files, columns=columns, filters=[("source", "==", source)])
        return folds_of_table(table, self.folds)

    def scores(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the scores, a part of a fold at a time, in order of folds and parts."""
        for path in self.files("scores"):
            yield self.read(path, columns=columns)

    def texts(self, columns: list[str]) -> Iterator[pa.Table]:
        """Yield the table `texts`, a bucket at a time, in the order of ids."""
        for path in self.files("texts"):
            yield self.read(path, columns=columns)


def same_file(given: InputFile) -> bool:
    """Return whether an input file is still as a manifest describes it: of the same stamp, or written anew with the same bytes."""
    # here, since they load the readers of every format, which who reads a run's tables can do without
    from jobs.ingest.digests import first_changed
    from jobs.ingest.inputs import file_of

    try:
        now = file_of(given["path"], given["what"])
    except OSError:
        return False
    if now.size != given["size"]:
        return False
    return now.stamp == given["stamp"] or first_changed([given]) is None


def refs_of(scores: pa.Table) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the distinct ids of a part's triples, ascending, and where query, positive and negative are among them."""
    ids, refs = unique_inverse(np.concatenate([from_arrow(scores[name]) for name in IDS]))
    q, p, n = np.split(refs, 3)
    return ids, (q, p, n)
