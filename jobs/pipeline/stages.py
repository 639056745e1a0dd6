"""The order of a run's stages: which follow which, which run side by side, and what each is told of those before.

A run that may stop early takes the stages from embed to information look by look, over nested samples of the queries.
What the tasks of a stage are is in tasks.py, what becomes of their results in conclusion.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.ingest.digests import require_same
from jobs.pipeline import tasks
from jobs.pipeline.cluster import Cluster, Stage
from jobs.pipeline.expected import stage_seconds
from jobs.pipeline.here import Here
from jobs.pipeline.kept import Naming
from jobs.pipeline.losses import first_detail, losses, refuse
from jobs.pipeline.prepare import Prepared
from jobs.pipeline.probe import ProbeStages
from jobs.pipeline.requirements import require_matches, require_texts, require_usable
from jobs.pipeline.worker import Task
from jobs.probing.drawing import Seen
from jobs.probing.sample import MOST_QUERIES
from jobs.ranking.hybrids import resolve
from jobs.ranking.looks import Looks, Sample, judge_look, plan_looks
from jobs.work.job import Job
from jobs.work.layout import PartRange, fold_name
from jobs.work.summaries import Done, Information, Rejects, S

MOST_RANKED = 1_000
"""Sources and hybrids of a run: each is compared with each, which takes half a minute and 400 MB here."""


@dataclass(frozen=True)
class Ran:
    """What the stages of a run have found: all that its conclusion needs.

    Attributes:
        job: as it was, with the fingerprint of the user's own vectors where there are some.
        prepared: as it was, with its tasks named by what they read.
        sources: those that ingest met, by name.  hybrids: the sources of each.
        information: of each source, then of each hybrid.
        made_again: finished tasks of an earlier attempt that were done again, as their files were damaged or missing.
    """

    job: Job
    prepared: Prepared
    done: Done
    sources: list[str]
    hybrids: dict[str, tuple[str, ...]]
    information: list[Information]
    sample: Sample
    made_again: int


class Stages:
    """The stages of one run; each reads what the ones before have returned."""

    def __init__(self, config: RunConfig, prepared: Prepared, job: Job, runner: Cluster | Here) -> None:
        self.config, self.prepared, self.job, self.runner = config, prepared, job, runner
        self.done = Done()
        self.scored: list[str] = []
        """The score tasks so far, over all looks."""
        self.seen: list[Seen] = []
        """What was scored so far, and the exchange files with its vectors."""

    def run(self) -> Ran:
        """Run every stage. Raises EciError for a task that failed, InputError where no triple can be scored."""
        self._read()
        self.sources = sorted({source for summary in self.done.ingest.values() for source in summary["sources"]})
        _require_rankable(len(self.sources), 0)
        self.hybrids = resolve(self.config.hybrids, self.sources)
        _require_rankable(len(self.sources), len(self.hybrids))
        self.pooled = [[self.sources.index(part) for part in parts] for parts in self.hybrids.values()]
        self._stage("settle", tasks.settle_tasks(self.job, self.config, self.done.ingest))
        self._require_rows()
        self._require_kept()
        texts = tasks.origins("lookup", self.done.lookup) + tasks.origins("ingest", self.done.ingest)
        self._stage("collect", tasks.collect_tasks(self.job, tasks.all_parts(self.done.settle), texts))
        self._stage("vocabulary", tasks.vocabulary_tasks(self.done.collect))
        self.probing = self._probing()
        self._expect()
        information, sample = self._looks()
        if not self.done.rejects:
            self._together(*self._summaries())
        if self.probing.possible:
            if self.config.decide_by == "eci":
                self.probing.sources()
            of_sources = zip(self.sources, information, strict=False)
            self.probing.conclude({name: found["information"] for name, found in of_sources if found["n_examples"]})
        if self.config.information:
            self._inform()
        return Ran(
            self.job,
            self.prepared,
            self.done,
            self.sources,
            self.hybrids,
            information,
            sample,
            self.runner.resumed.made_again,
        )

    def _expect(self) -> None:
        """Tell the progress what is ahead; of a run that may stop early nobody knows."""
        if self.config.until_decided is not None or self.config.sample_queries is not None:
            return
        rows = sum(sum(summary["parts"]) for summary in self.done.settle.values())
        texts = sum(summary["texts"] for summary in self.done.collect.values()) if self.job.encoder else 0
        self.runner.progress.expect(stage_seconds(self.config, self.job.dim, rows, texts, len(self.sources)))

    def _together(self, *stages: Stage) -> None:
        for name, found in self.runner.run(self.job, *(stage for stage in stages if stage.tasks)).items():
            self.done.add(name, found)

    def _stage(self, name: str, those: Mapping[str, Task[S]], rows: int | None = None) -> None:
        self._together(Stage(name, those, rows))

    def _read(self) -> None:
        """Read everything that the run was given. Raises InputError for a file that is changed meanwhile."""
        self._stage("inputs", tasks.inputs_tasks(self.prepared))
        naming = Naming(self.prepared, self.job, self.done.digests())
        self.prepared = naming.prepared()
        if self.prepared.texts:
            self._stage("lookup", tasks.lookup_tasks(self.prepared, naming))
            self._stage("index", tasks.index_tasks(self.prepared))
        if self.prepared.vectors:
            self._stage("vectors", tasks.vectors_tasks(self.prepared))
            require_usable(self.done.vectors)
            digest = sum(int(s["digest"], 16) for s in self.done.vectors.values()) % (1 << 128)
            self.job = replace(self.job, fingerprint=f"vectors-{digest:032x}"[:24])
        self._stage("ingest", tasks.ingest_tasks(self.prepared, naming))
        require_same(self.prepared.files, self.done.digests())
        if self.job.encoder is not None:
            alone = sum((Counter(summary["ids_alone"]) for summary in self.done.ingest.values()), Counter[str]())
            require_texts(alone, sum(summary["rows"] for summary in self.done.ingest.values()))
        self._require_kept()

    def _require_rows(self) -> None:
        if any(sum(summary["parts"]) for summary in self.done.settle.values()):
            return
        rows = sum(summary["rows"] for summary in self.done.ingest.values())
        summary = self._rejects()
        reasons = ", ".join(f"{n} x {reason}" for reason, n in sorted(summary["by_reason"].items()))
        first = first_detail(self.job, summary["published"][0]["path"])
        raise InputError(f"no triple can be scored: {rows} rows in, all rejected ({reasons or 'none read'}){first}")

    def _require_kept(self) -> None:
        """Raise InputError where a source has lost most of its rows so far, unless the user allows it."""
        # where no row is left at all, `_require_rows` says so
        if self.config.allow_rejects or not any(summary["sources"] for summary in self.done.ingest.values()):
            return
        found = losses(self.done, self.prepared.inputs)
        if found:
            raise refuse(self.job, found, self._rejects()["published"][0]["path"])

    def _rejects(self) -> Rejects:
        """Publish what was rejected so far, in this process."""
        (one,) = tasks.rejects_tasks(self.prepared, self.done.settle, self.scored).items()
        return one[1].function(self.job, one[0], **one[1].arguments)

    def _looks(self) -> tuple[list[Information], Sample]:
        """Look at one sample after the other until the question is answered, or once at everything."""
        asked = self.config.until_decided is not None
        looks = plan_looks(self.done.settle, asked, self.config.sample_queries)
        for number, parts in enumerate(looks.parts):
            found = self._look(parts, "" if looks.whole else f"-{number:02d}", number + 1 == len(looks.parts))
            sample = judge_look(looks, number, found[: len(self.sources)], self.sources, self.config, self.job)
            if asked and self.config.decide_by == "probe":
                sample = self._judged(sample, looks, f"-{number:02d}")
            if sample.decided or (self.config.decide_by == "probe" and sample.queries >= MOST_QUERIES):
                break
        return found, sample

    def _look(self, parts: list[PartRange], suffix: str, last: bool) -> list[Information]:
        """Embed, exchange and score the parts of one look, and score the sources over all looks so far.

        `last`: no look comes after this one, so that what follows the scores need not wait for the information.
        """
        if self.job.encoder is not None:
            texts = None if suffix else sum(summary["texts"] for summary in self.done.collect.values())
            self._stage("embed", tasks.embed_tasks(self.job, parts if suffix else None, suffix), texts or None)
        vectors = tasks.origins("vectors", self.done.vectors)
        self._stage("exchange", tasks.exchange_tasks(self.job, parts, vectors, suffix))
        if self.job.encoder is None:
            buckets = [file["path"] for summary in self.done.collect.values() for file in summary["published"]]
            require_matches(
                self.job, self.done.exchange.values(), [v.unit.path for v in self.prepared.vectors], buckets
            )
        rows = sum(sum(self.done.settle[fold_name(fold)]["parts"][start:stop]) for fold, start, stop in parts)
        scores = tasks.score_tasks(self.job, parts, self.sources, suffix, self.prepared)
        self._stage("score", scores, rows)
        self.scored += list(scores)
        self._require_kept()
        self.seen.append(Seen(parts, tasks.exchanged(self.job, parts, suffix)))
        numbers = [[i] for i in range(len(self.sources))] + self.pooled
        information = tasks.information_tasks(numbers, self.scored, suffix)
        self._together(*(self._summaries() if last else []), Stage("information", information))
        return [self.done.information[name] for name in information]

    def _with_examples(self) -> list[int]:
        """Return the numbers of the sources that have scored triples."""
        met = {source for summary in self.done.score.values() for source in summary["by_source"]}
        return [i for i, source in enumerate(self.sources) if source in met]

    def _summaries(self) -> list[Stage]:
        """Return the stages that need the scores alone, those of one long task first."""
        return [
            Stage("mixture", tasks.mixture_tasks(self._with_examples(), self.scored)),
            Stage("moments", tasks.moments_tasks(len(self.sources), self.scored)),
            Stage("distinct", tasks.distinct_tasks(self.job, self.scored, self.sources, self.pooled)),
            Stage("rejects", tasks.rejects_tasks(self.prepared, self.done.settle, self.scored)),
            Stage("draw", {} if self.config.decide_by == "probe" else self.probing.draw(self.seen)),
        ]

    def _probing(self, look: str = "", queries: int | None = None) -> ProbeStages:
        return ProbeStages(self._stage, self.done, self.config, self.sources, self.hybrids, look, queries)

    def _judged(self, sample: Sample, looks: Looks, look: str) -> Sample:
        """Return what a look says by the probe in place of what it says by ECI."""
        self.probing = self._probing(look, min(sample.queries, MOST_QUERIES))
        self._stage("draw", self.probing.draw(self.seen))
        if not self.probing.possible:
            return replace(sample, decided=False, open_pairs=())
        self.probing.sources()
        judged = self.probing.judged(len(looks.parts))
        return replace(sample, decided=judged["decided"], open_pairs=tuple((a, b) for a, b in judged["open_pairs"]))

    def _inform(self) -> None:
        """Fill the scores' column `information`: a second pass over the exchanged vectors."""
        self._stage("factor", tasks.factor_tasks(self._with_examples(), self.scored))
        parts = tasks.all_parts(self.done.settle)
        rows = sum(summary["scored"] for summary in self.done.score.values())
        self._stage("triples", tasks.triples_tasks(self.job, parts, self.sources, self.done.factor), rows)


def _require_rankable(sources: int, hybrids: int) -> None:
    """Raise InputError for more sources and hybrids than a run ranks."""
    if sources + hybrids > MOST_RANKED:
        beside = f" and {hybrids:,} hybrids" if hybrids else ""
        raise InputError(
            f"{sources:,} sources{beside}, allowed are {MOST_RANKED:,} in all, since each is compared with each: where a source "
            "is named after every file, name it (--triples NAME=PATH), else rank fewer at a time"
        )
