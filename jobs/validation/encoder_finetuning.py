"""Fine-tuning the encoder itself with each source (`eci validate --finetune`), beside the adapter of finetuning.py.

One seed and one fixed budget: an hour on two cores. PyTorch is in the extra `export`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.errors import InputError
from jobs.retrieval.rankings import MISSING
from jobs.terminal.progress import Progress
from jobs.validation.finetuning import Choice, Evaluation, Outcome
from jobs.validation.sources import Training

if TYPE_CHECKING:
    from onnx_models.exporting.finetune_torch import Texts, Trainable

SAME = 0.98
"""Least mean cosine of the folder's vectors and the encoder's: static int8 keeps 0.999, another model is far below."""

PROBES = 32
SEED = 0


def load_trainable(folder: str) -> Trainable:
    """Return the weights of a Hugging Face folder, ready to train.

    Raises:
        InputError: PyTorch is not installed.  EncoderError: the folder cannot be loaded.
    """
    try:
        from onnx_models.exporting.finetune_torch import Trainable
    except ImportError as error:
        raise InputError(
            f"--finetune needs PyTorch ({error}): install the extra with pip install 'eci-lake[export]'"
        ) from error
    return Trainable(Path(folder), len(os.sched_getaffinity(0)))


def finetune_encoder(
    trainable: Trainable,
    training: Training,
    names: list[str],
    texts: tuple[list[str], list[str]],
    test: Evaluation,
    temperature: float,
    progress: Progress,
) -> Outcome:
    """Fine-tune the encoder once with every source and evaluate it.

    Args:
        trainable: from `load_trainable`.
        training, names: the mined sources and which of them to train with, S.
        texts: of the test queries (Q) and of their documents.
        test: the same as vectors of the frozen encoder, and the grades.
        temperature: tau.

    Returns:
        nDCG@10 and reciprocal rank at 10, (S, 1, Q) each.

    Raises:
        InputError: the folder's vectors are not those of the frozen encoder.
    """
    from onnx_models.exporting.finetune_torch import Budget

    _require_same(trainable, texts[1], test)
    budget, stage = Budget(), "train encoder"
    progress.start(stage, len(names), 0, None)
    found = []
    for name in names:
        trainable.tune(_texts(training, name), temperature, budget, SEED, lambda: progress.advance(stage, 1))
        tuned = Evaluation(trainable.encode("query", texts[0]), trainable.encode("passage", texts[1]), test.relevant)
        found.append(tuned.metrics(None))
        progress.finished(stage, name)
    progress.end(stage)
    ndcg, mrr = (np.array([f[i] for f in found])[:, None] for i in range(2))
    return Outcome(Choice(budget.rate, budget.steps, {}), ndcg, mrr)


def _require_same(trainable: Trainable, documents: list[str], test: Evaluation) -> None:
    probes = documents[:PROBES]
    cosine = float(np.mean(np.sum(trainable.encode("passage", probes) * test.documents[: len(probes)], axis=1)))
    if not cosine >= SAME:
        raise InputError(
            f"--finetune {trainable.found.path}: its vectors are not those of --encoder (mean cosine {cosine:.3f}, at "
            f"least {SAME}); give the folder that the encoder was exported from"
        )


def _texts(training: Training, name: str) -> Texts:
    from onnx_models.exporting.finetune_torch import Texts

    passages: Any = training.passages
    relevant = [frozenset(passages[i] for i in found) for found in training.relevant]
    return Texts(
        [training.queries[i] for i in training.query.tolist()],
        [passages[i] for i in training.positive.tolist()],
        [[passages[i] for i in row if i != MISSING] for row in training.negatives[name].tolist()],
        [relevant[i] for i in training.query.tolist()],
    )
