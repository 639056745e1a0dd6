"""The tasks of each stage by their names: pure functions of what was prepared and of what the stages before have said.

The tasks of look K of a run that may stop early are named like those of a whole run, with -KK (`suffix`) behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jobs.config import Probe, RunConfig
from jobs.ingest.collect import collect_task
from jobs.ingest.digests import digest_task
from jobs.ingest.index import index_task, lookup_task
from jobs.ingest.inputs import File
from jobs.ingest.rows import bad_file_task, ingest_task
from jobs.ingest.settle import settle_task
from jobs.ingest.vocabulary import vocabulary_task
from jobs.pipeline.kept import Naming
from jobs.pipeline.prepare import Prepared
from jobs.pipeline.worker import Task, reporting, task
from jobs.probing.drawing import Seen, draw_task
from jobs.probing.judging import Question
from jobs.probing.trials import drawn_name, gains_task, judge_task, probe_task, trial_name
from jobs.ranking.information import information_task
from jobs.ranking.mixtures import mixture_task
from jobs.ranking.rank import moments_task
from jobs.ranking.rejects import rejects_task
from jobs.scoring.members import distinct_task
from jobs.scoring.score import score_task
from jobs.scoring.triple_information import factor_task, triples_task
from jobs.vectors.embed import embed_task
from jobs.vectors.exchange import exchange_task, shared_files
from jobs.vectors.given import vectors_task
from jobs.work.job import Job
from jobs.work.layout import Exchanged, Origin, PartRange, bucket_name, fold_name
from jobs.work.summaries import (
    Collected,
    Digested,
    Distinct,
    Drawn,
    Embedded,
    Factor,
    Gains,
    Indexed,
    Information,
    Informed,
    Judged,
    Mixture,
    Moments,
    Probed,
    Rejects,
    RowsRead,
    Scored,
    Sent,
    Settled,
    TextsRead,
    VectorsRead,
    Vocabulary,
)

DIGEST_BYTES, DIGEST_FILES = 256 << 20, 200
"""What one task of `inputs` reads at most, but for a file that is larger."""


def inputs_tasks(prepared: Prepared) -> dict[str, Task[Digested]]:
    """Return tasks that take the digests of all input files, some files each."""
    groups: list[list[File]] = []
    size = 0
    for file in prepared.files:
        if not groups or size + file.size > DIGEST_BYTES or len(groups[-1]) == DIGEST_FILES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return {f"{number:06d}": task(digest_task, files=files) for number, files in enumerate(groups)}


def lookup_tasks(prepared: Prepared, naming: Naming) -> dict[str, Task[TextsRead]]:
    """Return a task for each unit of --corpus and --queries."""
    return {
        t.name: task(lookup_task, unit=t.unit, side=t.side, options=t.options, files=naming.read_by(t))
        for t in prepared.texts
    }


def index_tasks(prepared: Prepared) -> dict[str, Task[Indexed]]:
    """Return a task for each index of texts by id: of a side of the run, or of an input."""
    units: dict[str, list[str]] = {}
    for text in prepared.texts:
        units.setdefault(text.index, []).append(text.name)
    return {name: task(index_task, units=names) for name, names in units.items()}


def vectors_tasks(prepared: Prepared) -> dict[str, Task[VectorsRead]]:
    """Return a task for each unit of --vectors."""
    return {v.name: task(vectors_task, unit=v.unit, indexed=prepared.indexed) for v in prepared.vectors}


def ingest_tasks(prepared: Prepared, naming: Naming) -> dict[str, Task[RowsRead]]:
    """Return a task for each unit of the inputs, and one for each file that cannot be opened."""
    return {
        item.name: task(bad_file_task, error=item.error)
        if item.unit is None
        else task(
            ingest_task,
            unit=item.unit,
            format_name=item.format,
            options=item.options,
            indexed=item.indexes,
            files=naming.read_by(item),
        )
        for item in prepared.inputs
    }


def origins(
    stage: str, found: Mapping[str, TextsRead] | Mapping[str, RowsRead] | Mapping[str, VectorsRead]
) -> list[Origin]:
    """Return where a stage's tasks have left rows in chunks."""
    return [Origin(stage, name, summary["chunks"]) for name, summary in found.items()]


def settle_tasks(job: Job, config: RunConfig, read: Mapping[str, RowsRead]) -> dict[str, Task[Settled]]:
    """Return a task for each fold."""
    units = origins("ingest", read)
    rows = [sum(found) for found in zip(*(s["by_fold"] for s in read.values()), strict=True)]
    banded = config.until_decided is not None or config.sample_queries is not None
    return {
        fold_name(fold): task(settle_task, fold=fold, units=units, rows=rows[fold], banded=banded)
        for fold in range(job.folds)
    }


def all_parts(settled: Mapping[str, Settled]) -> list[PartRange]:
    """Return the parts of every fold."""
    return [PartRange(int(fold), 0, len(summary["parts"])) for fold, summary in settled.items()]


def collect_tasks(job: Job, parts: list[PartRange], texts: list[Origin]) -> dict[str, Task[Collected]]:
    """Return a task for each bucket."""
    return {
        bucket_name(bucket): task(collect_task, bucket=bucket, parts=parts, origins=texts)
        for bucket in range(job.buckets)
    }


def vocabulary_tasks(collected: Mapping[str, Collected]) -> dict[str, Task[Vocabulary]]:
    """Return the one task over all buckets."""
    passages = sum(summary["passages"] for summary in collected.values())
    return {"all": task(vocabulary_task, buckets=list(collected), passages=passages)}


def embed_tasks(job: Job, parts: list[PartRange] | None, suffix: str) -> dict[str, Task[Embedded]]:
    """Return a task for each bucket. `parts`: those whose texts are wanted, None for all."""
    return {
        bucket_name(bucket) + suffix: reporting(embed_task, bucket=bucket, parts=parts) for bucket in range(job.buckets)
    }


def exchange_tasks(job: Job, parts: list[PartRange], vectors: list[Origin], suffix: str) -> dict[str, Task[Sent]]:
    """Return a task for each exchange file, named after its first bucket."""
    return {
        name: task(exchange_task, buckets=served, parts=parts, vector_units=vectors)
        for name, served in zip(_exchange_names(job, suffix), shared_files(job.buckets), strict=True)
    }


def _exchange_names(job: Job, suffix: str) -> list[str]:
    return [bucket_name(served[0]) + suffix for served in shared_files(job.buckets)]


def exchanged(job: Job, parts: list[PartRange], suffix: str) -> Exchanged:
    """Return what `exchange_tasks` leaves."""
    return Exchanged(_exchange_names(job, suffix), sum(stop - start for _, start, stop in parts))


def score_tasks(
    job: Job, parts: list[PartRange], sources: list[str], suffix: str, prepared: Prepared
) -> dict[str, Task[Scored]]:
    """Return a task for each range of parts, named after its fold."""
    judged = {"files": [file["path"] for file in prepared.judged], "digest": prepared.judgements.digest}
    files = exchanged(job, parts, suffix)
    return {
        fold_name(some.fold) + suffix: reporting(
            score_task, parts=some, first=first, exchanged=files, sources=sources, judged=judged
        )
        for some, first in zip(parts, _firsts(parts), strict=True)
    }


def _firsts(parts: list[PartRange]) -> list[int]:
    """Return the number that the first part of each range has in the exchange files."""
    firsts = [0]
    for _, start, stop in parts:
        firsts.append(firsts[-1] + stop - start)
    return firsts[:-1]


def information_tasks(numbers: Sequence[list[int]], scored: list[str], suffix: str) -> dict[str, Task[Information]]:
    """Return a task for each source and each hybrid, given as the numbers of its sources."""
    return {f"{i:05d}{suffix}": task(information_task, numbers=of, scored=list(scored)) for i, of in enumerate(numbers)}


def mixture_tasks(numbers: list[int], scored: list[str]) -> dict[str, Task[Mixture]]:
    """Return the one task over the sources with these numbers; none where there is nothing to mix."""
    return {"best": task(mixture_task, numbers=numbers, scored=scored)} if len(numbers) > 1 else {}


def moments_tasks(sources: int, scored: list[str]) -> dict[str, Task[Moments]]:
    """Return the one task that publishes the sums of so many sources."""
    return {"all": task(moments_task, sources=sources, scored=scored)}


def distinct_tasks(
    job: Job, scored: list[str], sources: list[str], hybrids: list[list[int]]
) -> dict[str, Task[Distinct]]:
    """Return a task for each bucket. `hybrids`: the numbers of each one's sources."""
    return {
        bucket_name(bucket): task(distinct_task, bucket=bucket, scored=scored, sources=sources, hybrids=hybrids)
        for bucket in range(job.buckets)
    }


def rejects_tasks(prepared: Prepared, settled: Iterable[str], scored: Iterable[str]) -> dict[str, Task[Rejects]]:
    """Return the one task over what readers have rejected, and the given tasks of settle and score."""
    read = [("lookup", t.name, t.unit.path) for t in prepared.texts]
    read += [("ingest", item.name, item.path) for item in prepared.inputs]
    folded = [("settle", name) for name in settled] + [("score", name) for name in scored]
    return {"all": task(rejects_task, read=read, files=[item.path for item in prepared.inputs], folded=folded)}


def draw_tasks(seen: list[Seen], sources: list[str], probe: Probe, look: str) -> dict[str, Task[Drawn]]:
    """Return the one task that draws the probe's sample. `seen`: what was scored, look by look."""
    return {drawn_name(look): task(draw_task, seen=seen, sources=sources, probe=probe)}


def probe_tasks(tried: Mapping[int, list[int]], probe: Probe, look: str) -> dict[str, Task[Probed]]:
    """Return a task for each trial and halving. `tried`: by its number, the numbers of the sources that it pools."""
    return {
        trial_name(number, halving, look): task(probe_task, parts=parts, halving=halving, probe=probe, look=look)
        for halving in range(probe.halvings)
        for number, parts in tried.items()
    }


def judge_tasks(
    tried: list[str], left_out: list[str], config: RunConfig, probe: Probe, look: str, looks: int
) -> dict[str, Task[Judged]]:
    """Return the one task that judges a look by the probe. `tried`: the sources.  `left_out`: those without triples."""
    question = Question(config.decide, float(config.until_decided or 0), looks)
    return {
        drawn_name(look): task(judge_task, tried=tried, left_out=left_out, question=question, probe=probe, look=look)
    }


def gains_tasks(
    tried: dict[str, list[str]], queries: dict[str, int], information: dict[str, float], probe: Probe, look: str
) -> dict[str, Task[Gains]]:
    """Return the one task that says what the trials have given. `tried`, `queries`, `information`: as `gains_task`."""
    one = task(gains_task, tried=tried, queries=queries, information=information, probe=probe, look=look)
    return {"all": one}


def factor_tasks(numbers: list[int], scored: list[str]) -> dict[str, Task[Factor]]:
    """Return a task for each source that has scored triples."""
    return {f"{number:05d}": task(factor_task, number=number, scored=scored) for number in numbers}


def triples_tasks(
    job: Job, parts: list[PartRange], sources: list[str], factors: Mapping[str, Factor]
) -> dict[str, Task[Informed]]:
    """Return a task for each fold. `factors`: those of `factor_tasks`."""
    files = exchanged(job, parts, "")
    by_source = {sources[int(name)]: (name, summary["n_examples"]) for name, summary in factors.items()}
    return {
        fold_name(some.fold): reporting(triples_task, parts=some, first=first, exchanged=files, factors=by_source)
        for some, first in zip(parts, _firsts(parts), strict=True)
    }
