"""`chrion fetch` as an init container runs it: exit codes, and the last words that the operator reads."""

import hashlib
import json
import signal

import pytest
from aiohttp import web

from chrion.pod.termination import terminating
from chrion_api import Reason
from chrion_api.handover import TERMINATION_BYTES, Termination
from tests.support.file_server import FileServer, silent, status
from tests.support.hub_server import HubServer


@pytest.fixture
def server(model):
    with FileServer({"/model.onnx": model.read_bytes()}) as running:
        yield running


@pytest.fixture
def log(tmp_path):
    """The termination log; it is there before the container starts."""
    path = tmp_path / "termination-log"
    path.touch()
    return path


@pytest.fixture
def fetch(quick, tmp_path, log):
    def run(*arguments, **environment):
        arguments = ("fetch", *arguments, "--output", tmp_path / "model.onnx", "--retries", "0")
        return quick(*arguments, CHRION_TERMINATION_LOG=str(log), **environment)

    return run


def test_a_model_is_fetched(fetch, server, model, tmp_path, log):
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    done = fetch(server.url("/model.onnx"), "--allow", "127.0.0.1", "--sha256", sha256)
    assert done.returncode == 0, done.stderr
    assert sha256 in done.stdout
    assert (tmp_path / "model.onnx").read_bytes() == model.read_bytes()
    last = Termination.from_json(log.read_text())
    assert (last.reason, last.sha256) == ("Succeeded", sha256)
    assert fetch(server.url("/model.onnx"), "--sha256", sha256).stdout.startswith("already there")


@pytest.mark.parametrize(
    ("path", "options", "reason", "permanent"),
    [
        ("/missing.onnx", (), "ModelNotFound", True),
        ("/model.onnx", ("--sha256", "0" * 64), "DigestMismatch", True),
        ("/model.onnx", ("--max-bytes", "1k"), "ModelTooLarge", True),
        ("/link-local.onnx", (), "FetchRefused", True),
        ("/denied.onnx", (), "AccessDenied", True),
        ("/busy.onnx", (), "ModelUnreachable", False),
        ("/text.onnx", (), "InvalidModel", True),
        ("/model.onnx", ("--sha256", "abc"), "InvalidSpec", True),
        ("/model.onnx", ("--max-bytes", "lots"), "InvalidSpec", True),
        ("/model.onnx", ("--allow", "no host"), "FetchRefused", True),
    ],
)
def test_what_fails_says_why_and_whether_to_try_again(fetch, server, log, path, options, reason, permanent):
    server.files["/text.onnx"] = b"no model"
    server.faults = {
        "/link-local.onnx": [status(302, Location="https://169.254.169.254/latest/meta-data")],
        "/denied.onnx": [status(403)],
        "/busy.onnx": [status(503)],
    }
    done = fetch(server.url(path), "--allow", "127.0.0.1", *options)
    last = json.loads(log.read_text())
    assert (last["reason"], last["permanent"]) == (reason, permanent)
    assert done.returncode == (42 if permanent else 1)
    assert done.stderr == f"chrion: {last['message']}\n"
    assert "Traceback" not in done.stderr


def test_a_model_of_a_hub(fetch, model, tmp_path, log):
    with HubServer(readers=("hf_reader",)) as hub:
        hub.push({"onnx/model.onnx": model.read_bytes()}, "v1")
        arguments = ("hf://owner/net/onnx/model.onnx@v1", "--allow", "127.0.0.0/8")
        assert fetch(*arguments, HF_ENDPOINT=hub.url("")).returncode == 42
        last = json.loads(log.read_text())
        assert (last["reason"], "give HF_TOKEN" in last["message"]) == ("AccessDenied", True)
        done = fetch(*arguments, HF_ENDPOINT=hub.url(""), HF_TOKEN="hf_reader")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").read_bytes() == model.read_bytes()


@pytest.mark.parametrize("code", [401, 404, 500])
def test_no_signature_or_token_is_in_the_last_words(fetch, server, log, code):
    async def echo(request, _):
        return web.Response(status=code, reason=f"{request.headers['Authorization']} {request.raw_path}")

    server.faults = {"/model.onnx": [echo]}
    url = server.url("/model.onnx?sig=the-signature")
    done = fetch(url, "--allow", "127.0.0.1", HTTP_TOKEN="the-token")
    assert "/model.onnx?…: answers" in json.loads(log.read_text())["message"]
    for words in (log.read_text(), done.stderr, done.stdout):
        assert "the-signature" not in words
        assert "the-token" not in words


def test_a_defect_shows_no_signature_either(log, monkeypatch, capsys):
    monkeypatch.setenv("CHRION_TERMINATION_LOG", str(log))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit), terminating(Reason.FETCH_FAILED):
        raise ValueError("https://me:the-token@host/a?sig=the-signature")
    assert json.loads(log.read_text())["message"] == "a bug in Chrion: ValueError: https://…@host/a?…"
    assert "the-" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(quick, model, tmp_path, log):
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "model.onnx"
    done = quick("fetch", f"file://{model}", "--output", output, CHRION_TERMINATION_LOG=str(log))
    assert (done.returncode, json.loads(log.read_text())["reason"]) == (1, "FetchFailed")
    assert "cannot be written" in done.stderr


def test_sigterm_ends_it_soon(chrion, server, log, tmp_path):
    server.faults["/model.onnx"] = [silent]
    chrion.environment["CHRION_TERMINATION_LOG"] = str(log)
    try:
        process = chrion.start(
            "fetch", server.url("/model.onnx"), "--allow", "127.0.0.1", "-o", tmp_path / "model.onnx"
        )
    finally:
        del chrion.environment["CHRION_TERMINATION_LOG"]
    while not server.requests:
        assert process.popen.poll() is None, process.err
    process.signal(signal.SIGTERM)
    assert process.end() == 1
    assert json.loads(log.read_text())["reason"] == "Interrupted"
    assert [path.name for path in tmp_path.iterdir()] == [log.name]


def test_last_words_fit_and_stand_on_one_line():
    last = Termination(reason="InvalidModel", message='nasty\x1b[31m\n"name"' + "ä" * 9000)
    assert len(last.to_json().encode()) <= TERMINATION_BYTES
    assert last.message.isprintable()
