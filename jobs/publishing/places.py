"""Where a run was published to beside the place of its own settings: a small file in the run's folder for each such place.

`eci gc --published` removes a run from all of them. The file is there before the first row is appended, and goes with the run.
"""

from __future__ import annotations

import hashlib
import json

from jobs.errors import notice, reason_of
from jobs.output.layout import run_folder
from jobs.output.records import Manifest
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store

FOLDER = "published"


def remember(store: Store, manifest: Manifest, to: str) -> None:
    """Keep a place of a run. Where the output root cannot be written to, a line says what that means. `to`: as `Published` has it."""
    if to == manifest["settings"].get("publish"):
        return
    path = f"{run_folder(manifest['run_id'])}/{FOLDER}/{hashlib.sha256(to.encode()).hexdigest()[:16]}.json"
    try:
        if not store.exists(path):
            store.write_text(path, json.dumps(sealed({"to": to})))
    except OSError as error:
        notice(f"{store.path(path)}: cannot be written ({reason_of(error)}): eci gc --published will not know of {to}")


def places_of(store: Store, manifest: Manifest) -> list[str]:
    """Return every place that a run was published to, that of its settings first; records that are damaged are said, and passed over."""
    own = manifest["settings"].get("publish")
    found = [str(own)] if own else []
    folder = f"{run_folder(manifest['run_id'])}/{FOLDER}"
    for name in store.names(folder):
        try:
            found.append(str(unsealed(store.read_text(f"{folder}/{name}"))["to"]))
        except (OSError, ValueError, KeyError) as error:
            notice(
                f"{store.path(folder)}/{name}: damaged ({reason_of(error)}): the run stays in the tables that it names"
            )
    return found
