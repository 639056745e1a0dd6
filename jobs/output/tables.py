"""The published tables and their columns: the one place that files, SQL comments and the tables of jobs/output/README.md come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

FORMULA_VERSION = "eci-sem/1"

TABLES_LAYOUT = 3
"""Of the published tables' files, in every manifest. 3: `moments` has a row for each source. 2: it has one for each source and
fold. 1, which manifests do not name: ids are UUIDs, too, and scores lie in folders `fold=NN`. Older ones are read, newer ones
refused."""
TEXT_IDS, TOTALS_ALONE = 2, 3
"""The first layouts whose ids are text, and whose moments are totals."""

_STRING, _DOUBLE, _INT, _LONG = pa.string(), pa.float64(), pa.int32(), pa.int64()
_ID = pa.string()  # sorted, joined and shown alike by every reader; UUIDs are an extension type that few know


@dataclass(frozen=True)
class Column:
    """A column: its name, Arrow type, and what it holds in one line."""

    name: str
    type: pa.DataType
    comment: str


@dataclass(frozen=True)
class Table:
    """A published table. `files` says which files of a run hold it: a path, or a folder that ends with `/`."""

    name: str
    files: str
    grain: str
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's Arrow schema."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    def holds(self, path: str) -> bool:
        """Return whether a file of a run (relative to the run's folder) belongs to this table."""
        return path.startswith(self.files) if self.files.endswith("/") else path == self.files


def _columns(*rows: tuple[str, pa.DataType, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_RUN = ("run_id", _STRING, "the run that wrote the row")
_PARTS = pa.list_(pa.struct([("source", _STRING), ("alpha", _DOUBLE)]))

SOURCE_ECI = Table(
    "source_eci",
    "source_eci.parquet",
    "run x source or mixture",
    _columns(
        _RUN,
        ("created_at", pa.timestamp("us", tz="UTC"), "when the run was committed"),
        ("encoder", _STRING, "the encoder's name, or 'vectors'"),
        ("encoder_fingerprint", _STRING, "identity of everything that changes a vector"),
        ("formula_version", _STRING, "version of the score's formula"),
        ("kind", _STRING, "source, hybrid or mixture"),
        ("source", _STRING, "name of the source, hybrid or mixture"),
        ("parts", _PARTS, "the sources that a row is made of, and their shares"),
        ("rank", _INT, "rank by ECI among sources and hybrids, from 1"),
        ("rank_lo", _INT, "best rank that the pairwise intervals do not exclude"),
        ("rank_hi", _INT, "worst rank that the pairwise intervals do not exclude"),
        ("eci", _DOUBLE, "effective contrastive information: information * purity (nats per dimension)"),
        ("eci_se", _DOUBLE, "its standard error, by a delete-one-fold jackknife"),
        ("eci_lo", _DOUBLE, "lower end of its 95 % interval"),
        ("eci_hi", _DOUBLE, "upper end of its 95 % interval"),
        ("information", _DOUBLE, "log-determinant of the trusted matrix, nats per dimension"),
        ("misinformation", _DOUBLE, "log-determinant of the distrusted matrix, nats per dimension"),
        ("purity", _DOUBLE, "information / (information + misinformation)"),
        ("n_examples", _LONG, "triples scored"),
        ("n_rejected", _LONG, "input rows rejected"),
        ("n_queries", _LONG, "distinct queries"),
        ("n_negatives", _LONG, "distinct negatives"),
        ("n_near_positive", _LONG, "triples whose negative is the positive but for case and white space"),
        ("mean_weight", _DOUBLE, "mean of the weight's absolute value"),
        ("mean_consistency", _DOUBLE, "mean target consistency t"),
        ("mean_locality", _DOUBLE, "mean semantic locality l"),
        ("mean_residuality", _DOUBLE, "mean lexical residuality rho"),
        ("trace", _DOUBLE, "trace of the trusted matrix"),
        ("effective_rank", _DOUBLE, "exp of the entropy of the trusted matrix's eigenvalues"),
        ("hardness", _DOUBLE, "baseline: mean similarity of query and negative"),
        ("margin", _DOUBLE, "baseline: mean of s_pos - s_neg"),
        ("violation_rate", _DOUBLE, "baseline: share of triples with s_neg >= s_pos"),
        ("near_duplicate_rate", _DOUBLE, "baseline: share of negatives with similarity to the positive over 0.95"),
        ("lexical_overlap", _DOUBLE, "baseline: mean idf-weighted overlap of query and negative (null without texts)"),
        ("eci_v1", _DOUBLE, "baseline: the paper's first version, log(1+N) * harmonic mean of hardness and safety"),
        ("temperature", _DOUBLE, "tau of the weights"),
        ("kappa", _DOUBLE, "share of the overlap that residuality takes off"),
        ("lambda", _DOUBLE, "ridge of the log-determinant"),
        ("tokenizer", _STRING, "tokens of the lexical side"),
        ("idf_corpus", _STRING, "passages that document frequencies are counted over"),
        ("folds", _INT, "folds of the queries"),
        ("folds_done", _INT, "folds that hold examples of the source"),
        ("sample_share", _DOUBLE, "share of the queries that was used (1: all)"),
    ),
)

SOURCE_PAIRS = Table(
    "source_pairs",
    "source_pairs.parquet",
    "run x ordered pair of sources",
    _columns(
        _RUN,
        ("a", _STRING, "one source"),
        ("b", _STRING, "the other"),
        ("difference", _DOUBLE, "ECI of a minus ECI of b"),
        ("se", _DOUBLE, "standard error of the difference, by the paired jackknife"),
        ("lo", _DOUBLE, "lower end of its 95 % interval"),
        ("hi", _DOUBLE, "upper end of its 95 % interval"),
        ("p_value", _DOUBLE, "two-sided, Student t on the common folds less one"),
        ("decided", pa.bool_(), "whether the interval excludes 0"),
    ),
)

SUMS = _columns(
    ("sum_weight", _LONG, "sum of the weight's absolute value, in units of 2^-32"),
    ("sum_consistency", _LONG, "sum of target consistency, in units of 2^-32"),
    ("sum_locality", _LONG, "sum of semantic locality, in units of 2^-32"),
    ("sum_residuality", _LONG, "sum of lexical residuality, in units of 2^-32"),
    ("sum_hardness", _LONG, "sum of s_neg, in units of 2^-32"),
    ("sum_margin", _LONG, "sum of s_pos - s_neg, in units of 2^-32"),
    ("sum_safety", _LONG, "sum of the margin clipped at 0, in units of 2^-32"),
    ("sum_lexical_overlap", _LONG, "sum of lexical overlap, in units of 2^-32"),
    ("n_lexical", _LONG, "examples with a lexical overlap"),
    ("n_violations", _LONG, "examples with s_neg >= s_pos"),
    ("n_near_duplicates", _LONG, "examples whose negative and positive have a similarity over 0.95"),
)

MOMENTS = Table(
    "moments",
    "moments.parquet",
    "run x source",
    _columns(
        _RUN,
        ("source", _STRING, "the source"),
        ("n_examples", _LONG, "triples scored"),
        ("dim", _INT, "dimension d of the vectors"),
        ("plus", pa.list_(_LONG), "sum of w r r^T over w > 0, in units of 2^-40: upper triangle by rows"),
        ("minus", pa.list_(_LONG), "sum of |w| r r^T over w < 0, in units of 2^-40: upper triangle by rows"),
    )
    + SUMS,
)

SCORES = Table(
    "scores",
    "scores/",
    "triple",
    _columns(
        _RUN,
        ("triple_id", _ID, "identity of (query, positive, negative, source)"),
        ("query_id", _ID, "the query's text_id"),
        ("positive_id", _ID, "the positive's text_id"),
        ("negative_id", _ID, "the negative's text_id"),
        ("source", _STRING, "where the negative comes from"),
        ("fold", _INT, "the query's fold"),
        ("s_pos", _DOUBLE, "similarity of query and positive"),
        ("s_neg", _DOUBLE, "similarity of query and negative"),
        ("consistency", _DOUBLE, "target consistency t; below 0 where the negative scores above the positive"),
        ("locality", _DOUBLE, "semantic locality l: the negative's share of the InfoNCE gradient"),
        ("lexical_overlap", _DOUBLE, "idf-weighted share of the query's tokens in the negative (null without texts)"),
        ("residuality", _DOUBLE, "lexical residuality rho = 1 - kappa * overlap"),
        ("weight", _DOUBLE, "t * l * rho, signed"),
        ("information", _DOUBLE, "what the triple adds to its source (null unless asked for)"),
    ),
)

SOURCE_PROBE = Table(
    "source_probe",
    "source_probe.parquet",
    "run x source or hybrid that was tried out",
    _columns(
        _RUN,
        ("source", _STRING, "name of the source or hybrid"),
        ("kind", _STRING, "source or hybrid"),
        ("parts", pa.list_(_STRING), "the sources whose negatives it was trained with"),
        ("rank", _INT, "rank by evidence, from 1; a decided pair stands in the order of its gains"),
        ("rank_low", _INT, "best rank that the decided pairs do not exclude"),
        ("rank_high", _INT, "worst rank that the decided pairs do not exclude"),
        (
            "evidence",
            _DOUBLE,
            "mean of the standard scores of gain and of the logarithm of information over the sources; of gain alone with "
            "fewer than three sources, or where a training file has no information",
        ),
        (
            "gain",
            _DOUBLE,
            "mean nDCG of held-out queries after half of `steps` and after `steps`, less that of the frozen encoder",
        ),
        ("gain_se", _DOUBLE, "its standard error, over queries and trainings"),
        ("gain_low", _DOUBLE, "lower end of its 95 % interval"),
        ("gain_high", _DOUBLE, "upper end of its 95 % interval"),
        ("gain_mrr", _DOUBLE, "the same for the reciprocal rank"),
        ("frozen", _DOUBLE, "mean nDCG of the frozen encoder"),
        ("n_queries", _LONG, "queries of the sample that the source has negatives for"),
        ("queries", _LONG, "queries of the sample: all of them judge every source"),
        ("pool", _LONG, "passages that were ranked, half of them for each query"),
        ("halvings", _INT, "divisions of the sample; each source is trained twice in each"),
        (
            "steps",
            _INT,
            "training steps by which all are judged: the best source gains most after half of them, or after all",
        ),
        ("rate", _DOUBLE, "learning rate"),
        ("cutoff", _INT, "ranks that nDCG and reciprocal rank look at"),
    ),
)

PROBE_PAIRS = Table(
    "probe_pairs",
    "probe_pairs.parquet",
    "run x ordered pair of sources that were tried out",
    _columns(
        _RUN,
        ("source_a", _STRING, "one source"),
        ("source_b", _STRING, "the other"),
        ("difference", _DOUBLE, "gain of a minus gain of b, over the same queries"),
        ("se", _DOUBLE, "standard error of the difference, over queries and trainings"),
        ("low", _DOUBLE, "lower end of its 95 % interval"),
        ("high", _DOUBLE, "upper end of its 95 % interval"),
        (
            "p_value",
            _DOUBLE,
            "two-sided, Student t, corrected for the number of pairs (Holm) and doubled for the choice of `steps`",
        ),
        ("decided", pa.bool_(), "whether the corrected p-value is below 0.05 and the difference above the tolerance"),
    ),
)

PROBE_CURVE = Table(
    "probe_curve",
    "probe_curve.parquet",
    "run x source that was tried out x steps",
    _columns(
        _RUN,
        ("source", _STRING, "name of the source or hybrid"),
        ("steps", _INT, "training steps"),
        ("gain", _DOUBLE, "mean nDCG of held-out queries after so many steps, less that of the frozen encoder"),
        ("gain_se", _DOUBLE, "its standard error, over queries and trainings"),
        ("change", _DOUBLE, "gain after the last step less this one, over the same queries and trainings"),
        ("change_se", _DOUBLE, "its standard error"),
    ),
)

REJECTS = Table(
    "rejects",
    "rejects/",
    "rejected input row",
    _columns(
        _RUN,
        ("file", _STRING, "the input file"),
        ("row", _LONG, "the record's position: lines count from 1, rows of Parquet from 0"),
        ("source", _STRING, "the row's source, where it could be read"),
        ("reason", _STRING, "why it was rejected"),
        ("detail", _STRING, "what exactly was wrong"),
        ("record", _STRING, "the record as JSON, at most 4 KiB"),
    ),
)

IDF = Table(
    "idf",
    "idf.parquet",
    "token",
    _columns(
        ("token", _STRING, "the token"),
        ("document_frequency", _LONG, "distinct passages that hold it"),
        ("idf", _DOUBLE, "ln(1 + (D - df + 0.5) / (df + 0.5))"),
    ),
)

TEXTS = Table(
    "texts",
    "texts/",
    "text of a side",
    _columns(
        _RUN,
        ("text_id", _ID, "first 16 bytes of SHA-256 over the side's byte and the text (or the user's id), in hex"),
        ("side", _STRING, "query or passage"),
        ("user_id", _STRING, "the user's own id, where one was given"),
        ("text", pa.large_string(), "the text (null where only ids were given)"),
    ),
)

JUDGEMENTS = Table(
    "judgements",
    "judgements.parquet",
    "judged query and negative (runs with --judgements)",
    _columns(
        _RUN,
        ("query_id", _ID, "the query's text_id"),
        ("negative_id", _ID, "the negative's text_id"),
        ("judgement", _STRING, "'false negative' (consistency -1) or 'fine' (1)"),
        ("triples", _LONG, "scored triples with the two, of all sources; 0: the judgement matches none"),
    ),
)

ABLATIONS = Table(
    "ablations",
    "ablations/",
    "run x perturbation",
    _columns(
        ("run_id", _STRING, "the run that was perturbed"),
        ("ablation", _STRING, "what was changed: none, sample, temperature, kappa, without, tokenizer, idf or encoder"),
        ("value", _STRING, "to what"),
        ("kendall", _DOUBLE, "Kendall tau between the ECI of the sources and the run's"),
        ("spearman", _DOUBLE, "Spearman correlation between the ECI of the sources and the run's"),
        ("top_source", _STRING, "the source with the largest ECI"),
        ("sources", pa.list_(pa.struct([("source", _STRING), ("eci", _DOUBLE)])), "the ECI of every source"),
    ),
)
"""Beside the runs, not in one: OUT/ablations/<run_id>.parquet, written by `eci ablate`."""

ID_COLUMNS = ("triple_id", "query_id", "positive_id", "negative_id", "text_id")
"""Columns of ids: 32 lower-case hexadecimal digits, or UUIDs in runs of layout 1."""

TABLES = (
    SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE, PROBE_PAIRS, PROBE_CURVE, MOMENTS, SCORES, JUDGEMENTS, REJECTS, IDF, TEXTS,
)  # fmt: skip

HISTORIES = (SOURCE_ECI, SOURCE_PROBE)
"""Tables of which there is a view over all runs, too: NAME_history."""

RUNS = Table(
    "runs",
    "",
    "committed run",
    _columns(
        ("run_id", _STRING, "the run"),
        ("created_at", pa.timestamp("us", tz="UTC"), "when it was committed"),
        ("seconds", pa.map_(_STRING, _DOUBLE), "seconds of all tasks of each stage"),
        ("rows_in", _LONG, "input rows read: scored + rejected + duplicates"),
        ("scored", _LONG, "triples scored"),
        ("rejected", _LONG, "rows rejected"),
        ("duplicates", _LONG, "rows that repeat a triple of the same source"),
        ("texts", _LONG, "distinct texts"),
        ("texts_embedded", _LONG, "texts that were embedded in this run"),
        ("cache_hits", _LONG, "texts whose vectors were in the cache"),
    ),
)
"""A view over the manifests of all runs; no file holds it."""


def sql_type(kind: pa.DataType) -> str:
    """Return the name that SQL has for an Arrow type."""
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {sql_type(field.type)}' for field in kind)})"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    names = {
        "string": "VARCHAR", "large_string": "VARCHAR", "double": "DOUBLE", "int32": "INTEGER", "int64": "BIGINT",
        "bool": "BOOLEAN",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }  # fmt: skip
    return names[str(kind)]
