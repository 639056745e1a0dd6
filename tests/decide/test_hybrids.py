"""Hybrids equal a run on the merged source, from the moments alone; the best mixture is a row without a rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from eci_sql.information import score_means
from eci_sql.moments import unpack_upper
from jobs.config import make_config
from jobs.decide.mixing import mix, parse_parts
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.fold_sums import fold_sums
from jobs.ranking.hybrids import resolve, triples_of
from jobs.ranking.mixtures import MOST
from tests.conftest import run_lake
from tests.decide.conftest import HYBRID, Decided
from tests.lakes import vector_lake, write_triples


def by_name(decided: Decided, kind: str) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in decided.run.ranking.to_pylist() if row["kind"] == kind}


def test_a_hybrid_equals_a_run_on_the_merged_source(decided: Decided, tmp_path: Path) -> None:
    merged = [(q, p, n, "pooled" if s in HYBRID else s) for q, p, n, s in decided.lake.rows]
    write_triples(tmp_path / "merged.parquet", merged)
    whole = run_lake(tmp_path / "out", tmp_path / "merged.parquet", vectors=str(decided.lake.vectors), folds=8)
    want = next(row for row in whole.ranking.to_pylist() if row["source"] == "pooled")
    found = by_name(decided, "hybrid")["pooled"]
    # a fold's sums are rounded to units of 2^-40 when they are published; all else is equal to the last bit
    rounded = {"eci", "information", "misinformation", "purity", "trace", "effective_rank"}
    rounded |= {"eci_se", "eci_lo", "eci_hi"}
    differ = {"run_id", "created_at", "kind", "parts", "rank", "rank_lo", "rank_hi"}
    for name, value in want.items():
        if name not in differ:
            assert found[name] == (pytest.approx(value, rel=1e-9) if name in rounded else value), name


def test_hybrids_are_ranked_and_paired_with_shares_of_their_examples(decided: Decided) -> None:
    import pyarrow.parquet as pq

    sources, hybrids = by_name(decided, "source"), by_name(decided, "hybrid")
    assert len(hybrids) == 11
    examples = {name: sources[name]["n_examples"] for name in HYBRID}
    shares = {part["source"]: part["alpha"] for part in hybrids["pooled"]["parts"]}
    assert shares == {name: n / sum(examples.values()) for name, n in examples.items()}
    assert sorted(row["rank"] for row in [*sources.values(), *hybrids.values()]) == list(range(1, 17))
    pairs = pq.read_table(decided.out / "runs" / decided.run.run_id / "source_pairs.parquet")
    assert set(pairs["a"].to_pylist()) == {*sources, *hybrids}


def test_the_best_mixture_is_a_row_without_a_rank_and_no_worse_than_any_source(decided: Decided) -> None:
    (best,) = by_name(decided, "mixture").values()
    sources = by_name(decided, "source")
    assert best["rank"] is None
    assert best["eci"] >= max(row["eci"] for row in sources.values())
    assert sum(part["alpha"] for part in best["parts"]) == pytest.approx(1.0)
    assert (
        min(r["hardness"] for r in sources.values()) <= best["hardness"] <= max(r["hardness"] for r in sources.values())
    )


def test_eci_mix_finds_the_run_s_best_mixture_and_scores_given_shares(decided: Decided) -> None:
    (best,) = by_name(decided, "mixture").values()
    found = mix(str(decided.out))
    assert found["eci"] == best["eci"]
    assert found["gain"] == found["eci"] - found["best_source_eci"] >= 0.0
    assert found["gain_lo"] <= found["gain"] <= found["gain_hi"]
    sources = by_name(decided, "source")
    one = mix(str(decided.out), parts="source 1=1")
    assert one["eci"] == pytest.approx(sources["source 1"]["eci"], rel=1e-12)
    assert one["triples"] == {"source 1": sources["source 1"]["n_examples"]}


def test_the_interval_of_the_gain_is_the_jackknife_of_the_difference(decided: Decided, tmp_path: Path) -> None:
    run = Finished.open(str(decided.out))
    by_fold = fold_sums(run, run.sources, str(tmp_path))
    found = mix(str(decided.out), parts="source 0=0.5,source 1=0.5")
    assert found == mix(str(decided.out), parts="source 0=0.5,source 1=0.5")

    def eci(names: list[str], without: int) -> float:
        kept = np.arange(run.folds) != without
        means = []
        for name in names:
            sums = by_fold(name)
            n = sums.n[kept].sum()
            means.append([unpack_upper(sign.whole - sign.fold(without), run.dim) / n for sign in sums.signs])
        plus, minus = np.mean(means, axis=0)
        return score_means(plus, minus, run.lam).eci

    gains = np.array([eci(["source 0", "source 1"], f) - eci([found["best_source"]], f) for f in range(run.folds)])
    se = np.sqrt((run.folds - 1) * np.var(gains))
    half = stats.t.ppf(0.975, run.folds - 1) * se
    assert found["gain_se"] == pytest.approx(se, rel=1e-6)
    assert (found["gain_lo"], found["gain_hi"]) == pytest.approx((found["gain"] - half, found["gain"] + half), rel=1e-6)


def test_a_search_may_be_restricted_to_some_sources(decided: Decided) -> None:
    sources = by_name(decided, "source")
    some = sorted(sources, key=lambda name: sources[name]["rank"])[2:4]
    found = mix(str(decided.out), sources=some)
    assert set(found["shares"]) == set(some)
    assert found["best_source"] == some[0]
    assert found["eci"] >= sources[some[0]]["eci"]


def test_triples_of_a_mixture_take_no_triple_twice() -> None:
    parts = [{"source": "a", "alpha": 0.7}, {"source": "b", "alpha": 0.3}]
    assert triples_of(parts, {"a": 1000, "b": 10_000}) == {"a": 1000, "b": 428}


def test_hybrid_settings_read_names_sums_and_all_pairs() -> None:
    inputs = [{"triples": "x"}]
    given = make_config({"inputs": inputs, "out": "o", "hybrids": ["b+a", "all-pairs"]})
    assert resolve(given.hybrids, ["a", "b", "c"]) == {
        "a+b": ("a", "b"), "a+c": ("a", "c"), "b+a": ("a", "b"), "b+c": ("b", "c"),
    }  # fmt: skip
    for wrong, message in (("a", "two or more"), ("a+a", "two or more")):
        with pytest.raises(InputError, match=message):
            make_config({"inputs": inputs, "out": "o", "hybrids": wrong})
    with pytest.raises(InputError, match="did you mean 'dense'"):
        resolve({"x": ("dence", "b")}, ["dense", "b"])
    with pytest.raises(InputError, match="called like a source"):
        resolve({"a": ("b", "c")}, ["a", "b", "c"])


@pytest.mark.parametrize("text", ["a", "a=x", "a=0.5", "a=0.5,a=0.5", "a=-1,b=2", "=1"])
def test_wrong_shares_are_named(text: str) -> None:
    with pytest.raises(InputError, match="--parts"):
        parse_parts(text)


@pytest.mark.slow
def test_of_more_sources_than_a_run_mixes_eci_mix_finds_the_same_mixture(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 4, 30 * (MOST + 2), sources=MOST + 2)
    made = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4, no_probe=True, workers=0)
    (row,) = (row for row in made.ranking.to_pylist() if row["kind"] == "mixture")
    found = mix(str(tmp_path / "out"))
    assert {name: share for name, share in found["shares"].items() if share} == {
        p["source"]: p["alpha"] for p in row["parts"]
    }
    assert len(found["shares"]) == MOST + 2 and found["eci"] == pytest.approx(row["eci"], rel=1e-9)
