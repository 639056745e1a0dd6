"""What the commands share: options, the configuration from options and settings file, progress, printing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.errors import InputError

if TYPE_CHECKING:
    from jobs.config import RunConfig

Out = Annotated[str, typer.Option("--out", envvar="ECI_OUT", help="The output root: a folder or an fsspec URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes (default: one for each core).")]
Memory = Annotated[
    str | None, typer.Option(help="Memory for all workers together, such as 2GB (default: 60 % of what there is).")
]
Encoder = Annotated[str | None, typer.Option(help="An encoder's name, or the folder of its card.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments of `eci run`, gathered in one dict that `make_config` validates."""
    import inspect

    options: dict[str, Any] = {
        "config": Annotated[str | None, typer.Argument(help="A TOML settings file; options given beside it win.")],
        "triples": Annotated[list[str] | None, typer.Option(help="Files, folders, globs (in quotes) or URLs of triples.")],
        "format": Annotated[str | None, typer.Option(help="Their format (default: auto, by the first records).")],
        "source": Annotated[str | None, typer.Option(help="The source of every row, in place of what the records say.")],
        "positives": Annotated[str | None, typer.Option(help="Every positive of a record (all) or the first.")],
        "ranks": Annotated[str | None, typer.Option(help="Ranks of a run file to take, such as 1:10 or 20:40.")],
        "numbered": Annotated[str | None, typer.Option(help="negative_1..N as one source, or each as its own.")],
        "qrels": Annotated[list[str] | None, typer.Option(help="Relevance judgements, for run files.")],
        "vectors": Annotated[list[str] | None, typer.Option(help="Parquet files of precomputed vectors, in place of an encoder.")],
        "corpus": Annotated[list[str] | None, typer.Option(help="Files with the passages, where triples hold ids.")],
        "queries": Annotated[list[str] | None, typer.Option(help="Files with the queries, where triples hold ids.")],
        "out": Annotated[str | None, typer.Option("--out", envvar="ECI_OUT", help="The output root.")],
        "encoder": Encoder,
        "temperature": Annotated[float | None, typer.Option(help="The training temperature (default: the card's).")],
        "kappa": Annotated[float | None, typer.Option(help="Share of the lexical overlap that a weight loses (0.5).")],
        "tokenizer": Annotated[str | None, typer.Option(help="Tokens of the lexical side: word, wordpiece or char3.")],
        "folds": Annotated[int | None, typer.Option(help="Folds of the queries (32).")],
        "hybrids": Annotated[list[str] | None, typer.Option("--hybrid", help="Sources pooled to a row of their own: dense+llm, or all-pairs.")],
        "information": Annotated[bool, typer.Option("--information", help="Compute what each triple adds to its source.")],
        "until_decided": Annotated[float | None, typer.Option(help="Stop when the question is answered at this level, such as 0.95.")],
        "decide": Annotated[str | None, typer.Option(help="The question: top (the leader) or all (every adjacent pair).")],
        "tolerance": Annotated[float | None, typer.Option(help="Share of the leader's ECI within which a difference is a tie (0.05).")],
        "sample_queries": Annotated[int | None, typer.Option(help="Take a nested sample of at least so many queries.")],
        "workers": Workers,
        "memory": Memory,
        "scheduler": Annotated[str | None, typer.Option(help="A running Dask scheduler, such as tcp://host:8786.")],
        "cluster": Annotated[str | None, typer.Option(help="A Dask cluster class, such as dask_jobqueue.SLURMCluster.")],
        "skip_bad_files": Annotated[bool, typer.Option("--skip-bad-files", help="Record unreadable files in rejects and go on.")],
    }  # fmt: skip
    for name, kind in options.items():
        # precedence: an option, then the environment, then the settings file, then the default
        kind.__metadata__[0].envvar = f"ECI_{name.upper()}"
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "values"]

    def command(**given: Any) -> None:
        mine = {p.name: given.pop(p.name) for p in own}
        function(values=given, **mine)

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=False if "bool" in str(kind) else None)
        for name, kind in options.items()
    ]  # fmt: skip
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    command.__signature__ = inspect.Signature([*parameters, *keyword])  # type: ignore[attr-defined]
    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return command


def config_of(values: dict[str, Any]) -> RunConfig:
    """Return the RunConfig of the settings file and the options given beside it (options win)."""
    from jobs.config import INPUT_OPTIONS, load_settings, make_config

    given = {key: value for key, value in values.items() if not (value is None or value is False or value == [])}
    path = given.pop("config", None)
    settings: dict[str, Any] = load_settings(path) if path else {}
    one = {key: given.pop(key) for key in INPUT_OPTIONS if key in given}
    if "triples" in one:
        settings["inputs"] = [one]
    elif one:
        raise InputError(f"--{next(iter(one))} goes with --triples")
    settings.update(given)
    return make_config(settings, path or "settings")
