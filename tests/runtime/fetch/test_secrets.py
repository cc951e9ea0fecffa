"""Signatures, tokens and credentials stand in no error, whatever goes wrong and whatever the store says."""

from urllib.parse import quote

import pytest
from aiohttp import web

from chrion_api import ChrionError
from chrion_runtime.fetch import Patience
from tests.support.file_server import FileServer, cut, silent, status

SIGNATURE, TOKEN = "c2lnbmF0dXJl-of-it", "t0ken.of-the-fetcher"
QUERY = f"?X-Amz-Credential=AKIDOFIT&X-Amz-Signature={SIGNATURE}"
PATH = "/models/model.onnx"
SECRETS = (SIGNATURE, TOKEN, "AKIDOFIT", "hidden")


def words(call, *arguments, **options):
    """What a fetch that fails says; with all of its causes, as a traceback would show them."""
    with pytest.raises(ChrionError) as caught:
        call(*arguments, **{"environment": {"HTTP_TOKEN": TOKEN}, "patience": Patience(0), **options})
    said, error = "", caught.value
    while error is not None:
        said, error = said + str(error), None if error.__suppress_context__ else error.__context__
    for secret in SECRETS:
        assert secret not in said
    return said


def echo(code):
    """A store that says what it was sent: in its reason, its headers and its body."""

    async def fault(request, content):
        said = f"{request.headers.get('Authorization', '')} {request.raw_path}"
        return web.Response(status=code, reason=said, headers={"X-Said": said}, text=said)

    return fault


async def no_http(request, content):
    request.transport.write(f"rubbish {request.raw_path} {request.headers.get('Authorization')}\r\n\r\n".encode())
    request.transport.close()
    return web.Response()


FAULTS = {
    "not there": status(404),
    "denied": status(403),
    "busy": status(503),
    "gone on": status(416),
    "what status": status(299),
    "says what it was sent": echo(400),
    "says it as a fault of its own": echo(500),
    "says it as its denial": echo(401),
    "no HTTP": no_http,
    "cut": cut(1000),
    "part that was not asked for": status(206),
    "redirect to nowhere": status(302),
    "redirect to what is no URL": status(302, Location=f"https://me:hidden@[x/{QUERY}"),
    "redirect to no port": status(302, Location=f"https://me:hidden@host:port/{QUERY}"),
    "redirect with credentials": status(302, Location=f"https://me:hidden@models.example/a{QUERY}"),
    "redirect to another scheme": status(302, Location=f"ftp://models.example/a{QUERY}"),
    "redirect to plain http": status(302, Location=f"http://models.example/a{QUERY}"),
    "redirect to metadata": status(302, Location=f"https://169.254.169.254/a{QUERY}"),
    "redirect to a name that is not": status(302, Location=f"https://models.example/a{QUERY}"),
    "redirect to a long host": status(302, Location=f"https://{'a' * 70}.example/a{QUERY}"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_over_http(server, run, fault):
    server.faults[PATH] = [fault] * 3
    assert "?…: " in words(run, server.url(PATH) + QUERY, resolver={})


def test_a_store_that_says_them_in_words_of_its_own(server, run):
    async def fault(request, content):
        return web.Response(status=200, headers={"Content-Encoding": "identity"}, body=request.raw_path.encode())

    server.faults[PATH] = [fault]
    assert "is not an ONNX file" in words(run, server.url(PATH) + QUERY)


def test_of_external_data(server, run, model_with_data):
    server.files[PATH] = model_with_data({"weights": "w.bin"})
    assert "/models/w.bin?…: answers 404" in words(run, server.url(PATH) + QUERY)
    server.files[PATH] = model_with_data({"weights": "../w.bin"})
    assert "model.onnx?…" in words(run, server.url(PATH) + QUERY)


def test_limits(server, run, content):
    assert "?…: has more than" in words(run, server.url(PATH) + QUERY, most_bytes=1000)
    assert "?…: has the digest" in words(run, server.url(PATH) + QUERY, sha256="0" * 64)
    server.faults[PATH] = [silent]
    assert "?…: was not fetched within" in words(run, server.url(PATH) + QUERY, seconds=0.3)


def test_a_certificate_that_nobody_vouches_for(run, certified):
    with FileServer({}, tls=certified[0]) as server:
        assert "cannot be verified" in words(run, server.url(PATH) + QUERY)


URIS = [
    f"models.example/a{QUERY}",
    f"me:hidden@models.example/a{QUERY}",
    f"ftp://me:hidden@models.example/a{QUERY}",
    f"pvc://claim/a{QUERY}",
    f"https://me:hidden@models.example/a{QUERY}",
    f"https://me:hidden@models.example:port/a{QUERY}",
    f"https://me:hid/hidden@models.example/a{QUERY}",
    f"https://[me:hidden@x/{QUERY}",
    f"https://me:hidden@[::x]/{QUERY}",
    f"https:///a{QUERY}",
    f"http://models.example/a{QUERY}",
    f"https://models.example/a{QUERY}",
    f"https://169.254.169.254/a{QUERY}",
    f"https://models.example/{quote(QUERY)}",
    f"hf://owner/net/a{QUERY}",
    f"hf://me:hidden@hub/net/a{QUERY}",
    f"s3://bucket{QUERY}",
    f"gs://bucket/{QUERY}/",
    f"file:///nowhere/a{QUERY}",
]


@pytest.mark.parametrize("uri", URIS)
def test_uris(run, uri):
    words(run, uri, resolver={})


@pytest.mark.parametrize("endpoint", ["https://me:hidden@s3.example", "https://me:hidden@s3.example:port", "http://[x"])
def test_endpoints(run, endpoint):
    words(run, "s3://bucket/key", environment={"AWS_ENDPOINT_URL": endpoint})
    words(run, "hf://owner/net/model.onnx", environment={"HF_ENDPOINT": endpoint})


def test_s3(run, monkeypatch):
    given = {"AWS_ACCESS_KEY_ID": "AKIDOFIT", "AWS_SECRET_ACCESS_KEY": "hidden-key", "AWS_SESSION_TOKEN": TOKEN}

    async def say(request, content):
        sent = " ".join(request.headers.values())
        text = f"<Error><Code>Said{TOKEN}</Code><Message>{sent} {request.raw_path}</Message></Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    with FileServer({}, {path: [say] * 20 for path in ("/bucket/key", "/bucket", "/bucket/")}) as server:
        given["AWS_ENDPOINT_URL"] = server.url("")
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert "s3://bucket/key?…" in words(run, "s3://bucket/key?hidden", environment=given)
        assert server.requests


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_hub(server, run, fault):
    server.faults["/owner/net/resolve/main/model.onnx"] = [fault] * 3
    given = {"HF_TOKEN": TOKEN, "HF_ENDPOINT": server.url("")}
    assert "hf://owner/net/model.onnx" in words(run, "hf://owner/net/model.onnx", environment=given, resolver={})


def test_google(run):
    for key in (
        '{"type": "hidden"}',
        '{"type": "service_account", "private_key": "hidden", "client_email": "a@b"}',
        "hidden",
    ):
        words(run, "gs://bucket/key", environment={"GOOGLE_CREDENTIALS": key}, resolver={})
