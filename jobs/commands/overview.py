"""What `eci` alone and `eci --help` show: the way for a newcomer, and the commands by what they are for."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

from jobs.commands.quoting import unquoted

GROUPS = {
    "look": ("demo", "plan", "run", "status", "rank", "report", "sql", "runs"),
    "decide": ("probe", "mix", "select"),
    "check": ("doctor", "ablate", "diff", "validate"),
    "keep house": ("init", "ingest", "publish", "encoders", "verify", "gc"),
}
OTHERS = "more"
WAY = (
    (("eci doctor",), "what works on this machine"),
    (("eci demo", "--out demo-out"), "real triples, a whole run, a ranking (minutes)"),
    (
        ("eci plan", "--triples 'lake/*.parquet'", "--out OUT"),
        "what a run over your triples would cost; touches nothing",
    ),
    (("eci run", "--triples 'lake/*.parquet'", "--out OUT"), "the run: which source to train on, and how sure that is"),
    (("eci rank", "--out OUT"), "the ranking and the answer again; eci report writes the page to show"),
    (("eci probe", "--triples FILE", "--out OUT"), "is this training file better than the sources?"),
    (("eci select", "--source NAME", "--to train", "--out OUT"), "the training file"),
    (("eci validate", "COLLECTION", "--out CHECK"), "how far to trust it, on a collection of yours"),
    (("eci init", "nightly.toml"), "a settings file with every option"),
)
LEAST_MEANING = 40
_EXTRA = re.compile(r"unexpected extra argument\S* \((\S+)")


class Grouped(TyperGroup):
    """The command `eci`, whose help lists the commands by group."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what it says of a word that nothing takes has an advice."""
        given, commands = [*ctx._protected_args, *ctx.args], self.commands
        while given and given[0] in commands:
            commands = getattr(commands[given.pop(0)], "commands", {})
        try:
            return super().invoke(ctx)
        except Exception as error:
            # typer has no public name for the class of its errors of usage
            found = _EXTRA.search(str(getattr(error, "message", "")))
            if found is not None:
                word = found[1] if found[1] in given else found[1].removesuffix(")")
                error.message += f". {unquoted(given, word)}"  # type: ignore[attr-defined]
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of commands."""
        helps = {name: self.commands[name].get_short_help_str(1000) for name in self.list_commands(ctx)}
        for group, names in grouped(list(helps)).items():
            with formatter.section(f"To {group}" if group != OTHERS else "More"):
                formatter.write_dl([(name, helps[name]) for name in names])


def grouped(names: list[str]) -> dict[str, list[str]]:
    """Return commands by group, in the groups' order; those of no group last."""
    found = {group: [name for name in order if name in names] for group, order in GROUPS.items()}
    known = {name for order in GROUPS.values() for name in order}
    found[OTHERS] = [name for name in names if name not in known]
    return {group: those for group, those in found.items() if those}


def print_overview(context: typer.Context) -> None:
    """Print what `eci` alone shows."""
    from jobs.terminal.console import make_console

    names = list(getattr(context.command, "commands", {}))
    for line in overview(names, make_console().width):
        typer.echo(line)


def overview(names: list[str], width: int) -> list[str]:
    """Return what `eci` alone prints, in lines of at most `width` cells. `names`: of all commands."""
    from jobs.terminal.fitting import wrapped

    lines = wrapped("eci ranks sources of hard negatives before any training. The way from here:", width) + [""]
    size = max(2 + len(" ".join(parts)) for parts, _ in WAY) + 2
    for parts, meaning in WAY:
        if width - size >= LEAST_MEANING:
            lines += _beside(f"  {' '.join(parts)}", size, meaning, width)
        else:
            lines += _broken(parts, width) + wrapped(f"      {meaning}", width)
    lines += ["", "All commands:"]
    size = max(map(len, GROUPS)) + 4
    for group, those in grouped(names).items():
        lines += _beside(f"  {group}", size, ", ".join(those), width)
    return [*lines, "", *wrapped("eci --help says what each is for, eci COMMAND --help explains one.", width)]


def _beside(head: str, size: int, text: str, width: int) -> list[str]:
    """Return a text beside a head of `size` cells."""
    from jobs.terminal.fitting import wrapped

    first, *others = wrapped(" " * size + text, width)
    return [head.ljust(size) + first[size:], *others]


def _broken(parts: tuple[str, ...], width: int) -> list[str]:
    """Return a command in lines that can be copied; its parts are quoted already where a shell needs that."""
    lines, line = [], f"  {parts[0]}"
    for part in parts[1:]:
        if len(line) + 1 + len(part) + 2 > width:
            lines.append(line + " \\")
            line = " " * 5
        line += f" {part}"
    return [*lines, line]
