"""From ranking to decision: probe, mix, select, ablate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs.commands.options import Json, Memory, Out, Quiet, RunId, Workers, bytes_of, filled
from jobs.commands.showing import echo_json, print_probe, progress_for, say
from jobs.errors import InputError

PARTS = "Shares to score, such as dense=0.5,llm=0.5 (default: find the best)."
FORMATS = "triples, sbert-tuples, sbert-hard-negatives, bge or tevatron."
TO = "A new folder or URL for the training set; or a table: delta:PATH, iceberg:CATALOG/NAMESPACE.TABLE."
NEGATIVES = "Most negatives of a row of sbert-tuples (default: --per-query, else 1)."
ORDER = "Best first by information or weight (default: information if the run has it)."
ONLY = "Only this kind: sample, temperature, kappa, without, tokenizer, idf or encoder; repeat it."
FILES = "Training files, each one a source of its own, or NAME=PATH; repeat it."
ALLOW = "Go on where a file loses most of its rows to rejects."
COLUMNS = "What these files call their columns, such as positive=answer,negative=distractor."
SAMPLED = "Go on where the run scored a sample of the queries only."
DIVERSE = "Choose greedily by log-determinant, no two residuals that are nearly the same."


Sampled = Annotated[bool, typer.Option("--sampled", help=SAMPLED)]


def mix(
    out: Out,
    parts: Annotated[str | None, typer.Option(help=PARTS)] = None,
    source: Annotated[list[str] | None, typer.Option(help="A source that may be mixed; repeat it.")] = None,
    sampled: Sampled = False,
    run_id: RunId = None,
    json: Json = False,
) -> None:
    """Find the best mixture of sources, or score a given one; its gain over the best source alone.

    Example: eci mix --parts dense-aware=0.7,dense-band=0.3 --out demo-out
    """
    from jobs.decide.mixing import mix as find
    from jobs.decide.mixing import mix_lines

    found = find(out, run_id, parts, source, sampled)
    if json:
        echo_json(found)
        return
    say(*mix_lines(found, parts is not None))


def select(
    out: Out,
    to: Annotated[str, typer.Option(callback=filled, help=TO)],
    format: Annotated[str, typer.Option(help=FORMATS)] = "triples",
    source: Annotated[list[str] | None, typer.Option(help="Take this source only; repeat it for more.")] = None,
    mix: Annotated[str | None, typer.Option(help="Take sources by shares: dense=0.7,llm=0.3, or best.")] = None,
    per_query: Annotated[int | None, typer.Option(min=1, help="Most triples of a query.")] = None,
    total: Annotated[int | None, typer.Option(min=1, help="Most triples.")] = None,
    min_weight: Annotated[float | None, typer.Option(help="Least weight of a triple.")] = None,
    no_violations: Annotated[bool, typer.Option("--no-violations", help="No negative above its positive.")] = False,
    no_near_duplicates: Annotated[
        bool, typer.Option("--no-near-duplicates", help="No negative with similarity over 0.95 to its positive.")
    ] = False,
    diverse: Annotated[bool, typer.Option("--diverse", help=DIVERSE)] = False,
    by: Annotated[str | None, typer.Option(help=ORDER)] = None,
    negatives: Annotated[int | None, typer.Option(help=NEGATIVES)] = None,
    shard_rows: Annotated[int | None, typer.Option(min=1, help="Triples of a file (default: 100,000).")] = None,
    sampled: Sampled = False,
    memory: Memory = None,
    run_id: RunId = None,
    json: Json = False,
) -> None:
    """Write the chosen training triples in a trainer's format, or as a table of a lake.

    Example: eci select --per-query 8 --no-violations --format bge --to train-bge --out demo-out
    """
    from jobs.decide.mixing import shares_of
    from jobs.decide.selection import Choice
    from jobs.decide.selection import select as write
    from jobs.finished.text import used_of

    choice = Choice(
        sources=tuple(source or ()),
        parts=shares_of(out, run_id, mix) if mix else None,
        per_query=per_query,
        total=total,
        min_weight=min_weight,
        violations=not no_violations,
        near_duplicates=not no_near_duplicates,
        diverse=diverse,
        by=by,
        sampled=sampled,
    )
    manifest = write(out, to, format, choice, run_id, bytes_of(memory), shard_rows or 0, negatives)
    if json:
        echo_json(manifest)
        return
    for name, count in manifest["sources"].items():
        say(f"{count:>12,}  {name}")
    say(f"{manifest['triples']:>12,}  triples{_written(manifest, to)} (run {manifest['run_id']})")
    if manifest["sample"] is not None:
        say(f"From a sample: {used_of(manifest['sample'])}; nothing is known of the triples of the others.")


def _written(manifest: dict[str, Any], to: str) -> str:
    """Return where a selection went, as the rest of a sentence."""
    if "table" in manifest:
        already = "" if manifest["written"] else " already; nothing was written"
        return f", in {manifest['table']} at version {manifest['version']}{already}"
    files = manifest["files"]
    records = sum(file["records"] for file in files)
    some = f"{len(files)} {manifest['format']} file{'s' if len(files) > 1 else ''}"
    return f", {manifest['order']}, in {records:,} records of {some}: {to}/data"


def ablate(
    out: Out,
    only: Annotated[list[str] | None, typer.Option(help=ONLY)] = None,
    corpus: Annotated[list[str] | None, typer.Option(help="Files of passages for another idf.")] = None,
    encoder: Annotated[list[str] | None, typer.Option(help="Another encoder to run with; repeat it.")] = None,
    memory: Memory = None,
    run_id: RunId = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Perturb a finished run and say whether the ranking holds: sample size, temperature, lexical side, ingredients.

    Example: eci ablate --out demo-out
    """
    from jobs.decide.ablation import ablate as perturb
    from jobs.decide.ablation import ablation_lines

    progress, close = progress_for(quiet)
    try:
        rows = perturb(out, progress, run_id, only or (), corpus or (), encoder or (), bytes_of(memory))
    finally:
        close()
    if json:
        echo_json(rows)
        return
    for line in ablation_lines(rows):
        say(line)


def probe(
    out: Out,
    triples: Annotated[list[str] | None, typer.Option(help=FILES)] = None,
    columns: Annotated[list[str] | None, typer.Option(help=COLUMNS)] = None,
    source: Annotated[list[str] | None, typer.Option(help="Try this source of the run only; repeat it.")] = None,
    hybrid: Annotated[list[str] | None, typer.Option(help="Sources dealt out in turn, such as a+b; repeat it.")] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Queries to train on and to judge by.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of 256 examples.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    halvings: Annotated[int | None, typer.Option(min=1, help="Divisions of the sample.")] = None,
    pool: Annotated[int | None, typer.Option(min=100, help="Passages that are ranked.")] = None,
    cutoff: Annotated[int | None, typer.Option(min=1, help="Ranks that nDCG looks at.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Points of nDCG within which a difference is a tie.")] = None,
    allow_rejects: Annotated[bool, typer.Option("--allow-rejects", help=ALLOW)] = False,
    workers: Workers = None,
    memory: Memory = None,
    run_id: RunId = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try out the sources of a finished run again, or training files beside them: which one trains better.

    Example: eci probe --triples train-bge --out demo-out
    """
    from jobs.config import probe_settings
    from jobs.decide.trials import Asked
    from jobs.decide.trials import probe as try_out

    given = {"queries": queries, "steps": steps, "rate": rate, "halvings": halvings, "pool": pool, "cutoff": cutoff,
             "tolerance": tolerance}  # fmt: skip
    settings = probe_settings({name: value for name, value in given.items() if value is not None})
    if columns and not triples:
        raise InputError("--columns goes with --triples")
    asked = Asked(
        tuple(triples or ()), tuple(source or ()), tuple(hybrid or ()), settings, allow_rejects, tuple(columns or ())
    )
    progress, close = progress_for(quiet)
    try:
        found = try_out(out, run_id, asked, progress, workers or 0, memory or "")
    finally:
        close()
    if json:
        echo_json(found)
    else:
        print_probe(found.probe, found.ranking)


def register(app: typer.Typer) -> None:
    """Add this module's commands to the application."""
    for command in (probe, mix, select, ablate):
        app.command()(command)
