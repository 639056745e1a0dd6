"""Fine-tuning a whole encoder. Skips where PyTorch is absent (extra `export`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'eci-lake[export]'")
pytest.importorskip("transformers", reason="needs transformers: pip install 'eci-lake[export]'")

from jobs.errors import InputError  # noqa: E402
from jobs.validation.finetuning import Grid  # noqa: E402
from jobs.validation.outcome import Settings  # noqa: E402
from jobs.validation.tables import read_tables  # noqa: E402
from jobs.validation.validate import validate  # noqa: E402
from onnx_models.exporting.export import export_encoder  # noqa: E402
from onnx_models.exporting.finetune_torch import Budget, Texts, Trainable  # noqa: E402
from onnx_models.running.session import open_encoder  # noqa: E402
from tests.encoders.models import WORDS, write_model  # noqa: E402

BUDGET = Budget(steps=20, batch=8, rate=1e-3)


def examples() -> Texts:
    words = WORDS[:12]
    return Texts(
        [f"how do {word}" for word in words],
        [f"{word} {word} and the sea" for word in words],
        [[f"the current {words[i - 1]}", f"{words[i - 2]} down"] for i in range(len(words))],
        [frozenset() for _ in words],
    )


def margin(model: Trainable, texts: Texts) -> float:
    q, p, n = (
        model.encode(side, [*found])
        for side, found in (
            ("query", texts.query),
            ("passage", texts.positive),
            ("passage", [row[0] for row in texts.negatives]),
        )
    )
    return float(np.mean(np.sum(q * (p - n), axis=1)))


def test_frozen_vectors_are_those_of_the_exported_encoder(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf", prompts={"query": "how ", "passage": "the "})
    encoder = open_encoder(export_encoder(folder, tmp_path / "out").card)
    texts = ["river", "a delta grows where the current slows " * 9, "sea"]
    for side in ("query", "passage"):
        assert np.abs(Trainable(folder, 1).encode(side, texts) - encoder.encode(texts, side)).max() < 1e-5


def test_training_separates_positives_from_negatives_and_begins_anew_each_time(tmp_path: Path) -> None:
    model, texts = Trainable(write_model(tmp_path / "hf"), 1), examples()
    before, steps = margin(model, texts), []
    model.tune(texts, 0.05, BUDGET, 0, lambda: steps.append(1))
    after = model.encode("query", texts.query)
    assert margin(model, texts) > before + 0.1 and len(steps) == BUDGET.steps
    model.tune(texts, 0.05, BUDGET, 0, lambda: None)
    assert np.array_equal(model.encode("query", texts.query), after)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "collection"
    folder.mkdir()
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, 12).tolist()) + f" {i}" for i in range(160)]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": t}) + "\n" for i, t in enumerate(texts))
    )
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": t[:20]}) + "\n" for i, t in enumerate(texts))
    )
    (folder / "qrels.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(160)))
    return folder


def test_validate_gives_the_whole_encoder_a_column_of_its_own(collection: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "hf")
    export_encoder(folder, tmp_path / "card")
    settings = Settings(
        str(collection), str(tmp_path / "out"), encoder=str(tmp_path / "card"), seeds=1, grid=Grid((1e-3,), (5,)),
        workers=1, memory="2GB", finetune=str(folder),
    )  # fmt: skip
    validate(settings)
    rows = read_tables(str(tmp_path / "out"))["validation_sources"]
    of = {o: [r["ndcg"] for r in rows if r["objective"] == o] for o in ("negatives", "in-batch", "encoder")}
    assert len(of["encoder"]) == len(of["negatives"]) == 11
    assert any(tuned != rows[0]["ndcg_untuned"] for tuned in of["encoder"])


def test_weights_of_another_encoder_are_refused(collection: Path, tmp_path: Path) -> None:
    export_encoder(write_model(tmp_path / "hf"), tmp_path / "card")
    other = write_model(tmp_path / "other", pooling="cls")
    settings = Settings(
        str(collection), str(tmp_path / "out"), encoder=str(tmp_path / "card"), seeds=1, grid=Grid((1e-3,), (5,)),
        workers=1, memory="2GB", finetune=str(other),
    )  # fmt: skip
    with pytest.raises(InputError, match="not those of --encoder"):
        validate(settings)
