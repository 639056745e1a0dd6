"""`eci probe`: the sources of a finished run tried out again, or training files against them and each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.config import Probe, RunConfig, make_config
from jobs.errors import InputError, nearest
from jobs.finished.committed import Finished
from jobs.finished.vectors import vectors_of
from jobs.formats.source_names import named_path
from jobs.ids import from_arrow, lookup, tidy, unique
from jobs.output.leftovers import scratch
from jobs.output.records import SourceRow
from jobs.output.store import Store
from jobs.pipeline.files_beside import Scored, scored
from jobs.probing.answer import Probed
from jobs.probing.measure import Vectors, measure
from jobs.probing.results import NDCG, Trials, judged_by, results_of
from jobs.probing.sample import AROUND, LEAST_QUERIES, Rows, draw, most_texts, too_few
from jobs.probing.scored import IDS, ScoredParts, rows_of
from jobs.probing.trials import budget_of, triples_of
from jobs.ranking.hybrids import best_pairs
from jobs.terminal.progress import Progress, Silent

STAGE = "probe"
BLOCK = 65_536


class Tried(NamedTuple):
    """What a probe of a finished run has given. `ranking`: the run's rows of source_eci."""

    run_id: str
    probe: Probed
    ranking: list[SourceRow]


class Asked(NamedTuple):
    """What is to be tried out.

    Attributes:
        triples: training files, each a source of its own, called as it was given, or NAME where it was given as NAME=PATH.
        sources: of the run (none: all of them).  hybrids: such as `a+b`.
        settings: of the probe.
        allow_rejects: whether files may lose most of their rows to rejects.
        columns: what the training files call their columns, as `Input.columns`.
    """

    triples: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    hybrids: tuple[str, ...] = ()
    settings: Probe = Probe()
    allow_rejects: bool = False
    columns: tuple[str, ...] = ()


def probe(
    out: str,
    run_id: str | None = None,
    asked: Asked | None = None,
    progress: Progress | None = None,
    workers: int = 0,
    memory: str = "",
) -> Tried:
    """Try out the sources of a finished run, and training files beside them, on the same queries. Publishes nothing.

    With files the sample is drawn from their queries, and new texts are embedded with the run's encoder, into its cache.

    Raises:
        InputError: no such run or source, a file cannot be read, or there are too few queries.
        HeldError: a run holds the root (with files).  EciError: vectors of the run are missing.
    """
    asked, progress = asked or Asked(), progress or Silent()
    run = Finished.open(out, run_id)
    run.require(list(asked.sources))
    names = sorted(asked.sources or run.sources)
    with scratch() as folder:
        if not asked.triples:
            reader = ScoredParts(run.read, run.files("scores"))
            rows = reader.rows(reader.lowest(AROUND * asked.settings.queries), names)
            return _tried(run, asked, names, rows, lambda ids: vectors_of(run, ids, folder), progress)
        with scored(_config(run, asked, workers, memory), progress) as files:
            rows = _with_files(run, names, files, AROUND * asked.settings.queries)
            return _tried(run, asked, [*names, *files.sources], rows, files.vectors, progress)


def _config(run: Finished, asked: Asked, workers: int, memory: str) -> RunConfig:
    """Return the configuration that scores the files as the run's own inputs were."""
    paths = {
        tidy(given if name is None else name): path for given in asked.triples for name, path in [named_path(given)]
    }
    if len(paths) < len(asked.triples):
        raise InputError("--triples: two training files are called alike; name each with --triples NAME=PATH")
    for name in paths:
        if name in run.sources:
            raise InputError(
                f"--triples {name}: the run has a source of this name; call the file otherwise, --triples NAME={paths[name]}"
            )
    kept = ("encoder", "vectors", "corpus", "queries", "temperature", "kappa", "lambda", "tokenizer", "folds")
    values = {name: run.settings[name] for name in kept if run.settings.get(name) is not None}
    inputs = [{"triples": _files(path), "source": name, "columns": asked.columns} for name, path in paths.items()]
    return make_config(
        {
            **values,
            "inputs": inputs,
            "out": run.store.root,
            "no_probe": True,
            "allow_rejects": asked.allow_rejects,
            "workers": workers,
            "memory": memory,
        },
        "options",
        {"triples": "--triples", "columns": "--columns", "workers": "--workers", "memory": "--memory"},
    )


def _files(path: str) -> str:
    """Return where the files of a training set are: a folder that `eci select` wrote has them in `data`."""
    store = Store(path)
    written = store.exists("manifest.json") and store.exists("data")
    return f"{path.rstrip('/')}/data" if written else path


def _with_files(run: Finished, names: list[str], files: Scored, count: int) -> Rows:
    """Return the files' triples of their queries of lowest position, and those of the run for the same queries."""
    reader = files.reader()
    queries = reader.lowest(count)
    own = reader.rows(queries, files.sources)
    found = [own._replace(source=own.source + len(names))]
    for table in run.scores([*IDS, "source"]):
        mine = lookup(queries, from_arrow(table["query_id"])) >= 0
        found.append(rows_of(table.filter(mine), names))
    return Rows.joined(found)


def _tried(
    run: Finished,
    asked: Asked,
    names: list[str],
    rows: Rows,
    vectors: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    progress: Progress,
) -> Tried:
    settings = asked.settings
    sample = draw(_usable(rows, vectors), settings.queries, settings.pool, most_texts(run.dim))
    why = too_few(sample, settings.halvings)
    if why is not None:
        raise InputError(why)
    found = Vectors(vectors(sample.queries)[0], vectors(sample.passages)[0])
    covered = sample.covered(len(names))
    numbers = {name: i for i, name in enumerate(names) if covered[i]}
    tried = {name: [name] for name in numbers} | _hybrids(asked.hybrids, list(numbers))
    budget = budget_of(settings, float(run.settings["temperature"]))

    def trial(parts: list[str], halving: int) -> tuple[np.ndarray, int]:
        triples = triples_of(sample, [numbers[part] for part in parts]) if parts else sample.triples[:0]
        done = measure(sample, found, triples, halving, budget)
        progress.finished(STAGE, STAGE)
        return done

    def trials(of: Sequence[list[str]]) -> tuple[np.ndarray, list[int]]:
        tasks = [(parts, halving) for parts in of for halving in range(settings.halvings)]
        progress.start(STAGE, len(tasks), 0, None)
        # each training in one thread of BLAS: its last bits would follow their number
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            done = list(pool.map(lambda task: trial(*task), tasks))
        progress.end(STAGE)
        values = np.array([value for value, _ in done])
        queries = [count for _, count in done[:: settings.halvings]]
        return values.reshape(len(of), settings.halvings, *values.shape[1:]), queries

    values, queries = trials([[], *tried.values()])
    means = judged_by(values[1 : 1 + len(numbers)])[1][:, :, NDCG].mean(axis=(1, 2))
    gains = dict(zip(numbers, means.tolist(), strict=True))
    pairs = best_pairs({name: gains[name] for name, i in numbers.items() if covered[i] >= LEAST_QUERIES}, tried)
    more, queries_of_more = trials(list(pairs.values())) if pairs else (values[:0], [])
    tried |= pairs
    of = Trials(
        tried,
        dict(zip(tried, [*queries[1:], *queries_of_more], strict=True)),
        np.concatenate([values[1:], more]),
        values[0, :, -1],
    )
    information = {row["source"]: row["information"] for row in run.rows}
    tables = results_of(run.run_id, of, sample, budget, settings.tolerance, information)
    return Tried(run.run_id, Probed(*(table.to_pylist() for table in tables)), run.rows)


def _usable(rows: Rows, vectors: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Rows:
    """Return the rows whose three texts have a vector, each triple of a source once."""
    keep = np.ones(len(rows.source), dtype=bool)
    for ids in rows[:3]:
        distinct = unique(ids)
        # of the vectors only whether they are there: a block of them at a time
        blocks = (distinct[start : start + BLOCK] for start in range(0, len(distinct), BLOCK))
        there = np.concatenate([np.empty(0, dtype=bool), *(vectors(block)[1] for block in blocks)])
        keep &= there[lookup(distinct, ids)]
    return rows.take(keep)


def _hybrids(given: Sequence[str], names: list[str]) -> dict[str, list[str]]:
    found = {}
    for hybrid in given:
        parts = hybrid.split("+")
        if hybrid in names or len(parts) < 2 or len(set(parts)) < len(parts):
            raise InputError(
                f"--hybrid {hybrid}: give two or more different sources, such as a+b, that are not a source's name"
            )
        for part in parts:
            if part not in names:
                raise InputError(
                    f"--hybrid {hybrid}: no source {part!r}{nearest(part, names)}; sources: {', '.join(names)}"
                )
        found["+".join(sorted(parts))] = sorted(parts)
    return found
