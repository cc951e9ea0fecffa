"""The model repository: load, unload and index while others serve, and nothing outside the folder."""

import asyncio
import gc
import shutil
import threading
from contextlib import contextmanager
from urllib.parse import quote

import aiohttp
import numpy as np
import pytest
import tritonclient.http as triton

from chrion_runtime.errors import PlanRefused, RuntimeFailure
from chrion_runtime.serve.models.folder import RepositoryFolder
from chrion_runtime.serve.models.repository import AT_ONCE, WAITING, Repository
from chrion_runtime.serve.protocol.errors import BadRequest, NotFound


@pytest.fixture
def root(tmp_path):
    """A repository of two models, "one" and "two"; their files hold what they add."""
    root = tmp_path / "repository"
    for number, name in enumerate(("one", "two"), start=1):
        (root / name).mkdir(parents=True)
        (root / name / "model.onnx").write_text(str(number))
        (root / name / "plan.json").write_text("{}")
    return root


@pytest.fixture
def load(make_model):
    """Makes models that add the number in their file; `load.gates` may hold one up while it is loaded."""
    loaded = []

    def make(entry):
        if gate := make.gates.get(entry.name):
            make.held.release()
            assert gate.wait(60)
        text = entry.model.read_text()
        if not text.isdecimal():
            raise PlanRefused(f"{text} is no model")
        model = make_model(
            lambda x: {"y": x + int(text)}, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name=entry.name
        )
        loaded.append(model)
        return model

    make.gates = {}
    make.held = threading.Semaphore(0)
    make.loaded = loaded
    return make


@pytest.fixture
def repository(root, load, serving):
    """`repository(*models)`: a server with the repository, and other models."""

    @contextmanager
    def running(*models, load=load, **options):
        made = lambda registry: Repository(registry, RepositoryFolder(root), load)  # noqa: E731
        with serving(*models, repository=made, **options) as it:
            it.client = triton.InferenceServerClient(it.address, concurrency=8)
            yield it

    return running


def ask(client, name, value=1):
    tensor = triton.InferInput("x", [1], "INT64").set_data_from_numpy(np.array([value]))
    return client.infer(name, [tensor]).as_numpy("y").tolist()[0]


def states(client):
    return {one["name"]: (one["state"], one["reason"]) for one in client.get_model_repository_index()}


def refused(call, *arguments, **options):
    with pytest.raises(triton.InferenceServerException) as caught:
        call(*arguments, **options)
    return caught.value.status(), caught.value.message()


def test_load_serve_reload_unload(repository, root, load, add, http):
    with repository(add) as running:
        client = running.client
        assert states(client) == {"add": ("READY", ""), "one": ("UNAVAILABLE", ""), "two": ("UNAVAILABLE", "")}
        assert refused(ask, client, "one")[0] == "404"
        client.load_model("one")
        assert ask(client, "one") == 2
        assert client.is_model_ready("one")
        assert client.get_model_metadata("one")["inputs"][0]["name"] == "x"
        assert states(client)["one"] == ("READY", "")
        # A reload takes what the files hold now.
        (root / "one" / "model.onnx").write_text("100")
        assert ask(client, "one") == 2
        client.load_model("one")
        assert ask(client, "one") == 101
        assert load.loaded[0].closed
        assert 'chrion_model_info{model="one"' in http("GET", running.where.metrics_url).body.decode()
        client.unload_model("one")
        assert load.loaded[1].closed
        assert refused(ask, client, "one")[0] == "404"
        assert states(client)["one"] == ("UNAVAILABLE", "unloaded")
        assert 'model="one"' not in http("GET", running.where.metrics_url).body.decode()
        client.load_model("one")
        assert ask(client, "one") == 101
        index = http("POST", f"{running.where.url}/v2/repository/index", data=b'{"ready": true}').json
        assert {one["name"] for one in index} == {"add", "one"}


def test_what_cannot_be_loaded_says_why_and_what_served_before_still_does(repository, root):
    with repository() as running:
        client = running.client
        client.load_model("one")
        (root / "one" / "model.onnx").write_text("nonsense")
        status, words = refused(client.load_model, "one")
        assert (status, words) == ("400", 'model "one": nonsense is no model')
        assert ask(client, "one") == 2
        assert refused(client.load_model, "none")[0] == "404"
        (root / "two" / "plan.json").unlink()
        assert (
            "plan.json is missing; make it with `chrion plan two/model.onnx -o two/plan.json`"
            in refused(client.load_model, "two")[1]
        )
        assert states(client)["two"][0] == "UNAVAILABLE"
        assert "plan.json is missing" in states(client)["two"][1]


def locks():
    return sum(isinstance(one, asyncio.Lock) for one in gc.get_objects())


def test_names_that_are_not_there_leave_nothing(repository, add, http):
    """Clients may invent names without end: each is refused, and then forgotten."""
    with repository(add) as running:
        url = f"{running.where.url}/v2/repository/models"

        def invent(count):
            for number in range(count):
                assert http("POST", f"{url}/none{number}/load").status == 404
                assert http("POST", f"{url}/none{number}/unload").status == 400
                assert http("POST", f"{running.where.url}/v2/models/none{number}/infer", data=b"{}").status == 404

        invent(1)
        before = states(running.client), http("GET", running.where.metrics_url).body.count(b"\n"), locks()
        invent(100)
        assert (states(running.client), http("GET", running.where.metrics_url).body.count(b"\n"), locks()) == before
        assert "none" not in http("GET", running.where.metrics_url).body.decode()


def test_names_that_nobody_had_time_to_look_for_leave_nothing(repository, load):
    gate = load.gates["one"] = load.gates["two"] = threading.Event()

    async def crowd(url):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            def ask(name):
                return asyncio.create_task(session.post(f"{url}/v2/repository/models/{name}/load"))

            asked = [ask("one"), ask("two")]
            for _ in asked:
                assert await asyncio.to_thread(load.held.acquire, timeout=60)
            asked += [ask(f"none{number}") for number in range(AT_ONCE + WAITING + 10)]
            while sum(task.done() for task in asked) < 10:
                await asyncio.sleep(0.005)
            gate.set()
            return [answer.status for answer in await asyncio.gather(*asked)]

    with repository() as running:
        statuses = asyncio.run(crowd(running.where.url))
        assert statuses[:2] == [200, 200]
        assert set(statuses[2:]) == {404, 503}
        assert set(states(running.client)) == {"one", "two"}


def test_models_that_have_left_the_folder_leave_the_index(repository, root):
    with repository() as running:
        client = running.client
        (root / "two" / "plan.json").unlink()
        refused(client.load_model, "two")
        client.load_model("one")
        assert states(client)["two"][0] == "UNAVAILABLE"
        shutil.rmtree(root / "one")
        shutil.rmtree(root / "two")
        assert states(client) == {"one": ("READY", "")}
        assert refused(client.load_model, "one")[0] == "404"
        assert ask(client, "one") == 2
        client.unload_model("one")
        assert states(client) == {}


def test_models_from_the_start_stay(repository, root, add, make_model):
    other = make_model(lambda x: {"y": x}, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="one")
    with repository(add, other) as running:
        assert "stays as it is" in refused(running.client.load_model, "one")[1]
        assert "was not loaded from the repository" in refused(running.client.unload_model, "add")[1]
        assert "was not loaded from the repository" in refused(running.client.unload_model, "two")[1]
        assert ask(running.client, "one") == 1


def test_others_are_served_while_one_is_loaded(repository, load, add, http):
    load.gates["two"] = threading.Event()
    with repository(add) as running:
        client = running.client
        client.load_model("one")
        loading = threading.Thread(target=triton.InferenceServerClient(running.address).load_model, args=("two",))
        loading.start()
        while states(client)["two"][0] != "LOADING":
            threading.Event().wait(0.005)
        for value in range(50):
            assert ask(client, "one", value) == value + 1
        load.gates["two"].set()
        loading.join(60)
        assert ask(client, "two") == 3


def test_requests_in_flight_of_a_model_that_is_unloaded_are_answered_first(repository, root, load, make_gate):
    gates = {}

    def hold(entry):
        gates[entry.name] = make_gate()
        gates[entry.name].model.name = entry.name
        load.loaded.append(gates[entry.name].model)
        return gates[entry.name].model

    with repository(load=hold) as running:
        client = running.client
        client.load_model("one")
        answers = []
        asking = [
            threading.Thread(
                target=lambda n=n: answers.append(ask(triton.InferenceServerClient(running.address), "one", n))
            )
            for n in range(4)
        ]
        for one in asking:
            one.start()
        gates["one"].entered.acquire()
        gates["one"].entered.acquire()
        while running.registry.in_flight < 4:
            threading.Event().wait(0.005)
        unloading = threading.Thread(target=triton.InferenceServerClient(running.address).unload_model, args=("one",))
        unloading.start()
        while states(client)["one"][0] != "UNLOADING":
            threading.Event().wait(0.005)
        assert refused(ask, client, "one")[0] == "404"
        assert not gates["one"].model.closed
        gates["one"].open.set()
        for one in (*asking, unloading):
            one.join(60)
        assert sorted(answers) == [0, 1, 2, 3]
        assert gates["one"].model.closed


def test_a_load_goes_on_when_its_client_has_gone(repository, load):
    load.gates["one"] = threading.Event()

    async def leave(url):
        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(session.post(f"{url}/v2/repository/models/one/load"))
            while states(running.client)["one"][0] != "LOADING":
                await asyncio.sleep(0.005)
            task.cancel()

    with repository() as running:
        asyncio.run(leave(running.where.url))
        load.gates["one"].set()
        while states(running.client)["one"][0] != "READY":
            threading.Event().wait(0.005)
        assert ask(running.client, "one") == 2


def test_overrides_in_the_request_are_refused(repository, http):
    with repository() as running:
        client = running.client
        assert '"config" is not supported' in refused(client.load_model, "one", config='{"name": "one"}')[1]
        files = {"parameters": {"file:1/model.onnx": "AAAA"}}
        url = f"{running.where.url}/v2/repository/models/one/load"
        answer = http("POST", url, json=files)
        assert answer.status == 400
        assert "file:1/model.onnx" in answer.json["error"]
        for body in (b"[]", b'{"parameters": 3}', b"{", b'{"ready": 1}'):
            path = "index" if b"ready" in body else "models/one/load"
            assert http("POST", f"{running.where.url}/v2/repository/{path}", data=body).status == 400, body
        assert http("POST", url, data=b" " * 70_000).status == 413
        assert states(client)["one"] == ("UNAVAILABLE", "")


def test_it_is_off_by_default(serving, add, http):
    with serving(add) as running:
        for path in ("index", "models/add/load", "models/add/unload"):
            answer = http("POST", f"{running.where.url}/v2/repository/{path}")
            assert answer.status == 404
            assert "--repository FOLDER" in answer.json["error"]


ESCAPES = ["..", ".", "../outside", "..%2Foutside", "/etc", "one/../../outside", "one/", "", ".hidden", "a\x00b"]


def test_no_name_leads_out_of_the_folder(root, tmp_path):
    shutil.copytree(root / "one", tmp_path / "outside")
    shutil.copytree(root / "one", root / ".hidden")
    folder = RepositoryFolder(root)
    assert folder.names() == ["one", "two"]
    for name in ESCAPES:
        with pytest.raises(NotFound):
            folder.entry(name)


def test_no_name_in_a_url_leads_out_of_the_folder(repository, root, tmp_path, http):
    shutil.copytree(root / "one", tmp_path / "outside")
    with repository() as running:
        for name in ESCAPES:
            url = f"{running.where.url}/v2/repository/models/{quote(name, safe='')}/load"
            assert http("POST", url).status in (400, 404, 405), name
        assert not [one for one in states(running.client).values() if one[0] == "READY"]


def test_no_link_leads_out_of_the_folder(root, tmp_path):
    shutil.copytree(root / "one", tmp_path / "outside")
    (root / "linked").symlink_to(tmp_path / "outside")
    for number, file in enumerate(("model.onnx", "plan.json", "chrionmodel.yaml")):
        shutil.copytree(root / "one", root / f"file{number}")
        (root / f"file{number}" / file).unlink(missing_ok=True)
        (root / f"file{number}" / file).symlink_to(tmp_path / "outside" / file)
    (root / "ring").symlink_to(root / "ring")
    (root / "dangling").mkdir()
    (root / "dangling" / "model.onnx").symlink_to("nowhere")
    folder = RepositoryFolder(root)
    assert folder.names() == ["file1", "file2", "one", "two"]
    for name in ("linked", "ring"):
        with pytest.raises(NotFound):
            folder.entry(name)
    for number, file in enumerate(("model.onnx", "plan.json", "chrionmodel.yaml")):
        with pytest.raises(BadRequest, match=f"{file} leads out of the repository"):
            folder.entry(f"file{number}")
    with pytest.raises(BadRequest, match=r"model\.onnx is missing"):
        folder.entry("dangling")


def test_links_within_the_folder_are_followed(root):
    """As Kubernetes mounts a ConfigMap."""
    (root / "..data").mkdir()
    (root / "one").rename(root / "..data" / "one")
    (root / "one").symlink_to("..data/one")
    assert RepositoryFolder(root).names() == ["one", "two"]
    assert RepositoryFolder(root).entry("one").model.read_text() == "1"


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(RuntimeFailure, match="is not a folder"):
        RepositoryFolder(tmp_path / "none")
