"""`import jobs`: the documented example runs, prints nothing, and is quick to import."""

from __future__ import annotations

import doctest
import pkgutil
import subprocess
import sys

import pytest

import jobs
from tests.lakes import vector_lake


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = vector_lake(tmp_path / "lake", dim=8, triples=800, sources=3, queries=300)
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
        "Asked",
        "Choice",
        "EciError",
        "Input",
        "InputError",
        "RunConfig",
        "RunResult",
        "mix",
        "probe",
        "publish",
        "rank",
        "report",
        "run",
        "select",
    ]
    assert all(callable(getattr(jobs, name)) for name in dir(jobs))


def test_no_module_has_the_name_of_a_public_function():
    """Importing such a module would put it in the function's place."""
    modules = {module.name for module in pkgutil.iter_modules(jobs.__path__)}
    assert {name for name in dir(jobs) if name in modules} == set()


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="no attribute 'rnak'; it has "):
        _ = jobs.rnak


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'numpy', 'polars', 'duckdb', 'pyarrow', 'dask', 'pydantic'}"
    code = f"import jobs, sys; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_script_that_workers_cannot_import_is_told_how(lake, tmp_path):
    """Workers are processes that import the script; one without the guard would start a run in each of them."""
    (tmp_path / "script.py").write_text(
        'import jobs\njobs.run(jobs.RunConfig(inputs=[jobs.Input(triples="lake/*.parquet")], out="OUT",\n'
        '                        vectors=["vectors.parquet"], workers=1, folds=4))\n'
    )
    found = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode != 0 and not (tmp_path / "OUT" / "runs").exists()
    last = found.stderr.strip().splitlines()[-1]
    assert "call jobs.run below `if __name__ == '__main__':`" in last
