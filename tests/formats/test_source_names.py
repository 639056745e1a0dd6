"""Sources that are named after files: shards are one, files of one name are told apart by their paths, by one rule each."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from jobs.config import make_config
from jobs.errors import InputError
from jobs.formats.base import Options
from jobs.formats.source_names import ABOVE, FILE, FOLDER, PATH, SHARDS, FileSource, file_sources, named_path
from jobs.ids import tidy
from jobs.ingest.canonical import ingest_to
from jobs.terminal.progress import Silent
from tests.formats.reading import read

CASES = Path(__file__).parents[3] / "shared" / "cases"
SPARK = "part-00000-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"


@pytest.mark.parametrize(
    ("file", "name", "rule"),
    [
        ("bm25.jsonl.gz", "bm25", FILE),
        ("train-00000-of-00003.parquet", "train", SHARDS),
        ("bm25_0_of_4.jsonl", "bm25", SHARDS),
        ("train-00000-of-00001-a09b74b3ef9c3b56.parquet", "train", SHARDS),
        ("bm25.part-3.jsonl", "bm25", SHARDS),
        ("bm25_shard12.jsonl.zst", "bm25", SHARDS),
        ("negatives-000000000007.parquet", "negatives", SHARDS),
        ("part-00000", "mined", ABOVE),
        ("part.0.parquet", "mined", ABOVE),
        ("shard_3.jsonl", "mined", ABOVE),
        ("shard-00000-of-00010.parquet", "mined", ABOVE),
        (f"{SPARK}-c000.snappy.parquet", "mined", ABOVE),
        (f"{SPARK}.c000.snappy.parquet", "mined", ABOVE),
        ("000000_0", "mined", ABOVE),
        ("data_0.parquet", "mined", ABOVE),
        # what is counted here are rivals
        ("ckpt-00500.jsonl", "ckpt-00500", FILE),
        ("run_001.trec", "run_001", FILE),
        ("bm25-2024.jsonl", "bm25-2024", FILE),
        ("dense_1.jsonl", "dense_1", FILE),
        ("all-MiniLM-L6-v2.jsonl", "all-MiniLM-L6-v2", FILE),
        ("part.jsonl", "part", FILE),
    ],
)
def test_what_says_the_shard_is_no_part_of_the_name(file, name, rule):
    assert file_sources([f"/lake/mined/{file}"]) == {f"/lake/mined/{file}": FileSource(name, rule)}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/w/bm25/train.jsonl", "/w/dense/train.jsonl", "/w/llm.jsonl"], ["bm25", "dense", "llm"]),
        (["/w/bm25/v1/train.jsonl", "/w/dense/v1/train.jsonl"], ["bm25", "dense"]),
        (["/w/a/bm25/train.jsonl", "/w/a/dense/train.jsonl", "/w/b/bm25/train.jsonl"], ["a/bm25", "a/dense", "b/bm25"]),
        # shards in each folder, and an ending of another kind
        (["/w/bm25/part-0.jsonl", "/w/bm25/part-1.jsonl", "/w/dense/part-0.jsonl"], ["bm25", "bm25", "dense"]),
        (["/w/bm25/train-0-of-2.parquet", "/w/bm25/train-1-of-2.parquet", "/w/llm/train.jsonl"], ["bm25", "bm25", "llm"]),
        # one that lies above, and a folder that is called as another file is
        (["/w/train.jsonl", "/w/bm25/train.jsonl"], ["train", "bm25"]),
        (["/w/bm25/train.jsonl", "/w/dense/train.jsonl", "/w/bm25.jsonl"], ["bm25/train", "dense/train", "bm25"]),
        (["/w/train/train.jsonl", "/w/train.jsonl"], ["w/train/train", "w/train"]),
        (["/w/bm25/train.jsonl", "/w/bm25/dev.jsonl", "/w/llm/train.jsonl", "/w/llm/dev.jsonl"],
         ["bm25/train", "bm25/dev", "llm/train", "llm/dev"]),
        (["/w/miner=bm25/x.jsonl", "/w/miner=dense/x.jsonl"], ["bm25", "dense"]),
        (["s3://lake/bm25/x.jsonl", "s3://lake/dense/x.jsonl"], ["bm25", "dense"]),
        (["/w/bm25 .jsonl", "/w/ bm25.jsonl"], ["bm25", "bm25"]),
    ],
)  # fmt: skip
def test_as_much_of_the_path_as_tells_files_apart(paths, names):
    found = file_sources(paths)
    assert [found[path].name for path in paths] == names


def test_a_folder_of_hive_names_its_source():
    found = file_sources(
        ["/w/source=bm25/part-0.parquet", "/w/source=two%20words/day=1/train.parquet", "/w/train.parquet"]
    )
    assert list(found.values()) == [
        FileSource("bm25", FOLDER), FileSource("two words", FOLDER), FileSource("train", FILE)
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_triples_without_a_column_source_take_the_folder(tmp_path, ending):
    folder = tmp_path / "source=bm25"
    folder.mkdir()
    frame = pl.DataFrame({"query": ["q"], "positive": ["p"], "negative": ["n"]})
    path = folder / f"part-0.{ending}"
    write = {"parquet": frame.write_parquet, "jsonl": frame.write_ndjson, "csv": frame.write_csv}[ending]
    write(path)
    assert read("triples", path).sources == {"bm25": 1}
    assert read("triples", path, Options(source="mine")).sources == {"mine": 1}
    with pytest.raises(InputError, match="no column 'source'"):
        frame.write_parquet(tmp_path / "t.parquet")
        read("triples", tmp_path / "t.parquet")


def test_a_name_before_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source=bm25").mkdir()
    (tmp_path / "source=bm25" / "train.jsonl").write_text("{}")
    for path in (
        "source=bm25",
        "source=bm25/train.jsonl",
        "source=*/*.jsonl",
        "s3://lake/source=bm25/x.jsonl",
        "x.jsonl",
        "a/b=c",
    ):
        assert named_path(path) == (None, path)
    assert named_path("bm25=x.jsonl") == ("bm25", "x.jsonl")
    assert named_path("b=source=bm25/train.jsonl") == ("b", "source=bm25/train.jsonl")
    assert named_path("BAAI/bge-m3=source=bm25") == ("BAAI/bge-m3", "source=bm25")
    assert named_path("bm25=s3://lake/source=bm25/x.jsonl") == ("bm25", "s3://lake/source=bm25/x.jsonl")
    assert named_path(" two  words =x.jsonl") == ("two words", "x.jsonl")


NAMES = ["dense é", "dense e\N{COMBINING ACUTE ACCENT}", " dense é", "dense  é\N{NO-BREAK SPACE}", "dense é\n"]


def test_blanks_and_composition_make_no_other_source(tmp_path):
    frame = pl.DataFrame({"query": "q", "positive": "p", "negative": [f"n{i}" for i in range(5)], "source": NAMES})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ndjson(tmp_path / "t.jsonl")
    for name in ("t.parquet", "t.jsonl"):
        assert read("triples", tmp_path / name).sources == {"dense é": 5}
    records = {
        "bge": [{"query": "q", "pos": ["p"], "neg": ["n"], "source": s} for s in NAMES],
        "sbert-hard-negatives": [{"query": "q", "pos": ["p"], "neg": {s: ["n"] for s in NAMES}}],
        "sbert-tuples": [{"anchor": "q", "positive": "p", "negative": "n", "source": s} for s in NAMES],
        "tevatron": [{"query": "q", "positive_passages": [{"text": "p"}], "negative_passages": [{"text": "n"}], "source": s}
                     for s in NAMES],
    }  # fmt: skip
    for name, those in records.items():
        (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, those)) + "\n")
        assert read(name, tmp_path / "r.jsonl").sources == {"dense é": 5}
        assert read(name, tmp_path / "r.jsonl", Options(source=NAMES[3])).sources == {"dense é": 5}
    values = {"inputs": [{"triples": "x", "source": NAMES[1]}], "out": "o", "hybrids": ["a+dense  é"]}
    config = make_config(values)
    assert (config.inputs[0].source, config.hybrids) == ("dense é", {"a+dense é": ("a", "dense é")})
    assert [tidy(name) for name in ("a\tb", "a\nb")] == ["a\tb", "a\nb"]  # no blanks: such names are refused


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")
def test_the_handed_cases(tmp_path):
    def ingested(*folders: str) -> tuple[dict[str, int], dict[str, tuple[str, int]]]:
        out = str(tmp_path / "-".join(folders))
        done = ingest_to(
            make_config({"inputs": [{"triples": [str(CASES / f) for f in folders]}], "out": out}), Silent()
        )
        return done.triples, {n["source"]: (n["rule"], len(n["files"])) for n in done.named_after_files}

    # three shards of 40 rows of anchor, positive, negative; three files of 40 records of one positive and one negative
    assert ingested("shards") == ({"train": 120}, {"train": (SHARDS, 3)})
    assert ingested("bm25", "dense", "rand") == (
        {"bm25": 40, "dense": 40, "rand": 40},
        {"bm25": (PATH, 1), "dense": (PATH, 1), "rand": (PATH, 1)},
    )
