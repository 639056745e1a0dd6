"""What crosses rooms as dicts, typed: a run's manifest, and rows of its tables as Python has them.

The columns themselves are in tables.py; a test holds these to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

PASSED_OVER = "passed over: "
"""How `InputFile.what` begins for a file that the input names and that holds no record."""


class InputFile(TypedDict):
    """An input file as it was when the run was prepared.

    `what`: triples, vectors, qrels, judgements; query or passage for texts by id, with the input's number behind them where they
    are its own; PASSED_OVER and the reason.
    `digest`: what was read, as `sha256:` or `etag:` and the value.
    """

    path: str
    size: int
    stamp: str
    what: str
    digest: str


class TableUsed(TypedDict):
    """A table of a lake that was read: at which version, with which condition, how many of its files.

    `files_left_out`: of which the table's log says that the condition takes no row.
    `rows_left_out`: rows that the condition does not take, of all files; None where the log does not say.
    """

    table: str
    version: int
    where: str
    files: int
    files_left_out: int
    rows_left_out: int | None


class NamedSource(TypedDict):
    """A source that is named after its files, and by which rule (formats/source_names.py)."""

    source: str
    rule: str
    files: list[str]


class RanksTaken(TypedDict):
    """Run files of which hits at some ranks were taken, `1:10`. `by_default`: nobody has asked for these ranks."""

    ranks: str
    by_default: bool
    files: list[str]


class Loss(TypedDict):
    """A source that lost most of its rows to rejects, and these by reason."""

    source: str
    rows: int
    lost: int
    reasons: dict[str, int]


class TableFile(TypedDict):
    """A published file: its path in the run's folder, its table, rows, size in bytes, SHA-256 in hexadecimal."""

    path: str
    table: str
    rows: int
    bytes: int
    sha256: str


class EncoderUsed(TypedDict):
    """The encoder: its name, the identity of everything that changes a vector, the dimension."""

    name: str
    fingerprint: str
    dim: int


class StageTimes(TypedDict):
    """A stage: its tasks, their seconds together by the clock and of processors, the highest resident memory of one.

    `kept`: tasks that were not done because an earlier run has done them; they are none of `tasks`. Manifests of before do not
    have it.
    """

    tasks: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    kept: int


class Totals(TypedDict):
    """Rows and texts of a run: rows_in = scored + rejected + duplicates + not_sampled.

    `repeated_ids`: records of --corpus and --queries whose id has come before with another text.  `ids_of_several_texts`: ids
    that records of triples give to several texts.
    Of the scored ones, `near_positive` have a negative that is their positive but for case and white space.
    """

    rows_in: int
    scored: int
    rejected: int
    duplicates: int
    not_sampled: int
    near_positive: int
    texts: int
    texts_embedded: int
    cache_hits: int
    rejected_texts: int
    repeated_ids: int
    ids_of_several_texts: int


class SampleUsed(TypedDict):
    """How much of the queries a run has used, and what it has decided (None: it was not asked)."""

    queries: int
    all_queries: int
    rows_left: int
    looks: int
    decided: bool | None
    open_pairs: list[tuple[str, str]]


class JudgementsUsed(TypedDict):
    """Judgements that a run was given: how many, how many of them match a scored triple, how many triples these are.

    `runs`: those whose reports they were made in.
    """

    given: int
    matched: int
    triples: int
    runs: list[str]


class TopOfRun(TypedDict):
    """A run's first source: by the probe, else by ECI. `tied`: how many may be best.  Gains: shares of nDCG, None without a probe."""

    source: str
    tied: int
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    eci: float | None


class MadeAgain(TypedDict):
    """What a run has found damaged or missing, and made again: finished tasks, files of the cache, vectors of texts."""

    tasks: int
    cache_files: int
    texts: int


class LexicalSide(TypedDict):
    """What a run's tokens are like.

    tokens: the version of the tokenizers.  unspaced: texts that have, or may have, characters of scripts without spaces
    (tokenizer `word`).  queries, queries_apart: queries with texts, and those of them that have no token in common with
    any of their positives.  warning: a sentence where these are most.
    """

    tokens: int
    unspaced: int
    queries: int
    queries_apart: int
    warning: str | None


class Manifest(TypedDict):
    """A run's manifest. `settings`: by their names in a settings file.  `rejects`: rows by reason.

    `named_after_files`: the sources that neither --source nor a record has named.
    `ranks`: what was taken of run files; runs of older versions do not have it.
    `losses`: the sources that lost most of their rows, with --allow-rejects.
    `layout`: of the tables' files (TABLES_LAYOUT); runs of layout 1 do not have it.
    `why_no_probe`: a sentence where the sources were not tried out; runs of versions before 0.3 do not have it.
    `top`: None where nothing was scored; runs of older versions do not have it.
    `judgements`: only of a run that was given some.
    `tables`: only of a run that has read some.
    `made_again`: what was found damaged; older runs do not have it, nor a digest of their inputs.
    `lexical` is not in runs whose tokenizers are of version 1, which cut no run of scripts without spaces.
    """

    run_id: str
    work_key: str
    created_at: str
    formula_version: str
    layout: int
    encoder: EncoderUsed
    settings: dict[str, Any]
    inputs: list[InputFile]
    formats: dict[str, int]
    named_after_files: list[NamedSource]
    ranks: NotRequired[list[RanksTaken]]
    versions: dict[str, str]
    files: list[TableFile]
    totals: Totals
    sample: SampleUsed
    rejects: dict[str, int]
    losses: list[Loss]
    why_no_probe: str | None
    judgements: NotRequired[JudgementsUsed]
    tables: NotRequired[list[TableUsed]]
    made_again: MadeAgain
    lexical: NotRequired[LexicalSide]
    stages: dict[str, StageTimes]
    top: TopOfRun | None


class Share(TypedDict):
    """A source's share of a hybrid or mixture."""

    source: str
    alpha: float


_Lambda = TypedDict("_Lambda", {"lambda": float})


class SourceRow(_Lambda):
    """A row of source_eci; ranks are None for a mixture, and what needs texts is None without them."""

    run_id: str
    created_at: datetime
    encoder: str
    encoder_fingerprint: str
    formula_version: str
    kind: Literal["source", "hybrid", "mixture"]
    source: str
    parts: list[Share]
    rank: int | None
    rank_lo: int | None
    rank_hi: int | None
    eci: float
    eci_se: float
    eci_lo: float
    eci_hi: float
    information: float
    misinformation: float
    purity: float
    n_examples: int
    n_rejected: int
    n_queries: int
    n_negatives: int
    n_near_positive: int
    mean_weight: float
    mean_consistency: float
    mean_locality: float
    mean_residuality: float
    trace: float
    effective_rank: float
    hardness: float
    margin: float
    violation_rate: float
    near_duplicate_rate: float
    lexical_overlap: float | None
    eci_v1: float
    temperature: float
    kappa: float
    tokenizer: str
    idf_corpus: str
    folds: int
    folds_done: int
    sample_share: float


class PairRow(TypedDict):
    """A row of source_pairs."""

    run_id: str
    a: str
    b: str
    difference: float
    se: float
    lo: float
    hi: float
    p_value: float
    decided: bool


class ProbeRow(TypedDict):
    """A row of source_probe."""

    run_id: str
    source: str
    kind: Literal["source", "hybrid"]
    parts: list[str]
    rank: int
    rank_low: int
    rank_high: int
    evidence: float
    gain: float
    gain_se: float
    gain_low: float
    gain_high: float
    gain_mrr: float
    frozen: float
    n_queries: int
    queries: int
    pool: int
    halvings: int
    steps: int
    rate: float
    cutoff: int


class ProbePairRow(TypedDict):
    """A row of probe_pairs."""

    run_id: str
    source_a: str
    source_b: str
    difference: float
    se: float
    low: float
    high: float
    p_value: float
    decided: bool


class CurveRow(TypedDict):
    """A row of probe_curve."""

    run_id: str
    source: str
    steps: int
    gain: float
    gain_se: float
    change: float
    change_se: float


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """Return a row's value by a name that is no literal, as where columns are chosen."""
    return row[name]
