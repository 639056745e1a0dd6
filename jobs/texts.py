"""Distinct texts on their way to their buckets: a sink that writes one batch a bucket for every chunk of input."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from jobs import work
from jobs.ids import ID_TYPE, Side, as_arrow, buckets_of, id_array, order_of

TEXTS = pa.schema([("id", ID_TYPE), ("side", pa.string()), ("user_id", pa.string()), ("text", pa.large_string())])


class TextSink:
    """Writes `<name>.texts.arrow` of a stage: batch `chunk * buckets + bucket`. Used in a `with` block."""

    def __init__(self, job: work.Job, stage: str, name: str) -> None:
        self._job = job
        self._writing = work.writing(job.store, job.at(stage, f"{name}.texts.arrow"), TEXTS)
        self._out: Any = None
        self.chunks = 0

    def __enter__(self) -> TextSink:
        self._out = self._writing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def add(self, texts: Mapping[bytes, tuple[Side, str | None, str | None]]) -> None:
        """Write one chunk of texts (id -> side, user id, text), in id order."""
        ids = id_array(texts)
        order = order_of(ids)
        values = list(texts.values())
        ordered = [values[i] for i in order.tolist()]
        table = pa.table(
            {
                "id": as_arrow(ids[order]),
                "side": [side for side, _, _ in ordered],
                "user_id": [user for _, user, _ in ordered],
                "text": [text for _, _, text in ordered],
            },
            schema=TEXTS,
        )
        buckets = self._job.buckets
        work.write_partitions(self._out, table, buckets_of(np.ascontiguousarray(ids[order]), buckets), buckets)
        self.chunks += 1
