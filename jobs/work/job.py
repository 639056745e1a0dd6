"""The job: what every task of a run must know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.output.store import Store

KEPT = ("lookup", "ingest")
"""The stages whose tasks are named by the content that they read: what they leave serves later runs as well."""


@dataclass(frozen=True)
class Job:
    """What a task must know: where, and with which settings. Small, and the same for all tasks of a run.

    Attributes:
        out: the output root.  work: the run's work folder.  publish: the folder that becomes `runs/<run_id>`.
        encoder: an encoder's name or folder, None with --vectors.  dim: the vectors' dimension.
        kept: the folder of what stages in KEPT leave, "" where that goes with the work folder.
        threads: threads of one worker.  share: memory of one worker, bytes.  part_texts: most texts of a fold's part.
    """

    out: str
    work: str
    publish: str
    run_id: str
    folds: int
    buckets: int
    encoder: str | None
    fingerprint: str
    dim: int
    temperature: float
    kappa: float
    lam: float
    tokenizer: str
    threads: int
    share: int
    part_texts: int
    kept: str = ""

    @property
    def vector_type(self) -> np.dtype[Any]:
        """The numbers of a vector: float16 of an encoder's cache, float32 of the user's own."""
        return np.dtype(np.float32 if self.encoder is None else np.float16)

    @property
    def store(self) -> Store:
        """The output root as a store."""
        return Store(self.out)

    def at(self, stage: str, name: str) -> str:
        """Return the path of a work file, relative to OUT."""
        return f"{self.kept if self.kept and stage in KEPT else self.work}/{stage}/{name}"
