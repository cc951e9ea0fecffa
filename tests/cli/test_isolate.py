"""`--isolate`: which models `chrion serve` and `chrion run` give a process of their own, and how these end."""

import os
import shutil
import signal
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import yaml

from chrion_models.families.stack import stack
from tests.support.command import Server
from tests.support.plans import Planned
from tests.support.waiting import wait_until

SHAPES = {"input": (4, 1, 16)}
X = {"input": np.ones(SHAPES["input"], np.float32)}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two small models with plans, by name."""
    found = {}
    for operator in ("LSTM", "GRU"):
        folder = tmp_path_factory.mktemp(operator)
        planned = Planned(stack(operator, "forward", 1, 16, 8, 1).build(), folder, SHAPES)
        planned.file = planned.write(folder / "plan.json")
        found[operator.lower()] = planned
    return found


def workers(process):
    """The processes of groups, by what they run."""
    found = []
    for one in process.group():
        try:
            command = Path(f"/proc/{one}/cmdline").read_text(encoding="utf-8")
        except OSError:
            continue
        if "chrion_runtime.isolation" in command:
            found.append(one)
    return found


def pairs(two):
    names = [part for name in two for part in ("--name", name)]
    plans = [part for one in two.values() for part in ("--plan", one.file)]
    return [*(one.path for one in two.values()), *plans, *names]


def test_each_model_in_a_process_of_its_own(chrion, serving, two, ask, reference, assert_equal):
    with serving(chrion, "serve", *pairs(two), "--isolate", "model") as server:
        servers = {name: Server(server.process, name, server.address) for name in two}
        for name, one in two.items():
            assert_equal(ask(servers[name], X), reference(one.path, X))
        before = workers(server.process)
        assert len(before) == 2
        os.kill(before[0], signal.SIGSEGV)
        wait_until(lambda: len(set(workers(server.process)) - {before[0]}) == 2, "another one is started")

        def answered():
            return [ask(servers[name], X) for name in two]

        for found, one in zip(wait_until(answered, "both answer", ignore=Exception), two.values(), strict=True):
            assert_equal(found, reference(one.path, X))
        process = server.process
    process.wait_for_no_survivors()


def test_they_end_with_the_server_however_it_ends(chrion, serving, two):
    process = chrion.start("serve", *pairs(two), "--isolate", "model", "--port", "0", "--metrics-port", "-1")
    process.wait_for("serving on http://")
    assert len(workers(process)) == 2
    os.kill(process.popen.pid, signal.SIGKILL)
    process.end()
    process.wait_for_no_survivors()


def test_models_of_one_owner_share_the_servers_process(chrion, serving, two):
    with serving(chrion, "serve", *pairs(two)) as server:
        assert workers(server.process) == []


def test_a_repository_keeps_owners_apart(chrion, serving, two, ask, reference, assert_equal, tmp_path):
    owners = {"lstm": "speech", "gru": "vision"}
    for name, one in two.items():
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(one.path, folder / "model.onnx")
        shutil.copy(one.file, folder / "plan.json")
        document = {
            "apiVersion": "chrion.dev/v1alpha1",
            "kind": "ChrionModel",
            "metadata": {"name": name, "namespace": owners[name]},
            "spec": {
                "model": {"uri": "file://model.onnx"},
                "inputs": [{"name": "input", "shape": list(SHAPES["input"])}],
            },
        }
        (folder / "chrionmodel.yaml").write_text(yaml.safe_dump(document))
    own = two["lstm"]
    options = ("--name", "own", "--repository", tmp_path)
    with serving(chrion, "serve", own.path, "--plan", own.file, *options) as server:
        assert workers(server.process) == []
        for name, one in two.items():
            served = Server(server.process, name, server.address)
            load(server, name)
            assert_equal(ask(served, X), reference(one.path, X))
        assert len(workers(server.process)) == 2
        load(server, "gru", "unload")
        wait_until(lambda: len(workers(server.process)) == 1, "its process ends")


def load(server, name, verb="load"):
    url = f"http://{server.address}/v2/repository/models/{name}/{verb}"
    with urlopen(Request(url, b"{}", method="POST"), timeout=120) as response:
        assert response.status == 200
