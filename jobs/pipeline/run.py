"""The main job: from a validated configuration to a committed run.

Prepares (reads no row), takes the output root, runs the stages, commits. What the stages are is in `stages`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime

from jobs.config import RunConfig
from jobs.errors import DamagedError, EciError, HeldError, InputError, notice, reason_of
from jobs.finished.lineage import Lineage
from jobs.finished.metrics import write_metrics
from jobs.finished.result import RunResult, result_of
from jobs.ingest.digests import first_changed
from jobs.ingest.judgements import JUDGED
from jobs.ingest.pinning import pinned
from jobs.output import layout
from jobs.output.commit import finish, seen
from jobs.output.lock import holding
from jobs.output.root import claim
from jobs.output.runs import free_run_id, newest, read_manifest
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.output.verified import check as check_files
from jobs.pipeline.conclusion import conclude
from jobs.pipeline.encoder import job_for
from jobs.pipeline.here import runner_for
from jobs.pipeline.kept import let_go, take_back
from jobs.pipeline.losses import stands_with
from jobs.pipeline.main_guard import leave_if_imported
from jobs.pipeline.prepare import Prepared, prepare
from jobs.pipeline.repair import repair
from jobs.pipeline.stages import Stages
from jobs.pipeline.status import Recorded
from jobs.publishing.publish import publish, why_not
from jobs.terminal.progress import Progress, Silent
from jobs.work.job import Job


def run(config: RunConfig, progress: Progress | None = None, log: Callable[[str], None] | None = None) -> RunResult:
    """Score everything that the configuration names and commit the result.

    Args:
        config: validated settings.
        progress: told of stages and rows while the run goes on.
        log: called with one line of JSON for every finished task.

    Raises:
        InputError: something about the input or the settings is wrong; nothing was published.
        HeldError: another run holds the output root.
        EciError: a stage failed; a rerun goes on from the finished tasks.
    """
    leave_if_imported()
    store = Store(config.out)
    fresh = not store.exists("")
    lineage = Lineage(config)
    with lineage.ending():
        config = pinned(config)
        prepared = prepare(config)
        lineage.start(({**asdict(file), "digest": ""} for file in prepared.files), prepared.tables)  # type: ignore[typeddict-item]
        claim(store, config.adopt)
        result = _held(config, prepared, store, fresh, progress or Silent(), log)
    return _told(config, store, result, lineage)


def _told(config: RunConfig, store: Store, result: RunResult, lineage: Lineage) -> RunResult:
    """Publish a run, and tell monitors of it; it is committed whatever becomes of that, which is in the result."""
    if config.publish:
        try:
            done = publish(config.out, config.publish, result.run_id, config.publish_scores)
            result = replace(result, published=done.appended)
        except EciError as error:
            result = replace(result, not_published=why_not(error, config.out, result.run_id, config.publish))
    if config.metrics:
        failed = bool(result.not_published) if config.publish else None
        write_metrics(config.metrics, read_manifest(store, result.run_id), result.unchanged, failed)
    if config.lineage:
        lineage.complete(read_manifest(store, result.run_id), result.unchanged, result.published)
    return result


def _held(
    config: RunConfig,
    prepared: Prepared,
    store: Store,
    fresh: bool,
    progress: Progress,
    log: Callable[[str], None] | None,
) -> RunResult:
    with holding(store) as check:
        try:
            return _run(config, prepared, store, check, progress, log)
        except HeldError:
            raise
        except InputError:
            # nothing is left of a root that was made for this run alone
            if fresh and not store.names(layout.RUNS) and not store.exists(layout.REFUSED):
                store.remove("")
            raise


def _run(
    config: RunConfig,
    prepared: Prepared,
    store: Store,
    check: Callable[[], None],
    progress: Progress,
    log: Callable[[str], None] | None,
) -> RunResult:
    key = work_key(prepared)
    finished = repair(store)
    before = seen(store)
    standing = _standing(store, key, finished)
    if standing is not None:
        if standing.losses and not config.allow_rejects:
            raise stands_with(standing.losses, standing.run_id)
        return standing
    job = _job(config, prepared, store, key)
    progress = Recorded(progress, store, job.work, log)
    runner = runner_for(config, job.threads, progress, prepared.files)
    try:
        with runner:
            ran = Stages(config, prepared, job, runner).run()
        conclude(ran, config, key)
        check()
        finish(store, job.run_id, before)
        let_go(store, runner.resumed.kept)
        store.remove(job.work)
        store.remove(layout.REFUSED)
    except (HeldError, DamagedError):
        raise
    except InputError:
        # what the input or the settings did wrong leaves nothing behind
        take_back(store, runner.resumed.made)
        store.remove(job.work)
        store.remove(job.publish)
        raise
    return result_of(store, job.run_id)


def work_key(prepared: Prepared) -> str:
    """Return the hash of everything that a run's result depends on, 16 hex digits."""
    return hashlib.sha256(json.dumps(prepared.identity, sort_keys=True).encode()).hexdigest()[:16]


def _standing(store: Store, key: str, finished: set[str]) -> RunResult | None:
    """Return the newest committed run if it is over just the same inputs, settings and versions, and whole: nothing is new then.

    `finished`: runs whose commit this start has finished; such a one is this command's own result.
    """
    run_id = newest(store)
    if run_id is None or (manifest := read_manifest(store, run_id)).get("work_key") != key:
        return None
    why = None
    try:
        result = result_of(store, run_id)
        check_files(store, layout.run_folder(run_id), manifest["files"])
    except DamagedError as error:
        why = str(error)
    fingerprint = manifest["encoder"]["fingerprint"]
    if (path := first_changed(f for f in manifest["inputs"] if f["what"] != JUDGED)) is not None:
        why = f"{path} holds something else than that run has read, at the same size and time"
    elif not manifest["settings"].get("vectors") and not store.exists(layout.cache_of(fingerprint)):
        why = f"{store.path(layout.cache_of(fingerprint))}: its vectors are gone"
    if why is not None:
        notice(f"run {run_id} does not stand, so everything is computed again: {why}")
        return None
    if run_id in finished:
        return result
    totals = result.totals | {"texts_embedded": 0, "cache_hits": result.totals["texts"]}
    return replace(result, totals=totals, unchanged=True)


def _job(config: RunConfig, prepared: Prepared, store: Store, key: str) -> Job:
    """Return the job: the run that was begun over the same inputs and settings, or a new one."""
    folder = layout.work_folder(key)
    state = layout.state_in(folder)
    try:
        run_id = str(unsealed(store.read_text(state))["run_id"])
    except (OSError, ValueError, KeyError) as error:
        if store.names(folder):
            # files of the run that was begun may hold its id, which nothing else knows
            notice(f"{store.path(state)}: {reason_of(error)}; unfinished work of the run is begun again")
            store.remove(folder)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        run_id = free_run_id(store, f"{stamp}-{key[:6]}")
        store.write_text(state, json.dumps(sealed({"run_id": run_id, "identity": prepared.identity})))
    return job_for(config, folder, prepared.buckets, run_id, prepared.encoder)
