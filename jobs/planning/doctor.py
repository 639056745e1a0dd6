"""`eci doctor`: what is installed, whether the encoder works, cores, memory, disk; and what to do."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from jobs.machine import available_cores, available_memory, default_memory
from jobs.output.store import Store, disk_of

LEAST_DISK = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what, whether it is well, what was found, and what to do (empty where nothing is)."""

    what: str
    ok: bool
    found: str
    advice: str = ""


def examine(encoder: str | None = None, out: str | None = None) -> list[Finding]:
    """Look at everything that a run needs.

    Args:
        encoder: an encoder's name or folder (default: the default encoder).
        out: an output root to check for room and rights (default: the current folder).
    """
    name = encoder or _default_encoder()
    checks: list[Callable[[], Finding]] = [
        _python, _packages, lambda: _encoder(name), _cores, _memory, lambda: _disk("disk", Store("." if out is None else out)),
        lambda: _disk("temporary", Store(tempfile.gettempdir())),
    ]  # fmt: skip
    return [check() for check in checks]


def _default_encoder() -> str:
    from onnx_models.cards import DEFAULT_ENCODER

    return DEFAULT_ENCODER


def _python() -> Finding:
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    ok = sys.version_info >= (3, 11)
    return Finding("python", ok, found, "" if ok else "install Python 3.11 or newer")


def _packages() -> Finding:
    """Compare the installed versions with what the package asks for."""
    from packaging.requirements import Requirement

    wrong, found = [], []
    for text in metadata.requires("eci-lake") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{wanted} is not installed")
            continue
        found.append(f"{wanted.name} {version}")
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted} is asked for, {version} is installed")
    if wrong:
        return Finding("packages", False, "; ".join(wrong), "pip install --upgrade eci-lake")
    return Finding("packages", True, f"eci-lake {metadata.version('eci-lake')} with {', '.join(found)}")


def _encoder(name: str) -> Finding:
    from onnx_models.cards import load_card
    from onnx_models.errors import EncoderError
    from onnx_models.running.golden import check_golden, load_golden
    from onnx_models.running.session import open_encoder

    try:
        card = load_card(name)
        opened = open_encoder(card, check_golden=False)
        lowest = check_golden(card, opened.encode)
        number = len(load_golden(card))
    except EncoderError as error:
        return Finding("encoder", False, str(error), "reinstall its package, or name another with --encoder")
    golden = f"{number} golden vectors met, lowest cosine {lowest:.6f}" if number else "no golden vectors to check"
    advice = "" if number else "its vectors are not verified: add golden vectors to its card"
    return Finding("encoder", True, f"{card.name}: {card.dim} dimensions, {golden}", advice)


def _cores() -> Finding:
    cores, machine = available_cores(), os.cpu_count() or 1
    advice = "" if cores == machine else f"this process may use {cores} of {machine}: a container's or taskset's limit"
    return Finding("cores", True, f"{cores} cores: a run starts {cores} workers of one thread", advice)


def _memory() -> Finding:
    from jobs.pipeline.prepare import LEAST_SHARE

    cores, memory = available_cores(), available_memory()
    share = default_memory() // cores
    found = f"{memory / (1 << 30):.1f} GiB: {share >> 20} MiB for each of {cores} workers"
    if share >= LEAST_SHARE:
        return Finding("memory", True, found)
    fit = default_memory() // LEAST_SHARE
    if fit:
        return Finding("memory", True, found, f"a worker needs {LEAST_SHARE >> 20} MiB: run with --workers {fit}")
    return Finding("memory", False, found, f"one worker needs {LEAST_SHARE >> 20} MiB: a larger machine or container")


def _disk(what: str, store: Store) -> Finding:
    free = disk_of(store)
    if free is None:
        return Finding(what, True, f"{store.path()} is no local disk: its room is not known")
    folder = Path(store.path())
    while not folder.exists():
        folder = folder.parent
    found = f"{free / (1 << 30):.1f} GiB free in {store.path()}"
    if not os.access(folder, os.W_OK):
        return Finding(what, False, f"{folder} cannot be written", "choose another folder, or change its rights")
    if free < LEAST_DISK:
        return Finding(
            what, False, found, f"a run needs {LEAST_DISK >> 30} GiB at the least: make room, or choose another folder"
        )
    return Finding(what, True, found)
