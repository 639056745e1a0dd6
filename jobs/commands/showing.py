"""What several commands show: progress, a ranking with its answer in sentences, JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from jobs.output.records import SourceRow
    from jobs.probing.answer import Probed
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
    return Lines(lambda line: typer.echo(line, err=True)), lambda: None


def print_ranking(out: str, run_id: str | None, by: str = "probe") -> None:
    """Print a run's ranking, its answer in sentences, and its accounting. `by`: as for `jobs.rank`."""
    from jobs.finished.result import check_order, ranking_of
    from jobs.finished.text import ranking_table, sample_lines
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
    said = _answer(found, by)
    warned = [caution["text"] for caution in found["warnings"] if caution["text"] not in said]
    for line in [*said, *found["judged"], *warned, *sample_lines(found["sample"], found["left_to_embed"])]:
        console.print(line, markup=False, soft_wrap=True)
    totals = found["totals"]
    formats = ", ".join(f"{name} ({count} file{'s' * (count != 1)})" for name, count in found["formats"].items())
    read_as = f"Read as {formats}. " if formats else ""
    left = f" + {totals['not_sampled']:,} of queries not sampled" if totals["not_sampled"] else ""
    console.print(
        f"{totals['rows_in']:,} rows in = {totals['scored']:,} scored + {totals['rejected']:,} rejected + "
        f"{totals['duplicates']:,} duplicates{left}; {totals['texts']:,} texts, {totals['texts_embedded']:,} of them embedded "
        f"in this run. {read_as}Run {found['run_id']}.",
        markup=False,
        soft_wrap=True,
    )


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
        console.print(line, markup=False, soft_wrap=True)


def _answer_of(probed: Probed, ranking: Sequence[SourceRow]) -> list[str]:
    from jobs.finished.probe_text import coverage_lines
    from jobs.probing.answer import answer

    return [*answer(probed, ranking), *coverage_lines(probed.rows)]


def echo_json(value: Any) -> None:
    """Print a value as one JSON document."""
    from jobs.terminal.console import to_json

    typer.echo(to_json(value))
