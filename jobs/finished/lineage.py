"""`--lineage`: what a run reads and writes, told as OpenLineage events when it starts, is complete, fails or is stopped.

The events are the field's, made and sent by its client (openlineage-python), to a file of JSON lines or an endpoint. Credentials come
from the environment (OPENLINEAGE_API_KEY), and addresses hold none. A run is not held up by an event that cannot be told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from jobs.addresses import without_secrets
from jobs.config import FILES, INPUT_FILES, RunConfig
from jobs.errors import notice, reason_of
from jobs.finished.datasets import Dataset, inputs_of, outputs_of, published_of
from jobs.lakes.extra import library
from jobs.output.records import InputFile, Manifest, TableUsed, value_of

EXTRA = "lineage"
SECONDS = 5.0
"""How long an endpoint is waited for, and once more."""
TOTALS = ("rows_in", "scored", "rejected", "duplicates", "not_sampled", "texts", "texts_embedded")


class Lineage:
    """The events of one run. Without an address it tells nothing, and loads nothing.

    Raises:
        InputError: the client is not installed.
    """

    def __init__(self, config: RunConfig) -> None:
        self._where, self._out, self._to = config.lineage, config.out, config.publish
        self._given = {path for name in FILES for path in getattr(config, name)}
        for item in config.inputs:
            self._given |= {path for name in INPUT_FILES for path in getattr(item, name) or ()}
        self._inputs: list[Dataset] = []
        self._silent = False
        if self._where:
            self._events = self._library("event_v2")
            self._events.set_producer(f"urn:eci-lake:{version('eci-lake')}")
            self._run_id = str(self._library("uuid").generate_new_uuid())
            self._client = self._library("client").OpenLineageClient(transport=self._transport())

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Tell of an error that ends the block."""
        try:
            yield
        except KeyboardInterrupt:
            self._tell("ABORT", self._inputs)
            raise
        except BaseException as error:
            self._tell("FAIL", self._inputs, error=without_secrets(reason_of(error)))
            raise

    def start(self, files: Iterable[InputFile], tables: Iterable[TableUsed]) -> None:
        """Tell that a run starts, and what it is going to read."""
        if self._where:
            self._inputs = inputs_of(files, tables, self._given)
            self._tell("START", self._inputs)

    def complete(self, manifest: Manifest, unchanged: bool, appended: Mapping[str, int] | None) -> None:
        """Tell that a run is committed. `appended`: rows by table that it was published to, None where it was not."""
        if not self._where:
            return
        totals = manifest["totals"]
        inputs = inputs_of(manifest["inputs"], manifest.get("tables", []), self._given, totals["rows_in"])
        outputs = outputs_of(self._out, manifest)
        if self._to:
            outputs += published_of(self._to, manifest["run_id"], appended or {})
        told = {
            "eci_run_id": manifest["run_id"],
            "encoder": manifest["encoder"]["name"],
            "unchanged": str(unchanged).lower(),
        }
        if self._to:
            told["published"] = str(appended is not None).lower()
        told |= {name: str(value_of(totals, name)) for name in TOTALS}
        self._tell("COMPLETE", inputs, outputs, told)

    def _library(self, name: str) -> Any:
        return library(f"openlineage.client.{name}", f"--lineage {self._where}", "lineage", EXTRA)

    def _transport(self) -> Any:
        if not self._where.startswith(("http://", "https://")):
            file = self._library("transport.file")
            return file.FileTransport(file.FileConfig(log_file_path=self._where, append=True))
        http, parts = self._library("transport.http"), urlsplit(self._where)
        key = os.environ.get("OPENLINEAGE_API_KEY")
        given = {
            "url": f"{parts.scheme}://{parts.netloc}",
            "timeout": SECONDS,
            "retry": {"total": 1, "connect": 1, "read": 1},
            **({"endpoint": parts.path.lstrip("/")} if parts.path.strip("/") else {}),
            **({"auth": {"type": "api_key", "apiKey": key}} if key else {}),
        }
        return http.HttpTransport(http.HttpConfig.from_dict(given))

    def _tell(
        self,
        state: str,
        inputs: Sequence[Dataset],
        outputs: Sequence[Dataset] = (),
        told: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> None:
        if not self._where:
            return
        try:
            event = self._events.RunEvent(
                eventType=self._events.RunState[state],
                eventTime=datetime.now(UTC).isoformat(),
                run=self._events.Run(self._run_id, self._facets_of_run(told or {}, error)),
                job=self._job(),
                inputs=[self._input(dataset) for dataset in inputs],
                outputs=[self._output(dataset) for dataset in outputs],
            )
            self._client.emit(event)
        except Exception as failed:  # of the client, of its transports, of the network
            if not self._silent:
                notice(f"{self._where}: lineage cannot be told: {_why(failed)}; the run does not depend on it")
            self._silent = True

    def _job(self) -> Any:
        facet = self._library("facet_v2")
        kind = facet.job_type_job.JobTypeJobFacet(processingType="BATCH", integration="ECI_LAKE", jobType="RUN")
        namespace = os.environ.get("OPENLINEAGE_NAMESPACE", "eci-lake")
        return self._events.Job(namespace, f"eci run {outputs_root(self._out)}", {"jobType": kind})

    def _facets_of_run(self, told: Mapping[str, str], error: str | None) -> dict[str, Any]:
        facet, facets = self._library("facet_v2"), {}
        facets["processing_engine"] = facet.processing_engine_run.ProcessingEngineRunFacet(
            version=version("eci-lake"), name="eci-lake"
        )
        if told:
            tag = facet.tags_run.TagsRunFacetFields
            facets["tags"] = facet.tags_run.TagsRunFacet([tag(name, value, "eci-lake") for name, value in told.items()])
        if error is not None:
            facets["errorMessage"] = facet.error_message_run.ErrorMessageRunFacet(error, "Python")
        return facets

    def _input(self, dataset: Dataset) -> Any:
        facet = self._library("facet_v2").input_statistics_input_dataset.InputStatisticsInputDatasetFacet
        counts = {"inputStatistics": facet(dataset.rows, dataset.bytes, dataset.files)}
        return self._events.InputDataset(
            dataset.namespace, dataset.name, facets=self._facets(dataset), inputFacets=counts
        )

    def _output(self, dataset: Dataset) -> Any:
        facet = self._library("facet_v2").output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        counts = {"outputStatistics": facet(dataset.rows, dataset.bytes, dataset.files)}
        return self._events.OutputDataset(
            dataset.namespace, dataset.name, facets=self._facets(dataset), outputFacets=counts
        )

    def _facets(self, dataset: Dataset) -> dict[str, Any]:
        facet, facets = self._library("facet_v2"), {}
        if dataset.version is not None:
            facets["version"] = facet.dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)
        if dataset.table is not None:
            field = facet.schema_dataset.SchemaDatasetFacetFields
            columns = [field(column.name, str(column.type), column.comment) for column in dataset.table.columns]
            facets["schema"] = facet.schema_dataset.SchemaDatasetFacet(columns)
        return facets


def outputs_root(out: str) -> str:
    """Return an output root as jobs are named by it: whole, wherever the command stands."""
    return out if "://" in out else os.path.abspath(out)


def _why(error: BaseException) -> str:
    """Return why an event could not be sent: what the system says, where it is at the bottom of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return without_secrets(reason_of(error))
