"""The libraries of table formats, and others that come with an extra: loaded where a table is read or written, and named where they lack."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobs.errors import EciError, InputError, reason_of
from jobs.output.store import endpoint_of_environment


def library(name: str, address: str, what: str = "a table of a lake", extra: str = "lake") -> Any:
    """Return a module of an extra. `what`: needs it.  Raises InputError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"{address}: {what} needs the package {name.partition('.')[0]}: install 'eci-lake[{extra}]' ({reason_of(error)})"
        ) from error


@contextmanager
def reading(address: str, doing: str) -> Iterator[None]:
    """Turn what a library of tables raises into an InputError of one line. `doing`: what was tried, such as `open`."""
    try:
        yield
    except EciError:
        raise
    except Exception as error:  # both libraries have errors of many kinds
        raise InputError(f"{address}: cannot {doing}: {reason_of(error)}") from error


@contextmanager
def without_panics() -> Iterator[None]:
    """Keep what the Delta library's threads say of their own failures off the error stream where the block fails, too.

    They write it there themselves, several lines at a full disk, beside the error that they raise; without an error it is said.
    """
    try:
        stream = os.dup(2)
    except OSError:  # there is none, as where a daemon has closed it
        yield
        return
    with tempfile.TemporaryFile() as said:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(said.fileno(), 2)
        try:
            yield
            said.seek(0)
            os.write(stream, said.read())
        finally:
            os.dup2(stream, 2)
            os.close(stream)


def storage_options(address: str) -> dict[str, str]:
    """Return what the Delta library must be told of an object store beside the environment, which has the credentials."""
    endpoint = endpoint_of_environment()
    if not address.startswith(("s3://", "s3a://")) or not endpoint:
        return {}
    plain = {"AWS_ALLOW_HTTP": "true"} if endpoint.startswith("http://") else {}
    return {"AWS_ENDPOINT_URL": endpoint, **plain}
