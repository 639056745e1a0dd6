"""`--lineage`: what a run reads and writes, as events that the field's client has made, in a file and at an endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.errors import InputError
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.output.tables import SOURCE_ECI
from tests.conftest import run_lake
from tests.lakes import VectorLake

pytest.importorskip("openlineage.client")
KEY = "a-key-that-nobody-may-see"
FEW: dict[str, Any] = {"folds": 4, "buckets": 2, "no_probe": True}


class Endpoint(HTTPServer):
    """A server that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeping)
        self.kept: list[tuple[str, str | None, dict[str, Any]]] = []


class Keeping(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Endpoint)
        self.server.kept.append((self.path, self.headers.get("Authorization"), body))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def named(datasets: list[dict[str, Any]], facets: str) -> dict[tuple[str, str], tuple[str | None, dict[str, Any]]]:
    """Return datasets by namespace and name: the version, and the counts."""
    found = {}
    for one in datasets:
        counts = next(iter(one[facets].values()))
        version = one["facets"].get("version", {}).get("datasetVersion")
        found[one["namespace"], one["name"]] = version, {k: v for k, v in counts.items() if not k.startswith("_")}
    return found


def test_a_run_tells_what_it_read_and_wrote_with_versions_and_rows(small_lake: VectorLake, tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    rows = pl.read_parquet(small_lake.triples)
    rows.head(300).write_delta(str(tmp_path / "mined"))
    rows.tail(len(rows) - 300).write_delta(str(tmp_path / "mined"), mode="append")
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    given: dict[str, Any] = {"vectors": str(small_lake.vectors), "lineage": str(events), **FEW}
    made = run_lake(out, f"delta:{tmp_path / 'mined'}", publish=f"delta:{tmp_path / 'tables'}", **given)
    start, complete = told(events)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert complete["job"]["namespace"] == "eci-lake" and complete["job"]["name"] == f"eci run {out}"
    manifest = read_manifest(Store(str(out)), made.run_id)
    digest = next(file["digest"] for file in manifest["inputs"] if file["what"] == "vectors")
    sizes = {what: sum(f["size"] for f in manifest["inputs"] if f["what"] == what) for what in ("triples", "vectors")}
    mined, vectors = ("file", str(tmp_path / "mined")), ("file", str(small_lake.vectors))
    assert named(start["inputs"], "inputFacets") == {
        mined: ("1", {"size": sizes["triples"], "fileCount": 2}),
        vectors: (None, {"size": sizes["vectors"], "fileCount": 1}),
    }
    assert named(complete["inputs"], "inputFacets") == {
        mined: ("1", {"rowCount": 600, "size": sizes["triples"], "fileCount": 2}),
        vectors: (digest, {"size": sizes["vectors"], "fileCount": 1}),
    }
    wrote = named(complete["outputs"], "outputFacets")
    assert wrote["file", f"{out}/scores"][0] == made.run_id
    assert wrote["file", f"{out}/scores"][1]["rowCount"] == 600
    assert wrote["file", f"{tmp_path}/tables/source_eci"] == (None, {"rowCount": len(made.ranking)})
    columns = next(one for one in complete["outputs"] if one["name"] == f"{out}/source_eci")["facets"]["schema"][
        "fields"
    ]
    assert {one["name"]: one["description"] for one in columns} == {c.name: c.comment for c in SOURCE_ECI.columns}
    tags = {tag["key"]: tag["value"] for tag in complete["run"]["facets"]["tags"]["tags"]}
    assert tags["eci_run_id"] == made.run_id and tags["rows_in"] == "600" and tags["published"] == "true"
    # the same command again is a run of lineage of its own, and changes nothing
    again = run_lake(out, f"delta:{tmp_path / 'mined'}", publish=f"delta:{tmp_path / 'tables'}", **given)
    assert again.unchanged
    last = told(events)[-1]
    assert last["eventType"] == "COMPLETE" and last["run"]["runId"] != complete["run"]["runId"]
    assert {"key": "unchanged", "value": "true", "source": "eci-lake"} in last["run"]["facets"]["tags"]["tags"]


def test_files_of_a_glob_are_their_folder_every_night(small_lake: VectorLake, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    rows = pl.read_parquet(small_lake.triples)
    rows.head(300).write_parquet(lake / "a.parquet")
    versions = []
    for night in ("a", "b"):
        rows.tail(300).write_parquet(lake / f"{night}.parquet")
        events = tmp_path / f"{night}.jsonl"
        run_lake(tmp_path / "out", str(lake / "*.parquet"), vectors=str(small_lake.vectors), lineage=str(events), **FEW)
        inputs = named(told(events)[-1]["inputs"], "inputFacets")
        version, counts = inputs["file", str(lake)]
        versions.append(version)
        assert counts["fileCount"] == len(versions)
    assert versions[0] != versions[1]


def test_a_run_that_fails_tells_why(small_lake: VectorLake, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    with pytest.raises(InputError) as failed:
        run_lake(tmp_path / "out", str(tmp_path / "nothing.parquet"), lineage=str(events), **FEW)
    (event,) = told(events)
    assert event["eventType"] == "FAIL" and event["run"]["facets"]["errorMessage"]["message"] == str(failed.value)
    bad = pl.DataFrame({"query": ["q"], "positive": ["p"], "negative": [""], "source": ["s"]})
    bad.write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError):
        run_lake(
            tmp_path / "out", str(tmp_path / "bad.parquet"), vectors=str(small_lake.vectors), lineage=str(events), **FEW
        )
    assert [one["eventType"] for one in told(events)[1:]] == ["START", "FAIL"]


def test_an_endpoint_gets_the_events_with_the_key_of_the_environment_and_none_holds_it(
    small_lake: VectorLake, endpoint: Endpoint, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    where = f"http://127.0.0.1:{endpoint.server_port}"
    environment = {"OPENLINEAGE_API_KEY": KEY, "OPENLINEAGE_NAMESPACE": "nightly"}
    command = small_lake.command("--no-probe", "--lineage")
    done = eci(*command, where, **environment)
    assert done.returncode == 0, done.stderr
    assert [(path, key, body["eventType"]) for path, key, body in endpoint.kept] == [
        ("/api/v1/lineage", f"Bearer {KEY}", "START"), ("/api/v1/lineage", f"Bearer {KEY}", "COMPLETE"),
    ]  # fmt: skip
    assert KEY not in json.dumps([body for _, _, body in endpoint.kept]) + done.stdout + done.stderr
    assert endpoint.kept[0][2]["job"]["namespace"] == "nightly"
    eci(*command, f"{where}/other/place", **environment)
    assert {path for path, _, _ in endpoint.kept[2:]} == {"/other/place"}


def test_a_run_is_committed_whatever_becomes_of_its_events(
    small_lake: VectorLake, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    command = small_lake.command("--no-probe", "--lineage")
    for where, why in (
        ("http://127.0.0.1:9", "Connection refused"),
        ("no/such/folder/x.jsonl", "No such file or directory"),
    ):
        done = eci(*command, where)
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if "lineage" in line]
        assert lines == [f"{where}: lineage cannot be told: {why}; the run does not depend on it"], done.stderr
    assert (tmp_path / "out" / "LATEST").exists()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("s3://bucket/events", "give a file, or the http(s) URL of an endpoint"),
        ("https://user:SECRET@lineage:5000", "credentials from the environment"),
        ("https://lineage:5000?api_key=SECRET", "credentials from the environment"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(
    where: str, said: str, small_lake: VectorLake, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    refused = eci(*small_lake.command("--lineage", where))
    assert refused.returncode == 2 and said in refused.stderr and "SECRET" not in refused.stderr
    assert not (tmp_path / "out").exists()
