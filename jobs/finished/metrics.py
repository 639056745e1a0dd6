"""`--metrics`: what a night has done as gauges, in a file that a monitor of the machine reads (Prometheus' node exporter).

The text is valid as OpenMetrics and in Prometheus' older format. The file appears whole or not at all; while it is written its name
has no ending that the monitor looks for.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime

from jobs.errors import notice, reason_of
from jobs.output.records import Manifest, value_of

Labels = Mapping[str, str]
Samples = list[tuple[Labels, float]]


def write_metrics(path: str, manifest: Manifest, unchanged: bool, not_published: bool | None) -> None:
    """Write the file. A run that is committed does not fail for it: what is wrong is said in a line.

    Args:
        unchanged: whether nothing was new and the run stands.  not_published: None where it was to be published nowhere.
    """
    attempt = f"{path}.attempt-{uuid.uuid4().hex[:12]}"
    try:
        with open(attempt, "w", encoding="utf-8") as file:
            file.write(metrics_text(manifest, unchanged, not_published))
            file.flush()
            os.fsync(file.fileno())
        os.replace(attempt, path)
    except OSError as error:
        notice(f"{path}: the metrics cannot be written: {reason_of(error)}; the run is committed all the same")
        if os.path.exists(attempt):
            os.unlink(attempt)


def metrics_text(manifest: Manifest, unchanged: bool = False, not_published: bool | None = None) -> str:
    """Return a run's gauges as text."""
    lines = []
    for name, meaning, samples in _gauges(manifest, unchanged, not_published):
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {float(value)!r}" for labels, value in samples]
    return "\n".join([*lines, "# EOF", ""])


def _gauges(manifest: Manifest, unchanged: bool, not_published: bool | None) -> Iterator[tuple[str, str, Samples]]:
    totals, top = manifest["totals"], manifest.get("top")
    committed = datetime.fromisoformat(manifest["created_at"]).timestamp()
    info = {
        "run_id": manifest["run_id"],
        "encoder": manifest["encoder"]["name"],
        "top_source": top["source"] if top else "",
    }
    yield "eci_run_info", "The run: its id, encoder and first source.", [(info, 1)]
    yield "eci_run_committed_timestamp_seconds", "When the run was committed.", [({}, committed)]
    yield "eci_run_unchanged", "1 where nothing was new, so that the run stands.", [({}, float(unchanged))]
    kinds = ("rows_in", "scored", "rejected", "duplicates", "not_sampled")
    rows: Samples = [({"kind": kind}, float(value_of(totals, kind))) for kind in kinds]
    yield "eci_rows", "Input rows, and what became of them.", rows
    rejects: Samples = [({"reason": reason}, count) for reason, count in sorted(manifest["rejects"].items())]
    yield "eci_rejects", "Rejected rows and texts by reason.", rejects
    texts: Samples = [
        ({"kind": kind}, float(value_of(totals, kind))) for kind in ("texts", "texts_embedded", "cache_hits")
    ]
    yield "eci_texts", "Distinct texts, those embedded by the run, those whose vectors were there.", texts
    stages: Samples = [({"stage": name}, times["seconds"]) for name, times in manifest["stages"].items()]
    yield "eci_stage_seconds", "Seconds of all tasks of a stage.", stages
    if top:
        yield "eci_top_tied", "Sources that may be the first.", [({}, top["tied"])]
        for key, meaning in (
            ("gain", "Its gain in nDCG."),
            ("gain_low", "Lower end."),
            ("gain_high", "Upper end."),
            ("eci", "Its ECI."),
        ):
            if value_of(top, key) is not None:
                yield f"eci_top_{key}", f"Of the first source: {meaning}", [({}, float(value_of(top, key)))]
    if not_published is not None:
        yield "eci_not_published", "1 where the run could not be published.", [({}, float(not_published))]


def _labels(labels: Labels) -> str:
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
