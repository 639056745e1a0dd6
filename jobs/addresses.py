"""Addresses as users give them: no secret in any, `~` for the home folder, relative to a settings file where they stand in one.

An address with a secret would stand in manifests, reports, errors and logs, so that none is taken: this is the boundary, for the
command line, the environment, settings files and Python. Credentials of object stores come from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from jobs.errors import InputError

SECRET = (
    "an address holds a password, a token, a key or a signature (before an @ or behind a ?), and would stand in manifests "
    "and reports; object stores take credentials from the environment"
)

# a secret key may hold slashes, but what is behind host:port is a path; buckets have no port
_BUCKETS = r"\b(?:s3[an]?|gcs?|gs|az|adl|oss|obs|b2|r2)"
_USERS = [
    re.compile(rf"(?P<scheme>{scheme}):/+(?P<user>{user})@(?P<host>[^/?#\s]*)", re.IGNORECASE)
    for scheme, user in (
        (r"[a-z][a-z0-9+.-]*", r"[^/?#@\s]*"),
        (_BUCKETS, r"[^/?#@\s:]*:[^?#@\s]*"),
        (r"[a-z][a-z0-9+.-]*", r"[^/?#@\s:\[]*:(?!\d{1,5}(?:[/?#]|$))[^?#@\s]*"),
    )
]
_CONTAINER = re.compile(r"abfss?|wasbs?", re.IGNORECASE)
_AZURE = re.compile(r"[\w-]+\.(dfs|blob)\.[\w.]+", re.IGNORECASE)
_PARAMETER = re.compile(r"(?<=[?&;#])(?P<name>[^=?&;#\s]*)(?P<value>=[^?&;#\s]*)?")
_SECRET_NAME = re.compile(
    r"(?:.*(?:key|token|signature|secret|password|passwd|passphrase|credentials?|authorization|bearer)"
    r"|(?:.*[^a-z])?(?:key|sig|pwd|pass|auth|jwt|sas|sv|session|code|ticket))(?:[^a-z].*)?",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
TABLES = ("delta:", "iceberg:")
"""How addresses of tables of a lake begin; what is behind may be a path."""
_LONG = 16
"""A parameter of so many characters without a name is taken for a secret."""


def refuse_secret(text: str, where: str = "") -> None:
    """Raise InputError, which does not repeat it, where a text holds an address with a secret.

    Args:
        where: what the text is, for the message.
    """
    if any(without_secrets(form) != form for form in (text, unquote(text))):
        raise InputError(f"{where}: {SECRET}" if where else SECRET)


def without_secrets(text: str) -> str:
    """Return a text with *** in place of what may be secret in its addresses."""
    if ":/" not in text:
        return text
    hidden = text
    for pattern in _USERS:
        hidden = pattern.sub(_without_user, hidden)
    start = hidden.index(":/")
    return hidden[:start] + _PARAMETER.sub(_without_value, hidden[start:])


def _without_user(match: re.Match[str]) -> str:
    # delta:/triples@12, delta:s3://bucket@12: a version is no host
    if match["host"].isdigit() and ":" not in match["user"]:
        before = match.string[: match.start("user")].rstrip("/")
        if before.startswith(TABLES):
            return match[0]
    # a container of Azure's stores is no user: abfs://container@account.dfs.core.windows.net
    container = _CONTAINER.fullmatch(match["scheme"]) and _AZURE.fullmatch(match["host"]) and ":" not in match["user"]
    return match[0] if container else f"{match['scheme']}://***@{match['host']}"


def _without_value(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    if value is None:
        return "***" if len(name) >= _LONG else match[0]
    spelled = _CAMEL.sub("_", name)
    return f"{name}=***" if len(value) > 1 and _SECRET_NAME.fullmatch(spelled) else match[0]


def refuse_secrets(values: Any, where: str) -> None:
    """Raise InputError for the first address with a secret in settings, however deep; names its key."""
    for key, text in _strings(values, ""):
        refuse_secret(text, f"{where}: {key}" if key else where)


def _strings(values: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, str):
        yield key, values
        return
    items = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list | tuple) else ()
    )
    for name, value in items:
        yield from _strings(name, key)  # a name that is an address
        yield from _strings(value, f"{key}.{name}".lstrip("."))


def is_url(address: str) -> bool:
    """Return whether an address names a filesystem (`s3://...`) and is no path of this machine."""
    return "://" in address


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8: names of files may be any bytes, which come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def expanded(address: str) -> str:
    """Return an address with the home folder in place of `~` at its beginning."""
    kind = prefix_of(address)
    rest = address.removeprefix(kind)
    return f"{kind}{os.path.expanduser(rest)}" if rest.startswith("~") else address


def prefix_of(address: str) -> str:
    """Return `delta:` or `iceberg:` where an address is that of a table, else nothing."""
    return next((kind for kind in TABLES if address.startswith(kind)), "")


def beside(address: str, folder: str) -> str:
    """Return an address as one that stands in a file of `folder`: a relative path begins there."""
    address = expanded(address)
    if address.startswith(TABLES[0]):
        return TABLES[0] + beside(address.removeprefix(TABLES[0]), folder)
    if address.startswith(TABLES[1]):  # the name of a catalog is no path
        return address
    return address if is_url(address) or "::" in address or address in ("", "-") else os.path.join(folder, address)
