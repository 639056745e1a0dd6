"""Int8 without PyTorch: `static`, which is faster and calibrated on the user's texts, and `weights`, which is smaller.

Static int8 quantises every linear layer, then gives layers back to float32, the most harmful first, until the mean
cosine to the float32 vectors, on texts that calibrated nothing, reaches what was asked for. Both write what they
measured into the card.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from onnx_models.building.graph import save_model
from onnx_models.building.rebuilding import float_model
from onnx_models.cards import EncoderCard, Fidelity, card_of, load_card
from onnx_models.errors import EncoderError
from onnx_models.exporting.making import file_entry, make_encoder
from onnx_models.exporting.new_card import TOKENIZER_FILE, Made, copy_into
from onnx_models.quantising.int8_graph import (
    Groups,
    linear_groups,
    quantize_groups,
    sample_inputs,
    with_int8_weights,
    with_static_int8,
)
from onnx_models.running.fidelity import likeness
from onnx_models.running.session import Encoder, open_encoder

Method = Literal["static", "weights"]
MODEL_FILE = "model.onnx"
LEAST_TEXTS = 40
MOST_CALIBRATION = 96
MOST_JUDGED = 160
MOST_TRIED = 24
EXACT = 0.999
"""Mean cosine below which a card is marked as approximate."""


def quantize_encoder(
    source: str, texts: Sequence[str], to: Path, method: Method = "static", target: float = EXACT, name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Made:  # fmt: skip
    """Write an int8 encoder made from another.

    Args:
        source: the float32 encoder's name or folder.
        texts: the user's own passages, 40 or more; every third one judges, the others calibrate.
        to: the folder to write.
        method: `static` or `weights`.
        target: mean cosine to reach with `static`.
        name: the new card's name.
        report: is told, in a line, of each step that takes long.

    Raises:
        EncoderError: too few texts, a model that is quantised already, or one that cannot be opened.
    """
    card = load_card(source)
    chosen = _usable(texts)
    judges, calibration = chosen[::3][:MOST_JUDGED], [t for i, t in enumerate(chosen) if i % 3][:MOST_CALIBRATION]
    encoder = open_encoder(card)
    model = float_model(card)
    groups = linear_groups(model)
    draft = _Draft(card, to, judges, encoder.encode(judges, "passage"), report)
    kept: list[str] = []
    if method == "weights":
        result = with_int8_weights(model, groups)
    else:
        report(f"calibrating {len(groups)} groups of layers on {len(calibration)} texts")
        result, kept = _static(model, groups, encoder, calibration, draft, target)
    return draft.finish(result, method, name, len(groups), kept)


def _usable(texts: Sequence[str]) -> list[str]:
    chosen = list(dict.fromkeys(text for text in texts if text.strip()))
    if len(chosen) < LEAST_TEXTS:
        raise EncoderError(f"{len(chosen)} distinct texts, needed are {LEAST_TEXTS} or more of what will be encoded")
    return chosen


class _Draft:
    """A folder in which models are tried against the reference vectors of the judging texts."""

    def __init__(
        self, card: EncoderCard, to: Path, judges: list[str], wanted: np.ndarray, report: Callable[[str], None]
    ) -> None:
        self.card, self.to, self.judges, self.wanted, self.report = card, to, judges, wanted, report
        if to.resolve() in (card.folder.resolve(), card.model.path().parent):
            raise EncoderError(f"{to} holds the encoder itself: give another folder")
        copy_into(to, {TOKENIZER_FILE: card.tokenizer.verified_path()})

    def values(self) -> dict[str, Any]:
        """Return the card's values but for precision and name."""
        same = ("source", "licence", "dim", "max_tokens", "pooling", "normalise", "query_prefix", "passage_prefix",
                "title_separator", "temperature")  # fmt: skip
        entry = file_entry(self.to, MODEL_FILE) | {"inputs": list(self.card.inputs), "output": self.card.output}
        return {key: getattr(self.card, key) for key in same} | {
            "model": entry,
            "tokenizer": file_entry(self.to, TOKENIZER_FILE),
        }

    def vectors(self, model: onnx.ModelProto, count: int) -> np.ndarray:
        """Return the vectors that a model gives to the first `count` judging texts, float32 (count, d)."""
        save_model(model, self.to / MODEL_FILE)
        values = self.values() | {"name": self.card.name, "precision": "draft"}
        encoder = open_encoder(card_of(values, "draft", self.to), check_golden=False)
        return encoder.batched(True).encode(self.judges[:count], "passage")

    def finish(self, model: onnx.ModelProto, method: str, name: str | None, groups: int, kept: list[str]) -> Made:
        """Write the model and its card, with what was measured."""
        found = likeness(self.vectors(model, len(self.judges)), self.wanted)
        fidelity = Fidelity(self.card.fingerprint, len(self.judges), round(found.cosine_mean, 6), round(found.cosine_p1, 6),
                            round(found.neighbours_kept, 4))  # fmt: skip
        approximate = fidelity.cosine_mean < EXACT
        precision = {
            "static": f"static int8, {groups - len(kept)} of {groups} groups of linear layers; the others float32",
            "weights": "int8 weights, float32 arithmetic",
        }[method]
        values = self.values() | {
            "name": name
            or f"{self.card.name.removesuffix('-int8')}-{'static-int8' if method == 'static' else 'int8-weights'}",
            "precision": precision,
            "approximate": approximate,
            "fidelity": asdict(fidelity),
        }
        card = make_encoder(self.to, values)
        said = [
            f"Linear layers: {precision}.",
            f"On {fidelity.texts} texts that calibrated nothing: cosine {fidelity.cosine_mean:.5f} on average, {fidelity.cosine_p1:.5f} "
            f"at the first percentile; {fidelity.neighbours_kept:.1%} of the ten nearest neighbours kept.",
            f"Marked as {'APPROXIMATE' if approximate else 'faithful'} (mean cosine {EXACT} or more); its cache is its own.",
        ]
        return Made(card, tuple(said))


def _static(
    model: onnx.ModelProto, groups: Groups, encoder: Encoder, calibration: list[str], draft: _Draft, target: float
) -> tuple[onnx.ModelProto, list[str]]:
    rows = encoder.tokenizer.token_ids([encoder.card.passage_prefix + text for text in calibration])
    feeds = [encoder.feed([row]) for row in rows]
    samples = sample_inputs(model, list(groups), feeds)
    draft.report("choosing scales")
    quantized = quantize_groups(groups, samples)

    def loss(keep: Sequence[str], count: int) -> float:
        vectors = draft.vectors(with_static_int8(model, groups, quantized, keep), count)
        return 1 - likeness(vectors, draft.wanted[:count]).cosine_mean

    everywhere = loss([], len(draft.judges))
    draft.report(f"all in int8: mean cosine {1 - everywhere:.5f}")
    kept: list[str] = []
    if everywhere > 1 - target:
        harm = {name: loss([other for other in groups if other != name], MOST_TRIED) for name in groups}
        for name in sorted(groups, key=lambda name: harm[name] / _cost(groups, name), reverse=True):
            kept.append(name)
            if (left := loss(kept, len(draft.judges))) <= 1 - target:
                break
            draft.report(f"{len(kept)} of {len(groups)} groups in float32: mean cosine {1 - left:.5f}")
    return with_static_int8(model, groups, quantized, kept), kept


def _cost(groups: Groups, name: str) -> int:
    """Return the multiplications a token that a group costs."""
    return sum(linear.weight.size for linear in groups[name])
