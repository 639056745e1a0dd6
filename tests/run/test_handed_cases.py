"""Each file of the handed cases has its test: here, or in the file that TESTED names. Counts are of an independent reading."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.config import make_config
from jobs.errors import InputError
from jobs.formats.base import Options
from jobs.formats.recognise import recognise
from jobs.planning.plan import make_plan
from tests.conftest import run_lake
from tests.formats.reading import read

Eci = Callable[..., subprocess.CompletedProcess[str]]
TESTS = Path(__file__).parents[1]
HERE = "run/test_handed_cases.py"
TOOLS, LOSSES = "formats/test_other_tools.py", "run/test_sources_that_lose_rows.py"
TESTED = {
    **dict.fromkeys(
        ("reports/r12_pair.tsv", "reports/r12_header.tsv", "reports/r12_noheader.tsv"), "formats/test_delimited.py"
    ),
    **dict.fromkeys(
        ("ms_run_bm25.tsv", "ms_collection.tsv", "ms_queries.tsv", "ms_qrels.tsv", "rank.tevatron.txt"), HERE
    ),
    "st_triplet_ids.parquet": "formats/test_ids_and_sources.py",
    **dict.fromkeys((f"shards/train-0000{i}-of-00003.parquet" for i in range(3)), "formats/test_source_names.py"),
    **dict.fromkeys((f"{name}/train.jsonl" for name in ("bm25", "dense", "rand")), "formats/test_source_names.py"),
    "v/bge_source.jsonl": "formats/test_ids_and_sources.py",
    **dict.fromkeys(("mixset.toml", "run.trec", "select_sbert-hard-negatives.jsonl", "qrels.tsv"), LOSSES),
    **dict.fromkeys(("collection.tsv", "queries.tsv"), LOSSES),
    **dict.fromkeys(("nulls.jsonl", "nested_struct.parquet", "dpr_empty.json"), HERE),
    "pandas_columns.json": TOOLS,
    **dict.fromkeys(("ids_only.jsonl", "mixed_ids.jsonl", "noguard.py"), HERE),
    **dict.fromkeys((f"edge/{name}_vectors.parquet" for name in ("d2", "mixdim", "nomatch", "document")), HERE),
    **dict.fromkeys(("edge/d2_triples.parquet", "edge/two_by_three.jsonl"), HERE),
    **dict.fromkeys((f"v/{name}_negatives.jsonl" for name in ("anchor_positive", "q_positives")), TOOLS),
    **dict.fromkeys(("st_labeled_list.jsonl", "st_labeled_list.parquet", "st_labeled_pair.parquet"), TOOLS),
    **dict.fromkeys(
        ("st_ntuple_query_passage.parquet", "st_ntuple_claim_evidence.parquet"), "formats/test_column_names.py"
    ),
    **dict.fromkeys(("colbert_triples.json", "colbert_nway.json", "pylate_kd.parquet", "ance.tsv"), TOOLS),
    **dict.fromkeys(("nemo_automodel.json", "nemo_curator_hn.jsonl", "reports/r14_hardneg.json"), TOOLS),
    **dict.fromkeys(("plain.feather", "hf_saved/data-00000-of-00001.arrow"), "formats/test_containers.py"),
    **dict.fromkeys(("hf_saved/dataset_info.json", "hf_saved/state.json"), "formats/test_containers.py"),
    **dict.fromkeys(("semicolon.csv", "Capital.csv", "spaced.csv"), TOOLS),
    **dict.fromkeys(("parts/p0.parquet", "parts/p1.parquet"), "run/test_folders_and_columns.py"),
    **dict.fromkeys(
        (f"reports/r5_{name}.jsonl" for name in ("corpus", "queries", "triples")),
        "run/test_near_positives_and_repeated_ids.py",
    ),
}


def test_every_case_is_tested_and_is_named_by_its_test(cases: Path) -> None:
    files = {str(path.relative_to(cases)) for path in cases.rglob("*") if path.is_file()} - {"README.md"}
    assert files == TESTED.keys()
    for file, test in TESTED.items():
        source = (TESTS / test).read_text()
        assert "cases" in source.lower(), test
        folder, _, name = file.rpartition("/")
        if TESTS / test == Path(__file__):
            source = source.partition("def test_every_case_is_tested")[2]  # not where it is named above
        assert name in source or (folder and folder.partition("/")[0] in source), (file, test)


def judged(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text().splitlines():
        fields = line.split()
        query, document, grade = (fields[0], *fields[-2:])
        if grade.isdigit() and int(grade) > 0:
            found[query].add(document)
    return found


RUNS = {
    "ms_run_bm25.tsv": ("ms_qrels.tsv", "ms_collection.tsv", "ms_queries.tsv", False, 358),
    "rank.tevatron.txt": ("qrels.tsv", "collection.tsv", "queries.tsv", True, 360),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("fmt", ["auto", "beir"])
def test_runs_of_three_columns_are_read_as_runs(cases: Path, eci: Eci, tmp_path: Path, name: str, fmt: str) -> None:
    qrels, corpus, queries, falls, count = RUNS[name]
    hits: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in (cases / name).read_text().splitlines():
        query, document, number = line.split()
        hits[query].append((-float(number) if falls else float(number), document))
    relevant = judged(cases / qrels)
    expected = Counter(
        (query, positive, document)
        for query, found in hits.items()
        for _, document in sorted(found)[:10]
        if document not in relevant[query] and document != query
        for positive in relevant[query]
    )
    assert expected.total() == count
    assert recognise(str(cases / name)) == "beir"
    found = read("beir", cases / name, Options(qrels=(str(cases / qrels),)))
    assert Counter(found.rows.select("query_id", "positive_id", "negative_id").rows()) == expected
    given = ("--qrels", cases / qrels, "--corpus", cases / corpus, "--queries", cases / queries, "--format", fmt)
    done = eci("ingest", "--triples", cases / name, *given, "--to", "to", "--json", "-q")
    told = json.loads(done.stdout)
    assert sum(told["triples"].values()) == count and told["rejects"] == {} and told["ids_alone"] == 0
    texts = dict(line.split("\t", 1) for line in (cases / corpus).read_text().splitlines())
    table = pq.read_table(tmp_path / "to" / "000000.parquet").to_pylist()
    assert all(row["negative"] == texts[row["negative_id"]] for row in table)


@pytest.mark.parametrize("name", ["ms_collection.tsv", "ms_queries.tsv", "collection.tsv", "queries.tsv"])
def test_collections_are_refused_as_triples(cases: Path, name: str) -> None:
    with pytest.raises(InputError, match="--corpus"):
        recognise(str(cases / name))


def test_missing_texts_are_rejects_and_the_rest_is_read(cases: Path, eci: Eci) -> None:
    told = json.loads(eci("ingest", "--triples", cases / "nulls.jsonl", "--to", "to", "--json", "-q").stdout)
    assert told["triples"] == {"bm25": 20, "dense": 20, "random": 20}
    assert told["rejects"] == {"bad_record": 12, "empty_text": 12, "null_field": 36} and told["ids_alone"] == 12
    plan = make_plan(make_config({"inputs": [{"triples": str(cases / "nulls.jsonl")}], "out": "nowhere"}))
    assert (plan["rows"], plan["rows_rejected"], plan["losses"]) == (120, 60, [])


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("nested_struct.parquet", "40 x bad_record", "query is a dict, not a string"),
        ("dpr_empty.json", "40 x null_field", "no negatives"),
    ],
)
@pytest.mark.parametrize("command", ["ingest", "plan", "run"])
def test_where_nothing_is_left_the_exit_code_is_2(
    cases: Path, eci: Eci, command: str, name: str, reason: str, detail: str
) -> None:
    done = eci(command, "--triples", cases / name, "--to" if command == "ingest" else "--out", "to")
    assert done.returncode == 2 and f"40 rows in, all rejected ({reason})" in done.stderr and detail in done.stderr


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("name", ["ids_only.jsonl", "mixed_ids.jsonl"])
def test_ids_without_their_texts_are_refused_with_the_remedy(cases: Path, eci: Eci, command: str, name: str) -> None:
    done = eci(command, "--triples", cases / name, "--out", "out", "--no-probe", "-q" if command == "run" else "--json")
    assert done.returncode == 2 and done.stdout == "", done
    assert "4 passages and 2 queries are named by an id alone" in done.stderr
    assert "give --corpus and --queries" in done.stderr


def test_ids_alone_are_triples_for_ingest_which_says_so(cases: Path, eci: Eci) -> None:
    done = eci("ingest", "--triples", cases / "ids_only.jsonl", "--to", "to", "-q")
    assert done.returncode == 0 and "2 triples of a" in done.stdout
    assert "2 of the triples hold an id in place of a text" in done.stdout


def edge(cases: Path, vectors: str, triples: str = "d2_triples.parquet") -> dict[str, Any]:
    inputs = [{"triples": str(cases / "edge" / triples)}]
    return {"inputs": inputs, "vectors": str(cases / "edge" / vectors), "folds": 2, "no_probe": True, "workers": 1}


@pytest.mark.parametrize(
    ("vectors", "bad"), [("d2_vectors.parquet", 0), ("document_vectors.parquet", 0), ("mixdim_vectors.parquet", 2)]
)
def test_vectors_are_used_where_they_are_good(cases: Path, tmp_path: Path, vectors: str, bad: int) -> None:
    table = pq.read_table(cases / "edge" / vectors).to_pylist()
    wrong = {(row["side"] == "query", row["id"]) for row in table if len(row["vector"]) != 2}
    rows = pq.read_table(cases / "edge" / "d2_triples.parquet").to_pylist()
    lost = sum(
        (True, row["query_id"]) in wrong or bool({(False, row["positive_id"]), (False, row["negative_id"])} & wrong)
        for row in rows
    )
    assert lost == bad and len(rows) == 80
    done = run_lake(tmp_path / "out", None, **edge(cases, vectors))
    assert (done.totals["rows_in"], done.totals["scored"], done.totals["rejected"]) == (80, 80 - bad, bad)


@pytest.mark.parametrize(
    ("vectors", "triples", "said"),
    [
        ("nomatch_vectors.parquet", "d2_triples.parquet", "none of the 40 queries has a usable vector"),
        ("d2_vectors.parquet", "two_by_three.jsonl", "has a usable vector"),
    ],
)
def test_vectors_that_match_nothing_are_refused(
    cases: Path, tmp_path: Path, vectors: str, triples: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_lake(tmp_path / "out", None, **edge(cases, vectors, triples))


def test_a_script_without_the_main_guard_has_one_clear_error(cases: Path, tmp_path: Path) -> None:
    for name in ("bm25", "dense", "noguard.py"):
        (tmp_path / name).symlink_to(cases / name)
    path = os.pathsep.join([str(TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "noguard.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode != 0 and done.stdout == ""
    assert (
        done.stderr.rstrip().splitlines()[-1].startswith("jobs.errors.") and "__main__" in done.stderr.splitlines()[-1]
    )
    assert done.stderr.count("Traceback") <= 1
