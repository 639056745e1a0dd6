"""Stages `probe` and `gains`: each source tried out in each halving, and what all trials together say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.config import Probe
from jobs.output.tables import PROBE_CURVE, PROBE_PAIRS, SOURCE_PROBE
from jobs.probing.drawing import read_sample
from jobs.probing.judging import Question, judge
from jobs.probing.measure import Budget, dealt, measure
from jobs.probing.results import NDCG, Trials, judged_by, results_of, sides_of
from jobs.probing.sample import Sample
from jobs.work.files import publish, reading, writing
from jobs.work.job import Job
from jobs.work.layout import PROBED
from jobs.work.summaries import Gains, Judged, Probed


def drawn_name(look: str) -> str:
    """Return the name of the task of `draw` and of `judge`. `look`: the suffix of the look's tasks, or nothing."""
    return f"all{look}"


def trial_name(number: int, halving: int, look: str) -> str:
    """Return the name of a trial's task. `number`: of the source or hybrid, from 0; -1 for the frozen encoder."""
    return f"{number + 1:05d}-{halving:02d}{look}"


def budget_of(probe: Probe, temperature: float) -> Budget:
    """Return how long a probe trains, and what it looks at."""
    return Budget(probe.rate, probe.steps, probe.cutoff, temperature)


def triples_of(sample: Sample, parts: list[int]) -> np.ndarray:
    """Return the triples (n, 4) of a source, of a hybrid of several, or of none."""
    if len(parts) > 1:
        return dealt(sample.triples, parts, sample.queries)
    return sample.triples[np.isin(sample.triples[:, 0], parts)]


def probe_task(job: Job, name: str, parts: list[int], halving: int, probe: Probe, look: str) -> Probed:
    """Try out one source in one halving.

    Args:
        parts: its number, or the numbers of a hybrid's sources; none for the frozen encoder.
        look: the suffix of the tasks of the look whose sample it is.
    """
    sample, vectors = read_sample(job, drawn_name(look))
    budget = budget_of(probe, job.temperature)
    found, queries = measure(sample, vectors, triples_of(sample, parts), halving, budget)
    with writing(job, PROBED, name) as out:
        for values in found:
            columns = [pa.array(metric) for metric in values]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=PROBED.schema_of(job)))
    return {"ndcg": found[:, NDCG].mean(axis=1).tolist(), "queries": queries}


def judge_task(
    job: Job, name: str, tried: list[str], left_out: list[str], question: Question, probe: Probe, look: str
) -> Judged:
    """Say whether the question is answered by the sources that were tried out so far; see `judge`."""
    sample, _ = read_sample(job, name)
    values = np.stack([_read(job, number, probe, look) for number in range(len(tried))])
    open_pairs = judge(
        tried, judged_by(values)[1][:, :, NDCG], sides_of(sample, probe.halvings), question, probe.tolerance / 100
    )
    open_pairs += [(source, source) for source in left_out]
    return {"decided": not open_pairs, "open_pairs": open_pairs}


def gains_task(
    job: Job,
    name: str,
    tried: dict[str, list[str]],
    queries: dict[str, int],
    information: dict[str, float],
    probe: Probe,
    look: str,
) -> Gains:
    """Publish what the trials say.

    Args:
        tried: the sources, and the hybrids with their sources, by name; a trial's number is its place in here.
        queries: those that each was trained on.
        information: of each source.
    """
    sample, _ = read_sample(job, drawn_name(look))
    values = np.stack([_read(job, number, probe, look) for number in range(len(tried))])
    trials = Trials(tried, queries, values, _read(job, -1, probe, look)[:, -1])
    tables = results_of(job.run_id, trials, sample, budget_of(probe, job.temperature), probe.tolerance, information)
    published = [
        publish(job, table.files, [rows], table.schema)
        for table, rows in zip((SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE), tables, strict=True)
    ]
    return {"sources": len(tried), "published": published}


def _read(job: Job, number: int, probe: Probe, look: str) -> np.ndarray:
    """Return nDCG and reciprocal rank of a trial, (H, looks, 2, Q)."""
    found = []
    for halving in range(probe.halvings):
        with reading(job, PROBED, trial_name(number, halving, look)) as file:
            batches = [file.get_batch(k) for k in range(file.num_record_batches)]
        found.append([[batch[metric].to_numpy() for metric in ("ndcg", "mrr")] for batch in batches])
    return np.array(found)
