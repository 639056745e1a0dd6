"""The stages of one run, in order. Each is a set of tasks whose names, and the files they write, follow from the inputs.

A run that may stop early takes the last stages look by look, over nested samples of the queries; the tasks of look K
are named like those of a whole run, with -KK behind.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.ingest.collect import Cells, collect_task
from jobs.ingest.index import index_task, lookup_task
from jobs.ingest.rows import bad_file_task, ingest_task
from jobs.ingest.settle import settle_task
from jobs.ingest.vocabulary import vocabulary_task
from jobs.output.commit import commit
from jobs.output.tables import SOURCE_ECI, SOURCE_PAIRS
from jobs.pipeline.cluster import Cluster, Stage
from jobs.pipeline.manifest import make_manifest
from jobs.pipeline.prepare import Prepared
from jobs.pipeline.worker import MEASURED, Task
from jobs.ranking.hybrids import kind_and_parts, resolve, shares_named
from jobs.ranking.information import information_task
from jobs.ranking.looks import Sample, judge_look, plan_looks
from jobs.ranking.mixtures import mixture_task
from jobs.ranking.rank import moments_task, rank_tables
from jobs.ranking.rejects import rejects_task
from jobs.reports.page import write_report
from jobs.scoring.members import distinct_task
from jobs.scoring.score import score_task
from jobs.scoring.triple_information import factor_task, triples_task
from jobs.vectors.embed import embed_task
from jobs.vectors.exchange import Exchanged, exchange_task, shared_files
from jobs.vectors.given import vectors_task
from jobs.work.files import publish
from jobs.work.job import Job

Done = dict[str, dict[str, dict[str, Any]]]
"""Summaries of finished tasks: stage -> task -> summary."""


class Stages:
    """The stages of one run, in order; each reads what the ones before have returned."""

    def __init__(self, config: RunConfig, prepared: Prepared, job: Job, cluster: Cluster, key: str) -> None:
        self.config, self.prepared, self.job, self.cluster, self.key = config, prepared, job, cluster, key
        self.done: Done = {}
        self.hybrids: dict[str, tuple[str, ...]] = {}
        self.scored: list[str] = []
        self.information: list[dict[str, Any]] = []
        self.folds = [f"{fold:02d}" for fold in range(job.folds)]
        self.buckets = [f"{bucket:03d}" for bucket in range(job.buckets)]

    def run(self) -> None:
        """Run every stage and commit."""
        self._read()
        self.hybrids = resolve(self.config.hybrids, self.sources())
        settled = self._stage("settle", self._settle())
        self._require_rows(settled)
        self._stage("collect", self._collect(self._all_parts()))
        passages = sum(s["passages"] for s in self.done["collect"].values())
        self._stage("vocabulary", {"all": Task(vocabulary_task, {"buckets": self.buckets, "passages": passages})})
        looks = plan_looks(settled, self.config.until_decided is not None, self.config.sample_queries)
        for number, cells in enumerate(looks.cells):
            self._look(cells, "" if looks.whole else f"-{number:02d}", number + 1 == len(looks.cells))
            self.sample: Sample = self._judge(looks, number)
            if self.sample.decided:
                break
        if "rejects" not in self.done:
            self._together(*self._summaries())
        if self.config.information:
            self._inform(self._with_examples())
        self._commit(self.sources())

    def _together(self, *stages: Stage) -> None:
        for name, found in self.cluster.run(self.job, *stages).items():
            self.done.setdefault(name, {}).update(found)

    def _stage(self, name: str, tasks: dict[str, Task], rows: int | None = None) -> dict[str, dict[str, Any]]:
        self._together(Stage(name, tasks, rows))
        return self.done[name]

    def _look(self, cells: Cells, suffix: str, last: bool) -> None:
        """Embed, exchange and score the parts of one look, and score the sources over all looks so far.

        `last`: no look comes after this one, so that what follows the scores need not wait for the information.
        """
        if self.job.encoder is not None:
            whole = None if not suffix else cells
            texts = 0 if suffix else sum(s["texts"] for s in self.done["collect"].values())
            self._stage("embed", {b + suffix: Task(embed_task, {"bucket": i, "cells": whole}, reports=True)
                            for i, b in enumerate(self.buckets)}, texts or None)  # fmt: skip
        self._stage("exchange", self._exchange(cells, suffix))
        rows = sum(sum(self.done["settle"][fold]["parts"][start:stop]) for fold, start, stop in cells)
        scored = self._score(cells, suffix)
        self._stage("score", scored, rows)
        self.scored += list(scored)
        sources = self.sources()
        numbers = [[i] for i in range(len(sources))]
        numbers += [[sources.index(part) for part in parts] for parts in self.hybrids.values()]
        tasks = {f"{i:05d}{suffix}": Task(information_task, {"numbers": n, "folds": list(self.scored)})
                 for i, n in enumerate(numbers)}  # fmt: skip
        self._together(*(self._summaries() if last else []), Stage("information", tasks))
        self.information = [self.done["information"][f"{i:05d}{suffix}"] for i in range(len(numbers))]

    def _judge(self, looks: Any, number: int) -> Sample:
        return judge_look(looks, number, self.information[: len(self.sources())], self.sources(), self.config, self.job)

    def _with_examples(self) -> list[int]:
        """Return the numbers of the sources that have scored triples."""
        with_examples = {source for s in self.done["score"].values() for source in s["by_source"]}
        return [i for i, source in enumerate(self.sources()) if source in with_examples]

    def _summaries(self) -> list[Stage]:
        """Return the stages that need the scores alone, those of one long task first."""
        sources, scored = self.sources(), self._with_examples()
        pooled = [[sources.index(part) for part in parts] for parts in self.hybrids.values()]
        arguments = {"folds": self.scored, "sources": sources, "hybrids": pooled}
        stages = [
            Stage("mixture", {"best": Task(mixture_task, {"numbers": scored, "folds": self.scored})}),
            Stage("moments", {"all": Task(moments_task, {"sources": len(sources), "folds": self.scored})}),
            Stage("distinct", {b: Task(distinct_task, {"bucket": i, **arguments}) for i, b in enumerate(self.buckets)}),
            Stage("rejects", {"all": self._rejects_task()}),
        ]
        return stages if len(scored) > 1 else stages[1:]

    def _read(self) -> None:
        prepared, job = self.prepared, self.job
        if prepared.texts:
            self._stage("lookup", {t.name: Task(lookup_task, {"unit": t.unit, "side": t.side, "options": t.options})
                             for t in prepared.texts})  # fmt: skip
            self._stage("index", {side: Task(index_task, {"side": side, "parts": [t.name for t in prepared.texts if t.side == side]})
                            for side in prepared.indexed})  # fmt: skip
            # index files are opened under the lookup stage's folder, by their side
        if prepared.vectors:
            self._stage("vectors", {v.name: Task(vectors_task, {"unit": v.unit, "indexed": prepared.indexed})
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
        self._stage("ingest", tasks)

    def _chunks(self, name: str) -> list[tuple[str, int]]:
        return [(task, summary["chunks"]) for task, summary in self.done.get(name, {}).items()]

    def _settle(self) -> dict[str, Task]:
        units = self._chunks("ingest")
        rows = [sum(found) for found in zip(*(s["by_fold"] for s in self.done["ingest"].values()), strict=True)]
        banded = self.config.until_decided is not None or self.config.sample_queries is not None
        return {
            name: Task(settle_task, {"fold": fold, "units": units, "rows": rows[fold], "banded": banded})
            for fold, name in enumerate(self.folds)
        }

    def _require_rows(self, settled: dict[str, dict[str, Any]]) -> None:
        if any(sum(s["parts"]) for s in settled.values()):
            return
        rows = sum(s["rows"] for s in self.done["ingest"].values())
        rejects = self._rejects_task()
        summary = rejects.function(self.job, "all", **rejects.arguments)
        reasons = ", ".join(f"{n} x {reason}" for reason, n in sorted(summary["by_reason"].items()))
        first = _first_detail(self.job)
        raise InputError(f"no triple can be scored: {rows} rows in, all rejected ({reasons or 'none read'}){first}")

    def _all_parts(self) -> Cells:
        return [(fold, 0, len(self.done["settle"][fold]["parts"])) for fold in self.folds]

    def _collect(self, cells: Cells) -> dict[str, Task]:
        origins = [(stage, name, chunks) for stage in ("lookup", "ingest") for name, chunks in self._chunks(stage)]
        return {
            name: Task(collect_task, {"bucket": bucket, "cells": cells, "origins": origins})
            for bucket, name in enumerate(self.buckets)
        }

    def _exchange(self, cells: Cells, suffix: str) -> dict[str, Task]:
        units = self._chunks("vectors")
        return {
            self.buckets[served[0]] + suffix: Task(
                exchange_task, {"buckets": served, "cells": cells, "vector_units": units}
            )
            for served in shared_files(self.job.buckets)
        }

    def _exchanged(self, cells: Cells, suffix: str) -> Exchanged:
        return Exchanged(list(self._exchange(cells, suffix)), sum(stop - start for _, start, stop in cells))

    def sources(self) -> list[str]:
        """Return the sources that ingest met, by name."""
        return sorted({source for summary in self.done["ingest"].values() for source in summary["sources"]})

    def _score(self, cells: Cells, suffix: str) -> dict[str, Task]:
        tasks, first = {}, 0
        exchanged = self._exchanged(cells, suffix)
        for name, start, stop in cells:
            tasks[name + suffix] = Task(score_task, {
                "fold": int(name), "parts": (start, stop), "first": first, "exchanged": exchanged, "sources": self.sources(),
            }, reports=True)  # fmt: skip
            first += stop - start
        return tasks

    def _rejects_task(self) -> Task:
        read = [("lookup", t.name, t.unit.path) for t in self.prepared.texts]
        read += [("ingest", item.name, item.path) for item in self.prepared.inputs]
        folded = [("settle", fold) for fold in self.folds] + [("score", name) for name in self.scored]
        files = [item.path for item in self.prepared.inputs]
        return Task(rejects_task, {"read": read, "files": files, "folded": folded})

    def _inform(self, scored: list[int]) -> None:
        """Fill the scores' column `information`: a second pass over the exchanged vectors."""
        sources = self.sources()
        kept = self._stage(
            "factor", {f"{i:05d}": Task(factor_task, {"number": i, "folds": self.scored}) for i in scored}
        )
        factors = {sources[i]: (f"{i:05d}", kept[f"{i:05d}"]["n_examples"]) for i in scored}
        tasks, first = {}, 0
        cells = self._all_parts()
        exchanged = self._exchanged(cells, "")
        for name, _, parts in cells:
            arguments = {"parts": parts, "first": first, "exchanged": exchanged, "factors": factors}
            tasks[name] = Task(triples_task, arguments, reports=True)
            first += parts
        self._stage("triples", tasks, sum(s["scored"] for s in self.done["score"].values()))

    def _commit(self, sources: list[str]) -> None:
        job, created = self.job, datetime.now(UTC)
        rejected = self.done["rejects"]["all"]["by_source"]
        found, counts = {}, {}
        for i, (name, parts) in enumerate([*((s, (s,)) for s in sources), *self.hybrids.items()]):
            summary = self.information[i]
            if summary["n_examples"]:
                found[name] = kind_and_parts(name, parts, self.information, sources) | _numbers(summary)
                counts[name] = {
                    "n_rejected": sum(rejected.get(part, 0) for part in parts),
                    **{f"n_{kind}": sum(s[kind][i] for s in self.done["distinct"].values())
                       for kind in ("queries", "negatives")},
                }  # fmt: skip
        best = self.done.get("mixture", {}).get("best")
        scored = [source for source in sources if source in found]
        mixture = None if best is None else shares_named(_numbers(best), scored)
        ranking, pairs = rank_tables(
            job, found, counts, created, self.prepared.encoder.label, self.sample.share, mixture
        )
        publish(job, SOURCE_ECI.files, [ranking], SOURCE_ECI.schema)
        publish(job, SOURCE_PAIRS.files, [pairs], SOURCE_PAIRS.schema)
        manifest = make_manifest(job, self.config, self.prepared, self.done, self.sample, self.key, created)
        warning = write_report(job.store, job.publish, manifest, job.share // 2)
        if warning is not None:
            logging.getLogger("eci").warning(warning)
        commit(job.store, job.publish, job.run_id, manifest)


def _numbers(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in MEASURED}


def _first_detail(job: Job) -> str:
    import pyarrow.parquet as pq

    with job.store.open(f"{job.publish}/rejects/part-000.parquet") as source:
        rows = pq.read_table(source, columns=["file", "row", "detail"]).slice(0, 1).to_pylist()
    return f"; the first: {rows[0]['file']} row {rows[0]['row']}: {rows[0]['detail']}" if rows else ""
