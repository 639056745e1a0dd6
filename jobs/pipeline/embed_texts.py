"""Vectors of given texts, by the same tasks and the same cache as a run: for mining, where vectors are needed first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jobs.config import RunConfig
from jobs.ids import Side, as_text, buckets_of, id_array, lookup, order_of, text_id, unique
from jobs.output import layout
from jobs.output.root import claim
from jobs.output.store import Store
from jobs.output.tables import TEXTS
from jobs.pipeline.cluster import Cluster, Stage
from jobs.pipeline.encoder import job_for
from jobs.pipeline.main_guard import leave_if_imported
from jobs.pipeline.tasks import embed_tasks
from jobs.terminal.progress import Progress
from jobs.vectors.embed import cache_of
from jobs.work.files import publish
from jobs.work.job import Job
from jobs.work.layout import bucket_name

BUCKETS = 32


def embed_texts(
    config: RunConfig, texts: Sequence[tuple[Side, str]], progress: Progress, stage: str = "embed"
) -> np.ndarray:
    """Return unit vectors float32 (n, d) of texts (side, text), in their order; they stay in OUT's cache.

    Raises:
        InputError: the encoder is unknown.  EciError: a task failed.
    """
    leave_if_imported()
    job = job_for(config, layout.work_folder(layout.TEXTS_TO_EMBED), BUCKETS)
    store = Store(config.out)
    claim(store, config.adopt)
    store.remove(job.work)
    every = id_array(text_id(side, text) for side, text in texts)
    ids = unique(every)
    _write(job, every, ids, texts)
    with Cluster(config, job.threads, progress) as cluster:
        cluster.run(job, Stage(stage, embed_tasks(job, None, ""), len(ids)))
    store.remove(job.work)
    vectors = cache_of(job).load(ids)[0][lookup(ids, every)].astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _write(job: Job, every: np.ndarray, ids: np.ndarray, texts: Sequence[tuple[Side, str]]) -> None:
    order = order_of(every)
    first = order[np.searchsorted(every[order], ids)]
    buckets = buckets_of(ids, BUCKETS)
    for bucket in range(BUCKETS):
        at = np.flatnonzero(buckets == bucket)
        chosen = [texts[i] for i in first[at].tolist()]
        table = pa.table(
            {
                "run_id": pa.repeat(job.run_id, len(at)),
                "text_id": as_text(ids[at]),
                "side": pa.array([side for side, _ in chosen], pa.string()),
                "user_id": pa.nulls(len(at), pa.string()),
                "text": pa.array([text for _, text in chosen], pa.large_string()),
            }
        )
        publish(job, layout.texts_bucket(bucket_name(bucket)), [table], TEXTS.schema)
