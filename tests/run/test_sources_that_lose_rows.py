"""What an input needs belongs to that input, and a source that loses most of its rows stops the run, unless it is allowed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import jobs
from jobs.errors import InputError
from jobs.finished.result import RunResult
from jobs.formats.base import Options
from tests.conftest import run_lake
from tests.formats.reading import read
from tests.lakes import VectorLake, vector_lake

CASES = Path(__file__).parents[3] / "shared" / "cases"
QUICK: dict[str, Any] = {"folds": 4, "workers": 1, "no_probe": True}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    """100 triples of two sources, with texts and vectors."""
    return vector_lake(tmp_path_factory.mktemp("lake"), 8, 100, sources=2)


@pytest.fixture(scope="module")
def whole(lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run over the lake's canonical triples."""
    return run_lake(tmp_path_factory.mktemp("whole") / "out", lake.triples, vectors=str(lake.vectors), **QUICK)


def lines(path: Path, records: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def files(lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The lake's triples as records with texts, with the id of the query beside them, and as ids with texts elsewhere."""
    folder = tmp_path_factory.mktemp("files")
    queries = {text: f"q{i}" for i, text in enumerate(lake.queries)}
    passages = {text: f"a passage {i}" for i, text in enumerate(lake.passages)}  # ids that hold blanks
    texts = [{"qid": queries[q], "query": q, "pos": [p], "neg": {s: [n]}} for q, p, n, s in lake.rows[:50]]
    ids = [
        {"qid": queries[q], "query": q, "pos": [passages[p]], "neg": {s: [passages[n]]}}
        for q, p, n, s in lake.rows[50:]
    ]
    return {
        "texts": lines(folder / "texts.jsonl", texts),
        "ids": lines(folder / "ids.jsonl", ids),
        "corpus": lines(folder / "corpus.jsonl", [{"_id": key, "text": text} for text, key in passages.items()]),
        "wrong": lines(folder / "wrong.jsonl", [{"_id": key, "text": f"no {text}"} for text, key in passages.items()]),
        "queries": lines(folder / "queries.jsonl", [{"_id": key, "text": text} for text, key in queries.items()]),
    }


def test_a_corpus_turns_no_texts_into_ids(
    lake: VectorLake, whole: RunResult, files: dict[str, str], tmp_path: Path
) -> None:
    inputs = [{"triples": files["texts"]}, {"triples": files["ids"]}]
    result = run_lake(tmp_path / "out", None, inputs=inputs, corpus=files["corpus"], vectors=str(lake.vectors), **QUICK)
    assert (result.totals["rows_in"], result.totals["scored"], result.totals["rejected"]) == (100, 100, 0)
    # the same texts as the canonical triples have
    columns = ["source", "n_examples", "eci"]
    assert result.ranking.select(columns).to_pylist() == whole.ranking.select(columns).to_pylist()


def test_ids_that_look_like_ids_are_no_texts_where_the_corpus_lacks_them(files: dict[str, str], tmp_path: Path) -> None:
    record = {"qid": "1", "query": "some query", "pos": ["4711"], "neg": {"bm25": ["doc-17"]}}
    path = lines(tmp_path / "r.jsonl", [record])
    (row,) = read("sbert-hard-negatives", path, Options(corpus=("x",))).rows.rows(named=True)
    assert (row["positive_id"], row["negative_id"], row["negative"]) == ("4711", "doc-17", None)
    (row,) = read("sbert-hard-negatives", files["texts"], Options(corpus=("x",))).rows.head(1).rows(named=True)
    assert row["positive_id"] is None and row["positive"].startswith("passage ")


def test_an_input_has_a_corpus_of_its_own(lake: VectorLake, files: dict[str, str], tmp_path: Path) -> None:
    """The same ids are other texts in the run's corpus, and an input may do without any."""
    own = {"triples": files["ids"], "corpus": [files["corpus"]]}
    given: dict[str, Any] = {
        "corpus": files["wrong"],
        "queries": files["queries"],
        "vectors": str(lake.vectors),
        **QUICK,
    }
    result = run_lake(tmp_path / "own", None, inputs=[own, {"triples": files["texts"], "corpus": []}], **given)
    assert (result.totals["scored"], result.totals["rejected"]) == (100, 0)
    with pytest.raises(InputError, match=r"loses \d+ of \d+ rows \(\d+ bad_vector\)"):  # these texts have no vectors
        run_lake(tmp_path / "other", None, inputs=[{"triples": files["ids"]}, {"triples": files["texts"]}], **given)


@pytest.fixture
def losing(lake: VectorLake, tmp_path: Path) -> list[str]:
    """`bm25` loses 30 of 50 rows for three reasons, shards of `dense` 25 of 50 by lines that cannot be parsed."""
    bm25 = [{"query": q, "positive": p, "negative": n, "source": "bm25"} for q, p, n, _ in lake.rows[:50]]
    for i in range(30):
        bm25[i] |= [{"negative": None}, {"query": " "}, {"negative": bm25[i]["positive"]}][i % 3]
    lines(tmp_path / "bm25.jsonl", bm25)
    dense = [json.dumps({"anchor": q, "positive": p, "negative": n}) for q, p, n, _ in lake.rows[50:]]
    (tmp_path / "dense-00000-of-00002.jsonl").write_text("\n".join(dense[:25]) + "\n" + "{\n" * 25)
    (tmp_path / "dense-00001-of-00002.jsonl").write_text(dense[25] + "\n" + "{\n" * 24)
    return ["--triples", "bm25.jsonl", "--triples", "dense-*", "--vectors", str(lake.vectors), "--out", "out",
            "--folds", "4", "--workers", "1", "--no-probe", "--quiet"]  # fmt: skip


def test_a_source_that_loses_most_of_its_rows_stops_the_run(
    losing: list[str], eci: Callable[..., Any], tmp_path: Path
) -> None:
    done = eci("run", *losing)
    # of dense 26 of 75 rows are whole; what settling has rejected is not known yet
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("eci: source dense loses 49 of 75 rows (49 bad_record); the first: ")
    (tmp_path / "dense-00001-of-00002.jsonl").unlink()
    (line,) = eci("run", *losing).stderr.splitlines()
    assert line.startswith(
        "eci: source bm25 loses 30 of 50 rows (10 empty_text, 10 negative_is_positive, 10 null_field); the first: "
    )
    kept = tmp_path / "out" / "refused.parquet"
    assert line.endswith(f"; all rejects are in {kept}; to go on without these rows, give --allow-rejects")
    reasons = Counter(pq.read_table(kept)["reason"].to_pylist())
    assert reasons == {"empty_text": 10, "negative_is_positive": 10, "null_field": 10, "bad_record": 25}
    assert not (tmp_path / "out" / "runs").exists()

    allowed = eci("run", *losing, "--allow-rejects")
    assert allowed.returncode == 0, allowed.stderr
    assert (
        "source bm25 loses 30 of 50 rows (10 empty_text, 10 negative_is_positive, 10 null_field).\n" in allowed.stdout
    )
    assert "100 rows in = 45 scored + 55 rejected + 0 duplicates" in allowed.stdout
    assert not kept.exists()
    (manifest,) = (json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").glob("*/manifest.json"))
    assert [(loss["source"], loss["lost"], loss["rows"]) for loss in manifest["losses"]] == [("bm25", 30, 50)]
    with duckdb.connect() as con:
        rejects = str(tmp_path / "out" / "runs" / "*" / "rejects" / "*.parquet")
        assert con.execute("SELECT count(*) FROM read_parquet(?)", [rejects]).fetchall() == [(55,)]


def test_training_files_beside_a_run_are_held_to_the_same(
    lake: VectorLake, whole: RunResult, eci: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [{"query": q, "positive": p, "negative": n} for q, p, n, _ in lake.rows]
    lines(tmp_path / "mine.jsonl", rows + [row | {"negative": ""} for row in rows] * 2)
    given = ["probe", "--out", whole.out, "--triples", "mine=mine.jsonl", "--quiet", "--workers", "1"]
    done = eci(*given)
    assert done.returncode == 2 and "source mine loses 200 of 300 rows (200 empty_text)" in done.stderr
    few = eci(*given, "--allow-rejects")  # what is left is read, and too little for a probe
    assert few.returncode == 2 and few.stderr.startswith("eci: No probe: "), few.stderr


def test_a_mixture_of_ids_and_texts_in_one_settings_file(eci: Callable[..., Any], tmp_path: Path) -> None:
    """The handed case: a BEIR run with a corpus, and records that carry their texts."""
    if not CASES.is_dir():
        pytest.skip("the folder shared/cases is not beside the repository")
    expected: Counter[str] = Counter()
    for line in (CASES / "select_sbert-hard-negatives.jsonl").read_text().split("\n")[:-1]:
        record = json.loads(line)
        expected.update({source: len(record["pos"]) * len(texts) for source, texts in record["neg"].items()})
    judged: dict[str, set[str]] = {}
    for line in (CASES / "qrels.tsv").read_text().split("\n")[1:-1]:
        query, document, _ = line.split("\t")
        judged.setdefault(query, set()).add(document)
    seen: Counter[str] = Counter()
    for line in (CASES / "run.trec").read_text().split("\n")[:-1]:
        query, _, document, rank, *_ = line.split()
        seen[query] += 1
        assert int(rank) == seen[query]
        expected["run"] += int(rank) <= 10 and document not in judged[query]
    assert expected == {"llm": 40, "dense": 37, "bm25": 31, "run": 360}
    names = (
        "mixset.toml",
        "collection.tsv",
        "queries.tsv",
        "select_sbert-hard-negatives.jsonl",
        "run.trec",
        "qrels.tsv",
    )
    for name in names:
        shutil.copyfile(CASES / name, tmp_path / name)
    ran = eci("run", "mixset.toml", "--folds", 4, "--no-probe", "--quiet")
    assert ran.returncode == 0, ran.stderr
    result = jobs.rank(str(tmp_path / "OUT"))
    assert (result.totals["rows_in"], result.totals["scored"], result.totals["rejected"]) == (468, 468, 0)
    rows = result.ranking.filter(result.ranking["kind"].to_numpy(zero_copy_only=False) == "source").to_pylist()
    assert {row["source"]: row["n_examples"] for row in rows} == expected
