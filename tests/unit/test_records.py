"""Rows and manifests are typed as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.output import layout, records, tables
from jobs.output.runs import latest, read_manifest
from jobs.output.sealed import unsealed
from jobs.output.store import Store
from jobs.output.tables import SUMS
from jobs.work.summaries import Done, Sums
from tests.hostile import hostile_out

ROWS = [
    (records.SourceRow, tables.SOURCE_ECI),
    (records.PairRow, tables.SOURCE_PAIRS),
    (records.ProbeRow, tables.SOURCE_PROBE),
    (records.ProbePairRow, tables.PROBE_PAIRS),
    (records.CurveRow, tables.PROBE_CURVE),
]


@pytest.mark.parametrize(("kind", "table"), ROWS)
def test_a_row_has_the_columns_of_its_table(kind, table):
    assert set(kind.__annotations__) == set(table.schema.names)


def test_a_manifest_is_what_its_type_says():
    store = Store(str(hostile_out()))
    run_id = latest(store)
    manifest = unsealed((Path(store.path(layout.run_folder(run_id))) / "manifest.json").read_text())
    assert manifest == read_manifest(store, run_id)
    assert set(manifest) == set(records.Manifest.__annotations__) - {"judgements", "tables"}, "this run was given none"
    for name, kind in (("encoder", records.EncoderUsed), ("totals", records.Totals), ("sample", records.SampleUsed)):
        assert set(manifest[name]) == set(kind.__annotations__), name
    for found, kind in (
        (manifest["inputs"], records.InputFile),
        (manifest["files"], records.TableFile),
        (manifest["stages"].values(), records.StageTimes),
    ):
        assert found and all(set(item) == set(kind.__annotations__) for item in found)
    assert set(manifest["stages"]) <= set(vars(Done()))


def test_the_sums_of_a_source_are_those_of_the_tables():
    assert set(Sums.__annotations__) == {"n_examples", *(column.name for column in SUMS)}
