"""Finished tasks of an earlier attempt: which are to be believed.

The files of each are read once, and a task whose files are not as it left them is done again. Where it then leaves others,
what was made of the first ones is not believed either: every later stage is done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from jobs.errors import notice
from jobs.work.files import Files
from jobs.work.job import KEPT, Job
from jobs.work.markers import Marker, damaged_files, read_marker, remove_marker, same_outcome
from jobs.work.summaries import Found, Summary

Key = tuple[str, str]
"""A task of a run: its stage and its name."""
PUBLISHES_AGAIN = "triples"
"""The stage that writes published files of another one anew."""


class Resumed:
    """What is known of the finished tasks of a run.

    `made_again`: tasks that were done again, as their files were damaged.  `kept`: those of the run whose files stay for the
    next one; `made` are those of them that were done now.
    """

    def __init__(self, threads: int) -> None:
        """Take the number of files to read at a time."""
        self._threads, self._trusted = threads, True
        self._damaged: dict[Key, Marker] = {}
        self.made_again = 0
        self.kept: set[Key] = set()
        self.made: set[Key] = set()

    def done(self, job: Job, keys: Iterable[Key]) -> dict[Key, Summary]:
        """Return the summaries of those tasks of a stage that are done, and whose files are whole; the others are to be done.

        Those of the stages in KEPT look for themselves.
        """
        own = [key for key in keys if key[0] not in KEPT]
        markers = {key: found for key in own if (found := read_marker(job, *key)) is not None}
        if not markers:
            return {}
        if not self._trusted:
            for key in markers:
                remove_marker(job, *key)
            return {}
        with ThreadPoolExecutor(self._threads) as pool:
            looked = pool.map(lambda key: self._damaged_files(job, markers[key]), markers)
            damaged = dict(zip(markers, looked, strict=True))
        done = {}
        for key, marker in markers.items():
            if marker.summary is not None and not damaged[key]:
                done[key] = marker.summary
                continue
            self._damaged[key] = marker
            remove_marker(job, *key)
            what = ", ".join(sorted(damaged[key])[:3]) or "its marker"
            notice(f"{key[0]} {key[1]} is done again: {what} was damaged or missing")
        return done

    def executed(self, job: Job, key: Key, summary: Summary) -> None:
        """Take note that a task was done now: what an earlier attempt made of its files holds if they are the same again."""
        if key[0] in KEPT:
            self._looked(key, summary.get("found"))
            return
        before = self._damaged.pop(key, None)
        if before is None:
            self._trusted = False
            return
        self.made_again += 1
        now = read_marker(job, *key)
        self._trusted &= now is not None and same_outcome(before, now)

    def _looked(self, key: Key, found: Found | None) -> None:
        """Take note of what a task has found of itself. `found`: as of its summary; None where there was nothing.

        What is gone and done anew is what its name says, so that what was made of it holds.
        """
        self.kept.add(key)
        if found == "whole":
            return
        self.made.add(key)
        if found is not None:
            self._trusted &= found == "same again"
            self.made_again += 1
            notice(f"{key[0]} {key[1]} is done again: what was kept of it was damaged or missing")

    def _damaged_files(self, job: Job, marker: Marker) -> Files:
        found = damaged_files(job.store, marker)
        if any(path.startswith(f"{job.publish}/") for path in found):
            since = {path: said for other in self._markers(job, PUBLISHES_AGAIN) for path, said in other.files.items()}
            found = {path: now for path, now in found.items() if since.get(path) != now}
        return found

    def _markers(self, job: Job, stage: str) -> list[Marker]:
        names = [name.removesuffix(".json") for name in job.store.names(job.at(stage, "")) if name.endswith(".json")]
        return [found for name in names if (found := read_marker(job, stage, name)) is not None]

    def damaged_now(self, job: Job) -> str | None:
        """Return the path of a damaged file of a finished task, if there is one: why another task may have failed."""
        stages = [s for s in job.store.names(job.work) if f"{job.work}/{s}" != job.publish and "." not in s]
        kept = (found for key in sorted(self.kept) if (found := read_marker(job, *key)) is not None)
        for marker in chain(kept, *(self._markers(job, stage) for stage in stages)):
            for path in self._damaged_files(job, marker):
                return job.store.path(path)
        return None
