"""Runs over nested samples of the queries: stop when the question is answered, account for what was left, go on later."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jobs
from jobs.demo.documentation import collect_pairs
from jobs.finished.result import ranking_of
from jobs.finished.text import sample_lines
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import write_triples, write_vectors


def clear_lake(folder: Path, queries: int) -> None:
    """Write a lake in which source `near` has hard negatives on the right side, and source `far` easy ones."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((queries, 16))
    positive = base + 0.2 * rng.standard_normal((queries, 16))
    near = base + 0.45 * rng.standard_normal((queries, 16))
    far = rng.standard_normal((queries, 16))
    texts = [[f"{kind} {i}" for i in range(queries)] for kind in ("query", "positive", "near", "far")]
    rows = [(q, p, n, s) for q, p, a, b in zip(*texts, strict=True) for n, s in ((a, "near"), (b, "far"))]
    write_triples(folder / "triples.parquet", rows)
    passages = {
        t: v for names, vs in zip(texts[1:], (positive, near, far), strict=True) for t, v in zip(names, vs, strict=True)
    }
    write_vectors(folder / "vectors.parquet", dict(zip(texts[0], base, strict=True)), passages)


def test_a_clear_leader_needs_a_small_share_of_the_queries(tmp_path: Path) -> None:
    clear_lake(tmp_path, 9000)
    settings = {"vectors": str(tmp_path / "vectors.parquet"), "folds": 8, "no_probe": True}
    early = run_lake(tmp_path / "early", tmp_path / "triples.parquet", until_decided=0.95, **settings)
    whole = run_lake(tmp_path / "whole", tmp_path / "triples.parquet", **settings)
    rows = early.ranking.to_pylist()
    assert rows[0]["source"] == whole.ranking.to_pylist()[0]["source"] == "near"
    assert rows[0]["sample_share"] < 0.3
    totals = early.totals
    assert totals["not_sampled"] > 0.6 * totals["rows_in"]
    assert totals["rows_in"] == totals["scored"] + totals["rejected"] + totals["duplicates"] + totals["not_sampled"]
    assert rows[0]["n_queries"] * 2 == totals["scored"]


def test_a_sample_is_chosen_from_only_where_that_is_asked_for(tmp_path: Path, eci: Callable[..., Any]) -> None:
    clear_lake(tmp_path, 600)
    settings = {"vectors": str(tmp_path / "vectors.parquet"), "folds": 8, "no_probe": True}
    out = str(tmp_path / "out")
    run_lake(tmp_path / "out", tmp_path / "triples.parquet", sample_queries=100, **settings)
    sample = ranking_of(out)["sample"]
    used = f"{sample['queries']} of 600 queries ("
    assert 100 <= sample["queries"] < 300
    for refused in (
        lambda: jobs.mix(out),
        lambda: jobs.mix(out, parts="near=1"),
        lambda: jobs.select(out, str(tmp_path / "to"), "bge", jobs.Choice()),
        lambda: jobs.select(out, str(tmp_path / "to"), "bge", jobs.Choice(parts={"near": 1.0})),
    ):
        with pytest.raises(jobs.InputError, match="--sampled") as found:
            refused()
        assert used in str(found.value)
    assert not (tmp_path / "to").exists()
    assert jobs.mix(out, sampled=True)["sample"] == sample
    manifest = jobs.select(out, str(tmp_path / "to"), "bge", jobs.Choice(sampled=True))
    assert manifest["sample"] == sample and manifest["triples"] == 2 * sample["queries"]
    for command in (["mix"], ["select", "--to", "train"], ["select", "--to", "train", "--mix", "best"]):
        done = eci(*command, "--out", out)
        assert (done.returncode, done.stdout) == (2, "") and used in done.stderr and "--sampled" in done.stderr
        done = eci(*command, "--out", out, "--sampled")
        assert done.returncode == 0 and used in done.stdout, done.stderr
        shutil.rmtree(tmp_path / "train", ignore_errors=True)


def test_a_sample_of_all_queries_gives_the_moments_of_a_whole_run(tmp_path: Path) -> None:
    clear_lake(tmp_path, 600)
    settings = {"vectors": str(tmp_path / "vectors.parquet"), "folds": 8}
    sampled = run_lake(tmp_path / "sampled", tmp_path / "triples.parquet", sample_queries=600, **settings)
    whole = run_lake(tmp_path / "whole", tmp_path / "triples.parquet", **settings)
    a, b = tables_of(tmp_path / "sampled", sampled.run_id), tables_of(tmp_path / "whole", whole.run_id)
    names = ["moments.parquet", "idf.parquet", "source_pairs.parquet", "source_eci.parquet"]
    assert same_bytes({n: a[n] for n in names}, {n: b[n] for n in names}) == []


def test_only_the_samples_texts_are_embedded_and_a_later_run_embeds_the_rest(tmp_path: Path) -> None:
    pairs = collect_pairs(120)
    cut = [(p.query, " ".join(p.positive.split()[:25])) for p in pairs]
    rows = [(q, p, cut[(i + 1) % len(cut)][1], "next") for i, (q, p) in enumerate(cut)]
    rows += [(q, p, " ".join(p.split()[:12]), "cut") for q, p in cut]
    write_triples(tmp_path / "triples.parquet", rows)
    sampled = run_lake(tmp_path / "out", tmp_path / "triples.parquet", sample_queries=20, folds=8)
    assert 20 <= sampled.ranking.to_pylist()[0]["sample_share"] * len(pairs) < 100
    assert 0 < sampled.totals["texts_embedded"] < sampled.totals["texts"]
    told = ranking_of(str(tmp_path / "out"))
    left = sampled.totals["texts"] - sampled.totals["texts_embedded"]
    assert told["left_to_embed"]["texts"] == left
    used, cost = sample_lines(told["sample"], told["left_to_embed"])
    assert used.startswith(f"Used {told['sample']['queries']} of {len(pairs)} queries")
    assert cost.startswith(f"A run over all queries would embed what the cache lacks of {left:,} more texts, at most")
    whole = run_lake(tmp_path / "out", tmp_path / "triples.parquet", folds=8)
    told = ranking_of(str(tmp_path / "out"))
    assert told["left_to_embed"]["texts"] == 0
    assert sample_lines(told["sample"], told["left_to_embed"]) == []
    assert sampled.totals["texts_embedded"] + whole.totals["texts_embedded"] == whole.totals["texts"]
