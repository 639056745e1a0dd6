"""What an object store does wrong is said with the address, sent again where that helps, and never taken for a whole file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import s3fs

from jobs.errors import EciError, InputError
from jobs.formats import FORMATS, Options
from jobs.formats.finding import expand
from jobs.formats.opening import open_input
from jobs.output.root import claim, require
from jobs.output.runs import latest
from jobs.output.store import Store

pytestmark = pytest.mark.attack("failing stores")

LINE = b'{"query": "q", "pos": ["p"], "neg": ["n"]}\n'
BODY = LINE * 200_000
ADDRESS = "s3://bucket/x.jsonl"


class _Store(BaseHTTPRequestHandler):
    """One object, /bucket/x.jsonl; `faults` says what goes wrong with the next answers that have a body."""

    faults: list[str] = []
    always = ""
    etag = "one"
    asked = 0

    def log_message(self, *_: Any) -> None: ...

    def _answer(self, code: int, body: bytes, headers: dict[str, str], promised: int | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(promised or len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _failed(self, code: int, name: str) -> None:
        body = f"<Error><Code>{name}</Code><Message>{name} it was</Message></Error>".encode()
        self._answer(code, body, {"Content-Type": "application/xml"})

    def do_HEAD(self) -> None:
        if _Store.always:
            self._failed(int(_Store.always.split()[0]), _Store.always.split()[1])
        elif self.path.split("?")[0] != "/bucket/x.jsonl":
            self._failed(404, "NoSuchKey")
        else:
            self._answer(200, BODY, {"ETag": f'"{_Store.etag}"', "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"})

    def do_GET(self) -> None:
        _Store.asked += 1
        if _Store.always:
            self._failed(int(_Store.always.split()[0]), _Store.always.split()[1])
        elif "list-type" in self.path:
            listing = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>0</KeyCount></ListBucketResult>'
            self._answer(200, listing, {"Content-Type": "application/xml"})
        else:
            self._object()

    def _object(self) -> None:
        fault = _Store.faults.pop(0) if _Store.faults else ""
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = BODY[int(first) : int(last) + 1 if last else None]
        headers = {
            "ETag": f'"{_Store.etag}"',
            "Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(BODY)}",
        }
        if self.headers.get("If-Match", f'"{_Store.etag}"') != f'"{_Store.etag}"':
            self._failed(412, "PreconditionFailed")
        elif fault == "503":
            self._failed(503, "SlowDown")
        elif fault == "reset":
            self.connection.close()
        elif fault == "cut":  # less than it says, and the connection is closed
            self._answer(206, part[:1000], headers, promised=len(part))
            self.close_connection = True
        elif fault == "short":  # less than was asked for, and it says so
            self._answer(206, part[:1000], headers)
        else:
            self._answer(206, part, headers)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Store]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {"AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S", "AWS_DEFAULT_REGION": "us-east-1",
                        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    _Store.faults, _Store.always, _Store.etag, _Store.asked = [], "", "one", 0
    s3fs.S3FileSystem.clear_instance_cache()
    yield _Store
    server.shutdown()
    server.server_close()
    s3fs.S3FileSystem.clear_instance_cache()


def rows() -> int:
    fmt = FORMATS["bge"]
    batches = [batch for unit in fmt.units(ADDRESS) for batch in fmt.read(unit, Options())]
    assert sum(len(batch.rejects) for batch in batches) == 0
    return sum(len(batch.rows) for batch in batches)


@pytest.mark.parametrize("faults", [["503", "503"], ["reset"], ["cut"], ["reset", "503", "cut"]])
def test_what_passes_is_sent_again_and_nothing_is_lost(store: type[_Store], faults: list[str]) -> None:
    store.faults = list(faults)
    assert rows() == 200_000 and store.faults == []


def test_a_body_that_is_too_short_is_no_end_of_a_file(store: type[_Store]) -> None:
    store.faults = ["short"] * 50
    with pytest.raises(EciError, match=r"s3://bucket/x.jsonl: ends after 1,000 of 8,600,000 bytes|does not answer"):
        rows()


def test_an_object_that_changes_while_it_is_read_is_noticed(
    store: type[_Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "default_block_size", 5 << 20)
    s3fs.S3FileSystem.clear_instance_cache()
    with open_input(ADDRESS) as file:
        assert file.read(len(LINE)) == LINE
        store.etag = "two"
        with pytest.raises(EciError, match="s3://bucket/x.jsonl: the store does not answer .read from byte"):
            while file.read(1 << 20):
                pass


@pytest.mark.parametrize("always", ["500 InternalError", "403 AccessDenied", "404 NoSuchBucket"])
def test_a_store_that_fails_is_named_with_what_was_tried(
    store: type[_Store], always: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    store.always = always
    with pytest.raises(EciError, match="s3://bucket/x.jsonl") as failed:
        expand([ADDRESS], "triples")
    assert "\n" not in str(failed.value)
    assert isinstance(failed.value, InputError) == always.startswith("404")


def test_a_bucket_that_is_not_there_is_named_with_its_store(
    store: type[_Store], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    store.always = "404 NoSuchBucket"
    address = os.environ["AWS_ENDPOINT_URL"]
    triples = tmp_path / "x.jsonl"
    triples.write_bytes(LINE)
    calls: list[tuple[Any, str]] = [
        (lambda: expand(["s3://nowhere/x.jsonl"], "triples"), "s3://nowhere/x.jsonl"),
        (lambda: expand(["s3://nowhere/*.jsonl"], "triples"), "s3://nowhere/*.jsonl"),
        (lambda: claim(Store("s3://nowhere/out")), "s3://nowhere/out"),
        (lambda: require(Store("s3://nowhere/out")), "s3://nowhere/out"),
        (lambda: latest(Store("s3://nowhere/out")), "s3://nowhere/out"),
    ]
    for call, named in calls:
        with pytest.raises(InputError) as refused:
            call()
        assert str(refused.value).startswith(f"{named}: no bucket 'nowhere' in the store at {address}; "), refused.value
