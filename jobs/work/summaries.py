"""What tasks say when they are done: the summary of each stage's tasks, kept as JSON in the task's marker.

Summaries are small, hold counts and names only, and are all that comes back to the driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, TypeVar


class PublishedFile(TypedDict):
    """A published file, by its path in the run's folder: rows, size in bytes, SHA-256 in hexadecimal."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Summary(TypedDict):
    """What every summary has beside its own, once the task is done.

    By the clock, of all its threads, and the process's highest resident memory; the files that it has published.
    Of stages in KEPT: the run that has done it, and what was found of it before, which no marker holds.
    """

    seconds: NotRequired[float]
    cpu_seconds: NotRequired[float]
    peak_bytes: NotRequired[int]
    published: NotRequired[list[PublishedFile]]
    done_by: NotRequired[str]
    found: NotRequired[Found]


Found = Literal["whole", "same again", "another"]
"""What was found of a task that had been done before: its files as they were, or damaged, and then made again: the same, or another."""
MEASURED = ("seconds", "cpu_seconds", "peak_bytes", "done_by", "found")


class Digest(TypedDict):
    """What a file holds (`sha256:` or `etag:` and the value), and what was seen of it: it changes whenever the file does."""

    digest: str
    seen: list[Any]


class Digested(Summary):
    """`inputs`: digests of some files, by what they are and their paths."""

    digests: dict[str, Digest]


class TextsRead(Summary):
    """`lookup`: records of a unit, those rejected, chunks of texts."""

    rows: int
    rejected: int
    chunks: int


class Indexed(Summary):
    """`index`: records of an index, distinct ids, and how many records came again with another text than an id's first."""

    rows: int
    ids: int
    conflicts: int


class VectorsRead(Summary):
    """`vectors`: rows of a unit, those without a usable vector, others without a side, chunks, and a digest in hexadecimal."""

    rows: int
    bad: int
    sideless: int
    chunks: int
    digest: str


class RowsRead(Summary):
    """`ingest`: rows of a unit, those rejected, chunks; accepted rows by source and, a number each, by fold.

    `ids_alone`: texts of each side that are named by an id and have no text.
    `rejected_by_source`: rejects by source and reason, "" where a record does not say its source.
    `left_out`: rows that --where does not take; they are none of `rows`.
    """

    rows: int
    rejected: int
    chunks: int
    left_out: int
    sources: dict[str, int]
    by_fold: list[int]
    ids_alone: dict[str, int]
    rejected_by_source: dict[str, dict[str, int]]


class Settled(Summary):
    """`settle`: rows of a fold, rejected ones (by source and reason, too), copies; of each part its rows and its band;
    queries by band.
    """

    rows: int
    rejected: int
    rejected_by_source: dict[str, dict[str, int]]
    duplicates: int
    parts: list[int]
    bands: list[int]
    queries: dict[str, int]


class Collected(Summary):
    """`collect`: distinct texts of a bucket, the passages among them, distinct tokens.

    `unspaced`: the texts that have, or may have, characters of scripts without spaces; 0 but with the tokenizer `word`.
    """

    texts: int
    passages: int
    tokens: int
    unspaced: int


class Vocabulary(Summary):
    """`vocabulary`: distinct tokens, those that some query holds, passages; users' ids that several texts have."""

    tokens: int
    query_tokens: int
    passages: int
    ids_of_several_texts: int


class Embedded(Summary):
    """`embed`: texts of a bucket, embedded ones, those in the cache; tokens, padded ones too; damaged cache files."""

    texts: int
    embedded: int
    cache_hits: int
    tokens: int
    padded_tokens: int
    damaged_cache_files: int


class Sent(Summary):
    """`exchange`: texts of some buckets, vectors sent to parts, texts without a usable vector; of both the queries.

    `embedded_again`: texts whose vectors the cache has lost since they were embedded; damaged cache files.
    """

    texts: int
    sent: int
    without_vector: int
    embedded_again: int
    damaged_cache_files: int
    queries: int
    queries_without: int


class Scored(Summary):
    """`score`: triples scored, and those without a usable vector, both by source too.

    `near_positive`: by source, those whose negative is the positive but for case and white space.
    `judged`: 64 hexadecimal digits of query_id and negative_id -> how many scored triples have the two, of the pairs judged.
    `queries`: those of the parts whose texts are there; `queries_apart`: those of them that have no token in common with
    any of their positives.
    """

    scored: int
    by_source: dict[str, int]
    near_positive: dict[str, int]
    rejected: int
    rejected_by_source: dict[str, int]
    judged: dict[str, int]
    queries: int
    queries_apart: int


class Distinct(Summary):
    """`distinct`: a bucket's distinct queries and negatives, of every source, then of every hybrid."""

    queries: list[int]
    negatives: list[int]


class Sums(TypedDict):
    """The sums behind every mean in source_eci (tables.SUMS), over the examples of a source."""

    n_examples: int
    sum_weight: int
    sum_consistency: int
    sum_locality: int
    sum_residuality: int
    sum_hardness: int
    sum_margin: int
    sum_safety: int
    sum_lexical_overlap: int
    n_lexical: int
    n_violations: int
    n_near_duplicates: int


class Estimates(TypedDict, total=False):
    """The score of a source, hybrid or mixture, and its ECI without each fold (key: the fold's number)."""

    information: float
    misinformation: float
    purity: float
    eci: float
    leave_out: dict[str, float]
    trace: float
    effective_rank: float
    folds_done: int


class Information(Summary, Sums, Estimates):
    """`information`: sums of a source or hybrid, and its estimates where it has examples."""


class Mixture(Summary, Estimates):
    """`mixture`: the shares of the sources that were mixed, in their order, and the mixture's estimates."""

    alpha: list[float]


class Moments(Summary):
    """`moments`: rows of the published table."""

    rows: int


class Rejects(Summary):
    """`rejects`: rows of the published table, by reason and by source."""

    rows: int
    by_reason: dict[str, int]
    by_source: dict[str, int]


class Drawn(Summary):
    """`draw`: queries, passages, those that are ranked; the queries of each source; why it is too small, if it is."""

    queries: int
    passages: int
    pool: int
    covered: list[int]
    why_not: str | None


class Probed(Summary):
    """`probe`: mean nDCG of a source at each look in one halving, and the queries that it was trained on."""

    ndcg: list[float]
    queries: int


class Judged(Summary):
    """`judge`: whether the run's question is answered by the probe, and the pairs that are open, the better one first.

    A source that the sample has no triples of is open by itself.
    """

    decided: bool
    open_pairs: list[tuple[str, str]]


class Gains(Summary):
    """`gains`: sources and hybrids in the published tables."""

    sources: int


class Factor(Summary):
    """`factor`: examples of a source."""

    n_examples: int


class Informed(Summary):
    """`triples`: scored triples of a fold whose information was filled in."""

    rows: int


S = TypeVar("S", bound=Summary)


@dataclass
class Done:
    """The summaries of finished tasks: a field for each stage in the order of the run, by the task's name."""

    inputs: dict[str, Digested] = field(default_factory=dict)
    lookup: dict[str, TextsRead] = field(default_factory=dict)
    index: dict[str, Indexed] = field(default_factory=dict)
    vectors: dict[str, VectorsRead] = field(default_factory=dict)
    ingest: dict[str, RowsRead] = field(default_factory=dict)
    settle: dict[str, Settled] = field(default_factory=dict)
    collect: dict[str, Collected] = field(default_factory=dict)
    vocabulary: dict[str, Vocabulary] = field(default_factory=dict)
    embed: dict[str, Embedded] = field(default_factory=dict)
    exchange: dict[str, Sent] = field(default_factory=dict)
    score: dict[str, Scored] = field(default_factory=dict)
    distinct: dict[str, Distinct] = field(default_factory=dict)
    information: dict[str, Information] = field(default_factory=dict)
    mixture: dict[str, Mixture] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)
    rejects: dict[str, Rejects] = field(default_factory=dict)
    draw: dict[str, Drawn] = field(default_factory=dict)
    probe: dict[str, Probed] = field(default_factory=dict)
    judge: dict[str, Judged] = field(default_factory=dict)
    gains: dict[str, Gains] = field(default_factory=dict)
    factor: dict[str, Factor] = field(default_factory=dict)
    triples: dict[str, Informed] = field(default_factory=dict)

    def add(self, stage: str, found: Mapping[str, Any]) -> None:
        """Keep the summaries of a stage's tasks."""
        getattr(self, stage).update(found)

    def stages(self) -> dict[str, dict[str, Summary]]:
        """Return the summaries by stage and task, in the order of the run; stages without tasks are left out."""
        return {name: tasks for name, tasks in vars(self).items() if tasks}

    def digests(self) -> dict[str, Digest]:
        """Return the digests of all input files, by what they are and their paths."""
        return {key: found for summary in self.inputs.values() for key, found in summary["digests"].items()}

    def published(self) -> list[PublishedFile]:
        """Return the files that tasks have published, by path; what was published again is named as it is now."""
        files = {
            file["path"]: file
            for tasks in self.stages().values()
            for summary in tasks.values()
            for file in summary.get("published", [])
        }
        return [files[path] for path in sorted(files)]
