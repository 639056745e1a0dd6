"""Runs that an older version wrote stay readable: columns that have been added since are null, ids are text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from jobs.config import probe_settings
from jobs.decide.ablation import _encoder_root, ablate
from jobs.decide.selection import Choice, select
from jobs.decide.trials import Asked, probe
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.output.catalog import write_catalog
from jobs.output.query import query
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.output.tables import TABLES_LAYOUT
from jobs.reports.data import read_report
from jobs.terminal.progress import Silent
from tests.conftest import run_lake, signed_again
from tests.lakes import vector_lake, write_triples
from tests.older import as_layout_1


def test_a_history_with_an_older_table_has_nulls_for_the_new_column(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 100, sources=2)
    first = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    file = tmp_path / "out" / "runs" / first.run_id / "source_eci.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["sample_share"]), file)
    signed_again(file.parent)
    write_triples(lake.triples, lake.rows[:-1])
    second = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    store = Store(str(tmp_path / "out"))
    rows = (
        query(store, "SELECT run_id, sample_share FROM source_eci_history WHERE kind = 'source'").read_all().to_pylist()
    )
    assert {(row["run_id"], row["sample_share"]) for row in rows} == {(first.run_id, None), (second.run_id, 1.0)}
    write_catalog(store)
    with duckdb.connect(str(tmp_path / "out" / "catalog.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM scores").fetchall() == [(99,)]
        comments = con.sql("SELECT comment FROM duckdb_columns() WHERE table_name = 'scores'").fetchall()
    assert comments and all(comment for (comment,) in comments)
    assert (
        json.loads((tmp_path / "out" / "runs" / second.run_id / "manifest.json").read_text())["totals"]["scored"] == 99
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two output roots with one run of 600 triples: as it is written today, and in layout 1."""
    folder = tmp_path_factory.mktemp("layouts")
    lake = vector_lake(folder / "lake", 8, 600, sources=2, queries=300)
    run = run_lake(folder / "new", lake.triples, vectors=str(lake.vectors), folds=4)
    shutil.copytree(folder / "new", folder / "old")
    as_layout_1(folder / "old", run.run_id)
    write_catalog(Store(str(folder / "old")))
    return folder / "new", folder / "old"


@pytest.mark.parametrize("sql", ["FROM scores ORDER BY triple_id", "FROM texts ORDER BY text_id"])
def test_the_views_of_a_run_of_layout_1_show_ids_as_text(both: tuple[Path, Path], sql: str) -> None:
    new, old = (query(Store(str(out)), sql).read_all() for out in both)
    assert len(new) >= 592 and old.equals(new)
    with duckdb.connect(str(both[1] / "catalog.duckdb"), read_only=True) as con:
        assert con.sql(sql).fetchall() == [tuple(row.values()) for row in new.to_pylist()]


def test_commands_read_a_run_of_layout_1_as_they_read_their_own(both: tuple[Path, Path], tmp_path: Path) -> None:
    chosen, pages, tried, ablated = [], [], [], []
    for out in both:
        run = Finished.open(str(out))
        to = tmp_path / out.name
        select(str(out), str(to), "triples", Choice(per_query=2, near_duplicates=False))
        chosen.append(pq.read_table(to / "data"))
        examples = read_report(run.store, f"runs/{run.run_id}", run.manifest, 1 << 28, 1).examples
        pages.append(
            [triple | {"triple_id": ""} for both_ends in examples.values() for end in both_ends for triple in end]
        )
        settings = probe_settings({"queries": 240, "halvings": 1, "steps": 4, "pool": 200})
        tried.append(probe(str(out), None, Asked(settings=settings)).probe.rows)
        ablated.append(ablate(str(out), Silent(), only=["temperature"]))
    assert len(chosen[0]) > 300 and chosen[1].equals(chosen[0])
    assert pages[0] and pages[1] == pages[0] and all("passage" in row["positive"] for row in pages[0])
    assert tried[0] and tried[1] == tried[0]
    assert len(ablated[0]) > 2 and ablated[1] == ablated[0]


def test_a_run_of_a_newer_layout_is_refused_in_one_line(both: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(both[0], tmp_path / "out")
    (path,) = (tmp_path / "out" / "runs").glob("*/manifest.json")
    path.write_text(json.dumps(sealed(unsealed(path.read_text()) | {"layout": TABLES_LAYOUT + 1})))
    why = rf"its tables have layout {TABLES_LAYOUT + 1}, and this version .* up to {TABLES_LAYOUT}; use"
    with pytest.raises(InputError, match=why):
        Finished.open(str(tmp_path / "out"), path.parent.name)
    with pytest.raises(InputError, match="no finished run here that can be read"):
        query(Store(str(tmp_path / "out")), "FROM source_eci")


def test_an_encoder_s_root_among_the_ablations_is_moved_and_the_table_opens(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(both[0], out)
    ablate(str(out), Silent(), only=["sample"])
    before = out / "ablations" / "encoders" / "e-1"
    shutil.copytree(both[0], before)
    assert _encoder_root(Store(str(out)), "e-1") == str(out / "ablation-encoders" / "e-1")
    assert not before.parent.exists() and (out / "ablation-encoders" / "e-1" / "LATEST").is_file()
    assert _encoder_root(Store(str(out)), "e-1") == str(out / "ablation-encoders" / "e-1")
    assert len(pq.read_table(out / "ablations")) > 1
