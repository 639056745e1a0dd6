"""Addresses: no secret passes any option of any command, `~` is the home folder, a settings file's paths begin at its folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import jobs
from jobs import cli
from jobs.addresses import refuse_secret, without_secrets
from jobs.commands.boundary import take_in
from jobs.commands.options import run_options
from jobs.config import Input, RunConfig, make_config
from jobs.errors import InputError
from jobs.formats.finding import expand
from jobs.output.store import Store, file_at
from jobs.settings_file import load_settings

pytestmark = pytest.mark.attack("secrets in options, settings and addresses")

MARK = "xMARKEDx0123456789"
SECRETS = [
    f"https://{MARK}@host/x.jsonl",
    f"https://user:{MARK}@host/x.jsonl",
    f"s3://{MARK}:a/b+c@bucket/x",
    f"s3://KEY:{MARK}/b+c@bucket/x",
    f"s3://KEY:9/{MARK}@bucket/x",
    f"simplecache::https://{MARK}@host/x",
    f"tls://{MARK}@host:8786",
    f"HTTPS://host/x?apikey={MARK}",
    f"https://host/x?a=1&API-Key={MARK}",
    f"https://host/x?access_token={MARK}#y",
    f"https://host/x?AWSAccessKeyId={MARK}",
    f"https://host/x?X-Amz-Signature={MARK}",
    f"https://host/x?X-Goog-Credential={MARK}",
    f"abfs://box@account.dfs.core.windows.net/x?sv=2024&sig={MARK}",
    f"https://host/x?%61pikey={MARK}",
    f"https://host/x?{MARK}",
    f"https://host/x?a=1;auth={MARK}",
    f"https://host/x#token={MARK}",
    f"abfs://{MARK}@host/x",
]
INNOCENT = [
    "lake/*.parquet", "a@b/c", "s3://bucket/a@b/c.parquet", "http://localhost:9000/x@y", "http://[::1]:9000/x@y/z",
    "abfs://box@account.dfs.core.windows.net/x", "https://host/x?download=true&design=2&keyword=a", "tcp://host:8786",
    "s3://bucket/x.parquet?versionId=3L4kqtJlcpXroDTDmpUMLUo", "memory://x", "file:///a/b?key=1".replace("?key=1", ""),
    "x?key=1", "dense=0.5,llm=0.5", "C:/x", "gs://bucket/key=1/part.parquet", "https://host/a:b/c", "zip://a::s3://b/c.zip",
]  # fmt: skip


@pytest.mark.parametrize("address", SECRETS)
def test_an_address_with_a_secret_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(InputError, match="from the environment") as refused:
        refuse_secret(address)
    assert MARK not in str(refused.value)
    if "%" not in address:
        assert MARK not in without_secrets(f"{address}: it is not there")


@pytest.mark.parametrize("address", INNOCENT)
def test_an_address_without_a_secret_passes_as_it_is(address: str) -> None:
    refuse_secret(address)
    assert without_secrets(address) == address


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Yield the words of every command, and the command."""
    waiting: list[tuple[list[str], Any]] = [([], typer.main.get_command(cli.app))]
    while waiting:
        words, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [([*words, name], inner) for name, inner in below.items()]
        if not below:
            yield words, command


def placed() -> Iterator[Any]:
    """Yield the arguments that put a value into each option and argument of each command."""
    for words, command in commands():
        for parameter in command.params:
            if getattr(parameter, "is_flag", False) or parameter.name == "help":
                continue
            option = [parameter.opts[0]] if parameter.param_type_name == "option" else []
            yield pytest.param([*words, *option], id=" ".join([*words, parameter.opts[0]]))


class _EndedError(BaseException):
    pass


def call(arguments: list[str], patch: pytest.MonkeyPatch) -> int:
    """Run the command line in this process; returns its exit code."""

    def end(code: int) -> None:
        raise _EndedError(code)

    patch.setattr(sys, "argv", ["eci", *arguments])
    patch.setattr(os, "_exit", end)
    try:
        cli.main()
    except _EndedError as ended:
        return int(ended.args[0])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("before", list(placed()))
def test_a_marked_secret_in_any_option_of_any_command_is_found_nowhere(
    before: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for address in (SECRETS[0], SECRETS[2], SECRETS[7]):
        assert call([*before, address], monkeypatch) == 2
        if before[-1:] and before[-1].startswith("--"):
            assert call([*before[:-1], f"{before[-1]}={address}"], monkeypatch) == 2
    said = "".join(capfd.readouterr()) + caplog.text
    assert MARK not in said and "from the environment" in said
    assert list(tmp_path.iterdir()) == []


def test_every_command_was_looked_at() -> None:
    names = {" ".join(words) for words, _ in commands()}
    assert {"run", "plan", "ingest", "select", "report", "gc", "sql", "doctor", "validate", "encoders add"} <= names
    assert len(list(placed())) > 150


@pytest.mark.parametrize("name", sorted(run_options()))
def test_a_secret_in_the_environment_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"ECI_{name.upper()}", SECRETS[7])
    assert call(["run"], monkeypatch) == 2
    said = "".join(capfd.readouterr())
    assert MARK not in said and f"ECI_{name.upper()}: an address holds" in said


def settings() -> Iterator[Any]:
    for name, field in RunConfig.model_fields.items():
        yield pytest.param(f'{field.alias or name} = "SECRET"\n', id=name)
    for name in Input.model_fields:
        yield pytest.param(f'[[inputs]]\n{name} = ["x", "SECRET"]\n', id=f"inputs.{name}")
    yield pytest.param('[cluster_options]\nnested = {deep = ["SECRET"]}\n', id="cluster_options")
    yield pytest.param('[hybrids]\n"SECRET" = ["a", "b"]\n', id="a name")


@pytest.mark.parametrize("line", list(settings()))
def test_a_secret_in_a_settings_file_is_refused_with_its_key(line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for secret in SECRETS:
        path.write_text(line.replace("SECRET", secret))
        with pytest.raises(InputError, match="x.toml: .*an address holds") as refused:
            load_settings(str(path))
        assert MARK not in str(refused.value)


@pytest.mark.parametrize("address", SECRETS)
def test_python_takes_no_address_with_a_secret(address: str, tmp_path: Path) -> None:
    calls: list[Any] = [
        lambda: Store(address),
        lambda: file_at(address),
        lambda: expand([address], "triples"),
        lambda: make_config({"inputs": [{"triples": address}], "out": "x"}),
        lambda: make_config({"inputs": [{"triples": "x"}], "out": "x", "scheduler": address}),
        lambda: RunConfig(inputs=(Input(triples=("x",)),), out=address),
        lambda: RunConfig(inputs=(Input(triples=(address,)),), out="x"),
        lambda: jobs.report(str(tmp_path), to=address),
        lambda: jobs.select(address, "x", "triples", jobs.Choice()),
    ]
    for tried in calls:
        with pytest.raises(ValueError if tried in calls[5:7] else InputError, match="an address holds") as refused:
            tried()
        assert MARK not in str(refused.value)


def test_sql_may_hold_any_text() -> None:
    query = f"SELECT 'https://{MARK}@host' AS x"
    assert take_in(["sql", query, "--out", "x"], {}) == ["sql", query, "--out", "x"]


def test_home_is_expanded_in_every_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    environment = {"ECI_OUT": "~/out", "ECI_TRIPLES": "~/a.jsonl x/~b ~/c", "OTHER": "~/x"}
    given = ["run", "~/s.toml", "--out=~/x", "--to", "~", "--triples=bm25=~/lake/*.parquet", "--x", "a~/b", "~/a b/~c",
             "--parts", "a=0.5,b=~0.5", "file~1"]  # fmt: skip
    assert take_in(given, environment) == [
        "run", "/home/me/s.toml", "--out=/home/me/x", "--to", "/home/me", "--triples=bm25=/home/me/lake/*.parquet", "--x",
        "a~/b", "/home/me/a b/~c", "--parts", "a=0.5,b=~0.5", "file~1",
    ]  # fmt: skip
    assert environment == {"ECI_OUT": "/home/me/out", "ECI_TRIPLES": "/home/me/a.jsonl x/~b /home/me/c", "OTHER": "~/x"}
    assert Store("~/x").path() == "/home/me/x"
    assert file_at("~/x.html")[0].path() == "/home/me"
    config = make_config({"inputs": [{"triples": "~/a", "qrels": ["~/q"]}], "out": "~/o", "corpus": "~/c"})
    assert (config.out, config.corpus, config.inputs[0].triples) == ("/home/me/o", ("/home/me/c",), ("/home/me/a",))


def test_no_folder_is_named_after_the_home_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x.jsonl").write_text('{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n')
    (tmp_path / "here" / "s.toml").write_text('out = "~/out"\n[[inputs]]\ntriples = "~/x.jsonl"\n')
    assert call(["ingest", "--triples=~/x.jsonl", "--to=~/canonical"], monkeypatch) == 0
    assert call(["plan", "s.toml"], monkeypatch) == 0, capfd.readouterr()
    assert call(["init", "~/new.toml"], monkeypatch) == 0
    assert sorted(path.name for path in (tmp_path / "home").glob("[!.]*")) == ["canonical", "new.toml", "x.jsonl"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["s.toml"]


def test_relative_paths_of_a_settings_file_begin_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    folder = tmp_path / "etc"
    (folder / "mine").mkdir(parents=True)
    (folder / "x.toml").write_text(
        'out = "OUT"\ncorpus = "c.jsonl"\nqueries = ["/abs/q", "s3://b/q"]\nvectors = "~/v"\nencoder = "mine"\n'
        'judgements = "judged.json"\n[[inputs]]\ntriples = ["../lake/*.parquet", "-"]\nqrels = "q.tsv"\n'
        'corpus = "own.jsonl"\nqueries = ["own.tsv", "/abs/own"]\n'
    )
    found = make_config(load_settings(str(folder / "x.toml")))
    assert found.out == str(folder / "OUT") and found.corpus == (str(folder / "c.jsonl"),)
    assert found.queries == ("/abs/q", "s3://b/q") and found.vectors == ("/home/me/v",)
    assert found.encoder == str(folder / "mine")
    assert found.inputs[0].triples == (str(folder / "../lake/*.parquet"), "-")
    assert found.inputs[0].qrels == (str(folder / "q.tsv"),) and found.judgements == (str(folder / "judged.json"),)
    assert found.inputs[0].corpus == (str(folder / "own.jsonl"),)
    assert found.inputs[0].queries == (str(folder / "own.tsv"), "/abs/own")
    # in the current folder nothing changes, and a name of an encoder stays a name
    (folder / "y.toml").write_text('out = "OUT"\nencoder = "minilm-l6-v2-int8"\n[[inputs]]\ntriples = "a"\n')
    monkeypatch.chdir(folder)
    found = make_config(load_settings("y.toml"))
    assert (found.out, found.encoder, found.inputs[0].triples) == ("OUT", "minilm-l6-v2-int8", ("a",))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--triples", "x", "--out", ""], ["rank", "--out", " "], ["ingest", "--triples", "x", "--to="],
        ["select", "--out", "x", "--to", ""], ["report", "--out", "x", "--to", ""], ["sql", "SELECT 1", "--out="],
        ["gc", "--out", ""], ["demo", "--out="], ["encoders", "export", "x", "--to="], ["init", ""],
        ["doctor", "--out", ""], ["status", "--out="], ["validate", "x", "--out="], ["encoders", "add", "x", "--to", ""],
    ],
)  # fmt: skip
def test_an_empty_address_to_write_to_is_an_error(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(arguments, monkeypatch) == 2
    assert "empty" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["encoders", "add"], ["encoders", "export"], ["init"]])
def test_what_can_be_written_to_this_machine_only_refuses_a_url(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call([*words, *([] if words == ["init"] else ["x", "--to"]), "s3://bucket/x"], monkeypatch) == 2
    assert "a folder of this machine" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
