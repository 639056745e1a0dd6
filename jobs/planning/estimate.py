"""What `eci plan` knows of the data: pieces of a few files, and what they say of all rows.

Covers: distinct texts and queries of the whole, and of the nested samples of a run that may stop early. All are
estimates: files may hold the same queries (one file a source) or others (shards); the sample shows which.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import polars as pl

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Batch, Unit
from jobs.formats.columnar import container_of, parquet_file
from jobs.formats.texts_by_id import read_texts
from jobs.ids import Side, text_id
from jobs.ingest.checks import ROLES, check
from jobs.ingest.inputs import InputTask
from jobs.output.records import Loss
from jobs.pipeline.losses import MOST
from jobs.pipeline.prepare import Prepared
from jobs.pipeline.requirements import ids_alone, require_texts, sides_by_id
from jobs.ranking.looks import ABOUT, FIRST_QUERIES

PIECES = 16
SAMPLE_ROWS = 60_000
SAMPLE_TEXTS = 1000

T = TypeVar("T")


@dataclass
class Sample:
    """Some rows of the inputs.

    Attributes:
        rows: how many rows, rejected ones among them.  pieces: (rows, new queries, new texts) of each piece that was read, in
            order.
        passages: query -> the passages of its rows.  texts: some texts (side, text), sorted.  sources: how many.
        met: the sources of each task that was looked at.
        by_source: rows of each source, and of each file, by what its source is called, where rejected records do not say theirs.
        rejects: those that are no triples, by the same and reason.
        first: what is wrong with the first of them.
    """

    rows: int = 0
    pieces: list[tuple[int, int, int]] = field(default_factory=list)
    passages: dict[bytes, list[bytes]] = field(default_factory=dict)
    texts: list[tuple[Side, str]] = field(default_factory=list)
    sources: int = 0
    met: dict[str, set[str]] = field(default_factory=dict)
    by_source: Counter[str] = field(default_factory=Counter)
    rejects: dict[str, Counter[str]] = field(default_factory=dict)
    first: str = ""

    @property
    def reasons(self) -> Counter[str]:
        """The rejected rows by reason."""
        return sum(self.rejects.values(), Counter())

    @property
    def kept(self) -> float:
        """The share of the rows that are triples."""
        return 1 - self.reasons.total() / self.rows if self.rows else 0.0

    def losses(self) -> list[Loss]:
        """Return the sources that lose so many of these rows that a run would stop."""
        return [
            {"source": name, "rows": rows, "lost": lost.total(), "reasons": dict(sorted(lost.items()))}
            for name, rows in sorted(self.by_source.items())
            if (lost := self.rejects.get(name, Counter())).total() > MOST * rows
        ]

    def take(self, item: InputTask, batch: Batch) -> pl.DataFrame:
        """Count a batch and what is rejected of it, and return its triples."""
        checked = check(batch.rows, {})
        rejects = pl.concat([batch.rejects, checked.rejects])
        rows = len(batch.rows) + len(batch.rejects)
        unnamed = item.options.source or (item.after_file.name if item.after_file is not None else item.path)
        for source, reason in rejects.select("source", "reason").iter_rows():
            self.rejects.setdefault(source or unnamed, Counter())[reason] += 1
        told = [*checked.source.to_list(), *rejects["source"].drop_nulls().to_list()]
        self.by_source.update(told)
        # as a run counts them: a record that does not say its source counts for the whole file
        self.by_source[unnamed] += rows - len(told) if unnamed in told else rows
        self.rows += rows
        if len(rejects) and not self.first:
            row = rejects.sort("row").row(0, named=True)
            self.first = f"; the first: {item.path} row {row['row']}: {row['detail']}"
        return batch.rows.filter(pl.Series(checked.good, dtype=pl.Boolean))


def sample_of(prepared: Prepared) -> Sample:
    """Read some pieces of the inputs; where they hold ids, the first texts of --corpus and --queries.

    Raises InputError where they hold ids whose texts are nowhere, or no triple at all.
    """
    sample, keys, texts, sources = Sample(), set[bytes](), set[tuple[Side, str]](), set[str]()
    alone: Counter[str] = Counter()
    for item, rows, frame in _pieces(prepared, sample):
        alone.update(ids_alone(frame, sides_by_id(item)))
        before = len(sample.passages), len(keys)
        columns = [_keys(frame, role, side, texts) for role, side in ROLES]
        for query, *passages in zip(*columns, strict=True):
            if query is not None:
                sample.passages.setdefault(query, []).extend(key for key in passages if key is not None)
        keys.update(key for column in columns for key in column if key is not None)
        sample.pieces.append((rows, len(sample.passages) - before[0], len(keys) - before[1]))
        sample.met[item.name] = set(frame["source"].drop_nulls().to_list())
        sources |= sample.met[item.name]
    if sample.rows and sample.reasons.total() == sample.rows:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(sample.reasons.items()))
        raise InputError(
            f"no triple is left: {sample.rows:,} rows in, all rejected ({reasons or 'none read'}){sample.first}"
        )
    if prepared.encoder.name is not None:
        require_texts(alone, sample.rows)
    for task in prepared.texts if not texts else ():
        found = next(iter(read_texts(task.unit, task.options, task.side)), None)
        some = found.texts["text"].head(SAMPLE_TEXTS).to_list() if found else []
        texts.update((task.side, text) for text in some if text.strip())
    sample.texts, sample.sources = sorted(texts), len(sources)
    return sample


def _pieces(prepared: Prepared, sample: Sample) -> Iterator[tuple[InputTask, int, pl.DataFrame]]:
    """Yield (task, number of rows, triples): some rows of each of a few units, which `sample` takes.

    They are SAMPLE_ROWS together, spread over the row groups where it is Parquet.
    """
    items = _spread([item for item in prepared.inputs if item.unit is not None], PIECES)
    for item in items:
        assert item.unit is not None
        rows = SAMPLE_ROWS // len(items)
        options = replace(item.options, glimpse=True)
        groups = _row_groups(item.unit, rows, -(-PIECES // len(items)))
        frames, before = [], sample.rows
        for unit in groups:
            left = -(-rows // len(groups))
            for batch in format_named(item.format).read(unit, options):
                some = Batch(batch.rows.head(left), batch.rejects.head(left))
                frames.append(sample.take(item, some))
                left -= len(some.rows) + len(some.rejects)
                if left <= 0:
                    break
        if sample.rows > before:
            yield item, sample.rows - before, pl.concat(frames)


def _row_groups(unit: Unit, rows: int, least: int) -> list[Unit]:
    """Return row groups of a unit, spread over it: `least` or as many as hold so many rows; the unit if not Parquet."""
    if container_of(unit.path) != "parquet":
        return [unit]
    with parquet_file(unit.path) as file:
        stop = file.num_row_groups if unit.stop is None else unit.stop
        sizes = [file.metadata.row_group(group).num_rows for group in range(unit.start, stop)]
    groups = [replace(unit, start=group, stop=group + 1) for group in range(unit.start, stop)]
    needed = -(-rows * len(groups) // max(sum(sizes), 1))
    return _spread(groups, max(needed, least)) or [unit]


def _spread(items: list[T], most: int) -> list[T]:
    """Return at most so many items, from the first on, spread over all."""
    return items if len(items) <= most else [items[k * len(items) // most] for k in range(most)]


def _keys(frame: pl.DataFrame, role: str, side: Side, texts: set[tuple[Side, str]]) -> list[bytes | None]:
    """Return what tells a column's texts apart: the text, or else the user's id; adds some texts to `texts`."""
    found: list[bytes | None] = []
    texts.update((side, text) for text in frame[role].head(SAMPLE_TEXTS).drop_nulls().to_list() if text.strip())
    for text, user in zip(frame[role].to_list(), frame[f"{role}_id"].to_list(), strict=True):
        name = text if text is not None and text.strip() else user
        found.append(text_id(side, name) if name else None)
    return found


@dataclass(frozen=True)
class Estimate:
    """Distinct queries and texts of all rows, estimated from a sample. `rows`: those that are triples."""

    rows: int
    queries: int
    texts: int
    sample: Sample

    @classmethod
    def of(cls, sample: Sample, rows: int, units: int) -> Estimate:
        """Extrapolate a sample to `rows` rows in `units` units.

        A further unit brings as much that is new as the last two did (little where every file has the same queries);
        within a unit new ones come at an even rate.
        """
        if not sample.rows:
            return cls(0, 0, 0, sample)
        read = len(sample.pieces)
        within = max(1.0, rows / units / (sample.rows / read))
        later = sample.pieces[1:][-2:] or sample.pieces

        def total(which: int) -> int:
            new = sum(piece[which] for piece in later) / len(later)
            return round((sum(piece[which] for piece in sample.pieces) + max(units - read, 0) * new) * within)

        return cls(round(rows * sample.kept), total(1), total(2), sample)

    def looks(self) -> list[dict[str, Any]]:
        """Return the looks of a run with --until-decided: queries and distinct texts of each, all of them last.

        The first look's texts are counted in the sample, over as many of its queries as hold a look's rows; those of
        the others lie on the power law between the first look and the whole.
        """
        if not self.queries:
            return []
        doublings = max(0, math.floor(math.log2(self.queries / (ABOUT * FIRST_QUERIES))))
        first = self.queries / 2**doublings
        texts = min(self._texts_of(first), self.texts)
        power = math.log2(self.texts / texts) / doublings if doublings else 1.0
        return [
            {"queries": round(first * 2**k), "texts": min(round(texts * 2 ** (power * k)), self.texts)}
            for k in range(doublings)
        ] + [{"queries": self.queries, "texts": self.texts}]

    def _texts_of(self, queries: float) -> float:
        """Return about how many distinct texts the rows of so many queries hold."""
        wanted = queries * self.rows / self.queries
        passages: set[bytes] = set()
        rows = 0.0
        # by id, which is a hash: as a run takes its samples
        for key in sorted(self.sample.passages, key=lambda key: key[8:]):
            if rows >= wanted:
                break
            passages.update(self.sample.passages[key])
            rows += len(self.sample.passages[key]) / 2
        return queries + len(passages) * max(1.0, wanted / max(rows, 1.0))
