"""The evidence: `eci validate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs.commands.options import Encoder, Json, Memory, Out, Quiet, Workers
from jobs.commands.showing import echo_json, progress_for, say


def validate(
    collection: Annotated[
        str, typer.Argument(help="A folder with corpus.jsonl, queries.jsonl and qrels/*.tsv (or qrels.tsv).")
    ],
    out: Out,
    encoder: Encoder = None,
    score_encoder: Annotated[
        str | None, typer.Option(help="Score with this encoder and fine-tune the other (default: the same).")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of score and training (default: the card's).")] = None,
    negatives: Annotated[
        list[str] | None, typer.Option(help="More sources: [NAME=]FILE, a run file or training triples; repeatable.")
    ] = None,
    ranks: Annotated[str | None, typer.Option(help="Ranks of a run file to take, such as 20:40 (1:10).")] = None,
    per_query: Annotated[int, typer.Option(min=2, max=64, help="Negatives of each pair and source.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each source and objective.")] = 5,
    finetune: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL_DIR",
            help="Also fine-tune the whole encoder, from its Hugging Face folder (an hour; needs PyTorch).",
        ),
    ] = None,
    workers: Workers = None,
    memory: Memory = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Mine sources on a collection, score them, fine-tune with each, and say how well the score predicts nDCG@10.

    Example: eci validate scifact --out scifact-out
    """
    from jobs.validation.outcome import Settings
    from jobs.validation.tables import read_tables
    from jobs.validation.validate import validate as run_validation

    given: dict[str, Any] = {"encoder": encoder, "score_encoder": score_encoder, "temperature": temperature}
    given |= {"ranks": ranks, "workers": workers, "memory": memory, "finetune": finetune}
    settings = Settings(collection, out, negatives=tuple(negatives or ()), per_query=per_query, seeds=seeds,
                        **{key: value for key, value in given.items() if value is not None})  # fmt: skip
    progress, close = progress_for(quiet)
    try:
        run_validation(settings, progress, lambda line: None if quiet else say(line, err=True))
    finally:
        close()
    tables = read_tables(out)
    if json:
        echo_json(tables)
    else:
        print_validation(tables)


def print_validation(tables: dict[str, Any]) -> None:
    """Print the tables of `jobs.validation.tables.read_tables`."""
    from jobs.terminal.console import make_console
    from jobs.validation.text import objectives, predictor_table, source_table, validation_lines

    console = make_console()
    for part in (source_table(tables), *(predictor_table(tables, *objective) for objective in objectives(tables))):
        console.print()
        console.print(part)
    console.print()
    for line in validation_lines(tables):
        say(line)


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    app.command()(validate)
