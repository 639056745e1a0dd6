"""`eci sql` reads the tables of OUT and nothing else, and changes nothing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from subprocess import PIPE

import psutil
import pytest

from jobs.errors import InputError
from jobs.output.catalog import write_catalog
from jobs.output.query import query
from jobs.output.runs import committed, latest, read_manifest
from jobs.output.store import Store
from tests.hostile import SCRIPT, hostile_out

pytestmark = pytest.mark.attack("SQL statements")

ENDLESS = "SELECT count(*) FROM range(100000000000) a WHERE sin(a.range) > 2"


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "outside.csv"
    path.write_text("a\n1\n")
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM read_text('{out}/runs/../../../{up}')",
        "SELECT * FROM read_csv('{out}/runs/../LATEST')",
        "SELECT * FROM read_text('{out}/catalog.duckdb')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '{out}/runs/x.csv'",
        "ATTACH '{out}/catalog.duckdb'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW scores",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}/runs/x.csv'",
        "explain /* a */ (analyze, format json) -- b\n copy (SELECT 1) TO '{out}/runs/x.csv'",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
        "EXPLAIN COPY (SELECT 1) TO '{out}/runs/x.csv'",
        "EXPLAIN ANALYZE",
        "SELECT '\udcff'",
        "EXPLAIN ANALYZE SELECT 1; COPY (SELECT 1) TO '{out}/runs/x.csv'",
    ],
)
def test_what_is_not_a_look_at_the_tables_is_refused(sql, outside):
    out = hostile_out()
    with pytest.raises(InputError):
        reader = query(Store(str(out)), sql.format(outside=outside, out=out, up=str(outside).lstrip("/")))
        if reader.read_all().num_rows == 0:
            raise InputError("nothing was found")
    assert not (out / "runs" / "x.csv").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM source_eci",
        "SHOW TABLES",
        "DESCRIBE scores",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 'é', ')' -- COPY",
        "/* a */ explain (ANALYZE, FORMAT json) (SELECT 1)",
        "EXPLAIN ANALYZE (SELECT 1)",
        "SUMMARIZE idf",
        "WITH a AS (SELECT 1 AS b) FROM a",
    ],
)
def test_looks_of_every_kind_are_answered(sql):
    assert query(Store(str(hostile_out())), sql).read_all().num_rows > 0


@pytest.mark.parametrize("there", [False, True])
def test_the_process_of_a_query_cannot_write_even_where_the_statement_is_let_through(there):
    """The second wall: what is refused by its parse is run all the same, and no byte gets out."""
    out = hostile_out()
    forged = out / "runs" / "forged.csv"
    given = {"out": str(out), "sql": f"COPY (SELECT 1) TO '{forged}'", "memory": 1 << 29, "threads": 1}
    let_through = "import jobs.output.query_process as p; p.one_look = lambda *_: None; p.main()"
    if there:
        forged.write_text("as it was")
    try:
        with subprocess.Popen([sys.executable, "-c", let_through], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            process.stdin.write(json.dumps(given).encode() + b"\n")
            process.stdin.flush()  # and stays open: its end would end the process
            (said,) = json.loads(process.stderr.read())
        assert process.returncode == 2 and said.startswith("SQL: ") and "forged.csv" in said
        assert (forged.read_text() if there else forged.exists()) == ("as it was" if there else False)
    finally:
        forged.unlink(missing_ok=True)


def test_a_query_that_takes_too_long_is_ended():
    began = time.monotonic()
    with pytest.raises(InputError, match=r"not done after 0.5 s"):
        query(Store(str(hostile_out())), ENDLESS, timeout=0.5).read_all()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "sql", ["SELECT len(range(3000000000))", "SELECT list(a.range ORDER BY hash(a.range)) FROM range(100000000) a"]
)
def test_a_query_that_takes_too_much_memory_is_told_so(sql):
    with pytest.raises(InputError, match="--memory"):
        query(Store(str(hostile_out())), sql, memory=256 << 20).read_all()


def test_what_is_found_wrong_after_the_first_rows_is_told_in_one_line(eci):
    late = "SELECT CASE WHEN range > 200000 THEN CAST('a' || range AS INT) ELSE 1 END FROM range(300000)"
    done = eci("sql", late, "--format", "csv", "--out", hostile_out())
    assert done.returncode == 2 and done.stderr.startswith("eci: SQL: ") and len(done.stderr.splitlines()) == 1, done


def test_a_reader_that_is_dropped_ends_its_query():
    before = set(psutil.Process().children())
    reader = query(Store(str(hostile_out())), "SELECT range, sin(range) FROM range(100000000000)")
    started = set(psutil.Process().children()) - before
    child = next(process.pid for process in started if "query_process" in " ".join(process.cmdline()))
    del reader
    assert _ends(child)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_its_query(number):
    command = [sys.executable, "-m", "jobs.cli", "sql", ENDLESS, "--out", str(hostile_out())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as started:
        child = _child_of(started.pid)
        started.send_signal(number)
        assert started.wait(timeout=20) == 1
    assert _ends(child)


def _child_of(pid: int) -> int:
    for _ in range(600):
        children = psutil.Process(pid).children()
        if children and children[0].cpu_times().user > 1.0:  # it has begun with the query
            return children[0].pid
        time.sleep(0.1)
    raise AssertionError("no process for the query")


def test_a_query_ends_with_the_process_that_asked():
    asking = f"from jobs.output.query import query; from jobs.output.store import Store; query(Store({str(hostile_out())!r}), {ENDLESS!r})"
    with subprocess.Popen([sys.executable, "-c", asking]) as started:
        child = _child_of(started.pid)
        started.kill()
    assert _ends(child)


def _ends(child: int) -> bool:
    """Whether a process is gone within ten seconds."""
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_a_name_with_quotes_and_brackets_is_only_a_value():
    found = query(
        Store(str(hostile_out())),
        f"SELECT count(*) AS n FROM scores WHERE source = '{SCRIPT.replace(chr(39), chr(39) * 2)}'",
    )
    assert found.read_all()["n"][0].as_py() > 0


def test_the_catalog_file_opens_read_only_with_plain_duckdb():
    import duckdb

    with duckdb.connect(str(hostile_out() / "catalog.duckdb"), read_only=True) as con:
        assert con.sql("SELECT count(*) FROM source_eci WHERE kind = 'source'").fetchall() == [(5,)]
        assert con.sql("SELECT count(*) FROM runs").fetchall() == [(2,)]


@pytest.mark.parametrize("attached", [False, True])
def test_the_catalog_file_of_a_root_that_was_moved_or_copied_needs_one_set_in_a_plain_client(tmp_path, attached):
    import duckdb

    moved = tmp_path / "moved it's here"
    shutil.copytree(hostile_out(), tmp_path / "away", ignore=shutil.ignore_patterns("cache"))
    write_catalog(Store(str(tmp_path / "away")))
    (tmp_path / "away").rename(moved)
    catalog, name = str(moved / "catalog.duckdb"), "eci." if attached else ""
    with duckdb.connect() if attached else duckdb.connect(catalog, read_only=True) as con:
        if attached:
            con.execute(f"ATTACH '{catalog.replace(chr(39), chr(39) * 2)}' AS eci (READ_ONLY)")
        with pytest.raises(duckdb.IOException, match="away/runs"):
            con.sql(f"FROM {name}scores").fetchall()
        assert con.sql(f"SELECT count(*) FROM {name}runs").fetchall() == [(2,)]
        con.execute(f"SET file_search_path = '{str(moved).replace(chr(39), chr(39) * 2)}'")
        views = [row[0] for row in con.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]
        assert len(views) >= 13
        counted = {view: con.sql(f"SELECT count(*) FROM {name}{view}").fetchall()[0][0] for view in views}
    totals = [read_manifest(Store(str(moved)), run)["totals"] for run in committed(Store(str(moved)))]
    assert (counted["scores"], counted["runs"], counted["texts"]) == (totals[1]["scored"], 2, totals[1]["texts"])
    assert counted["source_eci_history"] > counted["source_eci"] > 5


def test_sql_follows_an_output_root_that_was_moved(tmp_path):
    shutil.copytree(hostile_out(), tmp_path / "moved it's here", ignore=shutil.ignore_patterns("cache"))
    moved = Store(str(tmp_path / "moved it's here"))
    row = query(moved, "SELECT DISTINCT run_id FROM source_eci").read_all()
    assert row["run_id"].to_pylist() == [latest(moved)]
