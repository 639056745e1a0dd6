"""The probe within a run: the sample of one look, the sources tried out on it, then the best in pairs.

A run that decides by the probe draws and tries out at each look, from all queries looked at so far; the others once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jobs.config import RunConfig
from jobs.pipeline import tasks
from jobs.pipeline.worker import Task
from jobs.probing.drawing import Seen
from jobs.probing.looks import counting_looks
from jobs.probing.sample import LEAST_QUERIES
from jobs.probing.trials import drawn_name, trial_name
from jobs.ranking.hybrids import best_pairs
from jobs.work.summaries import Done, Judged, Probed

RunStage = Callable[[str, Mapping[str, Task[Any]]], None]


class ProbeStages:
    """The stages draw, probe, judge and gains of one look.

    Args:
        stage: runs a stage's tasks; their summaries are in `done` then.
        sources: of the run.  hybrids: the sources of each.
        look: the suffix of its tasks' names, "" where the run does not decide by the probe.
        queries: of the sample (None: as the settings say).
    """

    def __init__(
        self,
        stage: RunStage,
        done: Done,
        config: RunConfig,
        sources: list[str],
        hybrids: Mapping[str, tuple[str, ...]],
        look: str = "",
        queries: int | None = None,
    ) -> None:
        self._stage, self._done, self._sources, self._hybrids, self._look = stage, done, sources, hybrids, look
        self._config = config
        self._probe = config.probe if queries is None else config.probe.model_copy(update={"queries": queries})
        self._tried: dict[str, list[str]] = {}

    def draw(self, seen: list[Seen]) -> dict[str, Task[Any]]:
        """Return the task that draws the sample from what was scored so far; none with --no-probe."""
        if self._config.no_probe:
            return {}
        return tasks.draw_tasks(seen, self._sources, self._probe, self._look)

    @property
    def possible(self) -> bool:
        """Whether there are queries enough, once the sample is drawn."""
        drawn = self._done.draw.get(drawn_name(self._look))
        return drawn is not None and drawn["why_not"] is None

    @property
    def _numbers(self) -> dict[str, int]:
        covered = self._done.draw[drawn_name(self._look)]["covered"]
        return {source: i for i, source in enumerate(self._sources) if covered[i]}

    def sources(self) -> None:
        """Try out the frozen encoder and every source that the sample has triples of."""
        self._try({"": []} | {source: [source] for source in self._numbers}, first=-1)
        del self._tried[""]

    def judged(self, looks: int) -> Judged:
        """Return whether the run's question is answered, of at most so many looks; a source without triples leaves it open."""
        left_out = [source for source in self._sources if source not in self._numbers]
        judging = tasks.judge_tasks(list(self._tried), left_out, self._config, self._probe, self._look, looks)
        self._stage("judge", judging)
        return self._done.judge[drawn_name(self._look)]

    def conclude(self, information: dict[str, float]) -> None:
        """Try out the hybrids and the best sources in pairs, and publish what all trials say. `information`: of each source."""
        numbers = self._numbers
        covered = self._done.draw[drawn_name(self._look)]["covered"]
        means = np.array([self._means(k) for k in range(len(numbers))])
        best = means[:, counting_looks(means)].mean(axis=1).tolist()
        gains = {source: best[k] for k, source in enumerate(numbers) if covered[numbers[source]] >= LEAST_QUERIES}
        hybrids = {name: list(parts) for name, parts in self._hybrids.items() if all(part in numbers for part in parts)}
        self._try(hybrids, first=len(self._tried))
        self._try(best_pairs(gains, self._tried), first=len(self._tried))
        queries = {name: self._trials(k)[0]["queries"] for k, name in enumerate(self._tried)}
        self._stage("gains", tasks.gains_tasks(self._tried, queries, information, self._probe, self._look))

    def _try(self, more: Mapping[str, list[str]], first: int) -> None:
        """Try out sources and hybrids; `first`: the number of the first one."""
        numbers = self._numbers
        those = {first + k: [numbers[part] for part in parts] for k, parts in enumerate(more.values())}
        self._stage("probe", tasks.probe_tasks(those, self._probe, self._look))
        self._tried |= more

    def _trials(self, number: int) -> list[Probed]:
        return [self._done.probe[trial_name(number, halving, self._look)] for halving in range(self._probe.halvings)]

    def _means(self, number: int) -> list[float]:
        """Return the mean nDCG of a trial over its halvings, at each look."""
        looks = zip(*(trial["ndcg"] for trial in self._trials(number)), strict=True)
        return [sum(values) / len(values) for values in looks]
