"""Stage `vocabulary`: the tokens of all buckets, numbered, with their idf."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from eci_sql.connection import connect, statement
from jobs.ids import first_of_run, from_arrow, order_of
from jobs.output.tables import IDF
from jobs.work.files import publish, reading, writing
from jobs.work.job import Job
from jobs.work.layout import TOKENS, USERS, VOCABULARY
from jobs.work.summaries import Vocabulary


def vocabulary_task(job: Job, name: str, buckets: list[str], passages: int) -> Vocabulary:
    """Merge the buckets' document frequencies: publishes idf.parquet, keeps the queries' tokens as the vocabulary.

    Only tokens that some query holds can count in an overlap, so only those get a number and are exchanged.
    """
    tables = []
    for bucket in buckets:
        with reading(job, TOKENS, bucket) as file:
            tables.append(file.read_all())
    with connect(job.share // 2, job.threads) as con:
        con.register("tokens", pa.concat_tables(tables))
        idf = con.sql(statement("idf"), params={"passages": passages}).to_arrow_table()
    published = publish(job, IDF.files, [idf.drop_columns(["in_query"])], IDF.schema)
    vocabulary = idf.filter(idf["in_query"]).select(["token", "idf"]).cast(VOCABULARY.schema_of(job))
    with writing(job, VOCABULARY, name) as out:
        out.write_table(vocabulary)
    return {"tokens": len(idf), "query_tokens": len(vocabulary), "passages": passages,
            "ids_of_several_texts": _of_several_texts(job, buckets), "published": [published]}  # fmt: skip


def _of_several_texts(job: Job, buckets: list[str]) -> int:
    """Return how many users' ids several texts have: of each text the id that it is shown with."""
    found = 0
    with ExitStack() as stack:
        files = [stack.enter_context(reading(job, USERS, bucket)) for bucket in buckets]
        for k in range(job.buckets):
            keys = np.concatenate([from_arrow(file.get_batch(k)["key"]) for file in files])
            first = first_of_run(keys[order_of(keys)])
            # an id's first text, and a second one behind it
            found += int(np.count_nonzero(first[:-1] & ~first[1:]))
    return found
