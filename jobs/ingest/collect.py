"""Stage `collect`: each bucket's distinct texts, those that triples want; their token sets and document frequencies.

Publishes the table texts, a file a bucket. Tokens are codes of the bucket; documents are its passages.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ids import (
    Side,
    as_arrow,
    as_text,
    buckets_of,
    first_of_run,
    from_arrow,
    lookup,
    order_of,
    text_ids,
    unique,
)
from jobs.ingest.distinct_texts import plain_keys, smallest_users
from jobs.ingest.tokens import as_sets, token_lists
from jobs.output import layout
from jobs.output.tables import TEXTS
from jobs.unspaced import unspaced
from jobs.work.files import publish, reading, write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import REQUESTS, SETS, TEXTS_OF, TEXTS_SCHEMA, TOKENS, USERS, Origin, PartRange, fold_name
from jobs.work.summaries import Collected

CHUNK = 20_000


def wanted_ids(job: Job, bucket: int, parts: list[PartRange]) -> np.ndarray:
    """Return the distinct ids that parts want of a bucket, ascending."""
    ids = [np.empty(0, dtype="S16")]
    for fold, start, stop in parts:
        with reading(job, REQUESTS, fold_name(fold)) as file:
            batches = [file.get_batch(part * job.buckets + bucket) for part in range(start, stop)]
            ids += [from_arrow(batch["id"]).copy() for batch in batches]
    return unique(np.concatenate(ids))


def collect_task(job: Job, name: str, bucket: int, parts: list[PartRange], origins: list[Origin]) -> Collected:
    """Collect one bucket. `origins`: the tasks that left texts."""
    wanted = wanted_ids(job, bucket, parts)
    found = distinct(job, bucket, wanted, origins)
    if len(found) != len(wanted):
        raise RuntimeError(f"bucket {bucket}: {len(wanted) - len(found)} texts that triples refer to are not there")
    table = pa.table(
        {
            "run_id": pa.repeat(job.run_id, len(found)),
            "text_id": as_text(wanted),
            "side": found["side"],
            "user_id": found["user_id"],
            "text": found["text"],
        }
    )
    published = publish(job, layout.texts_bucket(name), [table], TEXTS.schema)
    _write_users(job, name, found)
    frame = pl.DataFrame(pl.from_arrow(found.select(["side", "text"])))
    vocabulary = _tokenise(job, name, wanted, frame)
    cut = int(unspaced(frame["text"]).sum()) if job.tokenizer == "word" else 0
    passages = frame.filter((pl.col("side") == "passage") & pl.col("text").is_not_null())
    return {
        "texts": len(wanted),
        "passages": len(passages),
        "tokens": vocabulary,
        "unspaced": cut,
        "published": [published],
    }


def _write_users(job: Job, name: str, found: pa.Table) -> None:
    """Write what tells the users' ids of the bucket's texts, by their own buckets: an id may have texts in several."""
    given = found.filter(pc.and_(found["user_id"].is_valid(), found["text"].is_valid()))
    sides: tuple[Side, ...] = ("query", "passage")
    users = {side: given.filter(pc.equal(given["side"], side))["user_id"].combine_chunks() for side in sides}
    keys = np.concatenate([text_ids(side, those) for side, those in users.items()])
    keys = keys[order_of(keys)]
    with writing(job, USERS, name) as out:
        table = pa.table([as_arrow(keys)], schema=USERS.schema_of(job))
        write_partitions(out, table, buckets_of(keys, job.buckets), job.buckets)


def distinct(job: Job, bucket: int, wanted: np.ndarray, origins: list[Origin]) -> pa.Table:
    """Return the texts of those of `wanted` that are there, in its order: side, user_id (the smallest one given), text.

    Texts repeat from file to file: of each only the first is taken out of its file.
    """
    known = np.zeros(len(wanted) + 1, dtype=np.int8)  # 1: by its id alone, 2: with its text; one more for "not wanted"
    tables, places = [TEXTS_SCHEMA.empty_table()], [np.empty(0, np.int64)]
    owned, users = [np.empty(0, np.int64)], [pl.Series(dtype=pl.String)]
    for stage, origin, chunks in origins:
        with reading(job, TEXTS_OF[stage], origin) as file:
            batches = [file.get_batch(chunk * job.buckets + bucket) for chunk in range(chunks)]
        texts = pa.Table.from_batches(batches, TEXTS_SCHEMA)
        at = lookup(wanted, from_arrow(texts["id"]))
        new = _first_met(at, texts["text"].is_valid().to_numpy(), known)
        tables.append(texts.filter(pa.array(new)))
        places.append(at[new])
        if texts["user_id"].null_count < len(texts):
            owned.append(at)
            users.append(pl.Series(pl.from_arrow(texts["user_id"]), dtype=pl.String))
    place = np.concatenate(places)
    row = np.full(len(wanted), -1)
    row[place] = np.arange(len(place))  # the last one: where a text is there twice, it was first met by its id alone
    there = row >= 0
    owners = smallest_users(np.concatenate(owned), pl.concat(users), len(wanted)).filter(pa.array(there))
    found = pa.concat_tables(tables).take(pa.array(row[there]))
    return pa.table({"side": found["side"], "user_id": owners, "text": found["text"]})


def _first_met(at: np.ndarray, with_text: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which rows tell of a text what was not known of it, bool (n,), each text once; `known` is brought up to date."""
    level = np.where(at >= 0, 1 + with_text, 0)
    new = np.flatnonzero(level > known[at])
    new = new[np.lexsort((-level[new], at[new]))]
    new = new[first_of_run(at[new])]
    known[at[new]] = level[new]
    chosen = np.zeros(len(at), dtype=bool)
    chosen[new] = True
    return chosen


def _tokenise(job: Job, name: str, ids: np.ndarray, frame: pl.DataFrame) -> int:
    """Write the bucket's token sets and tokens; returns the number of distinct tokens."""
    memo = pa.array([], pa.string())
    lengths, codes = [], []
    for start in range(0, len(frame), CHUNK):
        lists = token_lists(frame["text"].slice(start, CHUNK), job.tokenizer, job.encoder)
        lengths.append(np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64))
        encoded = lists.flatten().cast(pa.string()).dictionary_encode()
        memo, local = _merge(memo, encoded.dictionary)
        codes.append(local[encoded.indices.to_numpy()])
    sizes = np.concatenate([np.empty(0, np.int64), *lengths])
    offsets, tokens = as_sets(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([np.empty(0, np.int32), *codes]))
    passage = (frame["side"] == "passage").to_numpy()
    plain = np.where(passage, plain_keys(frame["text"]), np.uint64(0))
    owner_is_passage = np.repeat(passage, np.diff(offsets))
    frequency = np.bincount(tokens[owner_is_passage], minlength=len(memo))
    in_query = np.bincount(tokens[~owner_is_passage], minlength=len(memo)) > 0
    sets = pa.table(
        {
            "id": as_arrow(ids),
            "side": frame["side"].to_arrow().cast(pa.string()),
            "known": frame["text"].is_not_null().to_arrow(),
            "tokens": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens)),
            "plain": pa.array(plain),
        },
        schema=SETS.schema_of(job),
    )
    table = pa.table([memo, pa.array(frequency, pa.int64()), pa.array(in_query)], schema=TOKENS.schema_of(job))
    for file, what in ((SETS, sets), (TOKENS, table)):
        with writing(job, file, name) as out:
            out.write_table(what)
    return len(memo)


def _merge(memo: pa.Array, fresh: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Add tokens to the bucket's list; returns it and the codes of `fresh` in it (int32)."""
    known = pc.index_in(fresh, value_set=memo) if len(memo) else pa.nulls(len(fresh), pa.int32())
    missing = fresh.filter(pc.is_null(known))
    codes = np.nan_to_num(known.to_numpy(zero_copy_only=False), nan=-1).astype(np.int32)
    codes[codes < 0] = len(memo) + np.arange(len(missing), dtype=np.int32)
    return pa.concat_arrays([memo, missing]), codes
