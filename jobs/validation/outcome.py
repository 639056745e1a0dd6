"""What `eci validate` is asked, and everything that it measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jobs.finished.result import RunResult
from jobs.retrieval.collection import Collection
from jobs.validation.finetuning import Grid, Outcome
from jobs.validation.sources import Training
from jobs.validation.splits import Split

Floats = np.ndarray


@dataclass(frozen=True)
class Settings:
    """What `eci validate` is asked.

    Attributes:
        collection: a folder in BEIR's layout.  out: the output root.
        encoder: fine-tuned, and used to mine and to score.
        score_encoder: scores in its place, if given: ranked with one encoder, trained with another.
        temperature: of score and training (None: the card's).
        negatives: the user's files, PATH or NAME=PATH.  ranks: of those that are run files.
        per_query: negatives of each pair and source.  seeds: trainings of each source and objective.
        grid: the learning rates and steps to choose from.
        finetune: the Hugging Face folder of the encoder's weights, to fine-tune all of it as well; None: the adapter only.
        workers, memory: as for a run.
    """

    collection: str
    out: str
    encoder: str = "minilm-l6-v2-int8"
    score_encoder: str | None = None
    temperature: float | None = None
    negatives: tuple[str, ...] = ()
    ranks: str | None = None
    per_query: int = 4
    seeds: int = 5
    grid: Grid = Grid()
    finetune: str | None = None
    workers: int = 0
    memory: str = ""


@dataclass
class Validation:
    """Everything that was measured; `validation_tables` turns it into tables.

    Attributes:
        collection, split, training: what was divided and mined.
        names: the sources, in order of name; the first axis of every outcome.
        run: the run that scored them.
        scores: each source's row of source_eci.
        untuned: nDCG@10 and reciprocal rank of the frozen encoder for each test query.
        outcomes: by objective.
        missing: negatives that were wanted and not there, by source.
        seconds: wall time by step.
    """

    settings: Settings
    collection: Collection
    split: Split
    training: Training
    names: list[str]
    run: RunResult
    scores: dict[str, dict[str, Any]]
    untuned: tuple[Floats, Floats]
    outcomes: dict[str, Outcome]
    missing: dict[str, int]
    seconds: dict[str, float] = field(default_factory=dict)
