"""What runs and in which order: the stages, the command line, the Python interface.

The Python interface does what the commands do, with typed settings and results, and prints nothing:

    >>> import jobs
    >>> config = jobs.RunConfig(inputs=[jobs.Input(triples="lake/*.parquet")], out="OUT")
    >>> result = jobs.run(config)                    # a RunResult; result.ranking is an Arrow table
    >>> result.ranking.select(["rank", "source", "eci", "eci_lo", "eci_hi"])
    >>> jobs.rank("OUT").ranking                     # the same of a run made before
    >>> jobs.probe("OUT").probe.rows                 # the sources tried out again; training files beside them
    >>> jobs.mix("OUT")["shares"]                    # the best mixture
    >>> choice = jobs.Choice(per_query=2, violations=False)
    >>> jobs.select("OUT", "train", "bge", choice)   # the training file; a manifest comes back
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.config import Input as Input
    from jobs.config import RunConfig as RunConfig
    from jobs.decide.mixing import mix as mix
    from jobs.decide.selection import Choice as Choice
    from jobs.decide.selection import select as select
    from jobs.decide.trials import Asked as Asked
    from jobs.decide.trials import probe as probe
    from jobs.errors import EciError as EciError
    from jobs.errors import InputError as InputError
    from jobs.finished.result import RunResult as RunResult
    from jobs.finished.result import rank as rank
    from jobs.pipeline.run import run as run
    from jobs.publishing.publish import publish as publish
    from jobs.reports.page import report as report

EXPORTS = {
    "run": "jobs.pipeline.run",
    "RunResult": "jobs.finished.result",
    "rank": "jobs.finished.result",
    "mix": "jobs.decide.mixing",
    "select": "jobs.decide.selection",
    "Choice": "jobs.decide.selection",
    "probe": "jobs.decide.trials",
    "Asked": "jobs.decide.trials",
    "publish": "jobs.publishing.publish",
    "report": "jobs.reports.page",
    "RunConfig": "jobs.config",
    "Input": "jobs.config",
    "EciError": "jobs.errors",
    "InputError": "jobs.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line's help need not wait for all of them."""
    if name not in EXPORTS:
        raise AttributeError(f"module 'jobs' has no attribute {name!r}; it has {', '.join(sorted(EXPORTS))}")
    return getattr(import_module(EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(EXPORTS)
