"""Stages `probe` and `gains`: each source tried out in each halving, and what all trials together say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jobs.config import Probe
from jobs.output.tables import PROBE_CURVE, PROBE_PAIRS, SOURCE_PROBE
from jobs.probing.drawing import read_sample
from jobs.probing.measure import Budget, dealt, measure
from jobs.probing.results import Trials, results_of
from jobs.probing.sample import Sample
from jobs.work.files import publish, reading, writing
from jobs.work.job import Job
from jobs.work.layout import PROBED
from jobs.work.summaries import Gains, Probed

DRAWN = "all"
"""The task of `draw`."""


def trial_name(number: int, halving: int) -> str:
    """Return the name of a trial's task. `number`: of the source or hybrid, from 0; -1 for the frozen encoder."""
    return f"{number + 1:05d}-{halving:02d}"


def budget_of(probe: Probe, temperature: float) -> Budget:
    """Return how long a probe trains, and what it looks at."""
    return Budget(probe.rate, probe.steps, probe.cutoff, temperature)


def triples_of(sample: Sample, parts: list[int]) -> np.ndarray:
    """Return the triples (n, 4) of a source, of a hybrid of several, or of none."""
    if len(parts) > 1:
        return dealt(sample.triples, parts, sample.queries)
    return sample.triples[np.isin(sample.triples[:, 0], parts)]


def probe_task(job: Job, name: str, parts: list[int], halving: int, probe: Probe) -> Probed:
    """Try out one source in one halving.

    Args:
        parts: its number, or the numbers of a hybrid's sources; none for the frozen encoder.
    """
    sample, vectors = read_sample(job, DRAWN)
    budget = budget_of(probe, job.temperature)
    found, queries = measure(sample, vectors, triples_of(sample, parts), halving, budget)
    with writing(job, PROBED, name) as out:
        for look in found:
            columns = [pa.array(metric) for metric in look]
            out.write_batch(pa.RecordBatch.from_arrays(columns, schema=PROBED.schema_of(job)))
    return {"ndcg": float(budget.judged(found[:, 0], axis=0).mean()), "queries": queries}


def gains_task(job: Job, name: str, tried: dict[str, list[str]], queries: dict[str, int], probe: Probe) -> Gains:
    """Publish what the trials say.

    Args:
        tried: the sources, and the hybrids with their sources, by name; a trial's number is its place in here.
        queries: those that each was trained on.
    """
    sample, _ = read_sample(job, DRAWN)

    def read(number: int) -> np.ndarray:
        found = []
        for halving in range(probe.halvings):
            with reading(job, PROBED, trial_name(number, halving)) as file:
                looks = [file.get_batch(k) for k in range(file.num_record_batches)]
            found.append([[look[metric].to_numpy() for metric in ("ndcg", "mrr")] for look in looks])
        return np.array(found)

    values = np.stack([read(number) for number in range(len(tried))])
    trials = Trials(tried, queries, values, read(-1)[:, -1])
    tables = results_of(job.run_id, trials, sample, budget_of(probe, job.temperature), probe.tolerance)
    published = [
        publish(job, table.files, [rows], table.schema)
        for table, rows in zip((SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE), tables, strict=True)
    ]
    return {"sources": len(tried), "published": published}
