"""Plain inference requests take a short way of their own: the answers are the same, whatever comes before or behind."""

import socket
import threading

import orjson
import pytest

from chrion_runtime.serve.http.plain import is_plain_get, plain_head

LINE = b"POST /v2/models/add/infer HTTP/1.1\r\n"


def body(*values):
    return orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": values}]})


def post(content, *fields, line=LINE):
    lines = [b"Host: here", b"Content-Length: %d" % len(content), *fields]
    return line + b"\r\n".join(lines) + b"\r\n\r\n" + content


GET = b"GET /v2/models/add HTTP/1.1\r\nHost: here\r\n\r\n"


class Client:
    """A socket, and the answers that come out of it one after the other."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def answer(self):
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, orjson.loads(self.file.read(int(headers["content-length"])))

    def totals(self, count):
        return [self.answer()[2]["outputs"][1]["data"] for _ in range(count)]


@pytest.fixture
def server(serving, add):
    with serving(add, body_limit=1_000_000) as running:
        yield running


@pytest.fixture
def client(server):
    found = Client(server.where.port)
    yield found
    found.file.close()
    found.socket.close()


def test_one_after_the_other(client):
    for number in range(20):
        client.socket.sendall(post(body(number, 1)))
        assert client.totals(1) == [[number + 1]]


def test_many_at_once_are_answered_in_their_order(client):
    client.socket.sendall(b"".join(post(body(number, 0)) for number in range(200)))
    assert client.totals(200) == [[number] for number in range(200)]


def test_others_between_them(client):
    for number in range(5):
        client.socket.sendall(GET)
        assert client.answer()[2]["name"] == "add"
        client.socket.sendall(post(body(number, 0)))
        assert client.totals(1) == [[number]]
    client.socket.sendall(post(body(7, 0)) + GET + post(body(8, 0)) + GET)
    assert client.totals(1) == [[7]]
    assert client.answer()[2]["name"] == "add"
    assert client.totals(1) == [[8]]
    assert client.answer()[2]["name"] == "add"


@pytest.mark.parametrize("step", [1, 7, 60, 1000])
def test_in_pieces(client, step):
    content = post(body(1, 2)) + post(body(3, 4))
    for start in range(0, len(content), step):
        client.socket.sendall(content[start : start + step])
    assert client.totals(2) == [[3], [7]]


def test_a_head_first_and_then_its_body(client, server):
    # Answered by the short way from the second request on, for then aiohttp is known to wait.
    for number in range(3):
        content = post(body(number, 0))
        end = content.index(b"\r\n\r\n") + 4
        client.socket.sendall(content[:end])
        event = threading.Event()
        server.loop.call_soon_threadsafe(event.set)
        assert event.wait(60)
        client.socket.sendall(content[end : end + 9])
        client.socket.sendall(content[end + 9 :])
        assert client.totals(1) == [[number]]


def test_expecting_to_be_told_to_go_on(client):
    content = post(body(1, 2), b"Expect: 100-continue")
    end = content.index(b"\r\n\r\n") + 4
    client.socket.sendall(content[:end])
    assert client.file.readline().startswith(b"HTTP/1.1 100")
    assert client.file.readline() == b"\r\n"
    client.socket.sendall(content[end:])
    assert client.totals(1) == [[3]]


def test_chunks(client):
    content = body(4, 5)
    head = LINE + b"Host: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.socket.sendall(head + b"%x\r\n" % len(content) + content + b"\r\n0\r\n\r\n" + post(body(6, 7)))
    assert client.totals(2) == [[9], [13]]


def test_errors_leave_the_connection_open(client):
    client.socket.sendall(post(b"{}") + post(body(1, 1), line=b"POST /v2/models/no/infer HTTP/1.1\r\n"))
    status, headers, answer = client.answer()
    assert (status, headers["content-type"], list(answer)) == (400, "application/json", ["error"])
    assert client.answer()[0] == 404
    client.socket.sendall(post(body(1, 1)))
    assert client.totals(1) == [[2]]


def test_a_body_over_the_limit(client):
    client.socket.sendall(LINE + b"Host: here\r\nContent-Length: 1000001\r\n\r\n")
    assert client.answer()[0] == 413


@pytest.mark.parametrize("first", [GET, post(body(1, 1)), b""], ids=["after a GET", "after a POST", "first"])
@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (post(body(1, 1), b"Expect: miracles"), 417, "Expectation Failed"),
        (b"GET /nowhere HTTP/1.1\r\nHost: here\r\nExpect: miracles\r\n\r\n", 417, "Expectation Failed"),
        (b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n", 404, "Not Found"),
        (b"PUT /v2 HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n", 405, "Method Not Allowed"),
        (b"GET /v2 HTTP/1.1\r\nHost: here\r\nno colon\r\n\r\n", 400, ""),
        (b"nonsense\r\n\r\n", 400, ""),
        (post(body(1, 1), b"Zero: \0"), 400, ""),
        (post(body(1, 1), b"Long: " + b"a" * 9000), 400, ""),
    ],
)
def test_what_aiohttp_refuses_is_json_too(client, first, data, status, problem):
    if first:
        client.socket.sendall(first)
        client.answer()
    client.socket.sendall(data)
    found, headers, answer = client.answer()
    assert (found, headers["content-type"], list(answer)) == (status, "application/json", ["error"])
    assert problem in answer["error"]
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("value", ["größe".encode(), "größe".encode("latin-1"), b"\x80"])
def test_header_values_beyond_ascii_are_no_matter(client, value):
    for _ in range(3):
        client.socket.sendall(post(body(1, 1), b"X-Name: " + value, b"traceparent: " + value))
        assert client.totals(1) == [[2]]
    for name in (b"Inference-Header-Content-Length", b"X-Request-Timeout-Ms", b"Content-Encoding"):
        client.socket.sendall(post(body(1, 1), name + b": " + value))
        status, _, answer = client.answer()
        assert status in (400, 415)
        assert list(answer) == ["error"]


def test_a_version(client):
    client.socket.sendall(post(body(1, 1), line=b"POST /v2/models/add/versions/1/infer HTTP/1.1\r\n"))
    assert client.totals(1) == [[2]]
    client.socket.sendall(post(body(1, 1), line=b"POST /v2/models/add/versions/2/infer HTTP/1.1\r\n"))
    assert client.answer()[0] == 404


def test_what_is_plain():
    head = plain_head(post(b"12345", b"X-Some: thing ", line=b"POST /v2/models/a-b.c_1/versions/1/infer HTTP/1.1\r\n"))
    assert head is not None
    assert (head.model, head.version, head.length) == ("a-b.c_1", "1", 5)
    assert head.headers == {"host": "here", "content-length": "5", "x-some": "thing"}
    assert is_plain_get(GET)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        LINE + b"Host: here\r\nContent-Length: 5\r\n",
        LINE + b"Host: here\r\n\r\n",
        LINE + b"Content-Length: 5\r\n\r\n",
        post(b"12345", b"Content-Length: 5"),
        post(b"12345", b"Content-Length: 6"),
        post(b"12345", b"Transfer-Encoding: chunked"),
        post(b"12345", b"transfer-encoding: identity"),
        post(b"12345", b"Expect: 100-continue"),
        post(b"12345", b"Connection: close"),
        post(b"12345", b"Upgrade: websocket"),
        post(b"12345", b"Space : before"),
        post(b"12345", b" folded: line"),
        post(b"12345", b"no colon"),
        post(b"12345", b"Bare: carriage\rreturn"),
        post(b"12345", b"Bare: line\nfeed"),
        post(b"12345", b"Zero: \0"),
        post(b"12345", line=b"POST /v2/models/a%20b/infer HTTP/1.1\r\n"),
        post(b"12345", line=b"POST /v2/models/a/infer?x=1 HTTP/1.1\r\n"),
        post(b"12345", line=b"POST /v2/models/a/infer HTTP/1.0\r\n"),
        post(b"12345", line=b"PUT /v2/models/a/infer HTTP/1.1\r\n"),
        LINE + b"Host: a\r\nContent-Length: +5\r\n\r\n",
        LINE + b"Host: a\r\nContent-Length: 5 5\r\n\r\n",
        LINE + b"Host: a\r\nContent-Length: \xb2\r\n\r\n",
        LINE + b"Host: a\r\nContent-Length: 9999999999999999\r\n\r\n",
        LINE + b"Host: a\r\nContent-Length: 5\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
        post(b"12345", *[b"A%d: 1" % number for number in range(127)]),
    ],
)
def test_what_aiohttp_shall_judge(data):
    assert plain_head(data) is None


@pytest.mark.parametrize(
    "data", [GET[:-1], GET + GET, GET + b"x", post(b""), GET[:-2] + b"Content-Length: 3\r\n\r\n", b"GET / HTTP/1.1\r\n"]
)
def test_what_is_no_plain_get(data):
    assert not is_plain_get(data)
