"""The real services that runs are tested with: Dask schedulers and workers by their command line, and an S3 server."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lakes import VectorLake

REPOSITORY = Path(__file__).parents[2]


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(*arguments: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the environment's Python in a folder, its output in FOLDER/log, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stdout=log, stderr=log,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        )  # fmt: skip
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def wait_for_port(port: int, running: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert running.poll() is None, "it ended before it listened"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, **environment: str) -> Iterator[str]:
    """`dask scheduler` and `dask worker` processes, each in a folder of its own; gives the scheduler's address."""
    port = free_port()
    protocol = "tls" if "DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in environment else "tcp"
    address = f"{protocol}://127.0.0.1:{port}"
    scheduler = (
        "-m",
        "dask",
        "scheduler",
        "--protocol",
        protocol,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    )
    worker = (
        "-m",
        "dask",
        "worker",
        address,
        "--host",
        "127.0.0.1",
        "--nthreads",
        "1",
        "--memory-limit",
        "0",
        "--no-dashboard",
    )
    with process(*scheduler, folder=folder / "scheduler", **environment) as running:
        wait_for_port(port, running)
        with process(*worker, "--nworkers", str(workers), folder=folder / "workers", **environment):
            yield address


def certificates(folder: Path) -> dict[str, str]:
    """An authority and a certificate for 127.0.0.1, as the environment that Dask reads them from."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def written(name: str, data: bytes) -> str:
        (folder / name).write_bytes(data)
        return str(folder / name)

    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "node")}
    names = {name: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"eci test {name}")]) for name in keys}
    made = {}
    for name, authority in (("ca", True), ("node", False)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
        )
        made[name] = builder.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    key = keys["node"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths = {"CA_FILE": written("ca.pem", made["ca"])}
    for part in ("SCHEDULER", "WORKER", "CLIENT"):
        paths |= {f"{part}__CERT": written("node.pem", made["node"]), f"{part}__KEY": written("node.key", key)}
    settings = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": path for name, path in paths.items()}
    return settings | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


KEY, SECRET = "ECITESTKEY0123456789", "eci+test/secret+0123456789abcdefghijklmn"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """An S3-compatible server on the loopback interface with an empty bucket; gives the environment that reaches it."""
    port = free_port()
    with process("-m", "moto.server", "-H", "127.0.0.1", "-p", str(port), folder=folder) as running:
        wait_for_port(port, running)
        address = f"http://127.0.0.1:{port}"
        put = urllib.request.Request(f"{address}/bucket", method="PUT")
        urllib.request.urlopen(put).close()
        yield CREDENTIALS | {"AWS_ENDPOINT_URL": address}


SMALL = Path(__file__).parent / "small.toml"


def arguments(lake: VectorLake, out: str, settings: Path = SMALL) -> list[str]:
    """The command line of a run over a small lake, all its paths absolute or URLs."""
    return ["run", str(settings), "--triples", str(lake.triples), "--vectors", str(lake.vectors), "--out", out,
            "--memory", "4GB", "--quiet", "--json"]  # fmt: skip
