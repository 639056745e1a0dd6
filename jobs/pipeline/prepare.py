"""What a run needs to know before it starts: files, units of work, the encoder, sizes. Reads the first rows alone.

Everything that can be wrong with the input as a whole (nothing there, wrong columns, ids where texts are needed, unknown
encoder, too little memory) is found here where the first rows show it, before anything is written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from jobs.config import RunConfig
from jobs.errors import InputError, reason_of
from jobs.formats.base import Options
from jobs.formats.finding import expand
from jobs.formats.records import parquet_units
from jobs.ids import Side
from jobs.ingest.digests import digest_of
from jobs.ingest.inputs import File, InputTask, TextTask, file_of, input_tasks, text_tasks
from jobs.ingest.judgements import JUDGED, Judgements, judgement_files, read_judgements
from jobs.ingest.pinning import tables_read
from jobs.ingest.tokens import TOKENS
from jobs.output.records import InputFile, TableUsed
from jobs.output.tables import FORMULA_VERSION
from jobs.pipeline.encoder import EncoderChoice, encoder_choice
from jobs.pipeline.requirements import require_texts_of_heads

BUCKET_BYTES = 32 << 20
LEAST_SHARE = 700 << 20
WORK_LAYOUT = 11  # to be raised when the files in work/ change: what an older version has begun is then begun again

# Where a result is computed, how much of the machine it takes, and what is said about it.
AROUND = frozenset(
    {
        "out", "adopt", "workers", "memory", "scheduler", "cluster", "cluster_options", "strict", "publish", "publish_scores", "metrics",
        "lineage", "allow_rejects",
    }
)  # fmt: skip
# What a result does not depend on: any other setting of RunConfig is a part of the run's identity.
# Beside those above these are in it as what they led to: files and tasks (of one that cannot be opened, too), encoder, buckets.
NOT_IDENTITY = AROUND | {
    "inputs", "corpus", "queries", "vectors", "skip_bad_files", "encoder", "temperature", "buckets", "judgements",
}  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """A run's plan. `identity` is everything that its result depends on.  `judged`: the files of the judgements, as a manifest has them.

    `tables`: those of a lake that are read, with their versions.
    """

    files: tuple[File, ...]
    inputs: tuple[InputTask, ...]
    texts: tuple[TextTask, ...]
    vectors: tuple[TextTask, ...]
    encoder: EncoderChoice
    buckets: int
    identity: dict[str, Any]
    judged: tuple[InputFile, ...] = ()
    judgements: Judgements = Judgements({})
    tables: tuple[TableUsed, ...] = ()

    @property
    def indexed(self) -> tuple[Side, ...]:
        """The sides that the run has files of texts by id for."""
        return tuple(side for side in ("query", "passage") if any(t.index == side for t in self.texts))


def prepare(config: RunConfig) -> Prepared:
    """Make the plan of a run. `config`: with its tables pinned.

    Raises:
        InputError: one clear line for whatever makes the run impossible.
    """
    share = config.share()
    if share < LEAST_SHARE:
        raise InputError(
            f"memory: {config.memory_bytes() >> 20} MiB for {config.cores()} workers is {share >> 20} MiB each; a worker "
            f"needs {LEAST_SHARE >> 20} MiB: give more --memory or fewer --workers"
        )
    choice = encoder_choice(config)
    separator = choice.title_separator
    inputs, files = input_tasks(config, separator)
    texts, text_files = text_tasks(config, separator)
    files += text_files
    vectors: list[TextTask] = []
    for path in expand(config.vectors, "vectors") if config.vectors else []:
        files.append(file_of(path, "vectors"))
        vectors += [
            TextTask(f"{len(vectors) + i:06d}", u, "passage", Options()) for i, u in enumerate(parquet_units(path))
        ]
    if choice.name is not None:
        sizes = {file.path: file.size for file in files if file.what == "triples"}
        require_texts_of_heads(inputs, sizes)
    buckets = config.buckets or _buckets(sum(file.size for file in files))
    judged = tuple(_judged(path) for path in judgement_files(config.judgements))
    judgements = read_judgements([file["path"] for file in judged])
    identity = {
        "version": version("eci-lake"),
        "work_layout": WORK_LAYOUT,
        "tokens": TOKENS,
        "formula": FORMULA_VERSION,
        "files": sorted(
            (asdict(file) for file in files if not file.passed_over), key=lambda file: (file["what"], file["path"])
        ),
        "inputs": [[t.path, t.format, asdict(t.options), t.unit is not None] for t in inputs],
        "encoder": asdict(choice),
        "buckets": buckets,
        # what they say, wherever it lies; nothing without any
        **({"judgements": judgements.digest} if judgements.pairs else {}),
        **config.model_dump(mode="json", exclude=set(NOT_IDENTITY)),
    }
    units = tuple(inputs), tuple(texts), tuple(vectors)
    return Prepared(tuple(files), *units, choice, buckets, identity, judged, judgements, tuple(tables_read(config)))


def _judged(path: str) -> InputFile:
    try:
        file = file_of(path, JUDGED)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    return {**asdict(file), "digest": digest_of(file)["digest"]}  # type: ignore[typeddict-item]


def _buckets(size: int) -> int:
    """Return the number of buckets for inputs of so many bytes: 8 to 256, so that one holds about BUCKET_BYTES."""
    buckets = 8
    while buckets < 256 and size > buckets * BUCKET_BYTES:
        buckets *= 2
    return buckets
