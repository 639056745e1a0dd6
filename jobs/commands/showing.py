"""What several commands show: progress, a ranking with its answer in sentences, JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.output.records import NamedSource, SourceRow
    from jobs.probing.answer import Probed
    from jobs.terminal.progress import Progress


def say(line: str, err: bool = False) -> None:
    """Print one line, with what control characters there are in names and texts escaped."""
    from jobs.terminal.escape import shown

    typer.echo(shown(line), err=err)


def tell(console: Console, line: str) -> None:
    """Print one line as `say` does, on a console."""
    from rich.text import Text

    from jobs.terminal.escape import shown

    console.print(Text(shown(line)), soft_wrap=True)


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


def print_ranking(out: str, run_id: str | None, by: str = "probe") -> None:
    """Print a run's ranking, its answer in sentences, and its accounting. `by`: as for `jobs.rank`."""
    from jobs.finished.result import check_order, ranking_of
    from jobs.finished.text import loss_line, near_positive_lines, ranking_table, repeated_lines, sample_lines
    from jobs.terminal.console import make_console

    check_order(by)
    found = ranking_of(out, run_id)
    console = make_console()
    console.print()
    if found["probe"] is not None and by == "probe":
        from jobs.finished.probe_text import probe_table

        console.print(probe_table(found["probe"].rows, found["ranking"]))
    else:
        console.print(ranking_table(found["ranking"]))
    console.print()
    warning = (found["lexical"] or {}).get("warning")
    lines = [
        *_answer(found, by),
        *sample_lines(found["sample"], found["left_to_embed"]),
        *([warning] if warning else []),
    ]
    for line in lines:
        tell(console, line)
    for loss in found["losses"]:
        tell(console, f"{loss_line(loss)}.")
    totals = found["totals"]
    for line in [*near_positive_lines(found["ranking"]), *repeated_lines(totals)]:
        tell(console, line)
    formats = ", ".join(f"{name} ({count} file{'s' * (count != 1)})" for name, count in found["formats"].items())
    read_as = f"Read as {formats}. " if formats else ""
    left = f" + {totals['not_sampled']:,} of queries not sampled" if totals["not_sampled"] else ""
    if found["passed_over"]:
        tell(console, passed_line(found["passed_over"]))
    tell(
        console,
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates{left}; {totals['texts']:,} texts, {totals['texts_embedded']:,} of them embedded "
        f"in this run. {read_as}Run {found['run_id']}.",
    )


def print_made_again(out: str, run_id: str) -> None:
    """Say what a run has found damaged and made again; nothing where all was whole."""
    from jobs.finished.result import ranking_of

    again = ranking_of(out, run_id)["made_again"]
    kinds = {"finished tasks": again["tasks"], "cached files": again["cache_files"], "vectors of texts": again["texts"]}
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    if told:
        say(f"Found damaged or missing, and made again: {told}.")


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


def _answer(found: dict[str, Any], by: str) -> list[str]:
    """Return the answer to a ranking in sentences."""
    from jobs.finished.text import verdict

    if found["probe"] is not None and by == "probe":
        return _answer_of(found["probe"], found["ranking"])
    why = [found["why_no_probe"]] if found["why_no_probe"] and by == "probe" else []
    return [*verdict(found["ranking"], found["pairs"]), *why]


def print_probe(probed: Probed, ranking: Sequence[SourceRow]) -> None:
    """Print what a probe has given, and the answer in sentences. `ranking`: rows of source_eci."""
    from jobs.finished.probe_text import probe_table
    from jobs.terminal.console import make_console

    console = make_console()
    console.print()
    console.print(probe_table(probed.rows, ranking))
    console.print()
    for line in _answer_of(probed, ranking):
        tell(console, line)


def _answer_of(probed: Probed, ranking: Sequence[SourceRow]) -> list[str]:
    from jobs.finished.probe_text import coverage_lines
    from jobs.probing.answer import answer

    return [*answer(probed, ranking), *coverage_lines(probed.rows)]


def echo_json(value: Any) -> None:
    """Print a value as one JSON document."""
    from jobs.terminal.console import to_json

    typer.echo(to_json(value))
