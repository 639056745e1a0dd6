"""Stage 5: the exchange. Each bucket writes, for every part of every fold, the vectors and token sets that it wants.

A shuffle through files, linear in the number of references: a task reads its own bucket, and a part reads its own
batch of every bucket. File BBB.arrow (BBB-KK.arrow for look KK of a run that
may stop early): batch = the part's number over the folds it was written for, rows in id order. Vectors do not compress,
so the files are as they lie in memory and are mapped by their readers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from jobs import work
from jobs.collect import Cells
from jobs.embed import cache_of
from jobs.ids import from_arrow, lookup
from jobs.unit_vectors import unit_scale
from jobs.vectors import load_vectors


def exchange_schema(dim: int, itemsize: int) -> pa.Schema:
    """Return the schema of an exchange file: vectors as float16 (encoder) or float32 (the user's own).

    `scale` is what makes a vector one of unit length, 0 where there is no usable one.
    """
    return pa.schema(
        [
            ("vector", pa.binary(dim * itemsize)),
            ("scale", pa.float64()),
            ("known", pa.bool_()),
            ("tokens", pa.list_(pa.int32())),
        ]
    )


def vocabulary_task(job: work.Job, name: str, buckets: list[str], passages: int) -> dict[str, Any]:
    """Merge the buckets' document frequencies: publishes idf.parquet, keeps the queries' tokens as the vocabulary.

    Only tokens that some query holds can count in an overlap, so only those get a number and are exchanged.
    """
    from eci_sql.connection import connect, statement
    from jobs.tables import IDF

    tables = []
    for bucket in buckets:
        with work.reading(job.store, job.at("collect", f"{bucket}.tokens.arrow")) as file:
            tables.append(file.read_all())
    with connect(job.share // 2, job.threads) as con:
        con.register("tokens", pa.concat_tables(tables))
        idf = con.sql(statement("idf"), params={"passages": passages}).to_arrow_table()
    work.publish(job, "idf.parquet", [idf.drop_columns(["in_query"])], IDF.schema)
    vocabulary = idf.filter(idf["in_query"]).select(["token", "idf"])
    with work.writing(job.store, job.at("vocabulary", "vocabulary.arrow"), vocabulary.schema) as out:
        out.write_table(vocabulary)
    return {"tokens": len(idf), "query_tokens": len(vocabulary), "passages": passages}


def exchange_task(
    job: work.Job, name: str, bucket: int, cells: Cells, vector_units: list[tuple[str, int]]
) -> dict[str, Any]:
    """Write one bucket's exchange file: a batch for each part of `cells`, in their order."""
    with work.reading(job.store, job.at("collect", f"{bucket:03d}.sets.arrow")) as file:
        sets = file.read_all()
    ids = from_arrow(sets["id"])
    if job.encoder is None:
        vectors, valid = load_vectors(job, bucket, ids, vector_units)
    else:
        vectors, valid = cache_of(job).load(ids)
    scale = unit_scale(vectors, valid)
    schema = exchange_schema(job.dim, vectors.itemsize)
    width = vectors.shape[1] * vectors.itemsize
    tokens = _in_vocabulary(job, f"{bucket:03d}", sets["tokens"].combine_chunks())
    known = sets["known"].combine_chunks()
    sent = 0
    gathered = np.empty((0, job.dim), dtype=vectors.dtype)
    with work.writing(job.store, job.at("exchange", f"{name}.arrow"), schema, compression=None) as out:
        for fold, start, stop in cells:
            with work.reading(job.store, job.at("settle", f"{fold}.requests.arrow")) as requests:
                for part in range(start, stop):
                    at = lookup(ids, from_arrow(requests.get_batch(part * job.buckets + bucket)["id"]))
                    if len(at) > len(gathered):  # fresh memory for every part would cost as much as filling it
                        gathered = np.empty((2 * len(at), job.dim), dtype=vectors.dtype)
                    rows = vectors.take(at, axis=0, out=gathered[: len(at)], mode="clip")
                    columns = [
                        pa.Array.from_buffers(pa.binary(width), len(at), [None, pa.py_buffer(rows)]),
                        pa.array(scale[at]),
                        known.take(pa.array(at)),
                        tokens.take(pa.array(at)),
                    ]
                    out.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                    sent += len(at)
    return {"texts": len(ids), "sent": sent, "without_vector": int((scale == 0).sum())}


def _in_vocabulary(job: work.Job, name: str, lists: pa.ListArray) -> pa.ListArray:
    """Turn a bucket's own token codes into vocabulary numbers, ascending; tokens that no query holds are left out."""
    import pyarrow.compute as pc

    with work.reading(job.store, job.at("vocabulary", "vocabulary.arrow")) as file:
        vocabulary = file.read_all()["token"].combine_chunks()
    with work.reading(job.store, job.at("collect", f"{name}.tokens.arrow")) as file:
        tokens = file.read_all()["token"].combine_chunks()
    number = np.full(len(tokens), -1, dtype=np.int32)
    if len(vocabulary):
        found = pc.index_in(tokens, value_set=vocabulary).to_numpy(zero_copy_only=False)
        number = np.nan_to_num(found, nan=-1).astype(np.int32)
    codes = number[lists.flatten().to_numpy()]
    owner = np.repeat(np.arange(len(lists), dtype=np.int64), np.asarray(lists.value_lengths()))
    keep = codes >= 0
    keys = np.sort((owner[keep] << 32) | codes[keep])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(keys >> 32, minlength=len(lists)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array((keys & 0xFFFFFFFF).astype(np.int32)))
