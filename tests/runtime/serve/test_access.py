"""Who may ask: bearer tokens and TLS, over HTTP and gRPC, on every way in, and files that change."""

import socket
import ssl

import aiohttp
import grpc
import numpy as np
import orjson
import pytest
import tritonclient.grpc
import tritonclient.http
from cryptography.hazmat.primitives import serialization
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.serve import access
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.options import ServerOptions
from tests.support.certificates import Authority
from tests.support.waiting import wait_until

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210-other"
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
BODY = orjson.dumps({"inputs": [X]})


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(access, "LOOK_SECONDS", 0.05)


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# who\n{TOKEN}\n\n{OTHER}\n")
    return file


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def pair(authority):
    return authority.sign("server")


def bearing(token):
    return {"Authorization": f"Bearer {token}"}


WRONG = [
    {},
    bearing(TOKEN[:-1]),
    bearing(""),
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    bearing("ä"),
]


@pytest.mark.parametrize("headers", WRONG, ids=str)
def test_without_a_token_nothing_is_answered_but_health(serving, http, add, tokens, headers):
    with serving(add, token_file=tokens) as running:
        base, second = running.where.url, running.where.metrics_url.removesuffix("/metrics")
        for method, url in (
            ("GET", f"{base}/v2"),
            ("GET", f"{base}/v2/models/add"),
            ("GET", f"{base}/v2/models/add/ready"),
            ("POST", f"{base}/v2/models/add/infer"),
            ("POST", f"{base}/v2/repository/index"),
            ("GET", f"{base}/nowhere"),
            ("GET", f"{second}/metrics"),
            ("GET", f"{second}/"),
        ):
            answer = http(method, url, headers=headers, data=BODY if method == "POST" else None)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), url
            assert "Authorization: Bearer" in answer.json["error"]
            assert TOKEN not in answer.json["error"]
        for url in (base, second):
            assert http("GET", f"{url}/v2/health/live", headers=headers).status == 200
            assert http("GET", f"{url}/v2/health/ready", headers=headers).status == 200


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_with_a_token_all_is_answered(serving, http, add, tokens, token):
    with serving(add, token_file=tokens) as running:
        for url in (f"{running.where.url}/v2/models/add", running.where.metrics_url):
            assert http("GET", url, headers=bearing(token)).status == 200
        answer = http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]}, headers=bearing(token))
        assert answer.json["outputs"][1]["data"] == [3]


def test_each_request_of_a_connection_is_asked_for_its_token(serving, add, tokens):
    """The short way, which later requests of a connection take, asks as aiohttp's does."""
    with serving(add, token_file=tokens) as running, socket.create_connection(("127.0.0.1", running.where.port)) as one:
        file = one.makefile("rb")

        def post(token):
            lines = ["POST /v2/models/add/infer HTTP/1.1", "Host: x", f"Content-Length: {len(BODY)}"]
            lines += [f"Authorization: Bearer {token}"] if token else []
            one.sendall("\r\n".join([*lines, "", ""]).encode() + BODY)
            status = int(file.readline().split()[1])
            size = 0
            while line := file.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
            file.read(size)
            return status

        asked = [TOKEN, TOKEN, "", TOKEN, "wrong-wrong-wrong", OTHER]
        assert [post(token) for token in asked] == [200, 200, 401, 200, 401, 200]


def test_grpc_asks_for_tokens_too(serving, add, tokens):
    with serving(add, token_file=tokens, grpc_port=0) as running:
        client = tritonclient.grpc.InferenceServerClient(running.where.grpc_address)
        x = tritonclient.grpc.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.float32([[1, 2]]))
        with client:
            assert client.is_server_live()
            assert client.is_server_ready()
            for headers in ({}, {"authorization": "Bearer nonsense-nonsense"}):
                for ask in (
                    lambda: client.infer("add", [x], headers=headers),  # noqa: B023
                    lambda: client.get_model_metadata("add", headers=headers),  # noqa: B023
                ):
                    with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                        ask()
            answer = client.infer("add", [x], headers={"authorization": f"Bearer {TOKEN}"})
            assert answer.as_numpy("total").tolist() == [3]
        with grpc.insecure_channel(running.where.grpc_address) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1


def test_tokens_are_read_again_when_they_change(serving, http, add, tokens, caplog):
    with serving(add, token_file=tokens) as running:
        url = f"{running.where.url}/v2"

        def status(token):
            return http("GET", url, headers=bearing(token)).status

        tokens.write_text("new-new-new-new-new\n")
        wait_until(lambda: status("new-new-new-new-new") == 200, "the new token lets in")
        assert status(TOKEN) == 401
        tokens.write_text("short\n")
        wait_until(lambda: "still using the previous version" in caplog.text, "the bad file is told of")
        assert "line 1: a token needs at least 16 characters" in caplog.text
        assert status("new-new-new-new-new") == 200
        assert "new-new" not in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("", "contains no tokens"),
        ("# none\n\n", "contains no tokens"),
        ("0123456789abcde\n", "line 1: a token needs at least 16"),
        (f"{TOKEN}\ntwo words in a line\n", "line 2: a token needs"),
        ("zu kurz, aber größer\n", "tokens are ASCII"),
    ],
)
def test_token_files_that_cannot_be_used(tmp_path, add, content, problem):
    file = tmp_path / "tokens"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(RuntimeFailure, match=f"--token-file: .*{problem}") as caught:
        ModelRegistry([add], ServerOptions(token_file=file))
    assert TOKEN not in str(caught.value)


def trusting(authority, pair=None):
    context = ssl.create_default_context(cafile=authority.cert)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def test_all_ports_are_encrypted(serving, http, add, authority, pair):
    with serving(add, tls_cert=pair.cert, tls_key=pair.key, grpc_port=0) as running:
        where, trust = running.where, trusting(authority)
        assert where.url.startswith("https://")
        assert where.metrics_url.startswith("https://")
        for _ in range(2):
            answer = http("POST", f"{where.url}/v2/models/add/infer", json={"inputs": [X]}, ssl=trust)
            assert answer.json["outputs"][1]["data"] == [3]
        assert http("GET", where.metrics_url, ssl=trust).status == 200
        with pytest.raises(aiohttp.ClientError):
            http("GET", f"{where.url}/v2".replace("https", "http"))
        address = where.url.removeprefix("https://")
        options = {"ca_certs": str(authority.cert)}
        with tritonclient.http.InferenceServerClient(address, ssl=True, ssl_options=options) as client:
            assert client.is_model_ready("add")
            x = tritonclient.http.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.float32([[1, 2]]))
            for _ in range(3):
                assert client.infer("add", [x]).as_numpy("total").tolist() == [3]
        address = where.grpc_address.replace("127.0.0.1", "localhost")
        with tritonclient.grpc.InferenceServerClient(
            address, ssl=True, root_certificates=str(authority.cert)
        ) as client:
            x = tritonclient.grpc.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.float32([[1, 2]]))
            assert client.infer("add", [x]).as_numpy("total").tolist() == [3]


def test_many_plain_requests_over_one_encrypted_connection(serving, add, authority, pair):
    with serving(add, tls_cert=pair.cert, tls_key=pair.key) as running:
        plain = socket.create_connection(("127.0.0.1", running.where.port))
        with trusting(authority).wrap_socket(plain, server_hostname="localhost") as one:
            file = one.makefile("rb")
            head = f"POST /v2/models/add/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
            one.sendall((head + BODY) * 100)
            for _ in range(100):
                assert file.readline().startswith(b"HTTP/1.1 200")
                size = 0
                while line := file.readline().strip().lower():
                    if line.startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                assert orjson.loads(file.read(size))["outputs"][1]["data"] == [3]


def test_clients_show_their_certificates(serving, http, add, authority, pair, tmp_path):
    client, stranger = authority.sign("client"), Authority(tmp_path, "strangers").sign("stranger")
    options = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": authority.cert}
    with serving(add, **options, grpc_port=0) as running:
        url = f"{running.where.url}/v2"
        assert http("GET", url, ssl=trusting(authority, client)).status == 200
        for own in (None, stranger):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
                http("GET", url, ssl=trusting(authority, own))
        probes = running.where.metrics_url.replace("/metrics", "/v2/health/live")
        assert http("GET", probes, ssl=trusting(authority)).status == 200, "probes have no certificates"
        address = running.where.grpc_address.replace("127.0.0.1", "localhost")
        own = {"root_certificates": str(authority.cert)}
        asking = tritonclient.grpc.InferenceServerClient(address, ssl=True, **own)
        with asking, pytest.raises(InferenceServerException):
            asking.is_server_live()
        own |= {"private_key": str(client.key), "certificate_chain": str(client.cert)}
        with tritonclient.grpc.InferenceServerClient(address, ssl=True, **own) as asking:
            assert asking.is_server_live()


def test_certificates_are_read_again_when_they_change(serving, add, authority, pair, caplog):
    def shown(running):
        plain = socket.create_connection(("127.0.0.1", running.where.port))
        with trusting(authority).wrap_socket(plain, server_hostname="localhost") as one:
            return dict(field for (field,) in one.getpeercert()["subject"])["commonName"]

    with serving(add, tls_cert=pair.cert, tls_key=pair.key) as running:
        assert shown(running) == "server"
        newer = authority.sign("newer")
        pair.cert.write_bytes(newer.cert.read_bytes())
        wait_until(lambda: "is not the key of --tls-cert" in caplog.text, "the half of the pair is told of")
        assert shown(running) == "server"
        pair.key.write_bytes(newer.key.read_bytes())
        wait_until(lambda: shown(running) == "newer", "the new one is shown")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda pair, _: pair.cert.unlink(), "--tls-cert: .*server.pem: cannot be read"),
        (lambda pair, _: pair.key.unlink(), "--tls-key: .*server.key: cannot be read"),
        (lambda pair, _: pair.cert.write_text("nothing"), "do not contain a certificate and its key in PEM"),
        (
            lambda pair, authority: pair.key.write_bytes(authority.sign("x").key.read_bytes()),
            "--tls-key: .*is not the key of --tls-cert",
        ),
        (
            lambda _, authority: authority.sign("server", serialization.BestAvailableEncryption(b"secret")),
            "--tls-key: .*is encrypted: give a key without a passphrase",
        ),
    ],
)
def test_certificates_that_cannot_be_used(add, authority, pair, change, problem):
    change(pair, authority)
    with pytest.raises(RuntimeFailure, match=problem):
        ModelRegistry([add], ServerOptions(tls_cert=pair.cert, tls_key=pair.key))


def test_half_of_what_encryption_needs_is_refused(add, pair, tmp_path):
    for options in ({"tls_cert": pair.cert}, {"tls_key": pair.key}, {"tls_client_ca": pair.cert}):
        with pytest.raises(RuntimeFailure, match="belong together"):
            ModelRegistry([add], ServerOptions(**options))
    (tmp_path / "ca.txt").write_text("nothing")
    with pytest.raises(RuntimeFailure, match=r"--tls-client-ca: .*is not a certificate in PEM"):
        ModelRegistry([add], ServerOptions(tls_cert=pair.cert, tls_key=pair.key, tls_client_ca=tmp_path / "ca.txt"))


def test_tokens_in_the_clear_are_warned_of(add, tokens, caplog):
    for host, warned in (("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)):
        caplog.clear()
        ModelRegistry([add], ServerOptions(host=host, token_file=tokens)).close(10)
        assert ("sent unencrypted" in caplog.text) == warned
