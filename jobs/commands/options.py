"""What the commands share: options, the configuration from options and settings file, progress, printing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os.path import isdir
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from jobs.commands.quoting import BLANKS, DATA, unquoted
from jobs.errors import InputError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from jobs.config import RunConfig


Out = Annotated[str, typer.Option("--out", envvar="ECI_OUT", help="The output root: a folder or an fsspec URL.")]
RunId = Annotated[str | None, typer.Option("--run", help="A run's id, or how it begins (default: the newest).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[
    int | None, typer.Option(envvar="ECI_WORKERS", help="Worker processes (default: one for each core).")
]
Memory = Annotated[
    str | None,
    typer.Option(
        envvar="ECI_MEMORY", help="Memory for all workers together, such as 2GB (default: 60 % of what there is)."
    ),
]
Encoder = Annotated[
    str | None, typer.Option(envvar="ECI_ENCODER", help="An encoder's name, or the folder of its card.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def filled(address: str | None) -> str | None:
    """Return the address of a file or folder to write. Raises InputError for an empty one, as an unset variable leaves."""
    if address is not None and not address.strip():
        raise InputError(
            "an address to write to is empty (--to, --output: an unset variable?); give a file or a folder"
        )
    return address


def filled_here(path: str | None) -> str | None:
    """Return the path of a file or folder of this machine to write. Raises InputError for an empty one, and for a URL."""
    from jobs.addresses import is_url

    if filled(path) is not None and is_url(str(path)):
        raise InputError(f"{path}: this is written to a folder of this machine; give a path, and copy it from there")
    return path


GIVEN = "eci.given"
FILE_ONLY = frozenset({"inputs", "lam", "cluster_options", "buckets", "strict", "probe"})  # settings without an option
INGEST_SETTINGS = ("corpus", "queries", "skip_bad_files")
SPELLED = {"hybrids": "--hybrid"}


def input_options(required: bool = True) -> dict[str, Any]:
    """Return name -> annotation of the options that say what the triples are: one for each setting of Input.

    Args:
        required: whether the settings without a default have to be given; else a settings file may have them.
    """
    from jobs.config import INPUT_OPTIONS, Input

    fields = {name: Input.model_fields[name] for name in INPUT_OPTIONS}
    return {name: _option(name, field, required and field.is_required()) for name, field in fields.items()}


def ingest_options() -> dict[str, Any]:
    """Return name -> annotation of what `eci ingest` takes: what the triples are, and the texts that their ids stand for."""
    from jobs.config import RunConfig

    return input_options() | {name: _option(name, RunConfig.model_fields[name]) for name in INGEST_SETTINGS}


def run_options() -> dict[str, Any]:
    """Return name -> annotation of what `eci run` takes: a settings file, and an option for each setting.

    Precedence: an option, then the environment, then the settings file, then the default.
    """
    from jobs.config import RunConfig

    settings = {name: _option(name, field) for name, field in RunConfig.model_fields.items() if name not in FILE_ONLY}
    config = typer.Argument(help="A TOML settings file; options given beside it win.")
    options = {"config": Annotated[str | None, config], **input_options(required=False), **settings}
    for name, kind in options.items():
        kind.__metadata__[0].envvar = _variable(name)
    return options


def _spelled(name: str) -> str:
    return SPELLED.get(name, f"--{name.replace('_', '-')}")


def _variable(name: str) -> str:
    return f"ECI_{name.upper()}"


def _option(name: str, field: FieldInfo, required: bool = False) -> Any:
    """Return a setting as an option, None (a flag: False) where it is not given and not required."""
    kind = field.annotation
    if get_origin(kind) in (tuple, dict):
        kind = list[str]
    elif get_origin(kind) is Literal:
        kind = str
    taken = kind if kind is bool or required else kind | None  # type: ignore[operator]
    return Annotated[taken, typer.Option(_spelled(name), help=_help(field))]


def _help(field: FieldInfo) -> str:
    """Return a setting's description as a sentence, with what is allowed and the default."""
    from jobs.config_errors import allowed

    said = str(field.description)
    notes = [allowed(field).removeprefix("a list")]
    if field.default and isinstance(field.default, (str, int, float)):
        notes.append(f"default: {field.default}")
    noted = "; ".join(note for note in notes if note)
    return f"{said[0].upper()}{said[1:]}{f' ({noted})' if noted else ''}."


def add_command(app: typer.Typer, function: Callable[..., Any], options: Callable[[], dict[str, Any]]) -> None:
    """Add a command that takes options made from the settings, gathered in one dict, its parameter `values`.

    They are made when the command is called: to import the settings takes as long as all that a list of the commands
    needs.
    """

    class Late(TyperCommand):
        @cached_property
        def whole(self) -> Any:
            """The command with its parameters."""
            inner = typer.Typer(add_completion=False, rich_markup_mode=None)
            inner.command(self.name)(_gathering(function, options()))
            return typer.main.get_command(inner)

        @property
        def params(self) -> Any:
            return self.whole.params

        @params.setter
        def params(self, nothing: Any) -> None: ...

        def make_context(self, *args: Any, **extra: Any) -> Any:
            name, given, *others = args
            context = self.whole.make_context(name, list(given), *others, **{**extra, "allow_extra_args": True})
            if context.args:
                some = ", ".join(context.args[:3]) + (", ..." if len(context.args) > 3 else "")
                raise InputError(f"eci {name} does not know what to do with {some}. {unquoted(given, context.args[0])}")
            context.meta[GIVEN] = given
            return context

    def named() -> None: ...

    named.__doc__ = function.__doc__
    app.command(function.__name__, cls=Late)(named)


def _gathering(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """Return a function with these options in the place of its parameter `values`, which gets them as `Values`."""
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for own in inspect.signature(function, eval_str=True).parameters.values():
        made = [_parameter(name, kind) for name, kind in options.items()]
        parameters += made if own.name == "values" else [own.replace(kind=own.KEYWORD_ONLY)]

    def command(context: typer.Context, **given: Any) -> None:
        values = Values((name, given.pop(name)) for name in options)
        values.given = context.meta[GIVEN]
        values.typed = {name: _typed(name, context) for name in given_of(values)}
        function(values=values, **given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return command


class Values(dict[str, Any]):
    """The options of a command by setting.

    `typed`: of those that were given, the option or the variable that gave them.  `given`: the command's arguments.
    """

    typed: Mapping[str, str]
    given: Sequence[str]


def _typed(name: str, context: typer.Context) -> str:
    source = context.get_parameter_source(name)
    if source is not None and source.name == "ENVIRONMENT":
        return _variable(name)
    return _spelled(name)


def _parameter(name: str, kind: Any) -> inspect.Parameter:
    taken = get_args(kind)[0]
    default = False if taken is bool else None if NoneType in get_args(taken) else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def given_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, on the command line or in the environment."""
    return {key: value for key, value in values.items() if not (value is None or value is False or value == [])}


def config_of(values: Values) -> RunConfig:
    """Return the RunConfig of the settings file and the options given beside it (options win)."""
    from jobs.config import INPUT_OPTIONS, make_config
    from jobs.settings_file import load_settings

    given = given_of(values)
    path = given.pop("config", None)
    if path and _is_data(path):
        raise InputError(f"{path} is no settings file: triples go with --triples. {unquoted(values.given, path)}")
    try:
        settings: dict[str, Any] = load_settings(path) if path else {}
    except InputError as error:
        advice = unquoted(values.given, path)
        raise InputError(f"{error}. {advice}" if advice.startswith(BLANKS) else str(error)) from error
    one = {key: given.pop(key) for key in INPUT_OPTIONS if key in given}
    if "triples" in one:
        settings["inputs"] = inputs_of(one)
    elif one:
        raise InputError(f"{values.typed[next(iter(one))]} goes with --triples")
    settings.update(given)
    return make_config(settings, path or "options", values.typed)


def inputs_of(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of --triples and the options beside it: one for each NAME of NAME=PATH, and one for the rest.

    Raises:
        InputError: --source is given as well.
    """
    from jobs.formats.source_names import by_name

    paths = by_name(one["triples"])
    named = [name for name in paths if name is not None]
    if named and one.get("source") is not None:
        raise InputError(
            f"--source {one['source']} names all triples, and --triples {named[0]}=... some of them; give one of the two"
        )
    return [one | {"triples": of} | ({} if name is None else {"source": name}) for name, of in paths.items()]


def _is_data(path: str) -> bool:
    """Return whether a settings file's place holds triples, as where --triples was forgotten or a glob was not quoted."""
    return (
        path.lower().removesuffix(".gz").removesuffix(".zst").endswith(DATA)
        or any(c in path for c in "*?")
        or isdir(path)
    )


def bytes_of(memory: str | None) -> int:
    """Return the bytes that --memory says, 0 where it is not given. Raises InputError."""
    from jobs.errors import InputError
    from jobs.machine import parse_bytes

    try:
        return parse_bytes(memory) if memory else 0
    except ValueError as error:
        raise InputError(f"--memory: {error}") from None
