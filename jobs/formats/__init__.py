"""The input formats, in one table. Adding one is one module and one line here."""

from __future__ import annotations

from jobs.errors import InputError, nearest
from jobs.formats.base import Batch, Format, Options, Unit
from jobs.formats.beir import Beir
from jobs.formats.bge import Bge
from jobs.formats.colbert import Colbert
from jobs.formats.dpr import Dpr
from jobs.formats.labeled import Labeled
from jobs.formats.msmarco_tsv import MsmarcoTsv
from jobs.formats.rocketqa import Rocketqa
from jobs.formats.sbert_hard_negatives import SbertHardNegatives
from jobs.formats.sbert_tuples import SbertTuples
from jobs.formats.tevatron import Tevatron
from jobs.formats.triples import Triples

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        Triples(),
        SbertTuples(),
        SbertHardNegatives(),
        Bge(),
        Labeled(),
        Tevatron(),
        Dpr(),
        MsmarcoTsv(),
        Colbert(),
        Rocketqa(),
        Beir(),
    )
}

__all__ = ["FORMATS", "Batch", "Format", "Options", "Unit", "format_named"]


def format_named(name: str) -> Format:
    """Return a format by name. Raises InputError that lists the names."""
    if name not in FORMATS:
        raise InputError(f"format {name!r} is not known{nearest(name, FORMATS)} (formats: {', '.join(FORMATS)})")
    return FORMATS[name]
