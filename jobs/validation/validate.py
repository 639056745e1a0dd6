"""What `eci validate` does: compare the ranking of sources, made without training, with what training gives.

Divides a collection, mines sources, scores them with an ordinary run, fine-tunes an adapter with each, and compares.
Covers: the order of the steps, and vectors by text. Does not cover: each step (collection, splits, validation_sources,
finetuning, agreement), tables (validation_tables).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.config import RunConfig, make_config
from jobs.errors import InputError
from jobs.finished.result import RunResult
from jobs.ids import Side
from jobs.output import layout
from jobs.output.parquet import write_parquet
from jobs.output.store import Store
from jobs.pipeline.embed_texts import embed_texts
from jobs.pipeline.encoder import encoder_choice
from jobs.pipeline.run import run
from jobs.probing.adapter import Examples
from jobs.retrieval.collection import Collection, Texts, read_collection
from jobs.terminal.progress import Progress, Silent, timed
from jobs.validation.encoder_finetuning import finetune_encoder, load_trainable
from jobs.validation.finetuning import OBJECTIVES, Evaluation, Outcome, finetune
from jobs.validation.outcome import Floats, Settings, Validation
from jobs.validation.sources import Training, mine, read_negatives, training_side
from jobs.validation.splits import Split, split_collection
from jobs.validation.tables import write_tables

TRIPLES = pa.schema([(name, pa.string()) for name in ("query", "positive", "negative", "source")])


def validate(
    settings: Settings, progress: Progress | None = None, say: Callable[[str], None] | None = None
) -> Validation:
    """Run the whole comparison and write its tables to OUT/validation.

    Args:
        settings: what is asked.  progress: of embedding, scoring and training.  say: takes a line at each step.

    Raises:
        InputError: the collection or a setting is wrong.  EciError: a stage failed.
    """
    progress, say = progress or Silent(), say or (lambda line: None)
    seconds: dict[str, float] = {}
    config = _config(settings, settings.encoder)
    encoder = encoder_choice(config)
    trainable = load_trainable(settings.finetune) if settings.finetune is not None else None
    with timed("reading", seconds):
        collection = read_collection(settings.collection, encoder.title_separator)
        split = split_collection(collection)
    say(_described(collection, split))
    with timed("mining", seconds):
        vectors = _Vectors(config, progress)
        training, missing = _mined(settings, collection, split, vectors)
    names = sorted(training.negatives)
    with timed("scoring", seconds):
        _write_lake(settings.out, training, names)
        scored = run(_config(settings, settings.score_encoder or settings.encoder), progress)
    scores = _scores(scored)
    names = [name for name in names if name in scores]
    with timed("fine-tuning", seconds):
        dev, test = (_evaluation(collection, split, side, vectors) for side in (split.dev, split.test))
        examples = _examples(training, names, vectors)
        outcomes = {o: _finetuned(settings, examples, dev, test, encoder.temperature, o, progress) for o in OBJECTIVES}
    if trainable is not None:
        with timed("fine-tuning the encoder", seconds):
            held_out = (_texts(collection.queries, split.test), _texts(collection.documents, split.test_documents))
            outcomes["encoder"] = finetune_encoder(
                trainable, training, names, held_out, test, encoder.temperature, progress
            )
    found = Validation(
        settings, collection, split, training, names, scored, scores, test.metrics(None), outcomes, missing, seconds
    )
    write_tables(found)
    return found


def _config(settings: Settings, encoder: str) -> RunConfig:
    if settings.per_query < 2 or settings.seeds < 1:
        raise InputError(
            f"--per-query is at least 2 and --seeds at least 1 (given: {settings.per_query}, {settings.seeds})"
        )
    values: dict[str, Any] = {
        "inputs": [{"triples": Store(settings.out).path(layout.VALIDATION_LAKE), "format": "triples"}],
        "out": settings.out,
        "allow_rejects": True,  # of `dense-unfiltered` most negatives may be labelled positives
        "encoder": encoder,
        "temperature": settings.temperature,
        "workers": settings.workers,
        "memory": settings.memory,
    }
    typed = {name: f"--{name}" for name in ("out", "encoder", "temperature", "workers", "memory")}
    return make_config(values, "options", typed)


def _described(collection: Collection, split: Split) -> str:
    by = "official splits" if split.official else "hash of the first relevant document"
    return (
        f"{collection.name}: {len(split.train):,} train queries over {len(split.train_documents):,} documents; "
        f"{len(split.dev):,} dev and {len(split.test):,} test queries over {len(split.test_documents):,} others "
        f"(divided by {by}, {split.dropped:,} queries dropped)"
    )


class _Vectors:
    """Vectors by side and text; those that are new are embedded, in one go for each call."""

    def __init__(self, config: RunConfig, progress: Progress) -> None:
        self._config, self._progress = config, progress
        self._known: dict[tuple[Side, str], Floats] = {}

    def of(self, side: Side, texts: Sequence[str]) -> Floats:
        new = list(dict.fromkeys((side, text) for text in texts if (side, text) not in self._known))
        if new:
            self._known.update(zip(new, embed_texts(self._config, new, self._progress, f"embed {side}"), strict=True))
        return np.stack([self._known[side, text] for text in texts])


def _mined(
    settings: Settings, collection: Collection, split: Split, vectors: _Vectors
) -> tuple[Training, dict[str, int]]:
    training = training_side(collection, split)
    queries = [collection.queries.texts[i] for part in (split.train, split.dev, split.test) for i in part.tolist()]
    vectors.of("query", queries)
    vectors.of("passage", collection.documents.texts)
    missing = mine(
        training, vectors.of("query", training.queries), vectors.of("passage", training.passages), settings.per_query
    )
    for given in settings.negatives:
        read_negatives(training, collection, given, settings.ranks, settings.per_query)
    return training, missing


def _write_lake(out: str, training: Training, names: list[str]) -> None:
    store = Store(out)
    before = store.names(layout.VALIDATION_LAKE)
    strange = [name for name in before if not layout.LAKE_FILE.fullmatch(name)]
    if strange:
        raise InputError(f"{store.path(layout.VALIDATION_LAKE)}: {strange[0]} is not eci's; give another --out")
    for name in before:
        store.remove(f"{layout.VALIDATION_LAKE}/{name}")
    for number, name in enumerate(names):
        columns = zip(*training.triples(name), strict=True)
        texts = [pa.array(column, pa.string()) for column in columns] or [pa.array([], pa.string())] * 3
        table = pa.table([*texts, pa.array([name] * len(texts[0]), pa.string())], schema=TRIPLES)
        with store.attempt(f"{layout.VALIDATION_LAKE}/{number:03d}.parquet") as path:
            write_parquet(path, [table], TRIPLES)


def _scores(scored: RunResult) -> dict[str, dict[str, Any]]:
    """Return each source's row of source_eci, with its rank and gain in the run's probe (None where there was none)."""
    probed = {} if scored.probe is None else {row["source"]: row for row in scored.probe.to_pylist()}
    said = {name: {"ranking": row["rank"], "probe": row["gain"]} for name, row in probed.items()}
    none = {"ranking": None, "probe": None}
    rows = (row for row in scored.ranking.to_pylist() if row["kind"] == "source")
    return {row["source"]: row | said.get(row["source"], none) for row in rows}


def _texts(texts: Texts, rows: np.ndarray) -> list[str]:
    return [texts.texts[i] for i in rows.tolist()]


def _evaluation(collection: Collection, split: Split, queries: np.ndarray, vectors: _Vectors) -> Evaluation:
    documents = split.test_documents.tolist()
    local = {document: i for i, document in enumerate(documents)}
    return Evaluation(
        vectors.of("query", _texts(collection.queries, queries)),
        vectors.of("passage", _texts(collection.documents, split.test_documents)),
        [{local[d]: grade for d, grade in collection.relevant[q].items() if d in local} for q in queries.tolist()],
    )


def _examples(training: Training, names: list[str], vectors: _Vectors) -> list[Examples]:
    relevant = np.full((len(training.queries), max(map(len, training.relevant))), -1, dtype=np.int64)
    for row, found in enumerate(training.relevant):
        relevant[row, : len(found)] = sorted(found)
    shared = Examples(
        vectors.of("query", training.queries),
        vectors.of("passage", training.passages),
        training.query,
        training.positive,
        np.empty((0, 0), dtype=np.int64),
        relevant,
    )
    return [replace(shared, negatives=training.negatives[name]) for name in names]


def _finetuned(
    settings: Settings,
    examples: list[Examples],
    dev: Evaluation,
    test: Evaluation,
    temperature: float,
    objective: str,
    progress: Progress,
) -> Outcome:
    grid, seeds, stage = settings.grid, settings.seeds, f"train {objective}"
    progress.start(stage, len(examples) * (len(grid.rates) + seeds), 0, None)

    def advance() -> None:
        progress.finished(stage, stage)

    outcome = finetune(examples, dev, test, temperature, objective, seeds, grid, advance)
    progress.end(stage)
    return outcome
