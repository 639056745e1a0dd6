"""Where the command line and the environment come in: every value of every option of every command passes here, once.

Addresses with secrets are refused before anything is parsed, so that no message can repeat them; `~` becomes the home folder
where the shell has left it (`--out=~/x`, `ECI_OUT` of a service).
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from jobs.addresses import expanded, is_utf8, refuse_secret
from jobs.errors import InputError
from jobs.machine import address_space

PREFIX = "ECI_"
LEAST_ADDRESSES = 4 << 30

_OPTION = re.compile(r"--?[a-z][a-z-]*(?==|$)")

# at the beginning of a value, or behind the name in NAME=PATH
_HOME = re.compile(r"(?P<before>(?:^|\s)(?:--[\w-]+=)?(?:[^\s=/~]+=)?)(?P<home>~[\w.-]*)(?=/|\s|$)")


def take_in(arguments: list[str], environment: MutableMapping[str, str]) -> list[str]:
    """Return the arguments with home folders, and change those of the environment's ECI_ variables.

    Raises:
        InputError: an address with a secret (the message names the option or the variable, not the value), or what is not
            UTF-8; or the process may take too few addresses.
    """
    for name in sorted(name for name in environment if name.startswith(PREFIX)):
        refuse_secret(environment[name], name)
        _refuse_bytes(environment[name], name)
        environment[name] = _with_home(environment[name])
    limit = address_space()
    if limit is not None and limit < LEAST_ADDRESSES:
        raise InputError(
            f"the address space is limited to {limit >> 20} MiB (ulimit -v), too little to load the libraries: take the limit "
            "off; --memory and control groups bound what a run takes"
        )
    query = arguments[:1] == ["sql"]
    where, taken = "an argument", []
    for argument in arguments:
        is_option = argument.startswith("-") and argument != "-"
        if is_option:
            named = _OPTION.match(argument)
            where = f"at {named[0]}" if named else "an option"
        if query and not is_option and " " in argument.strip():
            taken.append(argument)  # SQL may hold any text
            continue
        refuse_secret(argument, where)
        _refuse_bytes(argument, where)
        taken.append(_with_home(argument) if " " not in argument else _first_home(argument))
    return taken


def _refuse_bytes(text: str, where: str) -> None:
    """Raise InputError for what is not UTF-8: it could stand in no manifest, table or report."""
    if not is_utf8(text):
        raise InputError(f"{where}: {text!a} is not UTF-8; rename the file or folder")


def _with_home(text: str) -> str:
    return _HOME.sub(lambda match: match["before"] + expanded(match["home"]), text)


def _first_home(text: str) -> str:
    """Return a value with blanks in it, which is one path."""
    return _HOME.sub(lambda match: match["before"] + expanded(match["home"]) if match.start() == 0 else match[0], text)
