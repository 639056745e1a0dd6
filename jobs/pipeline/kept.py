"""What was read of the input stays read: the tasks of the stages in KEPT are named by all that their files depend on.

So a file that the run before has read is not read again, whatever came, went or moved beside it; what is found under a name
is what reading would leave, and is checked before it is believed (worker.py). It lies below OUT/cache/inputs, and what the
newest run has not used goes with its commit. Vectors given are not kept: they would take as much room as their files.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from jobs.formats.base import Unit
from jobs.ingest.digests import UNREAD, Known
from jobs.ingest.inputs import InputTask, TextTask
from jobs.lakes.naming import any_version
from jobs.lakes.tables import as_read
from jobs.output import layout
from jobs.output.store import Store
from jobs.pipeline.prepare import WORK_LAYOUT, Prepared
from jobs.pipeline.resumed import Key
from jobs.work.job import KEPT, Job
from jobs.work.summaries import Digest

READERS = ("eci-lake", "numpy", "polars", "pyarrow")
"""Whose versions may change what is read of the same bytes."""


class Naming:
    """Names for the tasks of a run over the files of a plan. `digests`: of all input files, by what they are and their paths."""

    def __init__(self, prepared: Prepared, job: Job, digests: Mapping[str, Digest]) -> None:
        self._prepared, self._digests = prepared, digests
        self._files = {f"{file.what} {file.path}": file for file in prepared.files}
        self._run_id = job.run_id
        readers = {name: version(name) for name in READERS}
        self._same = {"layout": WORK_LAYOUT, "readers": readers, "folds": job.folds, "buckets": job.buckets}

    def prepared(self) -> Prepared:
        """Return the plan with its tasks of texts and of triples named by content."""
        texts = tuple(
            replace(task, name=name)
            for task, name in zip(self._prepared.texts, _apart(map(self._of_texts, self._prepared.texts)), strict=True)
        )
        indexes: dict[str, list[str]] = {}
        for text in texts:
            indexes.setdefault(text.index, []).append(text.name)
        names = _apart(self._of_triples(item, indexes) for item in self._prepared.inputs)
        inputs = (replace(item, name=name) for item, name in zip(self._prepared.inputs, names, strict=True))
        return replace(self._prepared, texts=texts, inputs=tuple(inputs))

    def read_by(self, task: InputTask | TextTask) -> list[Known]:
        """Return the files that a task reads itself."""
        if isinstance(task, TextTask):
            keys = [f"{task.index} {task.unit.path}"]
        else:
            keys = [f"triples {task.path}", *(f"qrels {path}" for path in task.options.qrels)]
        return [Known(self._files[key], self._digests[key]) for key in keys]

    def _of_texts(self, task: TextTask) -> str:
        said = [task.side, _unit(task.unit), asdict(task.options)]
        return self._name("lookup", said, self.read_by(task))

    def _of_triples(self, item: InputTask, indexes: Mapping[str, list[str]]) -> str:
        if item.unit is None:
            return self._name("ingest", [item.path, item.error], [])
        # of these files it matters what they hold, and of texts by id what their index is made of
        options = asdict(item.options) | {"qrels": len(item.options.qrels)}
        options |= {name: bool(options[name]) for name in ("corpus", "queries")}
        looked_up = {side: indexes.get(index, []) for side, index in item.indexes.items()}
        return self._name("ingest", [_unit(item.unit), item.format, options, looked_up], self.read_by(item))

    def _name(self, stage: str, said: list[Any], files: Iterable[Known]) -> str:
        held = [[any_version(file.path), as_read(file.path), known["digest"]] for file, known in files]
        # what nobody knows the content of serves this run alone
        own = self._run_id if any(digest == UNREAD for _, _, digest in held) else ""
        text = json.dumps([self._same, stage, said, held, own], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def _unit(unit: Unit) -> list[Any]:
    return [unit.start, unit.stop, unit.first_row]


def _apart(names: Iterable[str]) -> list[str]:
    """Return names, those that come again with a number behind: a file that is given twice has two tasks."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def let_go(store: Store, stay: Iterable[Key]) -> None:
    """Remove what was read for earlier runs and is none of `stay`. The root must be held."""
    kept = set(stay)
    _remove(store, lambda key: key not in kept)


def take_back(store: Store, made: Iterable[Key]) -> None:
    """Remove what these tasks have left: of a run that its input has stopped nothing stays. The root must be held."""
    doomed = set(made)
    _remove(store, lambda key: key in doomed)


def _remove(store: Store, doomed: Callable[[Key], bool]) -> None:
    for stage in KEPT:
        folder = f"{layout.READ}/{stage}"
        for name in sorted(store.names(folder), key=lambda name: not name.endswith(".json")):
            found = layout.READ_FILE.fullmatch(name)
            if found is not None and doomed((stage, found["task"])):
                store.remove(f"{folder}/{name}")
        store.sweep(folder)
