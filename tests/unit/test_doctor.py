"""`eci doctor` tells what works and, where something does not, what to do."""

from __future__ import annotations

import json

import pytest

from jobs import machine
from jobs.pipeline.prepare import LEAST_SHARE
from jobs.planning import doctor


def test_a_machine_that_works_is_well(eci, tmp_path):
    found = eci("doctor", "--json", "--out", tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    findings = json.loads(found.stdout)
    assert [f["what"] for f in findings] == ["python", "packages", "encoder", "cores", "memory", "disk", "temporary"]
    assert all(f["ok"] for f in findings)
    encoder = next(f["found"] for f in findings if f["what"] == "encoder")
    assert "golden vectors met" in encoder and "384 dimensions" in encoder


def test_an_encoder_that_is_not_there_ends_with_code_3_and_advice(eci):
    found = eci("doctor", "--encoder", "minilm-l6-v2-int9")
    assert found.returncode == 3
    assert "BAD  encoder" in found.stdout and "minilm-l6-v2-int8" in found.stdout and "-> " in found.stdout
    assert "needs attention: encoder" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("shares", "ok", "advice"), [(4, True, ""), (1, True, "--workers 1"), (0.5, False, "larger machine")]
)
def test_memory_that_is_short_is_said(monkeypatch, shares, ok, advice):
    monkeypatch.setattr(doctor, "available_cores", lambda: 2)
    for module in (doctor, machine):
        monkeypatch.setattr(module, "available_memory", lambda: int(LEAST_SHARE * shares / 0.6) + 10)
    finding = doctor._memory()
    assert finding.ok is ok and advice in finding.advice


def test_a_folder_without_rights_or_room_is_said(monkeypatch, tmp_path):
    from jobs.output.store import Store

    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    assert "make room" in doctor._disk("disk", Store(str(tmp_path / "not" / "there"))).advice
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert "cannot be written" in doctor._disk("disk", Store(str(tmp_path))).found
