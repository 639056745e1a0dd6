"""Tables of a lake as other programs write them. Tests that use them skip where the extra is not installed."""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config import make_config
from jobs.ingest.canonical import ingest_to
from jobs.terminal.progress import Silent

Row = tuple[str, str, str, str]
_B85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def rows(source: str, count: int, first: int = 0) -> list[Row]:
    return [(f"query {i}", f"positive {i}", f"negative {source} {i}", source) for i in range(first, first + count)]


def table_of(given: Sequence[Row], day: int | None = None) -> pa.Table:
    names = ("query", "positive", "negative", "source")
    table = pa.table({name: pa.array([row[i] for row in given], pa.string()) for i, name in enumerate(names)})
    if day is None:
        return table
    return table.append_column("day", pa.array([dt.date(2026, 11, day)] * len(given), pa.date32()))


def ingested(tmp_path: Path, triples: str, **more: Any) -> tuple[list[Row], list[dict[str, Any]]]:
    """Return the triples that `eci ingest` makes, in order, and what it says of tables."""
    to = tmp_path / f"to-{len(list(tmp_path.iterdir()))}"
    done = ingest_to(make_config({"inputs": [{"triples": triples, **more}], "out": str(to)}), Silent())
    found = [tuple(row.values()) for path in sorted(to.glob("*.parquet")) for row in _triples(path)]
    return sorted(found), [dict(table) for table in done.tables]


def _triples(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path, columns=["query", "positive", "negative", "source"]).to_pylist())


def delete_by_vector(table: Path, positions: Sequence[int]) -> None:
    """Commit a deletion vector for the table's only file, as Spark does, which deltalake does not write."""
    from deltalake import DeltaTable
    from pyroaring import BitMap

    bitmap = BitMap(positions).serialize()
    data = struct.pack("<iqi", 1681511377, 1, 0) + bitmap
    version = DeltaTable(table).version()
    adds = [json.loads(line) for log in sorted((table / "_delta_log").glob("*.json")) for line in log.open()]
    add = [action["add"] for action in adds if "add" in action][-1]
    padded = data + bytes(-len(data) % 4)
    text = base64.b85encode(padded).decode().translate(str.maketrans(_B85, _Z85))
    vector = {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data), "cardinality": len(positions)}
    features = ["deletionVectors"]
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}},
        {"remove": {"path": add["path"], "dataChange": True, "deletionTimestamp": 1}},
        {"add": {**add, "dataChange": True, "deletionVector": vector}},
    ]  # fmt: skip
    log = table / "_delta_log" / f"{version + 1:020}.json"
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
