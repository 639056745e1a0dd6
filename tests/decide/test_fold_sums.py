"""Sums by fold, made again from what a run has published, are the bits that it has scored with; they take no room in it."""

from __future__ import annotations

import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from eci_sql.information import interval, jackknife_se
from eci_sql.leave_out import delete_one
from jobs.config import make_config
from jobs.decide.ablation import ablate
from jobs.decide.mixing import mix
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.fold_sums import fold_sums
from jobs.finished.spools import VectorSpool
from jobs.finished.vectors import spool_vectors
from jobs.planning.plan import make_plan
from jobs.terminal.progress import Silent
from tests.conftest import run_lake, same_bytes, tables_of
from tests.decide.conftest import Decided
from tests.lakes import vector_lake
from tests.older import as_layout_2


def test_every_interval_follows_from_the_sums_made_again_bit_by_bit(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))
    by_fold = fold_sums(run, run.sources, str(tmp_path))
    for row in (row for row in run.rows if row["kind"] == "source"):
        found = by_fold(row["source"])
        with threadpool_limits(1, "blas"):
            score, leave_out = delete_one(found, run.lam)
        assert astuple(score) == (row["information"], row["misinformation"], row["purity"], row["eci"])
        se = jackknife_se(leave_out)
        assert (se, *interval(score.eci, se, row["folds_done"])) == (row["eci_se"], row["eci_lo"], row["eci_hi"])


def test_sums_made_again_add_up_to_the_published_ones_whatever_the_looks(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 12_000, sources=2, queries=6_000)
    settings = {"vectors": str(lake.vectors), "folds": 4, "no_probe": True}
    # nothing is ever decided at this level: it looks at samples until it has seen everything
    looked = run_lake(tmp_path / "looks", lake.triples, until_decided=0.999999999, **settings)
    whole = run_lake(tmp_path / "whole", lake.triples, **settings)
    run = Finished.open(str(tmp_path / "looks"))
    assert run.manifest["sample"]["looks"] > 1 and run.sample is None
    a, b = tables_of(tmp_path / "looks", looked.run_id), tables_of(tmp_path / "whole", whole.run_id)
    for name in ("moments.parquet", "source_pairs.parquet"):
        assert same_bytes({name: a[name]}, {name: b[name]}) == []
    by_fold = fold_sums(run, run.sources, str(tmp_path))
    for name in run.sources:
        total = run.totals(name)
        assert np.array_equal(by_fold(name).plus.whole, total.plus.whole)
        assert by_fold(name).n.sum() == total.n[0] == run.examples()[name]


def test_the_moments_take_four_bytes_a_matrix_entry_at_most(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 128, 600, sources=3)
    run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), no_probe=True)
    run = Finished.open(str(tmp_path / "out"))
    (size,) = (file["bytes"] for file in run.manifest["files"] if file["table"] == "moments")
    assert size <= 4 * 2 * 128**2 * 3
    plan = make_plan(
        make_config({"inputs": [{"triples": str(lake.triples)}], "vectors": str(lake.vectors), "out": "x"})
    )
    published = sum(file["bytes"] for file in run.manifest["files"])
    assert published / 1.5 < plan["bytes_published"] < published * 1.5


def assert_near(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_near(a[name], b[name])
    else:
        assert a == (pytest.approx(b, rel=1e-9) if isinstance(a, float) else b)


def test_a_run_of_layout_2_gives_the_same_mixtures_and_samples(decided: Decided, tmp_path: Path) -> None:
    shutil.copytree(decided.out, tmp_path / "old")
    as_layout_2(tmp_path / "old", decided.run.run_id)
    for parts in (None, "source 0=0.5,source 1=0.5"):
        # it has published sums, and few rows are scored as they are: the last digits are others
        assert_near(mix(str(tmp_path / "old"), parts=parts), mix(str(decided.out), parts=parts))
    for only in (["sample"], ["temperature"]):
        assert ablate(str(tmp_path / "old"), Silent(), only=only) == ablate(str(decided.out), Silent(), only=only)


def moved(spool: VectorSpool, folder: Path, by: float) -> VectorSpool:
    """Return a spool of the same texts whose vectors are off by so much of their length."""
    stored = np.array(np.memmap(spool.path, spool.dtype, "r", shape=(len(spool.ids), spool.dim)))
    noise = np.random.default_rng(0).standard_normal(stored.shape)
    (stored + by * noise * np.abs(stored).mean()).astype(spool.dtype).tofile(folder / "moved")
    return replace(spool, path=str(folder / "moved"))


def test_vectors_that_differ_a_little_leave_the_whole_as_it_was_said(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))
    spool = moved(spool_vectors(run, str(tmp_path)), tmp_path, 1e-4)
    name = run.sources[0]
    found, total = fold_sums(run, [name], str(tmp_path), spool)(name), run.totals(name)
    assert np.array_equal(found.plus.whole, total.plus.whole)
    assert np.array_equal(found.minus.whole, total.minus.whole)


def test_other_vectors_than_those_scored_are_refused_in_one_line(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))
    spool = moved(spool_vectors(run, str(tmp_path)), tmp_path, 0.5)
    with pytest.raises(InputError, match=f"run {run.run_id}: its vectors are not those that it has scored .*run again"):
        fold_sums(run, run.sources, str(tmp_path), spool)(run.sources[0])


def test_without_its_vectors_a_mixture_says_what_to_do(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 300, sources=2)
    run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4, no_probe=True)
    lake.vectors.unlink()
    with pytest.raises(InputError, match=r"vectors\.parquet: not the file that run .* read"):
        mix(str(tmp_path / "out"))
