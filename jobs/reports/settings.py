"""What a run depended on: the settings that differ from their defaults, and folded all others, files, versions and stages."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from jobs.config import RunConfig
from jobs.reports.data import ReportData, made_at
from jobs.reports.html_parts import Cell, count, folded, num, section, table, text

MOST_FILES = 200
SHOWN = ("encoder", "temperature")
"""Settings that stand among those that differ in any case: a ranking holds for these."""
RESOLVED = ("temperature", "buckets")
"""Settings that the run chooses where they are not given: the manifest has what it chose."""


def defaults() -> dict[str, Any]:
    """Return the default of every setting that has one, by its name in a settings file, as a manifest writes it."""
    found: dict[str, Any] = {}
    for key, field in RunConfig.model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            found[field.alias or key] = value.model_dump() if isinstance(value, BaseModel) else value
    return found


def changed(settings: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, value, default) of the settings that differ from their default; of a table's keys those that do."""
    known = defaults()
    found = []
    for key, value in sorted(settings.items()):
        if key == "inputs" or (key in RESOLVED and key not in SHOWN):
            continue
        default = known.get(key)
        if isinstance(value, dict) and isinstance(default, dict) and default:
            found += [(f"{key}.{k}", v, default.get(k)) for k, v in sorted(value.items()) if v != default.get(k)]
        elif key in SHOWN or _plain(value) != _plain(default):
            found.append((key, value, default))
    return found


def settings_section(data: ReportData) -> str:
    """Return the section."""
    manifest = data.manifest
    differ = changed(manifest["settings"])
    names = {key for key, _, _ in differ}
    first = [[text(key), text(_plain(value)), text(_default(key, value, default))] for key, value, default in differ]
    first += [
        [text("formula_version"), text(manifest["formula_version"]), text("")],
        [text("encoder_fingerprint"), text(manifest["encoder"]["fingerprint"]), text("")],
    ]
    rest = [
        [text(key), text(_plain(value))]
        for key, value in sorted(manifest["settings"].items())
        if key != "inputs" and key not in names
    ]
    return section(
        "settings",
        "Settings and versions",
        f"Made {made_at(manifest)}. What the ranking holds for, and the settings that differ from "
        "their defaults; the others are folded.",
        table(
            "Settings that differ from their defaults",
            [(t, "") for t in ("setting", "value", "default")],
            first,
            sortable=False,
        ),
        folded(
            f"Other settings ({len(rest)})",
            table("Other settings", [("setting", ""), ("value", "")], rest, sortable=False),
        ),
        _inputs(data),
        _versions(data),
        _stages(data),
    )


def _default(key: str, value: Any, default: Any) -> str:
    if key in RESOLVED:
        return "the encoder's"
    return "the default" if _plain(value) == _plain(default) else _plain(default)


def _inputs(data: ReportData) -> str:
    files = data.manifest["inputs"]
    rows = [[text(file["path"]), text(file["what"]), count(file["size"])] for file in files[:MOST_FILES]]
    more = f", {len(files) - MOST_FILES} more not shown" if len(files) > MOST_FILES else ""
    heads = [("file", ""), ("what", ""), ("bytes", "")]
    return folded(f"Inputs ({len(files)} file{'s' * (len(files) != 1)})", table(f"Inputs{more}", heads, rows))


def _versions(data: ReportData) -> str:
    rows = [[text(package), text(version)] for package, version in sorted(data.manifest["versions"].items())]
    return folded("Versions", table("Versions", [("package", ""), ("version", "")], rows, sortable=False))


def _stages(data: ReportData) -> str:
    rows: list[list[Cell]] = [
        [text(stage), count(s["tasks"]), num(s["seconds"], 1), count(s["peak_bytes"] >> 20)]
        for stage, s in data.manifest["stages"].items()
    ]
    heads = [(title, "") for title in ("stage", "tasks", "seconds of all tasks", "peak MiB of a process")]
    return folded("Stages", table("Stages", heads, rows))


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value in ("", None) else str(value)
