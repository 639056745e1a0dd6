"""Every real file gives exactly the counts that an independent reading of it gave (plain json and csv, by hand)."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.formats import Options
from jobs.formats.qrels import read_qrels
from jobs.formats.recognise import recognise
from jobs.formats.texts_by_id import Side, read_texts, text_units
from tests.formats.reading import read

# Format, file, records, triples by source.
WHOLE = [
    ("bge", "formats/bge_jsonl/msmarco.jsonl", 10, {"msmarco": 250}),
    ("bge", "formats/bge_jsonl/reranker_examples.jsonl", 10, {"reranker_examples": 250}),
    ("bge", "formats/bge_jsonl/toy_finetune_data.jsonl", 10, {"toy_finetune_data": 70}),
    (
        "sbert-hard-negatives",
        "formats/sbert_hard_negatives_gpl/hard-negatives.jsonl",
        30,
        {"msmarco-distilbert-base-v3": 270, "msmarco-MiniLM-L-6-v3": 270},
    ),
    (
        "sbert-hard-negatives",
        "msmarco1k_llmneg/hard-negatives.jsonl",
        1000,
        {"bm25": 1000, "llm-llama3.1-8b": 1993},
    ),
    ("msmarco-tsv", "formats/sbert_hard_negatives_gpl/gpl-training-data.tsv", 20, {"gpl-training-data": 20}),
    ("msmarco-tsv", "formats/msmarco_triples_tsv/splade_triplets.tsv", 100, {"splade_triplets": 100}),
    (
        "tevatron",
        "formats/tevatron_rlhn/msmarco_passage.stage_1.gpt-4o-mini.jsonl",
        25,
        {"msmarco_passage.stage_1.gpt-4o-mini": 625},
    ),
    (
        "sbert-tuples",
        "formats/sbert_triplet_json/embedding_training_sample.json",
        5,
        {"embedding_training_sample": 25},
    ),
    ("dpr", "formats/dpr_json/sample.json", 2, {"negative_ctxs": 550, "hard_negative_ctxs": 1050}),
    (
        "sbert-tuples",
        "formats/openmatch_jsonl/train_rank_toy.head200.jsonl",
        200,
        {"train_rank_toy.head200": 200},
    ),
]

# Run, judgements, ranks, records read, triples by source, rejects by reason.
RUNS = [
    ("openmatch_jsonl/toy.trec", "openmatch_jsonl/qrels_toy", None, {"toy": 8}, {"null_field": 1}),
    ("openmatch_jsonl/toy.trec", "openmatch_jsonl/qrels_toy", (1, 100), {"toy": 2279}, {}),
    ("trec_runs/compat.run", "trec_runs/compat.qrels", None, {}, {"null_field": 2}),
    ("trec_runs/compat.run", "trec_runs/compat.qrels", (20, 40), {"compat": 1684}, {}),
    ("trec_runs/compat.run", "trec_runs/compat.qrels", (1, 1000), {"compat": 143_582}, {}),
    (
        "msmarco_triples_tsv/splade_scores_toy.json",
        "msmarco_triples_tsv/splade_qrel_qrel.json",
        None,
        {"splade_scores_toy": 11},
        {},
    ),
]

# Side, file, texts.
TEXTS: list[tuple[Side, str, int]] = [
    ("passage", "medquad/corpus.jsonl.gz", 15_809),
    ("query", "medquad/queries.jsonl.gz", 14_345),
    ("passage", "medquad_small/corpus.jsonl.gz", 5_492),
    ("query", "medquad_small/queries.jsonl.gz", 4_462),
    ("passage", "scifact/corpus.jsonl.gz", 5_183),
    ("query", "scifact/queries.jsonl.gz", 1_109),
    ("passage", "cmrc2018_small/corpus.jsonl.gz", 1_104),
    ("query", "cmrc2018_small/queries.jsonl.gz", 4_221),
    ("passage", "msmarco1k_llmneg/corpus.jsonl.gz", 2_993),
    ("query", "msmarco1k_llmneg/queries.jsonl", 1_000),
    ("passage", "formats/msmarco_triples_tsv/splade_full_collection_raw.tsv", 89),
    ("query", "formats/msmarco_triples_tsv/splade_dev_queries_raw.tsv", 11),
    ("passage", "formats/openmatch_jsonl/docs_toy.jsonl", 199),
    ("query", "formats/openmatch_jsonl/queries_toy.jsonl", 2),
    ("passage", "formats/sbert_hard_negatives_gpl/corpus.jsonl", 10),
    ("query", "formats/sbert_hard_negatives_gpl/qgen-queries.jsonl", 30),
    ("passage", "formats/beir_layout_quirks/limit_small_corpus.jsonl", 46),
    ("query", "formats/beir_layout_quirks/limit_small_queries.jsonl", 1_000),
]

# File, queries, judgements.
QRELS = [
    ("formats/beir_layout_quirks/limit_small_qrels.jsonl", 1000, 2000),
    ("formats/beir_layout_quirks/qrels_without_header.tsv", 43, 4102),
    ("formats/sbert_hard_negatives_gpl/train.tsv", 30, 30),
    ("formats/openmatch_jsonl/qrels_toy", 2, 71),
    ("formats/trec_runs/compat.qrels", 2, 311),
    ("formats/msmarco_triples_tsv/splade_qrel_qrel.json", 9, 11),
    ("formats/ranx_runs/qrels.trec", 2, 5),
    ("formats/ranx_runs/qrels.trec.gz", 2, 5),
    ("formats/ranx_runs/qrels.json", 2, 5),
    ("formats/ranx_runs/qrels.parquet", 2, 5),
    ("msmarco1k_llmneg/qrels.tsv", 1000, 1000),
    ("scifact/qrels/test.tsv", 300, 339),
    ("scifact/qrels/train.tsv", 809, 919),
]


@pytest.mark.parametrize(("name", "file", "records", "sources"), WHOLE, ids=[row[1] for row in WHOLE])
def test_every_record_becomes_triples(
    shared: Path, name: str, file: str, records: int, sources: dict[str, int]
) -> None:
    """Nothing is rejected in these files; `auto` chooses the format too."""
    found = read(name, shared / file)
    assert (found.records, found.sources, found.reasons) == (records, sources, {})
    assert recognise(str(shared / file)) == name


@pytest.mark.parametrize(("run", "qrels", "ranks", "sources", "reasons"), RUNS)
def test_runs(
    shared: Path, run: str, qrels: str, ranks: tuple[int, int] | None, sources: dict[str, int], reasons: dict[str, int]
) -> None:
    """A run and its judgements."""
    options = Options(ranks=ranks, qrels=(str(shared / "formats" / qrels),))
    found = read("beir", shared / "formats" / run, options)
    assert (found.sources, found.reasons) == (sources, reasons)


@pytest.mark.parametrize("run", ["run.trec", "run.trec.gz", "run.json", "run.parquet", "run.lz4"])
@pytest.mark.parametrize("qrels", ["qrels.trec", "qrels.trec.gz", "qrels.json", "qrels.parquet"])
def test_ranx_runs(shared: Path, tmp_path: Path, run: str, qrels: str) -> None:
    """All five hits are judged: two queries without negatives. With only q1's d1 judged, d3 and d2 are negatives."""
    folder = shared / "formats" / "ranx_runs"
    found = read("beir", folder / run, Options(qrels=(str(folder / qrels),)))
    assert (found.sources, found.reasons, found.records) == ({}, {"null_field": 2}, 2)
    one = tmp_path / "one.qrels"
    one.write_text("q1 0 d1 1\n")
    found = read("beir", folder / run, Options(qrels=(str(one),)))
    ids = found.rows.select("query_id", "positive_id", "negative_id", "source").rows()
    assert ids == [("q1", "d1", "d3", "run"), ("q1", "d1", "d2", "run")]
    assert found.reasons == {"null_field": 1}
    assert recognise(str(folder / run)) == "beir"


def test_cacm_run(shared: Path, tmp_path: Path) -> None:
    """64 queries of 30 hits; the one with a judgement gives nine negatives, the others have no positive."""
    (tmp_path / "qrels").write_text("1\t0 CACM-1938\t1\n")
    file = shared / "formats" / "trec_runs" / "cacm-bm25.txt"
    found = read("beir", file, Options(qrels=(str(tmp_path / "qrels"),)))
    assert (found.sources, found.reasons) == ({"cacm-bm25": 9}, {"null_field": 63})
    assert found.rows["row"].to_list() == [2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(("run", "top", "band"), [("bm25", 3091, 7091), ("minilm", 3027, 7097)])
def test_scifact_runs(shared: Path, run: str, top: int, band: int) -> None:
    """Two real runs of 300 queries, at the default ranks and at 20:40, and with the judgements of other queries."""
    file = shared / "scifact" / "runs" / f"{run}.beir.json.gz"
    test, train = (str(shared / "scifact" / "qrels" / f"{split}.tsv") for split in ("test", "train"))
    for ranks, count in ((None, top), ((20, 40), band)):
        found = read("beir", file, Options(ranks=ranks, qrels=(test,)))
        assert (found.sources, found.reasons, found.records) == ({f"{run}.beir": count}, {}, 300)
    found = read("beir", file, Options(qrels=(train,)))
    assert (found.sources, found.reasons) == ({}, {"null_field": 300})


@pytest.mark.parametrize(("side", "file", "count"), TEXTS, ids=[row[1] for row in TEXTS])
def test_texts(shared: Path, side: Side, file: str, count: int) -> None:
    """Corpora and queries are read whole, and `auto` says what they are."""
    batches = [b for unit in text_units(str(shared / file)) for b in read_texts(unit, Options(), side)]
    assert (sum(len(b.texts) for b in batches), sum(len(b.rejects) for b in batches)) == (count, 0)
    with pytest.raises(InputError, match="--corpus"):
        recognise(str(shared / file))


@pytest.mark.parametrize(("file", "queries", "judgements"), QRELS, ids=[row[0] for row in QRELS])
def test_qrels(shared: Path, file: str, queries: int, judgements: int) -> None:
    """Judgements are read whole, and `auto` says what they are."""
    found = read_qrels((str(shared / file),))
    assert (len(found), sum(map(len, found.values()))) == (queries, judgements)
    with pytest.raises(InputError, match="--qrels"):
        recognise(str(shared / file))


def test_positives_and_numbered_options(shared: Path) -> None:
    """`first` takes one positive a record; `each` makes every negative column a source."""
    found = read("dpr", shared / "formats/dpr_json/sample.json", Options(positives="first"))
    assert found.sources == {"negative_ctxs": 100, "hard_negative_ctxs": 191}
    file = shared / "formats/sbert_triplet_json/embedding_training_sample.json"
    assert read("sbert-tuples", file, Options(numbered="each")).sources == {f"negative_{i}": 5 for i in range(1, 6)}
    assert read("sbert-tuples", file, Options(source="otel")).sources == {"otel": 25}


def test_texts_are_those_of_the_file(shared: Path) -> None:
    """Titles stand before texts; ids stay beside them."""
    row = read("dpr", shared / "formats/dpr_json/sample.json").rows.row(0, named=True)
    assert row["query"] == "who sings does he love me with reba"
    assert row["positive"].startswith('Does He Love You Does He Love You "Does He Love You" is a song written by')
    row = read("tevatron", shared / "formats/tevatron_rlhn/msmarco_passage.stage_1.gpt-4o-mini.jsonl").rows.row(
        0, named=True
    )
    assert (row["query_id"], row["positive_id"]) == (
        "e61a5737af172e3cf100e433b3dd3ca2",
        "b4973a44e4d7c73ae7c4c21e06b0de3e",
    )
    assert row["positive"].startswith("CHART OF THE DAY: US Companies Haven't Paid")
