"""A committed run as a version before it would have left it: for what still has to read such runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.finished.committed import Finished
from jobs.finished.fold_sums import fold_sums
from jobs.output.leftovers import scratch
from jobs.output.parquet import write_parquet
from jobs.output.sealed import sealed, unsealed
from jobs.output.tables import MOMENTS
from jobs.work.layout import FOLD_SUMS
from tests.conftest import signed_again

IDS = ("triple_id", "query_id", "positive_id", "negative_id", "text_id")


def as_layout_2(out: Path, run_id: str) -> None:
    """Turn a run's files into those of layout 2: `moments` has a row for each source and fold."""
    run, folder = Finished.open(str(out), run_id), out / "runs" / run_id
    rows, path = [], folder / MOMENTS.files
    with scratch() as spools:
        by_fold = fold_sums(run, run.sources, spools)
        for row in pq.read_table(path).to_pylist():
            found = by_fold(row["source"])
            for fold in np.flatnonzero(found.n).tolist():
                sums = {
                    "plus": found.plus.fold(fold),
                    "minus": found.minus.fold(fold),
                    "n_examples": int(found.n[fold]),
                }
                rows.append(row | {"fold": fold} | sums)
    write_parquet(str(path), [pa.Table.from_pylist(rows, FOLD_SUMS)], FOLD_SUMS, rows=run.folds)
    manifest = unsealed((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(sealed(manifest | {"layout": 2})))
    signed_again(folder)


def as_layout_1(out: Path, run_id: str) -> None:
    """Turn a run's files into those of layout 1: as layout 2, ids are UUIDs, scores lie in folders `fold=NN`, texts in
    `bucket=NNN`."""
    as_layout_2(out, run_id)
    folder = out / "runs" / run_id
    manifest: dict[str, Any] = unsealed((folder / "manifest.json").read_text())
    del manifest["layout"]
    for file in manifest["files"]:
        before = folder / file["path"]
        if file["table"] == "scores":
            _, fold, _, part = Path(file["path"]).stem.split("-")
            file["path"] = f"scores/fold={fold}/part-{part}.parquet"
        elif file["table"] == "texts":
            file["path"] = f"texts/bucket={Path(file['path']).stem.removeprefix('bucket-')}.parquet"
        else:
            continue
        table = pq.read_table(before)
        for name in set(IDS) & set(table.column_names):
            ids = pa.array([UUID(value).bytes for value in table[name].to_pylist()], pa.binary(16))
            column = pa.ExtensionArray.from_storage(pa.uuid(), ids)
            table = table.set_column(table.column_names.index(name), name, column)
        before.unlink()
        (folder / file["path"]).parent.mkdir(exist_ok=True)
        pq.write_table(table, folder / file["path"])
        data = (folder / file["path"]).read_bytes()
        file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
