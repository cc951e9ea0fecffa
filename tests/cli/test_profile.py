"""`chrion profile`: what it measures and writes."""

import json
from pathlib import Path

import jsonschema

from chrion_api import Profile

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "profile.schema.json"


def test_every_node_on_every_device(profile_file, model):
    profile = Profile.from_json(profile_file.read_text())
    assert [device.name for device in profile.devices] == ["cpu", "emulated:0"]
    assert "emulated" in profile.device("emulated:0").key.product, "an emulation says what it is"
    assert [device.lanes for device in profile.devices] == [1, 2]
    for device in profile.devices:
        assert any(name.startswith("GRU-") for name in device.nodes)
        assert device.wholes
    assert {(move.source, move.target) for move in profile.transfers} == {("cpu", "emulated:0"), ("emulated:0", "cpu")}


def test_fits_the_schema(profile_file):
    jsonschema.validate(json.loads(profile_file.read_text()), json.loads(SCHEMA.read_text()))
