"""Lexical overlaps of a finished run anew: by another tokenizer, or with other document frequencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from eci_sql.udfs import TokenSets
from jobs.finished.committed import Finished
from jobs.finished.spools import spool_texts
from jobs.formats.base import Options
from jobs.formats.finding import expand
from jobs.formats.texts_by_id import read_texts, text_units
from jobs.ids import from_arrow
from jobs.ingest.text_spool import TextSpool
from jobs.ingest.tokens import as_sets, token_lists

CHUNK = 20_000


@dataclass(frozen=True)
class Lexical:
    """A lexical side: a tokenizer and the idf of tokens.

    Attributes:
        texts: the run's texts.  tokenizer: `word`, `char3`, `wordpiece`.  encoder: for wordpiece.
        frequencies: columns token, df over `passages` passages; None: every token weighs the same.
    """

    texts: TextSpool
    tokenizer: str
    encoder: str | None
    frequencies: pl.DataFrame | None
    passages: int

    def overlap(self, ids: np.ndarray, queries: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """Return the overlap of queries and negatives, float64 (m,): 0 where a text is absent.

        Args:
            ids: S16 (n,).  queries, negatives: (m,) integers, rows of `ids`.
        """
        # positives count in no overlap: only these texts are tokenised
        used, inverse = np.unique(np.concatenate([queries, negatives]), return_inverse=True)
        texts = pl.Series([text.text for text in self.texts.take(ids[used])], dtype=pl.String)
        lists = token_lists(texts, self.tokenizer, self.encoder)
        encoded = lists.flatten().cast(pa.string()).dictionary_encode()
        sizes = np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64)
        offsets, codes = as_sets(np.concatenate([[0], np.cumsum(sizes)]), encoded.indices.to_numpy())
        sets = TokenSets(offsets, codes.astype(np.int64), self._idf(encoded.dictionary), texts.is_not_null().to_numpy())
        left, right = np.split(inverse, 2)
        return np.asarray(np.nan_to_num(sets.overlap(left, right)))

    def _idf(self, tokens: pa.Array) -> np.ndarray:
        """Return the idf of tokens, float64: ln(1 + (D - df + 0.5) / (df + 0.5)), in units of 2^-20 as in the run."""
        if self.frequencies is None:
            return np.ones(len(tokens))
        wanted = pl.DataFrame({"token": pl.Series(tokens.to_pylist(), dtype=pl.String)})
        df = wanted.join(self.frequencies, on="token", how="left", maintain_order="left")["df"].fill_null(0).to_numpy()
        return np.asarray(np.rint(np.log(1 + (self.passages - df + 0.5) / (df + 0.5)) * 2**20) / 2**20)


def count(chunks: Iterator[pl.Series], tokenizer: str, encoder: str | None) -> tuple[pl.DataFrame, int]:
    """Return document frequencies (columns token, df) of passages, and how many there are."""
    total = pl.DataFrame(schema={"token": pl.String, "df": pl.Int64})
    passages = 0
    for texts in chunks:
        lists = pl.Series(values=token_lists(texts, tokenizer, encoder), dtype=pl.List(pl.String))
        found = lists.list.unique().explode().drop_nulls().value_counts(name="df").rename({lists.name or "": "token"})
        total = pl.concat([total, found.cast(total.schema)]).group_by("token").agg(pl.col("df").sum())
        passages += len(texts)
    return total.sort("token"), passages


def own_passages(run: Finished) -> Iterator[pl.Series]:
    """Yield the run's passages in chunks; each distinct text is in the table `texts` once."""
    for table in run.texts(["side", "text"]):
        frame = pl.DataFrame(pl.from_arrow(table))
        yield from _chunks(frame.filter(pl.col("side") == "passage")["text"].drop_nulls())


def other_passages(corpus: Sequence[str]) -> Iterator[pl.Series]:
    """Yield the passages of files, in chunks."""
    for path in expand(corpus, "corpus"):
        for unit in text_units(path):
            for batch in read_texts(unit, Options(), "passage"):
                yield from _chunks(batch.texts["text"].drop_nulls())


def _chunks(texts: pl.Series) -> Iterator[pl.Series]:
    for start in range(0, len(texts), CHUNK):
        yield texts.slice(start, CHUNK)


def lexical_variants(
    run: Finished, only: Sequence[str], corpus: Sequence[str], folder: str
) -> Iterator[tuple[str, str, Lexical]]:
    """Yield (ablation, value, lexical side): other tokenizers, no idf, and the idf of another corpus."""
    if not {"tokenizer", "idf"} & set(only):
        return

    ids = np.concatenate([from_arrow(table["text_id"]) for table in run.texts(["text_id"])])
    texts = spool_texts(run, ids, folder)
    own = str(run.settings["tokenizer"])
    encoder = None if run.settings.get("vectors") else str(run.settings["encoder"])
    if "tokenizer" in only:
        for tokenizer in ("word", "char3", *(["wordpiece"] if encoder else [])):
            if tokenizer != own:
                frequencies, passages = count(own_passages(run), tokenizer, encoder)
                yield "tokenizer", tokenizer, Lexical(texts, tokenizer, encoder, frequencies, passages)
    if "idf" in only:
        yield "idf", "none", Lexical(texts, own, encoder, None, 0)
        if corpus:
            frequencies, passages = count(other_passages(corpus), own, encoder)
            yield (
                "idf",
                f"{passages} passages of {', '.join(corpus)}",
                Lexical(texts, own, encoder, frequencies, passages),
            )
