"""Parquet files whose bytes depend on their rows alone."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

PARQUET_ROWS = 25_000


def write_parquet(path: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS) -> int:
    """Write tables as one Parquet file and return its number of rows.

    Row groups are cut at every `rows` rows whatever the tables' sizes, so that equal rows give equal bytes. Names and small
    numbers get a dictionary; for ids and scores, nearly all distinct, it would double the time and add to the size.
    Packed matrices are packed to the bits that they take, which is smaller than what zstd makes of them, and read in half
    the time.
    """
    total, pending = 0, schema.empty_table()
    repeated = [field.name for field in schema if field.type in (pa.string(), pa.int32())]
    matrices = [f"{field.name}.list.element" for field in schema if field.type == pa.list_(pa.int64())]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=repeated,
        column_encoding=dict.fromkeys(matrices, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            pending = pa.concat_tables([pending, table.cast(schema)])
            while len(pending) >= rows:
                writer.write_table(pending.slice(0, rows).combine_chunks(), row_group_size=rows)
                pending, total = pending.slice(rows), total + rows
        if len(pending) or not total:
            writer.write_table(pending.combine_chunks(), row_group_size=rows)
    return total + len(pending)
