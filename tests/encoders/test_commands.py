"""`eci encoders` as users type it: every command's way from a folder to vectors, and what wrong calls say."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from jobs.encoders.tools import list_encoders, read_sample
from jobs.errors import InputError
from onnx_models.cards import family_names, load_card
from onnx_models.errors import EncoderError
from onnx_models.families import families, family_of
from tests.encoders.models import WORDS, write_model

Eci = Callable[..., CompletedProcess[str]]
TEXTS = [" ".join(np.random.default_rng(seed).choice(WORDS, 2 + seed % 30)) for seed in range(60)]


@pytest.mark.slow
def test_from_a_hugging_face_folder_to_a_checked_int8_encoder(eci: Eci, tmp_path: Path) -> None:
    write_model(tmp_path / "e5-small-v2")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    exported = eci("encoders", "export", "e5-small-v2", "--to", "mine/float")
    assert exported.returncode == 0, exported.stderr
    assert "Before a query goes 'query: '" in exported.stdout
    assert "Use it with --encoder mine/float" in exported.stdout
    made = eci(
        "encoders", "quantize", "mine/float", "--texts", "texts.txt", "--to", "mine/int8", "--cosine", "0.99", "--json"
    )
    assert json.loads(made.stdout)["card"]["fidelity"]["cosine_mean"] > 0.98
    checked = eci("encoders", "verify", "mine/int8", "--texts", "texts.txt", "--reference", "mine/float", "--json")
    found = json.loads(checked.stdout)
    assert found["golden"] == "pass"
    assert found["cosine_mean"] > 0.98
    assert found["texts"] == len(set(TEXTS))
    rows = json.loads(eci("encoders", "list", "mine", "--json").stdout)
    assert [row["encoder"] for row in rows if row["state"].startswith("usable")][-2:] == ["mine/float", "mine/int8"]
    assert load_card(str(tmp_path / "mine/float")).name in eci("encoders", "show", "mine/float").stdout


@pytest.mark.slow
def test_wrong_calls_are_one_line_and_exit_code_2(eci: Eci, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    calls = {
        ("show", "e5-base"): "unknown encoder",
        ("add", "empty"): "holds no config.json",
        ("add", "empty", "--pooling", "max"): "allowed are mean, cls and last",
        ("export", "nowhere", "--to", "x"): "is not a folder",
        ("quantize", "minilm-l6-v2-int8", "--texts", "few.txt", "--to", "x"): "needed are 40",
        (
            "quantize",
            "minilm-l6-v2-int8",
            "--texts",
            "few.txt",
            "--to",
            "x",
            "--method",
            "dynamic",
        ): "allowed are static and weights",
        ("verify", "minilm-l6-v2-int8", "--texts", "none.txt"): "none.txt: cannot be read",
        ("verify", "e5-base-v2", "--texts", "few.txt"): "ships no weights",
        ("verify", "minilm-l6-v2-int8", "--texts", "few.txt", "--triples", "t.parquet"): "give --reference too",
        (
            "verify",
            "minilm-l6-v2-int8",
            "--texts",
            "few.txt",
            "--collection",
            "c",
        ): "--collection compares two encoders",
    }
    for call, message in calls.items():
        done = eci("encoders", *call)
        assert done.returncode == 2, call
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stdout == ""
    assert eci("gc", "--out", "empty", "--keep-runs", "0").returncode == 2
    assert "Nothing to remove." in eci("gc", "--out", "empty").stdout


def test_the_list_says_which_are_usable_and_which_need_files() -> None:
    states = {row["name"]: row["state"] for row in list_encoders()}
    assert states["minilm-l6-v2-int8"] == "usable"
    assert all(states[name].startswith("needs files") for name in family_names())


def test_ready_cards_are_those_of_the_papers_families() -> None:
    by_name = {family.name: family for family in families()}
    assert set(by_name) >= {
        "e5-base-v2",
        "e5-small-v2",
        "contriever-msmarco",
        "bge-small-en-v1.5",
        "msmarco-distilbert-base-tas-b",
    }
    assert by_name["msmarco-distilbert-base-tas-b"].pooling == "cls"
    assert (by_name["e5-base-v2"].query_prefix, by_name["e5-base-v2"].temperature) == ("query: ", 0.01)
    assert by_name["contriever-msmarco"].pooling == "mean"
    assert by_name["bge-small-en-v1.5"].query_prefix.endswith("passages: ")


def test_a_family_is_found_by_folder_or_by_hub_name() -> None:
    assert family_of("intfloat/e5-base-v2").name == "e5-base-v2"  # type: ignore[union-attr]
    assert family_of("", "E5-Small-v2").name == "e5-small-v2"  # type: ignore[union-attr]
    assert family_of("intfloat/e5-base", "mine") is None


def test_a_ready_card_without_files_says_how_to_get_it() -> None:
    with pytest.raises(EncoderError, match="ships no weights.*eci encoders export"):
        load_card("e5-base-v2")


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.jsonl", "t.csv", "t.parquet"])
def test_texts_are_read_from_files_of_many_kinds(tmp_path: Path, name: str) -> None:
    import polars as pl

    path, frame = tmp_path / name, pl.DataFrame({"id": [1, 2, 3, 4], "text": ["a", "b", "a", " "]})
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(b"a\nb\na\n"))
    elif name.endswith("txt"):
        path.write_text("a\nb\n\na\n")
    elif name.endswith("jsonl"):
        frame.write_ndjson(path)
    elif name.endswith("csv"):
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    assert read_sample(str(path)) == ["a", "b"]


def test_a_file_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no text column among a, b"):
        read_sample(str(tmp_path / "t.csv"))
    (tmp_path / "t.txt").write_text("\n \n")
    with pytest.raises(InputError, match="no text in it"):
        read_sample(str(tmp_path / "t.txt"))
