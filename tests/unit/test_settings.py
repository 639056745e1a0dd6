"""Settings: the file that `eci init` writes, precedence, and every error at once."""

from __future__ import annotations

import os
import tomllib

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from jobs.cli import app
from jobs.commands.options import FILE_ONLY
from jobs.config import INPUT_OPTIONS, Input, RunConfig, make_config
from jobs.errors import InputError
from jobs.pipeline.prepare import NOT_IDENTITY, prepare
from jobs.pipeline.run import work_key
from jobs.settings_file import load_settings, settings_toml, write_settings

OPTIONS = [line for line in settings_toml().splitlines() if line.startswith("# ") and " = " in line]


def test_the_file_of_init_is_a_valid_configuration_with_the_defaults(tmp_path):
    write_settings(str(tmp_path / "eci.toml"))
    config = make_config(load_settings(str(tmp_path / "eci.toml")))
    assert config == RunConfig(inputs=(Input(triples=(f"{tmp_path}/lake/*.parquet",)),), out=f"{tmp_path}/OUT")


def test_the_file_of_init_names_every_option():
    text = settings_toml()
    for model in (RunConfig, Input):
        for name, field in model.model_fields.items():
            key = field.alias or name
            assert f"\n{key} = " in text or f"\n# {key} = " in text or f"[{key}]" in text
            assert str(field.description).lower() in text.lower()


@pytest.mark.parametrize("line", [line for line in OPTIONS if "= [" not in line or "hybrids" not in line])
def test_every_line_may_be_put_in_force_alone(line):
    text = settings_toml()
    if line in ('# queue = "cpu"', "# cores = 8", '# memory = "32GB"'):
        text = text.replace("# [cluster_options]", "[cluster_options]")
    if line.startswith('# "dense+llm"'):
        text = text.replace("# [hybrids]", "[hybrids]")
    make_config(tomllib.loads(text.replace(f"\n{line}\n", f"\n{line[2:]}\n", 1)))


def test_a_settings_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "eci.toml").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        write_settings(str(tmp_path / "eci.toml"))
    assert (tmp_path / "eci.toml").read_text() == "mine"


def test_all_errors_come_at_once_with_key_given_allowed_and_nearest():
    wrong = {
        "inputs": [{"triples": "x", "format": "tripels", "sorce": "a"}],
        "foldz": 3,
        "folds": 1,
        "tokenizer": "words",
        "kappa": 2,
    }
    with pytest.raises(InputError) as error:
        make_config(wrong, "nightly.toml")
    message = str(error.value)
    for part in (
        "nightly.toml: inputs.0.format: not a format; did you mean 'triples'? (allowed: auto, triples,", 
        "(given: 'tripels')",
        "inputs.0.sorce is not a setting; did you mean 'source'?", "foldz is not a setting; did you mean 'folds'?",
        "folds: must be a number, at least 2, at most 256 (given: 1)",
        "tokenizer: allowed: word, wordpiece, char3; did you mean 'word'? (given: 'words')",
        "kappa: must be a number, at least 0, at most 1 (given: 2)", "out is missing: give --out, ECI_OUT, or `out`",
    ):  # fmt: skip
        assert part in message, message


@pytest.mark.parametrize(
    ("arguments", "environment", "folds"),
    [((), {}, 4), ((), {"ECI_FOLDS": "8"}, 8), (("--folds", "16"), {"ECI_FOLDS": "8"}, 16)],
    ids=["file", "environment over file", "option over environment"],
)
def test_an_option_wins_over_the_environment_and_that_over_the_file(
    monkeypatch, tmp_path, arguments, environment, folds
):
    (tmp_path / "s.toml").write_text('out = "o"\nfolds = 4\n[[inputs]]\ntriples = "nowhere.parquet"\n')
    seen = []
    monkeypatch.setattr("jobs.config.make_config", lambda *given: seen.append(make_config(*given)) or seen[-1])
    CliRunner().invoke(app, ["plan", str(tmp_path / "s.toml"), *arguments], env=environment)
    assert seen[0].folds == folds


@pytest.mark.parametrize("command", ["run", "plan", "ingest"])
def test_every_setting_is_an_option_with_its_variable_unless_it_is_left_to_the_file(command):
    inputs, settings = set(INPUT_OPTIONS), set(RunConfig.model_fields)
    assert set(Input.model_fields) - inputs == {"corpus", "queries"}  # there these options are the run's
    assert settings >= FILE_ONLY
    options = {option.name: option for option in typer.main.get_command(app).commands[command].params}
    if command == "ingest":
        assert options.keys() == inputs | {"corpus", "queries", "skip_bad_files", "to", "json", "quiet"}
        return
    assert options.keys() - {"json", "quiet", "strict", "log_json"} == inputs | {"config"} | settings - FILE_ONLY
    for name in options.keys() - {"json", "quiet", "strict", "log_json"}:
        assert options[name].envvar == f"ECI_{name.upper()}"


def test_the_environment_reaches_the_commands_that_share_these_options():
    for command, names in {"demo": ["workers"], "select": ["memory", "out"], "ablate": ["memory", "out"],
                           "validate": ["encoder", "memory", "out", "workers"]}.items():  # fmt: skip
        given = {option.name: option.envvar for option in typer.main.get_command(app).commands[command].params}
        assert {name: variable for name, variable in given.items() if variable} == {
            n: f"ECI_{n.upper()}" for n in names
        }


IDENTITY = {"kappa": 0.25, "lam": 2.0, "tokenizer": "char3", "folds": 8, "hybrids": "a+b", "information": True,
            "until_decided": 0.9, "decide": "all", "tolerance": 0.1, "sample_queries": 5, "no_probe": True, "probe": {"steps": 5},
            "decide_by": "probe"}  # fmt: skip
ELSEWHERE = {"out": "other", "workers": 2, "memory": "8GB", "scheduler": "tcp://host:8786", "cluster": "dask.Cluster",
             "cluster_options": {"queue": "cpu"}, "strict": {"reject_rate": 0.5}, "skip_bad_files": True, "adopt": True,
             "allow_rejects": True, "publish": "delta:/lake/eci", "publish_scores": True, "metrics": "eci.prom", "lineage": "events.jsonl"}  # fmt: skip
FOUND = {"judgements", "inputs", "corpus", "queries", "vectors", "encoder", "temperature", "buckets"}


def test_every_setting_is_in_the_identity_of_a_run_or_named_as_no_part_of_it():
    assert ELSEWHERE.keys() | FOUND == NOT_IDENTITY
    assert set(RunConfig.model_fields) == IDENTITY.keys() | NOT_IDENTITY, "does a result depend on the new setting?"


def test_what_a_result_depends_on_makes_another_run_and_nothing_else_does(tmp_path):
    lines = [f'{{"query": "q{i}", "positive": "p{i}", "negative": "n{i}", "source": "a"}}' for i in range(3)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    given = {"inputs": [{"triples": f"{tmp_path}/t.jsonl"}], "out": "o", "workers": 1, "memory": "4GB"}

    def key(**other):
        return work_key(prepare(make_config(given | other)))

    for name, value in {**IDENTITY, "temperature": 0.5, "buckets": 16}.items():
        beside = {"until_decided": 0.9} if name == "decide_by" else {}
        assert key(**beside, **{name: value}) != key(**beside), name
    for name, value in ELSEWHERE.items():
        assert key(**{name: value}) == key(), name


def test_a_file_that_can_be_opened_now_makes_another_run(tmp_path):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pl.DataFrame({"query": ["q"], "positive": ["p"], "negative": ["n"], "source": ["a"]}).write_parquet(good)
    inputs = [{"triples": str(bad), "format": "triples"}]
    config = make_config({"inputs": inputs, "out": "o", "skip_bad_files": True})
    keys = []
    for content in (bytes(good.stat().st_size), good.read_bytes()):
        bad.write_bytes(content)
        os.utime(bad, (0, 0))
        keys.append(work_key(prepare(config)))
    assert keys[0] != keys[1]


def test_init_and_the_way_for_a_newcomer(eci, tmp_path):
    start = eci()
    assert start.returncode == 0 and "eci demo --out demo-out" in start.stdout
    assert eci("init", "nightly.toml").returncode == 0
    assert (tmp_path / "nightly.toml").read_text(encoding="utf-8") == settings_toml()
    again = eci("init", "nightly.toml")
    assert again.returncode == 2 and "is there already" in again.stderr and "Traceback" not in again.stderr
