"""`eci encoders verify --collection`: nDCG@10 of two encoders on the same judgements."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from jobs.encoders.comparison import compare_retrieval
from jobs.errors import InputError
from onnx_models.exporting.export import export_encoder
from tests.encoders.models import write_model

DEFAULT = "minilm-l6-v2-int8"

PAIRS = {
    "How do vaccines train the immune system?": "A vaccine shows the body a harmless piece of a germ, so that it learns to answer.",
    "why do rivers form deltas": "Where a river meets the sea its current slows, and the sediment that it carries settles.",
    "capital of France": "Paris has been the seat of the French government for most of its history.",
    "what is photosynthesis": "Plants use light to turn water and carbon dioxide into sugar and oxygen.",
    "who wrote Hamlet": "The tragedy of the prince of Denmark is by William Shakespeare, about 1600.",
    "boiling point of water": "At sea level the liquid turns to steam at one hundred degrees Celsius.",
    "how to sort a list in Python": "The built-in function sorted returns a new list in ascending order.",
    "what causes earthquakes": "Tectonic plates slip along faults and release the energy stored in the rock.",
    "symptoms of the flu": "Influenza brings fever, cough, a sore throat and aching muscles.",
    "how do bees make honey": "Workers collect nectar and fan it with their wings until most of its water is gone.",
    "what is inflation": "Prices rise in general, and the same money buys less than before.",
    "when did the Berlin wall fall": "The border of the divided German city was opened in November 1989.",
}  # fmt: skip


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("collection")
    rows = {
        "corpus.jsonl": [json.dumps({"_id": f"d{i}", "text": text}) for i, text in enumerate(PAIRS.values())],
        "queries.jsonl": [json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate([*PAIRS, "unjudged"])],
        "qrels.tsv": [f"q{i}\td{i}\t1" for i in range(len(PAIRS))],
    }
    for name, lines in rows.items():
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An encoder with random weights."""
    root = tmp_path_factory.mktemp("untrained")
    export_encoder(write_model(root / "hf"), root / "out")
    return str(root / "out")


@pytest.mark.slow
def test_an_encoder_changes_nothing_against_itself(collection: Path) -> None:
    found = compare_retrieval(DEFAULT, DEFAULT, str(collection), 1, lambda line: None)
    assert (found.queries, found.documents) == (len(PAIRS), len(PAIRS))
    assert found.ndcg == found.reference_ndcg > 0.9
    assert (found.change, found.change_lo, found.change_hi, found.queries_changed) == (0, 0, 0, 0)


@pytest.mark.slow
def test_the_loss_of_a_worse_encoder_shows_beyond_its_interval(
    eci: Callable[..., CompletedProcess[str]], collection: Path, untrained: str, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(PAIRS.values()), encoding="utf-8")
    call = ("encoders", "verify", untrained, "--texts", "texts.txt", "--reference", untrained, "--workers", "1")
    same = eci(*call, "--collection", collection, "--quiet")
    assert same.returncode == 0, same.stderr
    assert "change +0.0000, 95 % interval +0.0000 .. +0.0000; 0.0% of the queries change" in same.stdout
    found = compare_retrieval(untrained, DEFAULT, str(collection), 1, lambda line: None)
    assert found.change == pytest.approx(found.ndcg - found.reference_ndcg)
    assert found.change_lo < found.change < found.change_hi < 0
    assert found.queries_changed > 0.5


def test_a_collection_without_judgements_is_refused(collection: Path, tmp_path: Path) -> None:
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_bytes((collection / name).read_bytes())
    with pytest.raises(InputError, match="no judgements"):
        compare_retrieval(DEFAULT, DEFAULT, str(tmp_path), 1, lambda line: None)
