"""The command line: parses and prints. What the commands do is in the modules that they call.

Exit codes: 0 done, 1 failed while running, 2 bad input or settings, 3 finished but something needs attention.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from jobs.errors import EciError, InputError

if TYPE_CHECKING:
    from jobs.progress import Progress

app = typer.Typer(
    name="eci",
    help="Rank sources of hard negatives for dense retrievers before any training.",
    epilog="New here: `eci demo --out demo-out`, then `eci run --triples 'lake/*.parquet' --out OUT`, then `eci rank --out OUT`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[str, typer.Option("--out", envvar="ECI_OUT", help="The output root: a folder or an fsspec URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes (default: one for each core).")]
Memory = Annotated[str | None, typer.Option(help="Memory for all workers together, such as 2GB (default: 60 % of what there is).")]
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
        "workers": Workers,
        "memory": Memory,
        "skip_bad_files": Annotated[bool, typer.Option("--skip-bad-files", help="Record unreadable files in rejects and go on.")],
    }  # fmt: skip
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


def _config(values: dict[str, Any]) -> Any:
    """Return the RunConfig of the settings file and the options given beside it (options win)."""
    from jobs.config import INPUT_OPTIONS, load_settings, make_config

    given = {key: value for key, value in values.items() if value not in (None, False, [])}
    path = given.pop("config", None)
    settings: dict[str, Any] = load_settings(path) if path else {}
    one = {key: given.pop(key) for key in INPUT_OPTIONS if key in given}
    if "triples" in one:
        settings["inputs"] = [one]
    elif one:
        raise InputError(f"--{next(iter(one))} goes with --triples")
    settings.update(given)
    if "out" not in settings:
        raise InputError("no output root: give --out, ECI_OUT, or `out` in the settings file")
    return make_config(settings, path or "settings")


def _progress(quiet: bool) -> tuple[Progress, Callable[[], None]]:
    from jobs.console import make_console
    from jobs.progress import Bars, Lines, Silent

    if quiet:
        return Silent(), lambda: None
    console = make_console(stderr=True)
    if console.is_terminal:
        bars = Bars(console)
        return bars, bars.close
    return Lines(lambda line: typer.echo(line, err=True)), lambda: None


@app.command()
@run_options
def run(values: dict[str, Any], json: Json = False, quiet: Quiet = False) -> None:
    """Score every source of hard negatives and commit the result to OUT.

    Example: eci run --triples 'demo-out/lake/triples/*.parquet' --out demo-out
    """
    from jobs.pipeline import run as run_job

    config = _config(values)
    progress, close = _progress(quiet)
    try:
        result = run_job(config, progress)
    finally:
        close()
    if json:
        _echo_json({"run_id": result.run_id, "out": result.out, "totals": result.totals})
        return
    _print_ranking(result.out, None)


@app.command()
@run_options
def plan(values: dict[str, Any], json: Json = False) -> None:
    """Say what a run would read, embed and write, and about how long it takes; touches nothing.

    Example: eci plan --triples 'demo-out/lake/triples/*.parquet' --out demo-out
    """
    from jobs.plan import make_plan, plan_lines

    plan = make_plan(_config(values))
    if json:
        _echo_json(plan)
    else:
        for line in plan_lines(plan):
            typer.echo(line)


@app.command()
def rank(
    out: Out,
    run_id: Annotated[str | None, typer.Option("--run", help="A run's id (default: the newest).")] = None,
    json: Json = False,
) -> None:
    """Print the ranking with its intervals; pairs that are not decided are named.

    Example: eci rank --out demo-out
    """
    if json:
        from jobs.results import ranking_of

        _echo_json(ranking_of(out, run_id))
    else:
        _print_ranking(out, run_id)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views; `SHOW TABLES` lists them.")],
    out: Out,
    format: Annotated[str, typer.Option(help="table, csv or json (parquet: with --output FILE).")] = "table",
    json: Json = False,
) -> None:
    """Run read-only SQL over the tables of OUT.

    Example: eci sql "SELECT source, eci, purity FROM source_eci ORDER BY rank" --out demo-out
    """
    from jobs.catalog import query as run_query
    from jobs.results import write_rows
    from jobs.store import Store

    write_rows(run_query(Store(out), query), "json" if json else format, sys.stdout)


@app.command()
def demo(
    out: Annotated[str, typer.Option("--out", help="Where the lake and its tables go.")] = "demo-out",
    pairs: Annotated[int, typer.Option(min=100, help="Most pairs of query and positive to take.")] = 3000,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Build real triples from the documentation of the installed libraries, run everything, print the ranking.

    Example: eci demo --out demo-out
    """
    from jobs.demo_run import run_demo

    progress, close = _progress(quiet)
    try:
        result = run_demo(out, pairs, workers or 0, progress, lambda line: None if quiet else typer.echo(line, err=True))
    finally:
        close()
    _print_ranking(result.out, None)
    typer.echo(f'\nThe lake is {out}/lake, the tables are in {out}. Next: eci sql "SHOW TABLES" --out {out}')


def _print_ranking(out: str, run_id: str | None) -> None:
    from jobs.console import make_console, ranking_table, verdict
    from jobs.results import ranking_of

    found = ranking_of(out, run_id)
    console = make_console()
    console.print()
    console.print(ranking_table(found["ranking"]))
    console.print()
    for line in verdict(found["ranking"], found["pairs"]):
        console.print(line, markup=False, soft_wrap=True)
    totals = found["totals"]
    console.print(
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates; {totals['texts']:,} texts, {totals['texts_embedded']:,} of them embedded "
        f"in this run. Run {found['run_id']}.",
        markup=False,
        soft_wrap=True,
    )


def _echo_json(value: Any) -> None:
    from jobs.console import to_json

    typer.echo(to_json(value))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"eci: {message}", err=True)
    # Nothing is left to do but to end: worker processes have been closed by the blocks that opened them.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; every failure is one line and an exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(standalone_mode=True)
    except EciError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("stopped; finished tasks are kept, the same command goes on from there", 1)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error} {error.filename or ''}".strip(), 1)
    except Exception as error:
        if os.environ.get("ECI_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (a bug in eci-lake; ECI_TRACEBACK=1 shows where)", 1)


if __name__ == "__main__":
    main()
