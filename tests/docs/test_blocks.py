"""Python blocks of the READMEs compile and use names that exist; settings blocks are valid settings."""

from __future__ import annotations

import ast
import tomllib

import pytest

import jobs
from jobs.config import make_config
from tests.docs.readme import blocks


@pytest.mark.parametrize("source", blocks("python"))
def test_a_python_block_compiles_and_names_what_there_is(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "jobs":
            assert node.attr in dir(jobs)


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_settings_block_is_valid(text):
    values = tomllib.loads(text)
    if "max_tokens" in values or "model" in values:
        pytest.skip("an encoder's card, not settings")
    make_config({"out": "OUT", "inputs": [{"triples": "lake/*.parquet"}]} | values)
