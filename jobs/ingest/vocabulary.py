"""Stage `vocabulary`: the tokens of all buckets, numbered, with their idf."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from jobs.work.files import publish, reading, writing
from jobs.work.job import Job


def vocabulary_task(job: Job, name: str, buckets: list[str], passages: int) -> dict[str, Any]:
    """Merge the buckets' document frequencies: publishes idf.parquet, keeps the queries' tokens as the vocabulary.

    Only tokens that some query holds can count in an overlap, so only those get a number and are exchanged.
    """
    from eci_sql.connection import connect, statement
    from jobs.output.tables import IDF

    tables = []
    for bucket in buckets:
        with reading(job.store, job.at("collect", f"{bucket}.tokens.arrow")) as file:
            tables.append(file.read_all())
    with connect(job.share // 2, job.threads) as con:
        con.register("tokens", pa.concat_tables(tables))
        idf = con.sql(statement("idf"), params={"passages": passages}).to_arrow_table()
    publish(job, "idf.parquet", [idf.drop_columns(["in_query"])], IDF.schema)
    vocabulary = idf.filter(idf["in_query"]).select(["token", "idf"])
    with writing(job.store, job.at("vocabulary", "vocabulary.arrow"), vocabulary.schema) as out:
        out.write_table(vocabulary)
    return {"tokens": len(idf), "query_tokens": len(vocabulary), "passages": passages}
