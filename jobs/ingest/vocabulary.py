"""Stage `vocabulary`: the tokens of all buckets, numbered, with their idf."""

from __future__ import annotations

import pyarrow as pa

from eci_sql.connection import connect, statement
from jobs.output.tables import IDF
from jobs.work.files import publish, reading, writing
from jobs.work.job import Job
from jobs.work.layout import TOKENS, VOCABULARY
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
    return {"tokens": len(idf), "query_tokens": len(vocabulary), "passages": passages, "published": [published]}
