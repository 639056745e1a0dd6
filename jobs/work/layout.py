"""Every work file there is: what stages hand to one another below a run's work folder, in one table.

Work files are Arrow IPC files that are read batch by batch: batch k belongs to a partition (a fold, a bucket, a part), so
that a reader takes its own and nothing else. A file is called by the task that writes it, `STAGE/NAME.KIND.arrow`, or
`STAGE/NAME.arrow` where a task writes one file only. Beside its files lies the task's marker (markers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from jobs.ids import ID_TYPE
from jobs.output.tables import MOMENTS as MOMENTS_TABLE
from jobs.work.job import Job

REFS = ("q_ref", "p_ref", "n_ref")
"""Where a triple's query, positive and negative are among the distinct texts of its part."""


@dataclass(frozen=True)
class WorkFile:
    """One kind of work file.

    Attributes:
        stage: whose task writes it; also its folder.  kind: tells the files of one task apart; "" where there is one.
        schema: of its rows, or how a job's settings make it.
        batch: what a batch is.  readers: the stages that read it.
        compressed: False for files that are mapped as they lie, or that do not compress.
    """

    stage: str
    kind: str
    schema: pa.Schema | Callable[[Job], pa.Schema]
    batch: str
    readers: tuple[str, ...]
    compressed: bool = True
    ending: str = "arrow"

    def path(self, job: Job, name: str) -> str:
        """Return where the file of the task `name` lies, relative to OUT."""
        return job.at(self.stage, ".".join(part for part in (name, self.kind, self.ending) if part))

    def schema_of(self, job: Job) -> pa.Schema:
        """Return the schema of its rows in a job."""
        return self.schema if isinstance(self.schema, pa.Schema) else self.schema(job)


class PartRange(NamedTuple):
    """Some parts of a fold: the first one's number, and the end."""

    fold: int
    start: int
    stop: int


class Origin(NamedTuple):
    """A task that has written its rows in chunks, each of a batch for every fold or bucket."""

    stage: str
    task: str
    chunks: int


class Exchanged(NamedTuple):
    """Tasks of the exchange, in bucket order, and the number of parts that the file of each holds the batches of."""

    tasks: list[str]
    parts: int


def fold_name(fold: int) -> str:
    """Return the name of a fold's task and folder."""
    return f"{fold:02d}"


def bucket_name(bucket: int) -> str:
    """Return the name of a bucket's task and file."""
    return f"{bucket:03d}"


def vectors_schema(job: Job) -> pa.Schema:
    """Return the schema of the user's own vectors: float32, a row's bytes as they lie in memory."""
    return pa.schema([("id", ID_TYPE), ("vector", pa.binary(job.dim * 4))])


def exchange_schema(job: Job) -> pa.Schema:
    """Return the schema of an exchange file. `vector` is of the job's vector type, the row's bytes as they lie in memory.

    `scale` is what makes a vector one of unit length, 0 where there is no usable one. `plain` is the same for passages that
    differ in case and white space alone, 0 for other texts.
    """
    return pa.schema(
        [
            ("vector", pa.binary(job.dim * job.vector_type.itemsize)),
            ("scale", pa.float64()),
            ("known", pa.bool_()),
            ("tokens", pa.list_(pa.int32())),
            ("plain", pa.uint64()),
        ]
    )


_IDS = [("query_id", ID_TYPE), ("positive_id", ID_TYPE), ("negative_id", ID_TYPE)]
READ_SCHEMA = pa.schema([*_IDS, ("source", pa.string()), ("row", pa.int64())])
TRIPLES_SCHEMA = READ_SCHEMA.insert(4, pa.field("unit", pa.int32()))
"""A triple with the number of the unit that it was read of."""
TEXTS_SCHEMA = pa.schema(
    [("id", ID_TYPE), ("side", pa.string()), ("user_id", pa.large_string()), ("text", pa.large_string())]
)
_INDEX = pa.schema([("key", ID_TYPE), ("text_id", ID_TYPE)])
_UNREAD = pa.schema(
    [("row", pa.int64()), *((name, pa.large_string()) for name in ("source", "reason", "detail", "record"))]
)
_REJECTED = pa.schema([*TRIPLES_SCHEMA, ("reason", pa.string())])
_PARTS = pa.schema([("triple_id", ID_TYPE), *TRIPLES_SCHEMA, *((ref, pa.int32()) for ref in REFS)])
_SETS = pa.schema(
    [
        ("id", ID_TYPE),
        ("side", pa.string()),
        ("known", pa.bool_()),
        ("tokens", pa.list_(pa.int32())),
        ("plain", pa.uint64()),
    ]
)
_TOKENS = pa.schema([("token", pa.string()), ("document_frequency", pa.int64()), ("in_query", pa.bool_())])
_VOCABULARY = pa.schema([("token", pa.string()), ("idf", pa.float64())])
FOLD_SUMS = MOMENTS_TABLE.schema.insert(2, pa.field("fold", pa.int32()))
"""One source's sums in a fold, in units of 2^-UNIT_BITS."""
SCORED_SUMS = pa.schema([*FOLD_SUMS, *((f"{sign}_rows", pa.list_(pa.int32())) for sign in ("plus", "minus"))])
"""The same as a task has scored it: of either sign the rows while they are few, else their sum in units of 2^-SUM_BITS."""
MEMBERS_SCHEMA = pa.schema([("id", ID_TYPE), ("source", pa.int32())])


def sample_schema(job: Job) -> pa.Schema:
    """Return the schema of the texts of the probe's sample: unit vectors, float32, a row's bytes as they lie in memory."""
    return pa.schema([("id", ID_TYPE), ("pool", pa.bool_()), ("vector", pa.binary(job.dim * 4))])


_SAMPLED = pa.schema([(name, pa.int64()) for name in ("source", "query", "positive", "negative")])
_PROBED = pa.schema([("ndcg", pa.float64()), ("mrr", pa.float64())])

LOOKUP_TEXTS = WorkFile("lookup", "texts", TEXTS_SCHEMA, "chunk * buckets + bucket", ("collect",))
LOOKUP_REJECTS = WorkFile("lookup", "rejects", _UNREAD, "the whole", ("rejects",))
INDEX_PARTS = WorkFile("lookup", "index", _INDEX, "as the file was read", ("index",))
INDEX = WorkFile("index", "", _INDEX, "the whole, by key", ("vectors", "ingest"), compressed=False)
VECTORS = WorkFile("vectors", "", vectors_schema, "chunk * buckets + bucket", ("exchange",))
TRIPLES = WorkFile("ingest", "triples", READ_SCHEMA, "chunk * folds + fold", ("settle",))
INGEST_TEXTS = WorkFile("ingest", "texts", TEXTS_SCHEMA, "chunk * buckets + bucket", ("collect",))
INGEST_REJECTS = WorkFile("ingest", "rejects", _UNREAD, "the whole", ("rejects",))
PARTS = WorkFile("settle", "parts", _PARTS, "part", ("score", "triples"))
REQUESTS = WorkFile(
    "settle", "requests", pa.schema([("id", ID_TYPE)]), "part * buckets + bucket", ("collect", "embed", "exchange")
)
SETTLE_REJECTS = WorkFile("settle", "rejects", _REJECTED, "as pieces were settled", ("rejects",))
SETS = WorkFile("collect", "sets", _SETS, "the whole, by id", ("exchange", "distinct"))
TOKENS = WorkFile("collect", "tokens", _TOKENS, "the whole: a token's code is its row", ("vocabulary", "exchange"))
USERS = WorkFile("collect", "users", pa.schema([("key", ID_TYPE)]), "bucket of the key", ("vocabulary",))
VOCABULARY = WorkFile(
    "vocabulary", "", _VOCABULARY, "the whole: a token's number is its row", ("exchange", "score", "triples")
)
EXCHANGE = WorkFile(
    "exchange",
    "",
    exchange_schema,
    "the bucket's place in the file * parts + part",
    ("score", "triples"),
    compressed=False,
)
MOMENTS = WorkFile(
    "score", "moments", SCORED_SUMS, "source, of one row or none", ("information", "mixture", "moments", "factor"),
    compressed=False,
)  # fmt: skip
MEMBERS = WorkFile("score", "members", MEMBERS_SCHEMA, "bucket", ("distinct",))
SCORE_REJECTS = WorkFile("score", "rejects", _REJECTED, "the whole", ("rejects",))
SAMPLE_TEXTS = WorkFile("draw", "texts", sample_schema, "queries, then passages", ("probe", "gains"), compressed=False)
SAMPLE_TRIPLES = WorkFile(
    "draw", "triples", _SAMPLED, "labels, then source: numbers and places among the texts", ("probe", "gains")
)
PROBED = WorkFile("probe", "", _PROBED, "look, a row for each query of the sample", ("gains",))
FACTORS = WorkFile("factor", "", pa.schema([]), "float64 (2, d, d), as NumPy keeps it", ("triples",), ending="npy")

WORK_FILES = (
    LOOKUP_TEXTS, LOOKUP_REJECTS, INDEX_PARTS, INDEX, VECTORS, TRIPLES, INGEST_TEXTS, INGEST_REJECTS, PARTS, REQUESTS,
    SETTLE_REJECTS, SETS, TOKENS, USERS, VOCABULARY, EXCHANGE, MOMENTS, MEMBERS, SCORE_REJECTS, SAMPLE_TEXTS, SAMPLE_TRIPLES,
    PROBED, FACTORS,
)  # fmt: skip
TEXTS_OF = {file.stage: file for file in (LOOKUP_TEXTS, INGEST_TEXTS)}
"""The texts that each reading stage leaves."""
REJECTS_OF = {file.stage: file for file in (LOOKUP_REJECTS, INGEST_REJECTS, SETTLE_REJECTS, SCORE_REJECTS)}
"""The rejects that each stage leaves."""
