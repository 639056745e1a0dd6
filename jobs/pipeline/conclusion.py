"""The conclusion of a run, in the driver: the ranking's tables, the manifest, the report, and the commit."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from jobs.config import RunConfig
from jobs.ingest.digests import remember
from jobs.output.commit import commit
from jobs.output.records import ProbeRow
from jobs.output.run_index import top_of
from jobs.output.tables import JUDGEMENTS, SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE
from jobs.pipeline.manifest import judgements_table, make_manifest
from jobs.pipeline.stages import Ran
from jobs.ranking.hybrids import kind_and_parts, shares_named
from jobs.ranking.rank import rank_tables
from jobs.reports.page import write_report
from jobs.work.files import publish, read_unfinished
from jobs.work.summaries import MEASURED, Information, Mixture


def conclude(ran: Ran, config: RunConfig, key: str) -> None:
    """Rank the sources and commit the run. `key`: of its identity (`work_key`).

    Raises:
        EciError: the rows are not all accounted for.
    """
    job, prepared, created = ran.job, ran.prepared, datetime.now(UTC)
    found, counts = _found(ran)
    scored = [source for source in ran.sources if source in found]
    mixtures = [shares_named(_numbers(best), scored) for best in ran.done.mixture.values()]
    ranking, pairs = rank_tables(
        job, found, counts, created, prepared.encoder.label, ran.sample.share, mixtures[0] if mixtures else None
    )
    published = ran.done.published()
    published.append(publish(job, SOURCE_ECI.files, [ranking], SOURCE_ECI.schema))
    published.append(publish(job, SOURCE_PAIRS.files, [pairs], SOURCE_PAIRS.schema))
    if prepared.judgements.pairs:
        judged = judgements_table(job, prepared.judgements, ran.done)
        published.append(publish(job, JUDGEMENTS.files, [judged], JUDGEMENTS.schema))
    top = top_of(ranking.to_pylist(), _probed(ran))
    manifest = make_manifest(job, config, prepared, ran.done, published, ran.sample, key, created, top, ran.made_again)
    warning = write_report(job.store, job.publish, manifest, job.share // 2)
    if warning is not None:
        logging.getLogger("eci").warning(warning)
    commit(job.store, job.publish, job.run_id, manifest)
    remember(prepared.files, ran.done.digests())


def _probed(ran: Ran) -> list[ProbeRow]:
    """Return the rows of source_probe, none where the sources were not tried out."""
    if not ran.done.gains:
        return []
    return list(read_unfinished(ran.job, SOURCE_PROBE.files).to_pylist())


def _found(ran: Ran) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, int]]]:
    """Return the estimates and the counts of every source and hybrid that has examples."""
    rejected = ran.done.rejects["all"]["by_source"]
    near = sum((Counter(summary["near_positive"]) for summary in ran.done.score.values()), Counter[str]())
    found, counts = {}, {}
    for i, (name, parts) in enumerate([*((s, (s,)) for s in ran.sources), *ran.hybrids.items()]):
        if ran.information[i]["n_examples"]:
            kind = kind_and_parts(name, parts, ran.information, ran.sources)
            found[name] = kind | _numbers(ran.information[i])
            counts[name] = {
                "n_rejected": sum(rejected.get(part, 0) for part in parts),
                "n_near_positive": sum(near[part] for part in parts),
                "n_queries": sum(summary["queries"][i] for summary in ran.done.distinct.values()),
                "n_negatives": sum(summary["negatives"][i] for summary in ran.done.distinct.values()),
            }
    return found, counts


def _numbers(summary: Information | Mixture) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in MEASURED}
