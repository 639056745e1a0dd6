"""Files that people have and that no format here reads: what each is, and what to convert it with.

One table, for refusals and for the README.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from jobs.errors import InputError


class Unread(NamedTuple):
    """A kind of file: what it is called, how its first bytes begin (None: known otherwise), what to do with it."""

    what: str
    begins: bytes | None
    advice: str


ARCHIVE = Unread(
    "a ZIP archive (also .xlsx, .npz, .pt)",
    rb"PK\x03\x04",
    "unpack it with `unzip`, or save the sheet as CSV",
)
TAR = Unread("a tar archive (also WebDataset)", rb".{257}ustar[\0 ]", "unpack it with `tar -xf`")
UTF16 = Unread(
    "UTF-16",
    rb"\xff\xfe|\xfe\xff",
    "convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`",
)
OLD_FEATHER = Unread(
    "Feather version 1",
    rb"FEA1",
    "write it anew with `pyarrow.feather.write_feather(pyarrow.feather.read_table(old), new)`",
)
ENCRYPTED = Unread("encrypted Parquet", rb"PARE(?=.{0,400}\0)", "decrypt it where its keys are, with pyarrow or Spark")
PICKLE = Unread(
    "a Python pickle",
    rb"\x80[\x02-\x05][\x8c\x95}\](cK]",
    "write it as JSONL or Parquet where it was made; a pickle runs code when it is opened",
)
SQLITE = Unread("an SQLite database", rb"SQLite format 3\0", "export the table with `sqlite3 -csv -header`")
ORC = Unread(
    "ORC", rb"ORC(?=.{0,400}\0)", "write it as Parquet, with `pyarrow.orc.read_table` and `pyarrow.parquet.write_table`"
)
AVRO = Unread("Avro", rb"Obj\x01", "write it as Parquet, with Spark or fastavro")
COLUMNS_JSON = Unread(
    "JSON by columns, as pandas' `to_json` writes it: {column: {row: value}} or {column: [value, ...]}",
    None,
    "write rows: `pandas.read_json(path).to_json('rows.jsonl', orient='records', lines=True)`",
)
SQUAD = Unread(
    "SQuAD's JSON: paragraphs with questions and answers",
    None,
    "it has no negatives; mine them (BM25, a dense retriever) and write query, positive, negative",
)
UNREAD = (ARCHIVE, TAR, UTF16, OLD_FEATHER, ENCRYPTED, PICKLE, SQLITE, ORC, AVRO, COLUMNS_JSON, SQUAD)


def refuse_unread(path: str, first: bytes) -> None:
    """Raise InputError when a file is of a kind that nothing here reads, by its first bytes."""
    for kind in UNREAD:
        if kind.begins is not None and re.match(kind.begins, first, re.DOTALL):
            raise refusal(path, kind)


def refusal(path: str, kind: Unread) -> InputError:
    """Return the error that says what a file is and what to do with it."""
    return InputError(f"{path}: {kind.what}, which is not read; {kind.advice}")


def kind_of_object(value: Any) -> Unread | None:
    """Return what one JSON object over a whole file is, by its first member; None where it may be something else."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    (key, held), *_ = value.items()
    rows = isinstance(held, dict) and held and all(name.isdigit() for name in held)
    texts = isinstance(held, list) and held and all(isinstance(item, str) and " " in item for item in held)
    scored = rows and all(isinstance(item, int | float) for item in held.values())
    return COLUMNS_JSON if (rows and not scored) or (texts and key.isidentifier()) else None
