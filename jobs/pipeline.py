"""The main job: from a validated configuration to a committed run.

Prepares (reads no row), takes the output root, runs the stages, checks that every row is accounted for, commits.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from jobs import commit, work
from jobs.cluster import Cluster, Task
from jobs.collect import collect_task
from jobs.config import RunConfig
from jobs.embed import embed_task
from jobs.errors import EciError, InputError
from jobs.exchange import exchange_task, vocabulary_task
from jobs.hybrids import kind_and_parts, resolve, shares_named
from jobs.ingest import bad_file_task, ingest_task
from jobs.lock import holding
from jobs.lookup import index_task, lookup_task
from jobs.prepare import Prepared, prepare
from jobs.progress import Progress, Silent
from jobs.rank import information_task, mixture_task, moments_task, rank_tables, rejects_task
from jobs.score import distinct_task, score_task
from jobs.settle import settle_task
from jobs.settings import job_for
from jobs.store import Store
from jobs.tables import FORMULA_VERSION, SOURCE_ECI, SOURCE_PAIRS
from jobs.triple_information import factor_task, triples_task
from jobs.vectors import vectors_task


@dataclass(frozen=True)
class RunResult:
    """A committed run: its id, where it lies, the ranking (table source_eci), and the manifest's totals and stages.

    `unchanged`: nothing was new since this run, so it stands and nothing was computed.
    """

    run_id: str
    out: str
    ranking: pa.Table
    totals: dict[str, int]
    stages: dict[str, Any]
    unchanged: bool = False


def run(config: RunConfig, progress: Progress | None = None) -> RunResult:
    """Score everything that the configuration names and commit the result.

    Raises:
        InputError: something about the input or the settings is wrong; nothing was published.
        HeldError: another run holds the output root.
        EciError: a stage failed; a rerun goes on from the finished tasks.
    """
    prepared = prepare(config)
    store = Store(config.out)
    fresh = not store.exists("")
    try:
        with holding(store):
            return _run(config, prepared, store, progress or Silent())
    except InputError:
        if fresh:
            store.remove("")
        raise


def _run(config: RunConfig, prepared: Prepared, store: Store, progress: Progress) -> RunResult:
    key = work_key(prepared)
    standing = _standing(store, key)
    if standing is not None:
        return standing
    job = _job(config, prepared, store, key)
    try:
        if not store.exists(f"runs/{job.run_id}/manifest.json"):
            with Cluster(config, job.threads, progress) as cluster:
                Stages(config, prepared, job, progress, key).run(cluster)
        commit.finish(store, job.run_id)
        store.remove(job.work)
    except InputError:
        # what the input or the settings did wrong leaves nothing behind
        store.remove(job.work)
        raise
    return result_of(store, job.run_id)


def work_key(prepared: Prepared) -> str:
    """Return the hash of everything that a run's result depends on, 16 hex digits."""
    return hashlib.sha256(json.dumps(prepared.identity, sort_keys=True).encode()).hexdigest()[:16]


def _standing(store: Store, key: str) -> RunResult | None:
    """Return the newest committed run if it is over just the same inputs, settings and versions: nothing is new then."""
    if not store.exists("LATEST"):
        return None
    run_id = commit.latest(store)
    if commit.read_manifest(store, run_id).get("work_key") != key:
        return None
    result = result_of(store, run_id)
    totals = result.totals | {"texts_embedded": 0, "cache_hits": result.totals["texts"]}
    return replace(result, totals=totals, unchanged=True)


def result_of(store: Store, run_id: str) -> RunResult:
    """Read a committed run back."""
    import pyarrow.parquet as pq

    manifest = commit.read_manifest(store, run_id)
    with store.open(f"runs/{run_id}/{SOURCE_ECI.files}") as source:
        ranking = pq.read_table(source)
    return RunResult(run_id, store.path(), ranking, manifest["totals"], manifest["stages"])


def _job(config: RunConfig, prepared: Prepared, store: Store, key: str) -> work.Job:
    """Return the job: the run that was begun over the same inputs and settings, or a new one."""
    state = f"work/{key}/run.json"
    try:
        run_id = str(json.loads(store.read_text(state))["run_id"])
    except (FileNotFoundError, ValueError, KeyError):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        run_id = commit.free_run_id(store, f"{stamp}-{key[:6]}")
        store.write_text(state, json.dumps({"run_id": run_id, "identity": prepared.identity}))
    return job_for(config, f"work/{key}", prepared.buckets, run_id, prepared.encoder)


class Stages:
    """The stages of one run, in order; each reads what the ones before have returned."""

    def __init__(self, config: RunConfig, prepared: Prepared, job: work.Job, progress: Progress, key: str) -> None:
        self.config, self.prepared, self.job, self.progress, self.key = config, prepared, job, progress, key
        self.done: dict[str, dict[str, dict[str, Any]]] = {}
        self.folds = [f"{fold:02d}" for fold in range(job.folds)]
        self.buckets = [f"{bucket:03d}" for bucket in range(job.buckets)]

    def run(self, cluster: Cluster) -> None:
        """Run every stage and commit."""

        def stage(name: str, tasks: dict[str, Task], rows: int | None = None) -> dict[str, dict[str, Any]]:
            self.done[name] = cluster.run(self.job, name, tasks, rows)
            return self.done[name]

        self._read(stage)
        self.hybrids = resolve(self.config.hybrids, self.sources())
        settled = stage("settle", self._settle())
        self._require_rows(settled)
        cells = [(fold, len(settled[fold]["parts"])) for fold in self.folds]
        stage("collect", self._collect(cells))
        passages = sum(s["passages"] for s in self.done["collect"].values())
        stage("vocabulary", {"all": Task(vocabulary_task, {"buckets": self.buckets, "passages": passages})})
        if self.job.encoder is not None:
            texts = sum(s["texts"] for s in self.done["collect"].values())
            stage("embed", {b: Task(embed_task, reports=True) for b in self.buckets}, texts)
        stage("exchange", self._exchange(cells))
        sources = self.sources()
        stage("score", self._score(cells, sources), sum(sum(settled[f]["parts"]) for f in self.folds))
        pooled = [[sources.index(part) for part in parts] for parts in self.hybrids.values()]
        stage("distinct", {b: Task(distinct_task, {"bucket": i, "folds": self.folds, "sources": sources, "hybrids": pooled})
                           for i, b in enumerate(self.buckets)})  # fmt: skip
        self._rank(stage, sources)
        if self.config.information:
            self._inform(stage, cells, sources)
        self._commit(sources)

    def _read(self, stage: Any) -> None:
        prepared, job = self.prepared, self.job
        if prepared.texts:
            stage("lookup", {t.name: Task(lookup_task, {"unit": t.unit, "side": t.side, "options": t.options})
                             for t in prepared.texts})  # fmt: skip
            stage("index", {side: Task(index_task, {"side": side, "parts": [t.name for t in prepared.texts if t.side == side]})
                            for side in prepared.indexed})  # fmt: skip
            # index files are opened under the lookup stage's folder, by their side
        if prepared.vectors:
            stage("vectors", {v.name: Task(vectors_task, {"unit": v.unit, "indexed": prepared.indexed})
                              for v in prepared.vectors})  # fmt: skip
            digest = sum(int(s["digest"], 16) for s in self.done["vectors"].values()) % (1 << 128)
            self.job = replace(job, fingerprint=f"vectors-{digest:032x}"[:24])
        tasks = {}
        for number, item in enumerate(prepared.inputs):
            if item.unit is None:
                tasks[item.name] = Task(bad_file_task, {"error": item.error})
            else:
                tasks[item.name] = Task(ingest_task, {"number": number, "unit": item.unit, "format_name": item.format,
                                                      "options": item.options, "indexed": prepared.indexed})  # fmt: skip
        stage("ingest", tasks)

    def _chunks(self, name: str) -> list[tuple[str, int]]:
        return [(task, summary["chunks"]) for task, summary in self.done.get(name, {}).items()]

    def _settle(self) -> dict[str, Task]:
        units = self._chunks("ingest")
        return {name: Task(settle_task, {"fold": fold, "units": units}) for fold, name in enumerate(self.folds)}

    def _require_rows(self, settled: dict[str, dict[str, Any]]) -> None:
        if any(sum(s["parts"]) for s in settled.values()):
            return
        rows = sum(s["rows"] for s in self.done["ingest"].values())
        rejects = self._rejects_task()
        summary = rejects.function(self.job, "all", **rejects.arguments)
        reasons = ", ".join(f"{n} x {reason}" for reason, n in sorted(summary["by_reason"].items()))
        first = _first_detail(self.job)
        raise InputError(f"no triple can be scored: {rows} rows in, all rejected ({reasons or 'none read'}){first}")

    def _collect(self, cells: list[tuple[str, int]]) -> dict[str, Task]:
        origins = [(stage, name, chunks) for stage in ("lookup", "ingest") for name, chunks in self._chunks(stage)]
        return {
            name: Task(collect_task, {"bucket": bucket, "cells": cells, "origins": origins})
            for bucket, name in enumerate(self.buckets)
        }

    def _exchange(self, cells: list[tuple[str, int]]) -> dict[str, Task]:
        units = self._chunks("vectors")
        return {
            name: Task(exchange_task, {"bucket": bucket, "cells": cells, "vector_units": units})
            for bucket, name in enumerate(self.buckets)
        }

    def sources(self) -> list[str]:
        """Return the sources that ingest met, by name."""
        return sorted({source for summary in self.done["ingest"].values() for source in summary["sources"]})

    def _score(self, cells: list[tuple[str, int]], sources: list[str]) -> dict[str, Task]:
        tasks, first = {}, 0
        for fold, (name, parts) in enumerate(cells):
            arguments = {"fold": fold, "parts": parts, "first": first, "buckets": self.buckets, "sources": sources}
            tasks[name] = Task(score_task, arguments, reports=True)
            first += parts
        return tasks

    def _rejects_task(self) -> Task:
        read = [("lookup", t.name, t.unit.path) for t in self.prepared.texts]
        read += [("ingest", item.name, item.path) for item in self.prepared.inputs]
        folded = [(stage, fold) for stage in ("settle", "score") if stage in self.done for fold in self.folds]
        files = [item.path for item in self.prepared.inputs]
        return Task(rejects_task, {"read": read, "files": files, "folded": folded})

    def _rank(self, stage: Any, sources: list[str]) -> None:
        stage("rejects", {"all": self._rejects_task()})
        stage("moments", {"all": Task(moments_task, {"sources": len(sources), "folds": self.folds})})
        numbers = [[i] for i in range(len(sources))]
        numbers += [[sources.index(part) for part in parts] for parts in self.hybrids.values()]
        found = stage("information", {f"{i:05d}": Task(information_task, {"numbers": n, "folds": self.folds})
                                      for i, n in enumerate(numbers)})  # fmt: skip
        scored = [i for i in range(len(sources)) if found[f"{i:05d}"]["n_examples"]]
        if len(scored) > 1:
            stage("mixture", {"best": Task(mixture_task, {"numbers": scored, "folds": self.folds})})

    def _inform(self, stage: Any, cells: list[tuple[str, int]], sources: list[str]) -> None:
        """Fill the scores' column `information`: a second pass over the exchanged vectors."""
        scored = [i for i in range(len(sources)) if self.done["information"][f"{i:05d}"]["n_examples"]]
        kept = stage("factor", {f"{i:05d}": Task(factor_task, {"number": i, "folds": self.folds}) for i in scored})
        factors = {sources[i]: (f"{i:05d}", kept[f"{i:05d}"]["n_examples"]) for i in scored}
        tasks, first = {}, 0
        for name, parts in cells:
            arguments = {"parts": parts, "first": first, "buckets": self.buckets, "factors": factors}
            tasks[name] = Task(triples_task, arguments, reports=True)
            first += parts
        stage("triples", tasks, sum(s["scored"] for s in self.done["score"].values()))

    def _commit(self, sources: list[str]) -> None:
        job, created = self.job, datetime.now(UTC)
        rejected = self.done["rejects"]["all"]["by_source"]
        found, counts = {}, {}
        for i, (name, parts) in enumerate([*((s, (s,)) for s in sources), *self.hybrids.items()]):
            summary = self.done["information"][f"{i:05d}"]
            if summary["n_examples"]:
                found[name] = kind_and_parts(name, parts, self.done["information"], sources) | _numbers(summary)
                counts[name] = {
                    "n_rejected": sum(rejected.get(part, 0) for part in parts),
                    **{f"n_{kind}": sum(s[kind][i] for s in self.done["distinct"].values())
                       for kind in ("queries", "negatives")},
                }  # fmt: skip
        best = self.done.get("mixture", {}).get("best")
        scored = [source for source in sources if source in found]
        mixture = None if best is None else shares_named(_numbers(best), scored)
        ranking, pairs = rank_tables(job, found, counts, created, self.prepared.encoder.label, mixture)
        work.publish(job, SOURCE_ECI.files, [ranking], SOURCE_ECI.schema)
        work.publish(job, SOURCE_PAIRS.files, [pairs], SOURCE_PAIRS.schema)
        commit.commit(job, self._manifest(created))

    def _totals(self) -> dict[str, int]:
        embed = self.done.get("embed", {}).values()
        texts = self.done.get("lookup", {}).values()
        totals = {
            "rows_in": sum(s["rows"] for s in self.done["ingest"].values()),
            "scored": sum(s["scored"] for s in self.done["score"].values()),
            "rejected": self.done["rejects"]["all"]["rows"] - sum(s["rejected"] for s in texts),
            "duplicates": sum(s["duplicates"] for s in self.done["settle"].values()),
            "texts": sum(s["texts"] for s in self.done["collect"].values()),
            "texts_embedded": sum(s["embedded"] for s in embed),
            "cache_hits": sum(s["cache_hits"] for s in embed),
            "rejected_texts": sum(s["rejected"] for s in texts),
        }
        if totals["rows_in"] != totals["scored"] + totals["rejected"] + totals["duplicates"]:
            raise EciError(f"rows in are not scored + rejected + duplicates: {totals} (this is a bug in eci-lake)")
        return totals

    def _manifest(self, created: datetime) -> dict[str, Any]:
        stages = {
            name: {
                "tasks": len(tasks),
                "seconds": round(sum(s.get("seconds", 0) for s in tasks.values()), 3),
                "peak_bytes": max((s.get("peak_bytes", 0) for s in tasks.values()), default=0),
            }
            for name, tasks in self.done.items()
        }
        packages = ("eci-lake", "duckdb", "polars", "pyarrow", "numpy", "onnxruntime", "tokenizers", "dask")
        return {
            "run_id": self.job.run_id,
            "work_key": self.key,
            "created_at": created.isoformat(),
            "formula_version": FORMULA_VERSION,
            "encoder": {"name": self.prepared.encoder.label, "fingerprint": self.job.fingerprint, "dim": self.job.dim},
            "settings": self.config.model_dump(mode="json", by_alias=True, exclude={"out"})
            | {"temperature": self.job.temperature, "buckets": self.job.buckets},
            "inputs": [asdict(file) for file in self.prepared.files],
            "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
            "files": commit.published_files(self.job.store, self.job.publish),
            "totals": self._totals(),
            "rejects": self.done["rejects"]["all"]["by_reason"],
            "stages": stages,
        }


def _numbers(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in ("seconds", "peak_bytes")}


def _first_detail(job: work.Job) -> str:
    import pyarrow.parquet as pq

    with job.store.open(f"{job.publish}/rejects/part-000.parquet") as source:
        rows = pq.read_table(source, columns=["file", "row", "detail"]).slice(0, 1).to_pylist()
    return f"; the first: {rows[0]['file']} row {rows[0]['row']}: {rows[0]['detail']}" if rows else ""
