"""`eci select`: the training set itself, out of a finished run.

Candidates are filtered fold by fold, each query's budget is spent where its triples score best, and the total goes to
the best of what is left, by group (the sources of a mixture, or all together). With `diverse` the order is greedy by
log-determinant instead (eci_sql/diversity.py), part by part. Everything large is in DuckDB with a memory limit, or
mapped from a spool; training_files.py and training_table.py write what was chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.connection import connect, statement
from jobs.addresses import prefix_of
from jobs.errors import InputError, nearest
from jobs.finished.committed import IDS, Finished, refs_of
from jobs.finished.spools import VectorSpool
from jobs.finished.vectors import spool_vectors
from jobs.ids import as_uuid, from_arrow, unique
from jobs.machine import available_cores, default_memory
from jobs.output import layout
from jobs.output.leftovers import filling, scratch
from jobs.output.store import Store
from jobs.output.tables import SCORES

if TYPE_CHECKING:
    from jobs.ingest.text_spool import TextSpool

NEAR_DUPLICATE = 0.95
PIECE = 50_000
_COLUMNS = [name for name in SCORES.schema.names if name not in ("run_id", "consistency", "locality")]


@dataclass(frozen=True)
class Choice:
    """What to take.

    Attributes:
        sources: take these only (none: all).  parts: source -> share of a mixture.
        per_query: most triples of a query.  total: most triples.  min_weight: least weight.
        violations, near_duplicates: whether triples with s_neg >= s_pos, or <z_p, z_n> > 0.95, may be taken.
        diverse: choose greedily by log-determinant.
        by: `information` or `weight` (None: information where the run has it).
        sampled: whether a run over a sample of the queries will do.
    """

    sources: tuple[str, ...] = ()
    parts: dict[str, float] | None = None
    per_query: int | None = None
    total: int | None = None
    min_weight: float | None = None
    violations: bool = True
    near_duplicates: bool = True
    diverse: bool = False
    by: str | None = None
    sampled: bool = False

    def checked(self, run: Finished) -> Choice:
        """Return it with its order decided.

        Raises:
            InputError: a source or an order that the run does not have, options that do not go together, or a run over a
                sample of the queries that is not asked for.
        """
        run.require_whole(self.sampled)
        run.require([*self.sources, *(self.parts or {})])
        if self.sources and self.parts:
            raise InputError("--source and --mix say both which sources to take; give one of them")
        if self.diverse and self.total is None and self.per_query is None:
            raise InputError("--diverse chooses under a budget: give --total N or --per-query K")
        if self.by not in (None, "information", "weight"):
            raise InputError(f"--by {self.by!r} is not known{nearest(str(self.by), ('information', 'weight'))}")
        informed = bool(run.settings.get("information"))
        if self.by == "information" and not informed:
            raise InputError(f"run {run.run_id} has no information by triple; make it with: eci run --information")
        return Choice(**asdict(self) | {"by": self.by or ("information" if informed else "weight")})

    @property
    def taken(self) -> list[str] | None:
        """The sources to take, None for all."""
        return list(self.parts) if self.parts else list(self.sources) or None


class Selection:
    """A choice made on a run: `counts` by source, and the chosen triples as a stream. Used in a `with` block.

    Args:
        record: most triples of a query and positive that one record of the training file holds.
    """

    def __init__(self, run: Finished, choice: Choice, memory: int, record: int = 1) -> None:
        self.run, self.choice, self._memory, self._record = run, choice.checked(run), memory, record
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Selection:
        """Choose."""
        self._temporary = ExitStack()
        self.folder = self._temporary.enter_context(scratch())
        self._con = connect(self._memory // 4, min(4, available_cores()), self.folder)
        self._con.execute("SET arrow_lossless_conversion = true")  # UUIDs stay 16 bytes
        try:
            self._choose()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything that lies in the temporary folder."""
        self._con.close()
        self._temporary.close()

    def _choose(self) -> None:
        con, choice = self._con, self.choice
        spool = spool_vectors(self.run, self.folder) if choice.diverse or not choice.near_duplicates else None
        shares = choice.parts or {}
        con.register("shares", pa.table({"source": pa.array(list(shares), pa.string()),
                                         "alpha": pa.array(list(shares.values()), pa.float64())}))  # fmt: skip
        con.execute(statement("select/candidate_table"))
        for scores in self._folds():
            con.register("fold_scores", scores)
            params = {
                "sources": choice.taken or self.run.sources,
                "min_weight": choice.min_weight,
                "violations": choice.violations,
                "by_information": choice.by == "information",
            }
            found = con.sql(statement("select/candidates"), params=params).to_arrow_table()
            if spool is not None and not choice.near_duplicates:
                found = _without_near_duplicates(found, spool)
            group = found["source"] if choice.parts else pa.repeat("", len(found))
            con.register("fold_candidates", found.append_column("grp", group))
            if choice.per_query is None or choice.diverse:  # a diverse choice spends the queries' budgets itself
                con.execute(statement("select/all_of_fold"))
            else:
                con.execute(statement("select/per_query"), {"per_query": choice.per_query})
        if spool is not None and choice.diverse:
            self._diversify(spool)
        con.register("budgets", self._budgets())
        con.execute(statement("select/chosen"), {"record": self._record})
        con.execute("DROP TABLE candidate")  # its memory is needed for the texts
        self.counts = dict(con.sql(statement("select/counts")).fetchall())
        if not self.counts:
            raise InputError("no triple passes these filters; loosen --min-weight, --source or --no-violations")

    def _folds(self) -> Iterator[pa.Table]:
        paths = groupby(self.run.files("scores"), lambda path: layout.scores_place(path)[0])
        for _, files in paths:
            scores = pa.concat_tables([self.run.read(path, columns=_COLUMNS) for path in files])
            for name in ("triple_id", *IDS):  # half as much to hold and to sort
                at = scores.schema.get_field_index(name)
                scores = scores.set_column(at, name, as_uuid(from_arrow(scores[name])))
            yield scores

    def _budgets(self) -> pa.Table:
        """Return (grp, most): the total, or what the shares make of it and of what there is of each source."""
        there = dict(self._con.sql(statement("select/groups")).fetchall())
        if not self.choice.parts:
            most = {"": min(self.choice.total or 1 << 62, there.get("", 0))}
        else:
            shares = {name: share for name, share in self.choice.parts.items() if share > 0.0}
            limit = min(there.get(name, 0) / share for name, share in shares.items())
            limit = min(limit, self.choice.total or limit)
            most = {name: int(share * limit + 1e-6) for name, share in shares.items()}
        return pa.table({"grp": pa.array(list(most), pa.string()), "most": pa.array(list(most.values()), pa.int64())})

    def _diversify(self, spool: VectorSpool) -> None:
        """Replace `candidate` by a greedy choice, keyed so that its order is that of the choice."""
        from jobs.decide.diverse import diversify

        budgets = {row["grp"]: row["most"] for row in self._budgets().to_pylist()}
        con = self._con
        with threadpool_limits(1, "blas"):
            con.execute(statement("select/diverse_table"))
            for table in diversify(con.cursor(), spool, budgets, self.choice.per_query, self.run.lam):
                con.register("piece", table)
                con.execute(statement("select/diverse_piece"))
        con.execute("DROP TABLE candidate")
        con.execute("ALTER TABLE diverse RENAME TO candidate")

    def rows(self) -> Iterator[pa.Table]:
        """Yield the chosen triples in the order of the file: by records, the one with the best triple first."""
        for batch in self._con.table("chosen").to_arrow_reader(10_000):
            yield pa.Table.from_batches([batch])

    def ids(self) -> np.ndarray:
        """Return the distinct ids of the texts that the chosen triples need, ascending, S16."""
        found = [np.concatenate([from_arrow(rows[name]) for name in IDS]) for rows in self.rows()]
        return unique(np.concatenate(found))


def _without_near_duplicates(found: pa.Table, spool: VectorSpool) -> pa.Table:
    """Leave out triples whose negative and positive have a similarity over NEAR_DUPLICATE."""
    keep = [np.zeros(0, dtype=bool)]
    for start in range(0, len(found), PIECE):
        ids, (_, p, n) = refs_of(found.slice(start, PIECE))
        vectors = spool.take(ids)
        keep.append(np.einsum("ij,ij->i", vectors[p], vectors[n], dtype=np.float64) <= NEAR_DUPLICATE)
    return found.filter(pa.array(np.concatenate(keep)))


def order_said(choice: Choice, record: int) -> str:
    """Return the order of a training file in words. `record`: most triples of a record."""
    order = "in the order of the greedy choice" if choice.diverse else f"best {choice.by} first"
    return order if record == 1 else f"{order} (each record by its best triple)"


def select(
    out: str,
    to: str,
    format_name: str,
    choice: Choice,
    run_id: str | None = None,
    memory: int = 0,
    shard_rows: int = 0,
    negatives: int | None = None,
) -> dict[str, Any]:
    """Write a run's chosen triples to a folder or URL, or to a table of a lake, and return the manifest.

    Files: TO/data/part-NNNNN.parquet or .jsonl (sbert-tuples of several negatives: TO/data/negatives-K/...), and last
    TO/manifest.json, which names the run, the choice, the order, the files.

    Table (`delta:PATH_OR_URL`, `iceberg:CATALOG/NAMESPACE.TABLE`): the rows of the format `triples` in the place of those
    that it holds, in one commit; what it holds already is not written again. `version` and `written` stand for the files.

    Order: the best triple first, of equal ones the smaller id. Where a record holds several triples of a query and
    positive, they stand best first, and the records in the order of their best triples. A table has no order.

    Args:
        memory: bytes to stay within (0: the default share of the machine).  shard_rows: triples of a file (0: 100,000).
        negatives: most negatives of a row of sbert-tuples (None: the choice's per_query, else 1).

    Raises:
        InputError: no such run, source or format; TO holds something already (a table: rows that eci select has not
            written); nothing passes the filters; the run is over a sample of the queries, and the choice does not say
            `sampled`; another format, or sizes of files, for a table.
        EciError: a table cannot be written.
    """
    from jobs.decide.training_files import MOST_NEGATIVES, SHARD_ROWS, TUPLES, output_named, rows_of, write_shards
    from jobs.decide.training_table import table_for
    from jobs.finished.spools import spool_texts

    if format_name == TUPLES and negatives is None:
        negatives = min(choice.per_query or 1, MOST_NEGATIVES)
    output = output_named(format_name, negatives)
    table = table_for(to, format_name, shard_rows) if prefix_of(to) else None
    run, store = Finished.open(out, run_id), None if table else Store(to)
    place = filling(store, r"data|manifest\.json", last="manifest.json") if store else nullcontext()
    with place, Selection(run, choice, memory or default_memory(), output.record) as selection:

        @cache
        def texts() -> TextSpool:
            return spool_texts(run, selection.ids(), selection.folder)

        manifest: dict[str, Any] = {
            "run_id": run.run_id,
            "formula_version": run.manifest["formula_version"],
            "encoder": run.manifest["encoder"],
            "format": format_name,
            "negatives": negatives,
            "choice": asdict(selection.choice),
            "order": order_said(selection.choice, output.record),
            "sample": run.sample,
            "triples": sum(selection.counts.values()),
            "sources": selection.counts,
        }
        if table:
            manifest |= table.write(manifest, lambda: rows_of(selection.rows(), texts()))
        if store:
            rows = rows_of(selection.rows(), texts())
            manifest["files"] = write_shards(rows, format_name, store, shard_rows or SHARD_ROWS, negatives)
            store.write_text("manifest.json", json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False))
    return manifest
