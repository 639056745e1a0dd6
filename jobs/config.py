"""The settings of a run: one validated object that the command line, TOML files and Python all make."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from jobs.addresses import expanded, is_url, refuse_secrets
from jobs.config_errors import explain
from jobs.errors import InputError, nearest
from jobs.ids import tidy
from jobs.lakes.naming import place_of
from jobs.lakes.where import parse
from jobs.machine import available_cores, available_memory, default_memory, parse_bytes

INPUT_FILES = ("triples", "qrels", "corpus", "queries")
NOTHING_TYPED: Mapping[str, str] = types.MappingProxyType({})
FILES = ("corpus", "queries", "vectors", "judgements")
"""The settings of an input, and of a run, that name files."""
COLUMN_NAMES = (
    *("query", "positive", "negative", "negative_1", "query_id", "positive_id", "negative_id", "source"),
    *("docs", "document_ids", "passage", "label", "labels", "score", "scores", "title"),
)
"""What `--columns` may say that a column is."""
COLUMN_NAME = re.compile("|".join((*COLUMN_NAMES, r"negative_\d+", r"negative_\d+_id")))


class _Settings(BaseModel):
    # pydantic's own errors would repeat what was given, an address with a secret as well
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class Input(_Settings):
    """One input: files of one format."""

    triples: tuple[str, ...] = Field(
        description="files, folders, globs (in quotes), URLs or tables (delta:PATH, iceberg:CATALOG/NAMESPACE.TABLE) of triples; "
        "on the command line also NAME=PATH, which names the source"
    )
    format: str = Field("auto", description="the format of these files; auto looks at the first records")
    source: str | None = Field(None, description="the source of every row, in place of what the records say")
    positives: Literal["all", "first"] = Field("all", description="every positive of a record, or the first only")
    ranks: str | None = Field(None, description="ranks of a run file to take, such as 20:40 (default: 1:10)")
    numbered: Literal["one", "each"] = Field(
        "one", description="columns negative_1..N as one source, or each as its own"
    )
    columns: dict[str, str] = Field(
        {}, description="what these files call their columns, such as positive=answer,negative=distractor"
    )
    where: str = Field(
        "", description="which rows of tables to take, such as source in ('bm25', 'llm') and day >= '2026-11-01'"
    )
    qrels: tuple[str, ...] = Field((), description="relevance judgements, for run files")
    corpus: tuple[str, ...] | None = Field(
        None, description="files with the passages of these triples' ids, in place of the run's (an empty list: none)"
    )
    queries: tuple[str, ...] | None = Field(
        None, description="files with the queries of these triples' ids, in place of the run's (an empty list: none)"
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _mapped(cls, value: Any) -> Any:
        """Take `"query=claim,positive=evidence"`, alone or in a list, beside a table of names."""
        given = [value] if isinstance(value, str) else value
        if isinstance(given, (list, tuple)) and all(isinstance(item, str) for item in given):
            parts = [part.partition("=") for item in given for part in item.split(",") if part.strip()]
            names = [name.strip() for name, _, _ in parts]
            if len(set(names)) < len(names):
                raise ValueError(f"{max(names, key=names.count)!r} is named twice")
            return {name.strip(): column.strip() for name, _, column in parts}
        return value

    @field_validator("columns")
    @classmethod
    def _whole(cls, value: dict[str, str]) -> dict[str, str]:
        for name, column in value.items():
            if not COLUMN_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name to give{nearest(name, COLUMN_NAMES)} (allowed: {', '.join(COLUMN_NAMES)}, such "
                    "as positive=answer)"
                )
            if not column:
                raise ValueError(f"{name} needs the name of a column, such as {name}=answer")
        return value

    @field_validator(*INPUT_FILES, mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return _addresses(value)

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "auto":
            from jobs.formats import FORMATS

            if value not in FORMATS:
                raise ValueError(f"not a format{nearest(value, FORMATS)} (allowed: auto, {', '.join(FORMATS)})")
        return value

    @field_validator("source")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        named = None if value is None else tidy(value)
        if named is not None and not good_source(named):
            raise ValueError("a source is 1 to 200 printable characters")
        return named

    @field_validator("where")
    @classmethod
    def _condition(cls, value: str) -> str:
        if value.strip():
            parse(value)
        return value.strip()

    @field_validator("ranks")
    @classmethod
    def _band(cls, value: str | None) -> str | None:
        if value is not None:
            first, _, last = value.partition(":")
            if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
                raise ValueError("ranks are FIRST:LAST counted from 1, such as 1:10")
        return value


INPUT_OPTIONS = tuple(name for name in Input.model_fields if name not in ("corpus", "queries"))
"""The settings of an input that the command line has; those of the other names there are the run's."""
ALL_PAIRS = "all-pairs"


class Strict(_Settings):
    """What `eci run --strict` calls a jump from the run before."""

    violation_rate: float = Field(default=0.05, ge=0, le=1, description="rise of a violation rate that needs attention")
    reject_rate: float = Field(default=0.02, ge=0, le=1, description="rise of a reject rate that needs attention")


class Probe(_Settings):
    """How each source is tried out: an adapter trained for a short while, judged on other queries over other passages."""

    queries: int = Field(default=2000, ge=1, le=100_000, description="queries to train on and to judge by")
    steps: int = Field(default=200, ge=1, le=10_000, description="training steps of 256 examples")
    rate: float = Field(default=3e-4, gt=0, le=1, description="learning rate")
    halvings: int = Field(default=4, ge=1, le=64, description="divisions of the sample: two trainings of each source")
    pool: int = Field(default=10_000, ge=100, le=1_000_000, description="passages that are ranked")
    cutoff: int = Field(default=10, ge=1, le=1000, description="ranks that nDCG and reciprocal rank look at")
    tolerance: float = Field(default=0.1, ge=0, le=100, description="points of nDCG within which a difference is a tie")


class RunConfig(_Settings):
    """Everything that a run depends on. Field descriptions are the help texts."""

    inputs: tuple[Input, ...] = Field(description="what to score")
    out: str = Field(description="the output root: a new or empty folder, or one that runs have made; or an fsspec URL")
    adopt: bool = Field(False, description="use a folder that holds other things; they are left alone")
    corpus: tuple[str, ...] = Field((), description="files with the passages, where triples hold ids")
    queries: tuple[str, ...] = Field((), description="files with the queries, where triples hold ids")
    vectors: tuple[str, ...] = Field((), description="Parquet files of precomputed vectors, in place of an encoder")
    judgements: tuple[str, ...] = Field((), description="files of judged negatives that a report has exported")
    encoder: str = Field("minilm-l6-v2-int8", description="an encoder's name, or the folder of its card")
    temperature: float | None = Field(
        None, ge=1e-3, le=10, description="the training temperature, by default the card's"
    )
    kappa: float = Field(0.5, ge=0, le=1, description="share of the lexical overlap that a weight loses")
    lam: float = Field(1.0, ge=1e-6, le=1e6, alias="lambda", description="the ridge of the log-determinant")
    tokenizer: Literal["word", "wordpiece", "char3"] = Field("word", description="tokens of the lexical side")
    folds: int = Field(32, ge=2, le=256, description="folds of the queries: units of work and of uncertainty")
    workers: int = Field(0, ge=0, le=1024, description="worker processes, 0 for one on each core")
    memory: str = Field("", description="memory for all workers together, such as 2GB (default: 60 % of what there is)")
    scheduler: str = Field(
        "", description="a running Dask scheduler, such as tcp://host:8786, in place of local workers"
    )
    cluster: str = Field("", description="a Dask cluster class, such as dask_jobqueue.SLURMCluster")
    cluster_options: dict[str, Any] = Field({}, description="arguments of the cluster class")
    buckets: int = Field(0, ge=0, le=256, description="buckets of texts, a power of two (0: by the inputs' size)")
    hybrids: dict[str, tuple[str, ...]] = Field(
        {}, description="sources pooled to a row of their own, such as dense+llm, or all-pairs"
    )
    information: bool = Field(
        False, description="compute what each triple adds to its source (column information of scores)"
    )
    until_decided: float | None = Field(
        None, ge=0.5, lt=1, description="stop when the question is answered at this level, such as 0.95"
    )
    decide: Literal["top", "all"] = Field("top", description="the question: the leader, or every adjacent pair")
    decide_by: Literal["eci", "probe"] = Field(
        "eci", description="what the question is about: ECI or gains of the probe"
    )
    tolerance: float = Field(
        0.05, ge=0, lt=1, description="share of the leader's ECI within which a difference is a tie"
    )
    sample_queries: int | None = Field(None, ge=1, description="take a nested sample of at least so many queries")
    no_probe: bool = Field(False, description="do not try the sources out on a sample of the queries")
    probe: Probe = Field(Probe(), description="how the sources are tried out")
    publish: str = Field(
        "",
        description="tables over all runs that the run is appended to: delta: and a folder or a URL, or iceberg:CATALOG/NAMESPACE",
    )
    publish_scores: bool = Field(False, description="publish the table scores as well")
    metrics: str = Field("", description="a file of metrics for a monitor, such as a node exporter's eci.prom")
    lineage: str = Field(
        "", description="OpenLineage events of the run: a file that they are appended to, or an http(s) URL"
    )
    strict: Strict = Field(Strict(), description="what `eci run --strict` calls a jump")
    allow_rejects: bool = Field(False, description="go on where a source loses most of its rows to rejects")
    skip_bad_files: bool = Field(False, description="record files that cannot be opened in rejects, and go on")

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, populate_by_name=True
    )

    @field_validator("out")
    @classmethod
    def _there(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty (an unset variable?); give a folder or a URL")
        return expanded(value)

    @field_validator("publish")
    @classmethod
    def _published(cls, value: str) -> str:
        if not value:
            return value
        try:
            return ":".join(place_of(value))  # whole, since the run's manifest tells it to commands in other folders
        except InputError as error:
            raise ValueError(str(error)) from None

    @field_validator("lineage")
    @classmethod
    def _told(cls, value: str) -> str:
        if is_url(value) and not value.startswith(("http://", "https://")):
            raise ValueError("give a file, or the http(s) URL of an endpoint, such as http://lineage:5000")
        return expanded(value)

    @field_validator("encoder", "metrics")
    @classmethod
    def _at_home(cls, value: str) -> str:
        return expanded(value)

    @field_validator(*FILES, mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return _addresses(value)

    @field_validator("hybrids", mode="before")
    @classmethod
    def _pooled(cls, value: Any) -> Any:
        """Take `"a+b"` and `"all-pairs"`, alone or in a list, beside a table of names."""
        given = [value] if isinstance(value, str) else value
        if isinstance(given, (list, tuple)) and all(isinstance(item, str) for item in given):
            return {item: () if item == ALL_PAIRS else tuple(item.split("+")) for item in given}
        return value

    @field_validator("hybrids")
    @classmethod
    def _several(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        value = {tidy(name): tuple(map(tidy, parts)) for name, parts in value.items()}
        for name, parts in value.items():
            if not good_source(name):
                raise ValueError("a hybrid's name is 1 to 200 printable characters")
            if name != ALL_PAIRS and (len(parts) < 2 or len(set(parts)) < len(parts)):
                raise ValueError(f"hybrid {name!r} needs two or more different sources, such as dense+llm")
        return dict(sorted(value.items()))

    @field_validator("memory")
    @classmethod
    def _sized(cls, value: str) -> str:
        if value:
            parse_bytes(value)
        return value

    @field_validator("buckets")
    @classmethod
    def _power(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("buckets is a power of two, at most 256")
        return value

    @model_validator(mode="after")
    def _whole(self) -> RunConfig:
        if not self.inputs:
            raise ValueError("no input: give --triples, or [[inputs]] in the settings file")
        if self.scheduler and self.cluster:
            raise ValueError("give --scheduler or --cluster, not both")
        try:
            refuse_secrets(self.model_dump(mode="json"), "")
        except InputError as error:
            raise ValueError(str(error).removeprefix(": ")) from None
        sampled = self.until_decided is not None or self.sample_queries is not None
        if self.until_decided is not None and self.sample_queries is not None:
            raise ValueError("give --until-decided or --sample-queries, not both")
        if self.decide_by == "probe" and (self.no_probe or self.until_decided is None):
            raise ValueError("--decide-by probe goes with --until-decided, and not with --no-probe")
        if sampled and self.information:
            raise ValueError("--information needs every query; leave --until-decided and --sample-queries out")
        if self.tokenizer == "wordpiece" and self.vectors:
            raise ValueError("tokenizer wordpiece needs an encoder; with --vectors use word or char3")
        return self

    def cores(self) -> int:
        """Return the number of worker processes."""
        return self.workers or available_cores()

    def memory_bytes(self) -> int:
        """Return the memory for all workers together, in bytes; local ones get no more than there is."""
        if not self.memory:
            return default_memory()
        given = parse_bytes(self.memory)
        return given if self.scheduler or self.cluster else min(given, available_memory())

    def share(self) -> int:
        """Return the memory share of one worker, in bytes."""
        return self.memory_bytes() // self.cores()


def good_source(name: str) -> bool:
    """Return whether a source name is usable: 1 to 200 characters, none of them a control character."""
    return 0 < len(name.strip()) <= len(name) <= 200 and name.isprintable()


def _addresses(value: Any) -> Any:
    """Return one address or a list of them as a tuple, with home folders; anything else as it is, to be refused."""
    given = (value,) if isinstance(value, str) else value
    if isinstance(given, list | tuple) and all(isinstance(item, str) for item in given):
        return tuple(expanded(item) for item in given)
    return given


def probe_settings(values: dict[str, Any]) -> Probe:
    """Validate the settings of a probe, options of the command line. Raises InputError as `make_config`."""
    try:
        return Probe.model_validate(values)
    except ValidationError as error:
        typed = {name: f"--{name}" for name in Probe.model_fields}
        raise InputError("; ".join(explain(item, "options", typed, _fields_at) for item in error.errors())) from None


def make_config(values: dict[str, Any], where: str = "settings", typed: Mapping[str, str] = NOTHING_TYPED) -> RunConfig:
    """Validate settings as a whole.

    Args:
        where: what holds them, for messages.
        typed: setting -> how it was typed where it does not stand there: an option, or a variable of the environment. Those
            of inputs are among them where `triples` is.

    Raises:
        InputError: it names every wrong key as it was given, with what was given and what is allowed.
    """
    refuse_secrets(values, where)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise InputError("; ".join(explain(item, where, typed, _fields_at) for item in error.errors())) from None


def _fields_at(loc: tuple[Any, ...]) -> dict[str, Any]:
    """Return the settings that are allowed where an unknown one was found."""
    tables: dict[str, type[BaseModel]] = {"inputs": Input, "strict": Strict, "probe": Probe}
    inner = tables.get(str(loc[0])) if len(loc) > 1 else None
    return dict((inner or RunConfig).model_fields)
