"""What no HTTP library would send: the server refuses it, or forgets it, and goes on."""

import logging
import socket

import orjson
import pytest

from chrion_runtime.serve.http.http_log import http_log

BODY = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})


@pytest.fixture
def server(serving, add):
    with serving(add, body_limit=10_000) as running:
        yield running


@pytest.fixture
def connect(server):
    """Opens a connection to the server."""
    open_ones = []

    def connect():
        open_ones.append(socket.create_connection(("127.0.0.1", server.where.port), timeout=60))
        return open_ones[-1]

    yield connect
    for one in open_ones:
        one.close()


def post(length, *headers):
    lines = ["POST /v2/models/add/infer HTTP/1.1", "Host: localhost", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"NOT HTTP AT ALL\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n" + b"A: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http(connect, http, server, garbage, caplog):
    connection = connect()
    connection.sendall(garbage)
    assert read_all(connection).startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert http("GET", f"{server.where.url}/v2/health/live").status == 200
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("abort", [socket.SHUT_WR, None])
@pytest.mark.parametrize("start", [post(len(BODY)) + BODY[:-5], post(None, "Transfer-Encoding: chunked") + b"5\r\nab"])
def test_a_body_that_breaks_off(connect, http, server, add, start, abort):
    connection = connect()
    connection.sendall(start)
    if abort is None:
        connection.close()
    else:
        connection.shutdown(abort)
        assert b"200 OK" not in read_all(connection)
    assert http("POST", f"{server.where.url}/v2/models/add/infer", data=BODY).status == 200
    assert add.runs == 1


def test_a_chunked_body_that_is_wrong(connect, add):
    connection = connect()
    connection.sendall(post(None, "Transfer-Encoding: chunked") + b"zz\r\n\r\n")
    assert b" 400 " in read_all(connection)
    assert add.runs == 0


def test_a_chunked_body(connect):
    connection = connect()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:20], BODY[20:])) + b"0\r\n\r\n"
    connection.sendall(post(None, "Transfer-Encoding: chunked", "Connection: close") + chunks)
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"[2.0,3.0]" in answer


def test_requests_one_behind_the_other(connect):
    connection = connect()
    connection.sendall((post(len(BODY)) + BODY) * 2 + post(len(BODY), "Connection: close") + BODY)
    assert read_all(connection).count(b'"data":[2.0,3.0]') == 3


def test_too_long_a_body_is_refused_before_it_is_sent(connect):
    connection = connect()
    connection.sendall(post(10_001))
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"exceeds the limit of 10000 bytes" in answer


def test_expect_continue(connect):
    connection = connect()
    connection.sendall(post(len(BODY), "Expect: 100-continue", "Connection: close"))
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue")
    connection.sendall(BODY)
    assert b"200 OK" in read_all(connection)


def test_chunks_over_http_1_0_end_the_connection(connect):
    connection = connect()
    head = post(None, "Transfer-Encoding: chunked", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    connection.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) + b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = read_all(connection)
    assert answer.count(b"HTTP/1.") == 1
    assert b"200 OK" in answer


@pytest.mark.parametrize(
    ("header", "status"),
    [("Content-Encoding", 415), ("X-Request-Timeout-Ms", 400), ("Inference-Header-Content-Length", 400)],
)
@pytest.mark.parametrize("way", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_header_that_is_no_text(connect, header, status, way):
    connection = connect()
    head = post(None if way else len(BODY), "Connection: close")[:-2] + way + header.encode() + b": \xff\r\n\r\n"
    connection.sendall(head + (b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if way else BODY))
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_client_that_leaves_is_a_quiet_line(caplog):
    with caplog.at_level(logging.INFO):
        try:
            raise ConnectionResetError("Cannot write to closing transport")
        except ConnectionError:
            http_log.exception("Error handling request from %s", "127.0.0.1")
    [record] = caplog.records
    assert (record.name, record.levelname, record.exc_info, record.getMessage()) == (
        "chrion_runtime.serve.http",
        "INFO",
        None,
        "a client disconnected before it was answered",
    )
