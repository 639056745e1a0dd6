"""Where everything lies below the output root: the one place that has these paths. They are relative to it, with `/`.

.eci-root                                 says that this folder is an output root (root.py)
LATEST, catalog.duckdb                    which run is the newest, and SQL over the tables
index.html                                all runs, for people (run_index.py)
runs/RUN_ID/                              a committed run: manifest.json, report.html, its tables (tables.py), and published/
                                          (where `eci publish --to` brought it)
ablations/RUN_ID.parquet                  what `eci ablate` found of a run
ablation-encoders/FINGERPRINT/            its runs with other encoders: each a root of its own
cache/embeddings/FINGERPRINT/bucket=BBB/  vectors of an encoder, never read by users
cache/inputs/STAGE/                       what the newest run has read of its input files, by their content
validation/                               what `eci validate` measured
lake/                                     triples that `eci demo` and `eci validate` have made
refused.parquet                           what was rejected of the run that was stopped last for it
work/KEY/                                 an unfinished run: run.json, status.json, publish/, and the work files
work/LOCK                                 who holds the root
"""

from __future__ import annotations

import re

MARKER = ".eci-root"
"""The file that makes a folder an output root (root.py)."""
LATEST = "LATEST"
CATALOG = "catalog.duckdb"
INDEX = "index.html"
RUNS = "runs"
ABLATIONS = "ablations"
ABLATION_ENCODERS = "ablation-encoders"
ABLATION_ENCODERS_BEFORE = "ablations/encoders"
"""Where older versions have these roots: among the files of a table, so that no reader could open the folder."""
CACHE = "cache/embeddings"
READ = "cache/inputs"
VALIDATION = "validation"
VALIDATED = "validation/validation.json"
VALIDATED_KEYS = ("run_id", "collection", "settings", "split", "choices", "totals", "seconds")
VALIDATION_LAKE = "lake/validation"
DEMO_LAKE = "lake"
REFUSED = "refused.parquet"
"""Rejects of a run that a source has lost most of its rows in; gone with the next run that is committed."""
WORK = "work"
LOCK = "work/LOCK"
TEXTS_TO_EMBED = "eci-texts"
"""The work folder's name of texts that are embedded outside a run."""

FILES_BESIDE = "eci-files"
"""The work folder's name of files that are scored beside the runs."""

REJECTS = "rejects/part-000.parquet"

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}(-\d+)?")
WORK_NAME = re.compile(r"[0-9a-f]{16}|" + TEXTS_TO_EMBED + "|" + FILES_BESIDE)
BUCKET = re.compile(r"bucket=\d{3}")
LAKE_FILE = re.compile(r"\d{3}\.parquet")
SCORES_FILE = re.compile(r"scores/fold[-=](?P<fold>\d+)[-/]part-(?P<part>\d+)\.parquet")
ATTEMPT_FILE = re.compile(r"\.attempt-[0-9a-f]{12}-.+")
CACHE_FILE = re.compile(CACHE + r"/[^/]+/bucket=\d{3}/[0-9a-f]{32}\.parquet")
READ_FILE = re.compile(r"(?P<task>[0-9a-f]{32}(-\d+)?)(\.[a-z]+)?\.(arrow|json)")
"""What the names look like of what eci makes and may remove: nothing else is ever removed."""

OWN = (LATEST, CATALOG, INDEX, RUNS, WORK, ABLATIONS, ABLATION_ENCODERS, VALIDATION, REFUSED)
"""Names at the top of a root that others cannot have there as well."""


def run_folder(run_id: str) -> str:
    """Return the folder of a committed run."""
    return f"{RUNS}/{run_id}"


def manifest_in(folder: str) -> str:
    """Return the manifest in a run's folder; a run is committed where it is there."""
    return f"{folder}/manifest.json"


def report_in(folder: str) -> str:
    """Return the report in a run's folder."""
    return f"{folder}/report.html"


def scores_part(fold: str, part: int) -> str:
    """Return the scores of a part of a fold (its name), in a run's folder."""
    # no folder named `fold=...`: readers would take it for a column, of another type than the file's
    return f"scores/fold-{fold}-part-{part:03d}.parquet"


def scores_place(path: str) -> tuple[str, int]:
    """Return the fold (its name) and the part that a file of `scores_part`, or of a run of layout 1, holds."""
    found = SCORES_FILE.fullmatch(path)
    if found is None:
        raise ValueError(f"{path}: not a file of scores")
    return found["fold"], int(found["part"])


def texts_bucket(bucket: str) -> str:
    """Return the texts of a bucket (its name), in a run's folder."""
    return f"texts/bucket-{bucket}.parquet"


def ablations_of(run_id: str) -> str:
    """Return the table of ablations of a run."""
    return f"{ABLATIONS}/{run_id}.parquet"


def cache_of(fingerprint: str, bucket: int | None = None) -> str:
    """Return the folder of an encoder's vectors, or of one bucket of them."""
    folder = f"{CACHE}/{fingerprint}"
    return folder if bucket is None else f"{folder}/bucket={bucket:03d}"


def work_folder(key: str) -> str:
    """Return the folder of an unfinished run, by the hash of its identity."""
    return f"{WORK}/{key}"


def state_in(folder: str) -> str:
    """Return the file that says which run a work folder belongs to."""
    return f"{folder}/run.json"


def status_in(folder: str) -> str:
    """Return the file that says how far an unfinished run is."""
    return f"{folder}/status.json"


def publish_in(folder: str) -> str:
    """Return the folder of a work folder whose files become a run."""
    return f"{folder}/publish"
