"""`import jobs`: the documented example runs, prints nothing, and is quick to import."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import pytest

import jobs
from tests.lakes import vector_lake


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = vector_lake(tmp_path / "lake", dim=8, triples=800, sources=3)
    (tmp_path / "vectors.parquet").write_bytes(found.vectors.read_bytes())
    found.vectors.unlink()
    return found


def test_the_example_of_the_package_runs_and_prints_nothing(lake, capfd, monkeypatch):
    defaults = {"vectors": ["vectors.parquet"], "workers": 2, "memory": "4GB", "folds": 8}
    config = jobs.RunConfig
    scope = {}
    for example in doctest.DocTestParser().get_examples(jobs.__doc__):
        source = example.source.replace('out="OUT")', 'out="OUT", **defaults)')
        exec(compile(source, "jobs/__init__.py", "exec"), scope | {"defaults": defaults}, scope)
    assert isinstance(scope["config"], config) and isinstance(scope["result"], jobs.RunResult)
    assert jobs.rank("OUT").ranking == scope["result"].ranking
    assert capfd.readouterr().out == ""


def test_public_names_are_these_and_all_can_be_had():
    assert dir(jobs) == [
        "EciError",
        "Input",
        "InputError",
        "RunConfig",
        "RunResult",
        "mix",
        "rank",
        "report",
        "run",
        "select",
    ]
    assert all(callable(getattr(jobs, name)) for name in dir(jobs))


def test_modules_do_not_hide_the_functions_of_the_same_name():
    for name in ("rank", "mix", "report"):
        importlib.import_module(f"jobs.{name}")
        assert callable(getattr(jobs, name))


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="no attribute 'rnak'; it has "):
        _ = jobs.rnak


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'numpy', 'polars', 'duckdb', 'pyarrow', 'dask', 'pydantic'}"
    code = f"import jobs, sys; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
