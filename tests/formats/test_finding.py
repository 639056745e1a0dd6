"""Which files a pattern names: literal names, links, pipes, folders as data sets are published, the output root."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import fsspec
import pytest

from jobs.config import make_config
from jobs.errors import InputError
from jobs.formats.finding import find
from jobs.formats.records import holds_nothing
from jobs.ingest.inputs import input_tasks

ROW = '{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n'


def names(*patterns: Path | str, out: Path | str = "") -> list[str]:
    return [os.path.basename(name) for name in find([str(p) for p in patterns], "triples", str(out)).files]


def over(*patterns: Path | str) -> dict[str, str]:
    return {os.path.basename(name): why for name, why in find([str(p) for p in patterns], "triples").passed_over}


def put(path: Path, text: str = ROW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_name_that_is_there_is_no_glob(tmp_path: Path) -> None:
    put(tmp_path / "[x].jsonl")
    put(tmp_path / "x.jsonl")
    put(tmp_path / "a*b?.jsonl")
    put(tmp_path / "run[1]" / "y.jsonl")
    assert names(tmp_path / "[x].jsonl") == ["[x].jsonl"]
    assert names(tmp_path / "a*b?.jsonl") == ["a*b?.jsonl"]
    assert names(tmp_path / "run[1]") == ["y.jsonl"]
    assert names(tmp_path / "[xz].jsonl") == ["x.jsonl"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "real" / "y.jsonl")
    put(tmp_path / "a" / "x.jsonl")
    (tmp_path / "a" / "link").symlink_to("../real")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "again.jsonl").symlink_to("x.jsonl")
    assert names(tmp_path / "a") == ["y.jsonl", "x.jsonl"], "each file once, whatever leads to it"
    assert names(tmp_path / "a" / "link") == ["y.jsonl"]
    assert names(tmp_path / "a" / "again.jsonl") == ["again.jsonl"]


def test_a_link_to_nothing_is_said(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.jsonl")
    (tmp_path / "a" / "gone.jsonl").symlink_to("elsewhere/gone.jsonl")
    for pattern in ("a", "a/*.jsonl", "a/gone.jsonl"):
        with pytest.raises(InputError, match=r"link to elsewhere/gone.jsonl, which is not there"):
            names(tmp_path / pattern)


def test_pipes_are_refused_and_passed_over_in_folders(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.jsonl")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert names(tmp_path / "a") == names(tmp_path / "a" / "*") == ["x.jsonl"]
    with pytest.raises(InputError, match="is a pipe or a device, which is not read: .* write it to a file"):
        names(tmp_path / "a" / "pipe")
    for name in ("-", "/dev/stdin"):
        with pytest.raises(
            InputError, match=f"triples: {name} is standard input, which is not read: .* write it to a file"
        ):
            names(name)


def test_folders_as_data_sets_are_published(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("README.md", "LICENSE", "dataset_infos.json", "load.py", ".gitattributes", "_SUCCESS"):
        put(folder / name, "{}" if name.endswith("json") else "words")
    put(folder / "mining.json", json.dumps({"model": "m", "ranks": [1, 10]}))
    put(folder / "train" / "data.jsonl")
    put(folder / "one.json", ROW)
    put(folder / "run.json", json.dumps({"q1": {"d1": 0.5}}))
    assert names(folder / "train") == ["data.jsonl"]
    assert over(folder) == {
        "README.md": "no data", "LICENSE": "no data", "dataset_infos.json": "no data", "load.py": "no data",
        "mining.json": "no data",
    }  # fmt: skip
    assert names(folder) == ["one.json", "run.json", "data.jsonl"]
    assert names(folder / "mining.json") == ["mining.json"], "what is named is not passed over"
    with pytest.raises(InputError, match="folder with no files in it; it holds only README.md; give a file"):
        put(tmp_path / "only" / "README.md")
        names(tmp_path / "only")


def test_what_hugging_face_saved(tmp_path: Path) -> None:
    """Of a folder with a state.json, the Arrow files that it lists, and no caches beside them."""
    split = tmp_path / "saved" / "train"
    for name in ("data-00000-of-00002.arrow", "data-00001-of-00002.arrow", "cache-1a2b.arrow"):
        put(split / name)
    listed = [{"filename": f"data-0000{i}-of-00002.arrow"} for i in range(2)]
    put(split / "state.json", json.dumps({"_data_files": listed, "_split": "train"}))
    put(split / "dataset_info.json", json.dumps({"features": {}}))
    put(tmp_path / "saved" / "dataset_dict.json", json.dumps({"splits": ["train"]}))
    assert names(tmp_path / "saved") == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert over(tmp_path / "saved")["cache-1a2b.arrow"] == "not of the data set that was saved"


def test_the_output_root_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x.jsonl")
    put(tmp_path / "OUT" / "runs" / "1" / "scores.parquet")
    put(tmp_path / "OUT" / "LATEST")
    put(tmp_path / "OUT" / "cache" / "embeddings" / "v.parquet")
    put(tmp_path / "OUT" / "lake" / "t.jsonl")
    out = tmp_path / "OUT"
    assert names(tmp_path, out=out) == ["x.jsonl"]
    assert names(tmp_path / "**", out=out) == ["t.jsonl", "x.jsonl"]
    assert names(out, out=out) == ["t.jsonl"]
    assert names(out / "lake", out=out) == ["t.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert names(".", out="OUT") == ["x.jsonl"]
    assert names("../" + tmp_path.name, out="./OUT/") == ["x.jsonl"]


def test_a_folder_behind_an_address() -> None:
    memory = fsspec.filesystem("memory")
    listed = json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": "train"})
    for name, text in {"README.md": "x", "x.jsonl": ROW, "about.json": '{"k": 5}', "s/state.json": listed,
                       "s/data.arrow": ROW, "s/cache-1.arrow": ROW, "out/runs/1/scores.jsonl": ROW}.items():  # fmt: skip
        memory.pipe(f"/finding/{name}", text.encode())
    found = find(["memory://finding"], "triples", "memory://finding/out")
    assert found.files == ["memory:///finding/s/data.arrow", "memory:///finding/x.jsonl"]
    assert [os.path.basename(name) for name, _ in found.passed_over] == [
        "README.md", "about.json", "cache-1.arrow", "state.json"
    ]  # fmt: skip


EMPTY = {"0.jsonl": "", "1.json": "[]", "2.csv": "query,positive,negative,source\n", "3.jsonl": "\n \n", "4.parquet": "",
         "5.tsv": "query\tpositive\tnegative\tsource\n", "6.jsonl": "\ufeff"}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_file_among_good_ones_is_passed_over_and_alone_refused(tmp_path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "parts"
    put(folder / name, EMPTY[name])
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"query": pa.array([], pa.string())}), folder / name)
    assert holds_nothing(str(folder / name))
    config = make_config({"inputs": [{"triples": str(folder)}], "out": str(tmp_path / "OUT")})
    with pytest.raises(InputError, match=rf"triples: .*{name}: empty"):
        input_tasks(config, " ")
    put(folder / "good.jsonl")
    assert not holds_nothing(str(folder / "good.jsonl"))
    tasks, files = input_tasks(config, " ")
    assert [os.path.basename(task.path) for task in tasks] == ["good.jsonl"]
    assert [(os.path.basename(file.path), file.what) for file in files] == [
        (name, "passed over: empty"), ("good.jsonl", "triples")
    ]  # fmt: skip


def test_a_million_files_are_not_opened(tmp_path: Path) -> None:
    """Only .json files are looked into while a folder is listed."""
    for i in range(500):
        put(tmp_path / f"part-{i:03d}.jsonl")
    started = time.monotonic()
    assert len(names(tmp_path)) == 500 and time.monotonic() - started < 5
