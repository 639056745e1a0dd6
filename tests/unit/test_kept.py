"""Tasks that read are named by all that their files depend on, and by nothing that changes from night to night."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.config import make_config
from jobs.ingest.digests import UNREAD, digest_of
from jobs.pipeline import kept
from jobs.pipeline.encoder import job_for
from jobs.pipeline.kept import Naming
from jobs.pipeline.prepare import Prepared, prepare
from jobs.work.job import Job
from jobs.work.summaries import Digest

Plan = tuple[Prepared, Job, dict[str, Digest]]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two files of triples, one of them with ids, and a corpus."""
    texts = {"query": "q", "positive": "p", "negative": "n", "source": "s"}
    ids = {"query": "q", "positive_id": "1", "negative_id": "2", "source": "s"}
    corpus = [{"_id": "1", "text": "one"}, {"_id": "2", "text": "two"}]
    for name, records in (("a", [texts]), ("b", [ids]), ("corpus", corpus)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    inputs = [{"triples": str(tmp_path / "a.jsonl")}, {"triples": str(tmp_path / "b.jsonl")}]
    values = {"inputs": inputs, "corpus": str(tmp_path / "corpus.jsonl"), "out": str(tmp_path / "out")}
    config = make_config(values)
    prepared = prepare(config)
    digests = {f"{file.what} {file.path}": digest_of(file) for file in prepared.files}
    return prepared, job_for(config, "work/0123456789abcdef", 8, "a run", prepared.encoder), digests


def names(plan: Plan) -> tuple[list[str], list[str]]:
    found = Naming(plan[0], plan[1], plan[2]).prepared()
    return [item.name for item in found.texts], [item.name for item in found.inputs]


def of_job(**changed: Any) -> Callable[[Plan], Plan]:
    return lambda plan: (plan[0], replace(plan[1], **changed), plan[2])


def of_inputs(**changed: Any) -> Callable[[Plan], Plan]:
    return lambda plan: (
        replace(plan[0], inputs=tuple(replace(item, **changed) for item in plan[0].inputs)), *plan[1:]
    )  # fmt: skip


def of_options(**changed: Any) -> Callable[[Plan], Plan]:
    return lambda plan: (
        replace(plan[0], inputs=tuple(replace(i, options=replace(i.options, **changed)) for i in plan[0].inputs)),
        *plan[1:],
    )


def of_units(**changed: Any) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        inputs = tuple(replace(i, unit=replace(i.unit, **changed)) for i in plan[0].inputs if i.unit is not None)
        return replace(plan[0], inputs=inputs), plan[1], plan[2]

    return change


def of_digest(what: str, digest: str) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        held = {k: {**d, "digest": digest} if k.startswith(what) else d for k, d in plan[2].items()}
        return plan[0], plan[1], held  # type: ignore[return-value]

    return change


@pytest.mark.parametrize(
    "change",
    [of_job(folds=7), of_job(buckets=16), of_inputs(format="bge"), of_options(source="mine"), of_options(title_separator="\n"),
     of_options(columns=(("query", "q"),)), of_options(positives="first"), of_options(corpus=()), of_units(start=1),
     of_units(stop=9), of_units(first_row=2), of_digest("triples", "sha256:00")],
)  # fmt: skip
def test_whatever_rows_depend_on_changes_the_names_of_the_tasks_that_read_them(
    plan: Plan, change: Callable[[Plan], Plan]
) -> None:
    before, after = names(plan)[1], names(change(plan))[1]
    assert not set(before) & set(after)


def test_other_texts_by_id_change_the_names_of_all_that_looks_ids_up(plan: Plan) -> None:
    before, after = names(plan), names(of_digest("passage", "sha256:00")(plan))
    assert not set(before[0]) & set(after[0]) and not set(before[1]) & set(after[1])


def test_another_version_of_what_reads_changes_all_names(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(plan)
    for name, value in (("WORK_LAYOUT", -1), ("version", lambda _: "0")):
        with monkeypatch.context() as patch:
            patch.setattr(kept, name, value)
            after = names(plan)
        assert not set(before[0] + before[1]) & set(after[0] + after[1])


@pytest.mark.parametrize(
    "change", [of_job(run_id="another run"), of_job(share=1 << 40, threads=9), of_job(tokenizer="char3", kappa=0.1)]
)
def test_what_rows_do_not_depend_on_changes_no_name(plan: Plan, change: Callable[[Plan], Plan]) -> None:
    assert names(change(plan)) == names(plan)


def test_what_nobody_knows_the_content_of_has_a_name_for_one_run(plan: Plan) -> None:
    unread = of_digest("triples", UNREAD)(plan)
    assert not set(names(unread)[1]) & set(names(of_job(run_id="another run")(unread))[1])


def test_the_same_file_twice_is_two_tasks(plan: Plan) -> None:
    twice = replace(plan[0], inputs=plan[0].inputs * 2)
    found = names((twice, *plan[1:]))[1]
    assert len(set(found)) == 4 and found[2:] == [f"{name}-1" for name in found[:2]]
