"""Fine-tunes a whole encoder with PyTorch, for `eci validate --finetune`: what two cores can do in an hour.

InfoNCE with one of the source's negatives for each example and step, and with the other examples' positives and
negatives; AdamW with a linear warm-up and decay. Needs the extra `export`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from onnx_models.building.folders import read_model_folder
from onnx_models.exporting.export_torch import load_pooled

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Budget:
    """How long one training is: steps, examples a step, the highest learning rate, tokens that a training text is cut at."""

    steps: int = 60
    batch: int = 16
    rate: float = 3e-5
    tokens: int = 128
    warm_up: float = 0.1


@dataclass(frozen=True)
class Texts:
    """Training data of one source: n examples.

    Attributes:
        query, positive: n texts each.  negatives: n lists, of any length.
        relevant: for each example the texts that are labelled relevant to its query.
    """

    query: Sequence[str]
    positive: Sequence[str]
    negatives: Sequence[Sequence[str]]
    relevant: Sequence[frozenset[str]]


class Trainable:
    """An encoder's weights in PyTorch, and its tokenizer, prompts and pooling from a Hugging Face folder."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load a local folder. Raises EncoderError for what cannot be read."""
        torch.set_num_threads(threads)
        self.found = read_model_folder(folder)
        self.model = load_pooled(self.found)
        self._frozen = copy.deepcopy(self.model.state_dict())
        self._tokenizer = tokenizers.Tokenizer.from_file(str(self.found.tokenizer))
        self._tokenizer.no_padding()

    def encode(self, side: str, texts: Sequence[str]) -> Floats:
        """Return unit vectors, float32 (n, d). `side`: query or passage."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows: dict[int, Floats] = {}
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                part = order[start : start + 32]
                found = self._vectors(side, [texts[i] for i in part], self.found.max_tokens)
                rows.update(zip(part, found.numpy(), strict=True))
        return np.stack([rows[i] for i in range(len(texts))])

    def tune(self, source: Texts, temperature: float, budget: Budget, seed: int, advance: Callable[[], None]) -> None:
        """Train from the frozen weights on one source; `advance` is called after each step."""
        torch.manual_seed(seed)
        self.model.load_state_dict(self._frozen)
        self.model.train()
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=budget.rate)
        draw = np.random.default_rng(seed)
        batches = _batches(source, budget.batch, draw)
        for step in range(budget.steps):
            for group in optimiser.param_groups:
                group["lr"] = budget.rate * _schedule((step + 1) / budget.steps, budget.warm_up)
            loss = self._loss(source, next(batches), temperature, budget.tokens, draw)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimiser.step()
            advance()

    def _loss(
        self, source: Texts, rows: list[int], temperature: float, tokens: int, draw: np.random.Generator
    ) -> torch.Tensor:
        positives = [source.positive[i] for i in rows]
        negatives = [source.negatives[i][int(draw.integers(len(source.negatives[i])))] for i in rows]
        documents = positives + negatives
        queries = self._vectors("query", [source.query[i] for i in rows], tokens)
        logits = queries @ self._vectors("passage", documents, tokens).T / temperature
        for place, row in enumerate(rows):
            for column, text in enumerate(documents):
                own = column in (place, len(rows) + place)
                if not own and (text in source.relevant[row] or text == source.positive[row]):
                    logits[place, column] = -torch.inf
        return torch.nn.functional.cross_entropy(logits, torch.arange(len(rows)))

    def _vectors(self, side: str, texts: list[str], tokens: int) -> torch.Tensor:
        prefix = self.found.query_prefix if side == "query" else self.found.passage_prefix
        self._tokenizer.enable_truncation(min(tokens, self.found.max_tokens))
        encoded = self._tokenizer.encode_batch([prefix + text for text in texts])
        width = max(len(e.ids) for e in encoded)
        ids = torch.zeros(len(texts), width, dtype=torch.int64)
        mask = torch.zeros(len(texts), width, dtype=torch.int64)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
            mask[row, : len(one.ids)] = 1
        vectors: torch.Tensor = self.model(ids, mask)
        return vectors


def _batches(source: Texts, size: int, draw: np.random.Generator) -> Iterator[list[int]]:
    """Yield examples that have a negative, for ever, each pass in a new order."""
    rows = [i for i, negatives in enumerate(source.negatives) if len(negatives)]
    while True:
        order = draw.permutation(rows).tolist()
        for start in range(0, max(len(order) - size, 0) + 1, size):
            yield order[start : start + size]


def _schedule(done: float, warm_up: float) -> float:
    return min(done / warm_up, (1 - done) / (1 - warm_up) + 1e-3, 1.0)
