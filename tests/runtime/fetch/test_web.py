"""Models over HTTP: what goes wrong on the way, and where redirects and names may lead."""

import hashlib

import pytest

from chrion_runtime.fetch import (
    AccessDenied,
    DigestMismatch,
    FetchRefused,
    ModelNotFound,
    ModelTooLarge,
    Patience,
    Unreachable,
)
from tests.support.file_server import FileServer, cut, endless, silent, status

PATH = "/models/model.onnx"


def test_fetches_a_model_and_leaves_nothing_else(server, run, content, output, left):
    fetched = run(server.url(PATH))
    assert fetched.sha256 == hashlib.sha256(content).hexdigest()
    assert (fetched.size, fetched.files, fetched.kept) == (len(content), (), False)
    assert output.read_bytes() == content
    assert left() == ["model.onnx"]


def test_keeps_what_is_there_with_the_right_digest(server, run, content):
    sha256 = run(server.url(PATH)).sha256
    assert run(server.url(PATH), sha256=sha256).kept
    assert len(server.requests) == 1


def test_a_wrong_digest_changes_nothing(server, run, content, output, left):
    output.parent.mkdir()
    output.write_bytes(b"before")
    with pytest.raises(DigestMismatch, match=hashlib.sha256(content).hexdigest()):
        run(server.url(PATH), sha256="0" * 64)
    assert output.read_bytes() == b"before"
    assert left() == ["model.onnx"]


def test_goes_on_where_the_connection_was_lost(server, run, content, output):
    server.faults[PATH] = [cut(1_000_000), status(500)]
    run(server.url(PATH))
    first, second, third = server.asked(PATH)
    assert "Range" not in first
    assert second["Range"] == third["Range"] == "bytes=1000000-"
    assert second["If-Range"]
    assert output.read_bytes() == content


def test_begins_anew_where_the_file_has_changed(server, run, content, output):
    server.faults[PATH] = [cut(1_000_000, tag='"another"')]
    run(server.url(PATH))
    assert server.asked(PATH)[1]["If-Range"] == '"another"'
    assert output.read_bytes() == content


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_begins_anew_where_nothing_tells_whether_it_has_changed(server, run, content, output, tag):
    server.faults[PATH] = [cut(1_000_000, tag=tag)]
    run(server.url(PATH))
    assert "Range" not in server.asked(PATH)[1]
    assert output.read_bytes() == content


def test_a_store_that_sends_another_part_is_not_believed(server, run):
    part = status(206, Content_Range="bytes 5-9/10")
    server.faults[PATH] = [part] * 3
    with pytest.raises(Unreachable, match="another part"):
        run(server.url(PATH))


@pytest.mark.parametrize("code", [500, 429])
def test_tries_again_what_may_pass(server, run, content, output, code):
    server.faults[PATH] = [status(code, Retry_After="0")] * 2
    run(server.url(PATH))
    assert output.read_bytes() == content


def test_gives_up_after_so_many_tries(server, run, left):
    server.faults[PATH] = [status(503)] * 9
    with pytest.raises(Unreachable, match="answers 503 Service Unavailable"):
        run(server.url(PATH))
    assert len(server.requests) == 3
    assert left() == []


def test_headway_is_worth_new_tries(server, run, content, output):
    once = Patience(1, 0.01)
    server.faults[PATH] = [status(500), status(500)]
    with pytest.raises(Unreachable):
        run(server.url(PATH), patience=once)
    server.faults[PATH] = [status(500), cut(1_500_000)]
    run(server.url(PATH), patience=once)
    assert output.read_bytes() == content


@pytest.mark.parametrize(("code", "error"), [(404, ModelNotFound), (410, ModelNotFound), (400, ModelNotFound)])
def test_what_will_not_pass_is_tried_once(server, run, code, error):
    server.faults[PATH] = [status(code)] * 9
    with pytest.raises(error, match=str(code)):
        run(server.url(PATH))
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_denied(server, run, code):
    server.faults[PATH] = [status(code)]
    with pytest.raises(AccessDenied, match="secretRef"):
        run(server.url(PATH))


def test_nobody_listens(run):
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        run("http://127.0.0.1:9/model.onnx")


def test_an_endless_body_ends_at_the_limit(server, run, left):
    server.faults[PATH] = [endless]
    with pytest.raises(ModelTooLarge, match="10,000,000"):
        run(server.url(PATH), most_bytes=10_000_000)
    assert left() == []


def test_a_size_beyond_the_limit_is_refused_before_it_is_read(server, run, content):
    server.faults[PATH] = [silent]
    with pytest.raises(ModelTooLarge):
        run(server.url(PATH), most_bytes=len(content) - 1)


def test_a_store_that_falls_silent(server, run, left):
    server.faults[PATH] = [silent]
    with pytest.raises(Unreachable, match="--timeout"):
        run(server.url(PATH), seconds=0.5)
    assert left() == []


def test_credentials_go_to_the_uri_and_to_no_other_host(server, run, content):
    with FileServer({"/there.onnx": content}) as other:
        server.faults[PATH] = [status(302, Location="/moved"), status(302, Location="/moved")]
        server.faults["/moved"] = [status(307, Location=other.url("/there.onnx"))] * 2
        run(server.url(PATH), environment={"HTTP_TOKEN": "secret"})
        assert server.asked(PATH)[0]["Authorization"] == server.asked("/moved")[0]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.asked("/there.onnx")[0]
        run(server.url(PATH), environment={"HTTP_USERNAME": "me", "HTTP_PASSWORD": "secret"})
        assert server.asked(PATH)[1]["Authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("location", "because"),
    [
        ("https://169.254.169.254/latest/meta-data", "169.254.169.254 is link-local"),
        ("https://[::ffff:169.254.169.254]/", "link-local"),
        ("https://10.1.2.3/model.onnx", "10.1.2.3 is private"),
        ("https://127.0.0.2/model.onnx", "loopback"),
        ("https://[::1]/model.onnx", "loopback"),
        ("https://0.0.0.0/model.onnx", "unspecified"),
        ("http://models.example/model.onnx", "not https"),
        ("file:///etc/passwd", "not https|no host"),
        ("https://user:hidden@models.example/", "holds credentials"),
    ],
)
def test_redirects_lead_nowhere_else(server, run, left, location, because):
    server.faults[PATH] = [status(302, Location=location)]
    with pytest.raises(FetchRefused, match=because) as caught:
        run(server.url(PATH))
    assert "hidden" not in str(caught.value)
    assert len(server.requests) == 1
    assert left() == []


def test_redirects_end(server, run):
    server.faults[PATH] = [status(302, Location=PATH)] * 99
    with pytest.raises(FetchRefused, match="more than 10 times"):
        run(server.url(PATH))
    assert len(server.requests) == 11


@pytest.mark.parametrize("address", ["10.0.0.5", "169.254.169.254", "::1", "::ffff:10.0.0.5", "10.0.0.5,fe80::1"])
def test_names_that_resolve_to_what_is_not_public(run, address):
    with pytest.raises(FetchRefused, match=r"models\.example resolves to"):
        run("https://models.example/model.onnx", resolver={"models.example": [address]})


def test_a_name_that_resolves_to_something_else_the_next_time(server, run):
    """As DNS rebinding does: the address that is checked is the one that is connected to, each time."""
    server.faults[PATH] = [status(302, Location="/again", Connection="close")]
    names = {"models.example": ["127.0.0.1", "127.0.0.2"]}
    with pytest.raises(FetchRefused, match=r"resolves to 127\.0\.0\.2, which is loopback"):
        run(server.url(PATH, "models.example"), allow=["127.0.0.1", "models.example"], resolver=names)


def test_an_allowed_host_may_be_private_and_plain(server, run, content, output):
    names = {"models.example": ["127.0.0.1"]}
    run(server.url(PATH, "models.example"), allow=["127.0.0.0/8", "models.example"], resolver=names)
    assert output.read_bytes() == content


def test_other_ways_to_write_an_address(run):
    for host in ("2130706433", "127.1", "0x7f.1", "0177.0.0.1", "[::127.0.0.1]"):
        with pytest.raises((FetchRefused, Unreachable)):
            run(f"https://{host}/model.onnx", allow=[], patience=Patience(0))


@pytest.mark.parametrize(
    ("uri", "because"),
    [
        ("model.onnx", "not a URI"),
        ("https://", "not a URI"),
        ("http://models.example/model.onnx", "not https"),
        ("https://me:secret@models.example/model.onnx", "Secret of spec.model.secretRef"),
        ("ftp://models.example/model.onnx", "not supported"),
        ("pvc://claim/model.onnx", "mounted by the operator"),
        ("https:///model.onnx", "no host"),
    ],
)
def test_uris_that_cannot_be_fetched(run, uri, because):
    with pytest.raises(FetchRefused, match=because):
        run(uri)


def test_a_certificate_that_nobody_vouches_for(run, content, certified, monkeypatch, output):
    tls, certificate = certified
    with FileServer({PATH: content}, tls=tls) as server:
        with pytest.raises(FetchRefused, match=r"certificate of 127\.0\.0\.1 cannot be verified"):
            run(server.url(PATH))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        run(server.url(PATH))
    assert output.read_bytes() == content
