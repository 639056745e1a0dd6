"""What a run needs to know before it starts: files, units of work, the encoder, sizes. Reads no row.

Everything that can be wrong with the input as a whole (nothing there, wrong columns, unknown encoder, too little
memory) is found here, before anything is written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.formats.base import Options
from jobs.formats.opening import expand
from jobs.formats.records import parquet_units
from jobs.formats.texts_by_id import text_units
from jobs.ids import Side
from jobs.ingest.inputs import File, InputTask, TextTask, file_of, input_tasks
from jobs.ingest.judgements import Judgements, judgement_files, read_judgements
from jobs.output.tables import FORMULA_VERSION
from jobs.pipeline.encoder import EncoderChoice, encoder_choice

BUCKET_BYTES = 32 << 20
LEAST_SHARE = 700 << 20
WORK_LAYOUT = 7  # to be raised when the files in work/ change: what an older version has begun is then begun again

# What a result does not depend on: any other setting of RunConfig is a part of the run's identity.
NOT_IDENTITY = frozenset(
    {
        # where it is computed, how much of the machine it takes, and what is said about it
        "out", "adopt", "workers", "memory", "scheduler", "cluster", "cluster_options", "strict",
        # in the identity as what they led to: files and tasks (of one that cannot be opened, too), encoder, buckets
        "inputs", "corpus", "queries", "vectors", "skip_bad_files", "encoder", "temperature", "buckets",
        "judgements",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """A run's plan. `identity` is everything that its result depends on.  `judged`: the files of the judgements."""

    files: tuple[File, ...]
    inputs: tuple[InputTask, ...]
    texts: tuple[TextTask, ...]
    vectors: tuple[TextTask, ...]
    encoder: EncoderChoice
    buckets: int
    identity: dict[str, Any]
    judged: tuple[File, ...] = ()
    judgements: Judgements = Judgements({})

    @property
    def indexed(self) -> tuple[Side, ...]:
        """The sides whose texts are looked up by id."""
        return tuple(side for side in ("query", "passage") if any(t.side == side for t in self.texts))


def prepare(config: RunConfig) -> Prepared:
    """Make the plan of a run.

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
    texts: list[TextTask] = []
    sides: tuple[tuple[Side, tuple[str, ...]], ...] = (("query", config.queries), ("passage", config.corpus))
    for side, patterns in sides:
        for path in expand(patterns, "queries" if side == "query" else "corpus") if patterns else []:
            files.append(file_of(path, side))
            options = Options(title_separator=separator)
            texts += [TextTask(f"{len(texts) + i:06d}", u, side, options) for i, u in enumerate(text_units(path))]
    vectors: list[TextTask] = []
    for path in expand(config.vectors, "vectors") if config.vectors else []:
        files.append(file_of(path, "vectors"))
        vectors += [
            TextTask(f"{len(vectors) + i:06d}", u, "passage", Options()) for i, u in enumerate(parquet_units(path))
        ]
    buckets = config.buckets or _buckets(sum(file.size for file in files))
    judged = tuple(file_of(path, "judgements") for path in judgement_files(config.judgements))
    judgements = read_judgements([file.path for file in judged])
    identity = {
        "version": version("eci-lake"),
        "work_layout": WORK_LAYOUT,
        "formula": FORMULA_VERSION,
        "files": sorted((asdict(file) for file in files), key=lambda file: (file["what"], file["path"])),
        "inputs": [[t.path, t.format, asdict(t.options), t.unit is not None] for t in inputs],
        "encoder": asdict(choice),
        "buckets": buckets,
        # what they say, wherever it lies; nothing without any
        **({"judgements": judgements.digest} if judgements.pairs else {}),
        **config.model_dump(mode="json", exclude=set(NOT_IDENTITY)),
    }
    units = tuple(inputs), tuple(texts), tuple(vectors)
    return Prepared(tuple(files), *units, choice, buckets, identity, judged, judgements)


def _buckets(size: int) -> int:
    """Return the number of buckets for inputs of so many bytes: 8 to 256, so that one holds about BUCKET_BYTES."""
    buckets = 8
    while buckets < 256 and size > buckets * BUCKET_BYTES:
        buckets *= 2
    return buckets
