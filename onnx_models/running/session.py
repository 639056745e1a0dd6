"""Runs an encoder on ONNX Runtime: from texts to vectors, on the CPU.

Covers: sessions, padding, pooling, normalisation, the golden check.
Does not cover: caching, float16, parallelism (one process with one session a core).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from onnx_models.batching import TOKEN_BUDGET, token_batches
from onnx_models.cards import EncoderCard, Side
from onnx_models.errors import EncoderError
from onnx_models.files import may_keep_weights_outside
from onnx_models.running.golden import check_golden as compare_with_golden
from onnx_models.running.tokens import TextTokenizer


class TokensSeen(NamedTuple):
    """Tokens that an encoder has run: `real` ones, and `padded`, which counts padding too."""

    real: int
    padded: int


class Encoder:
    """An open encoder; make one with `open_encoder`. Lives in one process, cannot be pickled.

    A text's vector does not depend on the other texts of a call, in any bit: either the card says
    `batch_invariant`, or texts are run one at a time.
    """

    def __init__(self, card: EncoderCard, session: ort.InferenceSession, tokenizer: TextTokenizer) -> None:
        """Join the parts; they must belong to the card."""
        self.card = card
        self.tokenizer = tokenizer
        self._session = session
        self._budget = TOKEN_BUDGET if card.batch_invariant else 1
        self._real = 0
        self._padded = 0

    @property
    def tokens_seen(self) -> TokensSeen:
        """Tokens run since the encoder was opened, after truncation."""
        return TokensSeen(self._real, self._padded)

    def batched(self, together: bool) -> "Encoder":
        """Return an encoder on the same session that batches texts, or runs them one at a time, whatever the card says."""
        return Encoder(replace(self.card, batch_invariant=together), self._session, self.tokenizer)

    def encode(self, texts: Sequence[str], side: Side) -> NDArray[np.float32]:
        """Return the texts' vectors, float32, (n, dim), rows in input order.

        Vectors are as `encode_batches` gives them; (0, dim) for no texts.

        Raises:
            EncoderError: unknown side, one string instead of a sequence of them, or an output
                that is not of the shape that the card says.
        """
        vectors = np.empty((len(texts), self.card.dim), dtype=np.float32)
        for indices, batch in self.encode_batches(texts, side):
            vectors[indices] = batch
        return vectors

    def encode_batches(
        self, texts: Sequence[str], side: Side
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield (positions in `texts`, vectors) batch by batch, shortest texts first.

        Each position comes once. Vectors are float32, (batch, dim), of unit L2 norm where the card
        says normalise; a text without any token gets zeros.

        Raises:
            EncoderError: as `encode`, at the first batch.
        """
        if isinstance(texts, str):
            raise EncoderError("texts is one string, allowed is a sequence of strings: wrap it")
        prefix = self.card.prefix(side)
        rows = self.tokenizer.token_ids([prefix + text for text in texts])
        for indices in token_batches([len(row) for row in rows], self._budget):
            yield indices, self._run([rows[index] for index in indices])

    def feed(self, rows: Sequence[NDArray[np.int32]]) -> dict[str, NDArray[np.int64]]:
        """Return the model's inputs for token ids, int64 (batch, longest row), padded on the right."""
        ids = np.zeros((len(rows), max([1, *(len(row) for row in rows)])), dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: inputs[name] for name in self.card.inputs}

    def _run(self, rows: list[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Run one batch of token ids through the model; returns float32, (batch, dim)."""
        lengths = [len(row) for row in rows]
        inputs = self.feed(rows)
        size = inputs["input_ids"].shape
        try:
            states = self._session.run([self.card.output], inputs)[0]
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise EncoderError(
                f"encoder {self.card.name!r} fails on {len(rows)} texts of up to {size[1]} tokens: {_in_a_line(error)}: "
                "the model and its tokenizer do not belong together, or it was damaged before it was added: export it again"
            ) from error
        self._real += sum(lengths)
        self._padded += size[0] * size[1]
        self._check_output(states, size)
        return self._pool(states, lengths)

    def _check_output(self, states: NDArray[np.float32], ids: tuple[int, ...]) -> None:
        dim = self.card.dim
        expected = (ids[0], dim) if self.card.pooling == "none" else (*ids, dim)
        if states.shape != expected or states.dtype.kind != "f":
            raise EncoderError(
                f"output {self.card.output!r} of encoder {self.card.name!r} has shape {states.shape} of {states.dtype}, "
                f"its card implies {expected} of floats: correct dim, pooling or model.output in the card"
            )

    def _pool(self, states: NDArray[np.float32], lengths: list[int]) -> NDArray[np.float32]:
        vectors = np.zeros((len(lengths), self.card.dim), dtype=np.float32)
        for number, length in enumerate(lengths):
            if length == 0:
                continue
            # One text at a time, real tokens only: no bit may come from padding or batch mates.
            vector = _pooled(states[number], length, self.card.pooling)
            norm = float(np.sqrt(np.einsum("i,i->", vector, vector)))
            scale = norm if self.card.normalise and norm > 0 else 1.0
            vectors[number] = vector / np.float32(scale)
        return vectors


def open_encoder(card: EncoderCard, threads: int = 1, check_golden: bool = True) -> Encoder:
    """Verify a card's files, load the model and check its golden vectors.

    Args:
        card: from `onnx_models.cards.load_card`.
        threads: ONNX Runtime's threads within an operator, at least 1.
        check_golden: whether to compare with the golden vectors (a fraction of a second).

    Raises:
        EncoderError: a file is missing, is not the one that the card means, cannot be loaded or
            does not fit the card, or the golden check fails.
    """
    if threads < 1:
        raise EncoderError(f"threads is {threads}, allowed is 1 or more")
    card.verify_files()
    tokenizer = TextTokenizer(card)
    session = _open_session(card, threads)
    if check_golden:
        # An encoder of its own, so that the caller's counters start at zero.
        compare_with_golden(card, Encoder(card, session, tokenizer).encode)
    return Encoder(card, session, tokenizer)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _pooled(states: NDArray[np.float32], length: int, pooling: str) -> NDArray[np.float32]:
    """Pool one text: (tokens, dim), or (dim,) for `none`, to (dim,)."""
    if pooling == "mean":
        total: NDArray[np.float32] = np.add.reduce(states[:length], axis=0)
        return total / np.float32(length)
    if pooling == "none":
        return states
    pooled: NDArray[np.float32] = states[0 if pooling == "cls" else length - 1]
    return pooled


def _open_session(card: EncoderCard, threads: int) -> ort.InferenceSession:
    path = card.model.verified_path()
    if not card.rebuild and may_keep_weights_outside(path):
        # onnx takes a tenth of a second to import
        from onnx_models.building.onnx_checks import check_data

        check_data(card, path)
    model = _rebuilt_bytes(card) if card.rebuild else str(path)
    try:
        session = ort.InferenceSession(model, _session_options(threads), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise EncoderError(
            f"ONNX Runtime {ort.__version__} cannot load {path} ({_in_a_line(error)}): export the model again"
        ) from error
    _check_names(path, "inputs", card.inputs, [node.name for node in session.get_inputs()])
    outputs = [node.name for node in session.get_outputs()]
    if card.output not in outputs:
        raise EncoderError(f"model.output is {card.output!r}, {path} offers {', '.join(outputs)}: edit the card")
    return session


def _rebuilt_bytes(card: EncoderCard) -> bytes:
    # onnx takes a tenth of a second to import, for cards that need it only.
    from onnx_models.building.rebuilding import rebuilt_model

    data: bytes = rebuilt_model(card).SerializeToString()
    return data


def _check_names(path: Path, key: str, given: Sequence[str], actual: Sequence[str]) -> None:
    if set(given) != set(actual):
        raise EncoderError(f"model.{key} is {', '.join(given)}, {path} takes {', '.join(actual)}: edit the card")


def _session_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # The level changes the last bits, so it is pinned rather than left to a default.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised
    # Waiting threads that spin take the cores of the other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
