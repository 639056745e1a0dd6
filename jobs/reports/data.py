"""What the report shows, as plain numbers and strings: read from a run's tables, small whatever the run's size.

Covers: a committed run, or one whose files are in place and whose manifest is about to be written. Scores are read by
DuckDB in two passes and never held: histograms and extremes only. Does not cover: how any of it looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from eci_sql.connection import connect, statement
from jobs.output.catalog import listed, rows_of
from jobs.output.comparable import ablations_of, rows_of_others
from jobs.output.records import Manifest, PairRow, SourceRow
from jobs.output.runs import layout_of
from jobs.output.store import Store
from jobs.output.tables import (
    PROBE_CURVE,
    PROBE_PAIRS,
    REJECTS,
    SCORES,
    SOURCE_ECI,
    SOURCE_PAIRS,
    SOURCE_PROBE,
    TEXTS,
    Table,
)
from jobs.output.verified import read_published
from jobs.probing.answer import Probed
from jobs.probing.cautions import Facts

if TYPE_CHECKING:
    import duckdb

MOST_SOURCES = 40
EXAMPLES = 5
TO_JUDGE = 20
CLIP = 700
BIN = 0.02
TO_COMPARE = 6
LOOKED_AT = 300_000
"""Triples of which it is counted what sources share, and where they differ: those of a sample of the queries beyond it."""


class Violations(NamedTuple):
    """The violations of a source that nobody has judged: how many there are, and some by chance with clipped texts."""

    total: int
    triples: list[dict[str, Any]]


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        out: the output root, as commands take it.
        manifest: the run's manifest.
        ranking: rows of source_eci, by the probe's rank; behind, and where there is no probe, by their own; those
            without a rank (mixtures) last.
        pairs: rows of source_pairs between the sources of `shown`.
        shown: names of the sources that get panels: the first MOST_SOURCES of kind `source`, in the order of `ranking`.
        histograms: measure (`s_pos`, `s_neg`, `margin`) -> source -> list of (left edge, share of triples).
        examples: source -> (best, worst) by weight, each a dict of scores and clipped texts.
        violations: source -> those to judge, in no order, each as an example has it.
        shared: source -> source -> pairs of a query and a negative that both have (of itself: all of its own), over the
            first `looked_at` of the queries.
        apart: pairs of triples of two sources for one query and positive, (most, least) weight, the largest difference first.
        rejects: dicts of source (or None), reason, rows, detail (one of them).
        history: rows of source_eci of comparable runs, oldest first.  other_runs: runs that are not comparable.
        ablations: rows of OUT/ablations/<run_id>.parquet, empty where none were made.
        probe: what the sources do to held-out queries, None where they were not tried out.
        why_no_probe: a sentence that says why not; None for a run older than the probe, too.
    """

    out: str
    manifest: Manifest
    ranking: list[SourceRow]
    pairs: list[PairRow]
    shown: tuple[str, ...]
    histograms: dict[str, dict[str, list[tuple[float, float]]]]
    examples: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]
    violations: dict[str, Violations]
    shared: dict[str, dict[str, int]]
    looked_at: float
    apart: list[tuple[dict[str, Any], dict[str, Any]]]
    rejects: list[dict[str, Any]]
    history: list[SourceRow]
    other_runs: int
    ablations: list[dict[str, Any]]
    probe: Probed | None
    why_no_probe: str | None


def read_report(store: Store, folder: str, manifest: Manifest, memory: int, threads: int) -> ReportData:
    """Read what the report needs, of files that were checked.

    Args:
        store: the output root.
        folder: the run's folder below it, published or not.
        manifest: the run's manifest; its files are read below `folder`.
        memory: bytes that DuckDB may use.  threads: its threads.

    Raises:
        DamagedError: a table is not what the manifest says.
        OSError, duckdb.Error, pyarrow.ArrowException: a table cannot be read.
    """
    probe = _probe(store, folder, manifest)
    place = {row["source"]: row["rank"] for row in probe.rows} if probe else {}
    ranking: list[SourceRow] = sorted(
        _rows(store, folder, manifest, SOURCE_ECI),
        key=lambda row: (place.get(row["source"], math.inf), *_rank_order(row)),
    )
    shown = tuple(row["source"] for row in ranking if row["kind"] == "source")[:MOST_SOURCES]
    every: list[PairRow] = _rows(store, folder, manifest, SOURCE_PAIRS)
    pairs = [pair for pair in every if pair["a"] in shown and pair["b"] in shown]
    files = _files(store, folder, manifest)
    with _database(store, memory, threads) as con:
        for table in (SCORES, TEXTS, REJECTS):
            if table.name in files:
                con.sql(rows_of(listed(files[table.name]), table, layout_of(manifest))).create_view(table.name)
        histograms = _histograms(con, shown) if "scores" in files else {}
        examples = _examples(con, shown, "texts" in files) if "scores" in files else {}
        violations = _violations(con, shown, "texts" in files) if "scores" in files else {}
        looked_at = min(1.0, LOOKED_AT / max(manifest["totals"]["scored"], 1))
        shared = _shared(con, shown, looked_at) if "scores" in files else {}
        apart = _apart(con, shown, looked_at, "texts" in files) if "scores" in files else []
        rejects = _rejects(con) if "rejects" in files else []
    history, others = _history(store, manifest, ranking)
    return ReportData(
        store.path(), manifest, ranking, pairs, shown, histograms, examples, violations, shared, looked_at, apart, rejects,
        history, others, ablations_of(store, manifest["run_id"]), probe, manifest.get("why_no_probe"),
    )  # fmt: skip


def _rank_order(row: SourceRow) -> tuple[bool, int, float]:
    return row["rank"] is None, row["rank"] or 0, -row["eci"]


def made_at(manifest: Manifest) -> str:
    """Return when a run was committed, such as `2026-01-31 02:30 UTC`."""
    return f"{manifest['created_at'][:16].replace('T', ' ')} UTC"


def by_eci(data: ReportData) -> list[SourceRow]:
    """Return the rows that have a rank by ECI, in its order."""
    return sorted((row for row in data.ranking if row["rank"] is not None), key=_rank_order)


def _probe(store: Store, folder: str, manifest: Manifest) -> Probed | None:
    if SOURCE_PROBE.files not in {file["path"] for file in manifest["files"]}:
        return None
    rows, pairs, curve = (_rows(store, folder, manifest, table) for table in (SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE))
    return Probed(sorted(rows, key=lambda row: row["rank"]), pairs, curve)


def _rows(store: Store, folder: str, manifest: Manifest, table: Table) -> list[Any]:
    """Return the rows of a table of one file as dicts. Raises DamagedError."""
    return list(read_published(store, folder, manifest, table.files).to_pylist())


def _files(store: Store, folder: str, manifest: Manifest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in manifest["files"]:
        if file["rows"]:
            found.setdefault(file["table"], []).append(store.path(f"{folder}/{file['path']}"))
    return found


@contextmanager
def _database(store: Store, memory: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(memory, threads) as con:
        if not store.local:
            con.register_filesystem(store.filesystem()[0])
        yield con


def _histograms(
    con: duckdb.DuckDBPyConnection, shown: tuple[str, ...]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    rows = con.sql(statement("report/histograms"), params={"bin": BIN, "sources": list(shown)}).fetchall()
    counts: dict[str, dict[str, dict[int, int]]] = {m: {s: {} for s in shown} for m in ("s_pos", "s_neg", "margin")}
    for source, pos, neg, margin, n in rows:
        for measure, value in (("s_pos", pos), ("s_neg", neg), ("margin", margin)):
            if value is not None:
                counts[measure][source][value] = n
    return {measure: {s: _filled(found) for s, found in of.items()} for measure, of in counts.items()}


def _filled(counts: dict[int, int]) -> list[tuple[float, float]]:
    """Return shares for every bin from the first to the last, empty ones too."""
    total = sum(counts.values())
    if not total:
        return []
    return [(round(k * BIN, 4), counts.get(k, 0) / total) for k in range(min(counts), max(counts) + 1)]


def _examples(
    con: duckdb.DuckDBPyConnection, shown: tuple[str, ...], texts: bool
) -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    found = {}
    params = {"n": EXAMPLES, "sources": list(shown)}
    for source, best, worst in con.sql(statement("report/extremes"), params=params).fetchall():
        taken = {triple["triple_id"] for triple in best}
        found[source] = (best, [triple for triple in worst if triple["triple_id"] not in taken])
    _with_texts(con, [triple for both in found.values() for side in both for triple in side], texts)
    return found


def _violations(con: duckdb.DuckDBPyConnection, shown: tuple[str, ...], texts: bool) -> dict[str, Violations]:
    params = {"n": TO_JUDGE, "sources": list(shown)}
    rows = con.sql(statement("report/violations"), params=params).fetchall()
    found = {source: Violations(total, triples) for source, total, triples in rows}
    _with_texts(con, [triple for some in found.values() for triple in some.triples], texts)
    return {source: found[source] for source in shown if source in found}


def _until(part: float) -> str:
    """Return the id below which so many of all ids are."""
    return "g" if part >= 1 else f"{int(part * 2**32):08x}"


def _shared(con: duckdb.DuckDBPyConnection, shown: tuple[str, ...], part: float) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {source: {} for source in shown}
    params = {"sources": list(shown), "until": _until(part)}
    for a, b, n in sorted(con.sql(statement("report/shared"), params=params).fetchall()):
        found[a][b] = n
    return found


def _apart(
    con: duckdb.DuckDBPyConnection, shown: tuple[str, ...], part: float, texts: bool
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    params = {"sources": list(shown), "until": _until(part), "n": TO_COMPARE}
    found = [(most, least) for _, most, least in con.sql(statement("report/apart"), params=params).fetchall()]
    _with_texts(con, [triple for both in found for triple in both], texts)
    return found


def _with_texts(con: duckdb.DuckDBPyConnection, triples: list[dict[str, Any]], texts: bool) -> None:
    """Put the texts of query, positive and negative into triples that have their ids. `texts`: whether the run has some."""
    ids = sorted({triple[f"{role}_id"] for triple in triples for role in ("query", "positive", "negative")})
    known: dict[Any, tuple[str | None, str | None]] = {}
    if texts:
        rows = con.sql(statement("report/texts"), params={"ids": ids, "most": CLIP + 1}).fetchall()
        known = {row[0]: (row[1], row[2]) for row in rows}
    for triple in triples:
        for role in ("query", "positive", "negative"):
            user, text = known.get(triple[f"{role}_id"], (None, None))
            triple[f"{role}_user_id"] = user
            triple[role] = _clipped(text if text is not None else f"id {user or triple[f'{role}_id']}")


def _clipped(text: str) -> str:
    return text if len(text) <= CLIP else text[: CLIP - 1].rstrip() + "…"


def _rejects(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return list(con.sql(statement("report/rejects"), params={"most": CLIP}).to_arrow_table().to_pylist())


def _history(store: Store, manifest: Manifest, ranking: list[SourceRow]) -> tuple[list[SourceRow], int]:
    """Return rows of the runs that can be compared with this one (its own among them), and how many cannot."""
    rows, others = list(ranking), 0
    for found in rows_of_others(store, manifest, ranking):
        rows += found or []
        others += found is None
    return sorted(rows, key=lambda row: (row["created_at"], row["run_id"])), others


def names_of(data: ReportData) -> list[str]:
    """Return the names of all sources and hybrids of the run, scored or tried out."""
    tried = [row["source"] for row in data.probe.rows] if data.probe else []
    gone = [row["source"] for row in data.history]
    return list(dict.fromkeys([*(row["source"] for row in data.ranking), *tried, *gone]))


def facts_of(data: ReportData) -> Facts:
    """Return what the warnings look at."""
    run_id = data.manifest["run_id"]
    earlier = max((row["run_id"] for row in data.history if row["run_id"] < run_id), default=None)
    before = [row for row in data.history if row["run_id"] == earlier]
    return Facts(data.ranking, data.probe, data.ablations, before or None)


def digits_of(ranking: list[SourceRow]) -> int:
    """Return the decimals that give the largest ECI three digits. `ranking`: rows of source_eci."""
    top = max((row["eci"] for row in ranking), default=0.0)
    return 4 if not top > 0 else min(8, max(1, 2 - math.floor(math.log10(top))))


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is not a finite number."""
    return value if value is not None and math.isfinite(value) else None
