"""What several commands show: progress, a ranking with its answer in sentences, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from jobs.output.records import NamedSource, SourceRow, TableUsed
    from jobs.probing.answer import Probed
    from jobs.probing.decision import Decision
    from jobs.terminal.fitting import Column
    from jobs.terminal.progress import Progress


def progress_for(quiet: bool) -> tuple[Progress, Callable[[], None]]:
    """Return the progress to show, and what takes it off the terminal again."""
    from jobs.terminal.console import make_console
    from jobs.terminal.progress import Bars, Lines, Silent

    if quiet:
        return Silent(), lambda: None
    console = make_console(stderr=True)
    if console.is_terminal:
        bars = Bars(console)
        return bars, bars.close
    return Lines(lambda line: say(line, err=True)), lambda: None


def say(*lines: str, hanging: int = 0, err: bool = False) -> None:
    """Print sentences, with what control characters there are in names and texts escaped.

    On a terminal they are broken between words, and go on after `hanging` blanks.
    """
    from jobs.terminal.console import terminal_of
    from jobs.terminal.escape import shown
    from jobs.terminal.fitting import wrapped

    console = terminal_of(stderr=err)
    # progress and notices that nobody reads any more stop no work
    with suppress(*([BrokenPipeError] if err else [])):
        for line in map(shown, lines):
            for part in wrapped(line, console.width, hanging) if console else [line]:
                typer.echo(part, err=err)


@contextmanager
def perhaps_unread() -> Iterator[None]:
    """Go on after the block where its output has lost its reader, as with `| head`: what follows decides the exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 1)


def _print_table(columns: Sequence[Column]) -> None:
    """Print a table between empty lines."""
    from jobs.terminal.console import PLAIN_WIDTH, terminal_of
    from jobs.terminal.fitting import LEAST_TABLE, fitted

    console = terminal_of()
    if console is None:
        typer.echo("\n".join(["", *fitted(columns, PLAIN_WIDTH), ""]))
        return
    from rich.text import Text

    lines = fitted(columns, console.width)
    head = console.width >= LEAST_TABLE
    console.print()
    for number, line in enumerate(lines):
        console.print(Text(line, "bold" if head and not number else ""), soft_wrap=True)
    console.print()


def print_ranking(out: str, run_id: str | None, by: str = "probe", seconds: float | None = None) -> None:
    """Print a run's ranking, what is to be known of it, its accounting, and last the answer with the next commands.

    Args:
        out: as it was given, for the commands.  by: as for `jobs.rank`.  seconds: what the run took.
    """
    from jobs.finished.result import check_order, ranking_of
    from jobs.finished.text import ranking_columns, sample_lines
    from jobs.probing.decision import decide

    check_order(by)
    found = ranking_of(out, run_id)
    probed = found["probe"] if by == "probe" else None
    if probed is not None:
        from jobs.finished.probe_text import coverage_lines, probe_columns

        _print_table(probe_columns(probed.rows, found["ranking"]))
        covered = coverage_lines(probed.rows)
    else:
        _print_table(ranking_columns(found["ranking"]))
        covered = []
    decision = decide(probed, found["ranking"], found["pairs"], found["why_no_probe"] if by == "probe" else None)
    say(*decision.notes, *covered, *sample_lines(found["sample"], found["left_to_embed"]), *_met(found, decision))
    say(_accounting(found))
    say(*decision.said)
    _print_next(decision, out, found)
    if seconds is not None:
        from jobs.terminal.console import duration

        say(f"Took {duration(seconds)}.")


def _met(found: dict[str, Any], decision: Decision) -> list[str]:
    """Return what a run has met that is to be known of its ranking, a sentence each, but what its answer says already."""
    from jobs.finished.text import loss_line, near_positive_lines, ranks_lines, repeated_lines, without_text_line

    warning = (found["lexical"] or {}).get("warning")
    again = found["made_again"]
    kinds = {"finished tasks": again["tasks"], "cached files": again["cache_files"], "vectors of texts": again["texts"]}
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    return [
        *found["judged"],
        *(caution["text"] for caution in found["warnings"] if caution["text"] not in decision.said),
        *([warning] if warning else []),
        *(f"{loss_line(loss)}." for loss in found["losses"]),
        *near_positive_lines(found["ranking"]),
        *without_text_line(found["without_text"]),
        *repeated_lines(found["totals"]),
        *ranks_lines(found["ranks"]),
        *map(table_line, found["tables"]),
        *([passed_line(found["passed_over"])] if found["passed_over"] else []),
        *([f"Found damaged or missing, and made again: {told}."] if told else []),
    ]


def table_line(table: TableUsed) -> str:
    """Return what was read of a table of a lake, and what --where left out, as a sentence."""
    of = f"Read {table['table']} at version {table['version']}: {table['files']:,} file{'s' * (table['files'] != 1)}"
    if not table["where"]:
        return f"{of}."
    files, rows = table["files_left_out"], table["rows_left_out"]
    left = "rows that its log does not count" if rows is None else f"{rows:,} row{'s' * (rows != 1)}"
    unread = f", {files:,} file{'s' * (files != 1)} of them unread" if files else ""
    return f"{of}; left out {left}{unread}, as --where says ({table['where']})."


def _accounting(found: dict[str, Any]) -> str:
    """Return where a run's rows and texts went, in one line."""
    totals = found["totals"]
    formats = ", ".join(f"{name} ({count} file{'s' * (count != 1)})" for name, count in found["formats"].items())
    read_as = f"Read as {formats}. " if formats else ""
    left = f" + {totals['not_sampled']:,} of queries not sampled" if totals["not_sampled"] else ""
    return (
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates{left}; {totals['texts']:,} texts, {totals['texts_embedded']:,} of them embedded "
        f"in this run. {read_as}Run {found['run_id']}."
    )


def _print_next(decision: Decision, out: str, found: dict[str, Any]) -> None:
    """Print the commands that follow from an answer, ready to copy, and where the report is."""
    from jobs.output import layout
    from jobs.output.store import Store
    from jobs.probing.decision import next_commands
    from jobs.terminal.console import terminal_of
    from jobs.terminal.fitting import command_lines

    sources = [row["source"] for row in found["ranking"] if row["kind"] == "source"]
    sampled = found["sample"]["queries"] < found["sample"]["all_queries"]
    say(f"Next, for {decision.sources[0]}, the first of the tie:" if decision.tie else "Next:")
    console = terminal_of()
    for command in next_commands(decision, out, found["run_id"], sources, sampled):
        for line in command_lines(command, console.width if console else sys.maxsize):
            typer.echo(line)
    report = layout.report_in(layout.run_folder(found["run_id"]))
    if Store(out).exists(report):
        say(f"The report: {out.rstrip('/')}/{report}")


def tell_named(named: Sequence[NamedSource]) -> None:
    """Say on the error stream which sources are named after files, in one line; nothing where there are none."""
    from jobs.finished.text import named_line

    line = named_line(named)
    if line is not None:
        say(line, err=True)


def passed_line(files: Sequence[Mapping[str, Any]]) -> str:
    """Return which files were passed over, and why, as a sentence. `files`: those of a manifest, `path` and `what`."""
    whys: dict[str, list[str]] = {}
    for file in files:
        whys.setdefault(file["what"].partition(": ")[2], []).append(file["path"].rpartition("/")[2])
    parts = [
        f"{len(names):,} file{'s' * (len(names) != 1)} ({why}): {', '.join(names[:5])}{', ...' if names[5:] else ''}"
        for why, names in whys.items()
    ]
    return f"Passed over {'; '.join(parts)}."


def print_probe(probed: Probed, ranking: Sequence[SourceRow]) -> None:
    """Print what a probe has given, and the answer in sentences. `ranking`: rows of source_eci."""
    from jobs.finished.probe_text import coverage_lines, probe_columns
    from jobs.probing.decision import decide

    _print_table(probe_columns(probed.rows, ranking))
    decision = decide(probed, ranking, ())
    say(*decision.notes, *coverage_lines(probed.rows), *decision.said)


def echo_json(value: Any) -> None:
    """Print a value as one JSON document."""
    from jobs.terminal.console import to_json

    typer.echo(to_json(value))
