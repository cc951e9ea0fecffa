"""s3:// through the real s3fs, against a server that speaks as much of S3 as reading needs."""

import re

import pytest
from aiohttp import web

from chrion_runtime.fetch import AccessDenied, FetchRefused, ModelNotFound, Unreachable
from chrion_runtime.fetch import store as store_module
from tests.support.file_server import FileServer, status

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}
LIST = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix/><KeyCount>0'
    "</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


async def listing(request, content):
    return web.Response(text=LIST, content_type="application/xml")


@pytest.fixture
def bucket(content, monkeypatch):
    monkeypatch.setattr(store_module, "_BLOCK", 500_000)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with FileServer({"/bucket/models/net.onnx": content}, {"/bucket": [listing] * 9}) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url(""))
        yield running


@pytest.fixture
def environment(bucket):
    return {**KEYS, "AWS_ENDPOINT_URL": bucket.url("")}


def test_an_object_is_read_block_by_block(bucket, environment, run, content, output):
    fetched = run("s3://bucket/models/net.onnx", environment=environment)
    assert fetched.size == len(content)
    assert output.read_bytes() == content
    ranges = [headers["Range"] for headers in bucket.asked("/bucket/models/net.onnx") if "Range" in headers]
    assert ranges[:2] == ["bytes=0-499999", "bytes=500000-999999"]
    assert all("Credential=id/" in headers["Authorization"] for _, _, headers in bucket.requests)


def test_external_data_has_the_same_prefix(bucket, environment, run, left, model_with_data, data):
    bucket.files["/bucket/models/net.onnx"] = model_with_data({"weights": "w.bin"})
    bucket.files["/bucket/models/w.bin"] = data
    run("s3://bucket/models/net.onnx", environment=environment)
    assert left() == ["model.onnx", "w.bin"]


def test_without_credentials_requests_are_anonymous(bucket, environment, run, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    run("s3://bucket/models/net.onnx", environment={"AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"]})
    assert all("Authorization" not in headers for _, _, headers in bucket.requests)


def test_an_object_that_is_not_there(bucket, environment, run, left):
    with pytest.raises(ModelNotFound, match=r"s3://bucket/models/other\.onnx: is not there"):
        run("s3://bucket/models/other.onnx", environment=environment)
    assert left() == []


def test_denied(bucket, environment, run):
    bucket.faults["/bucket/models/net.onnx"] = [status(403)] * 9
    with pytest.raises(AccessDenied, match="secretRef"):
        run("s3://bucket/models/net.onnx", environment=environment)


def test_tries_again_what_may_pass(bucket, environment, run, content, output):
    bucket.faults["/bucket/models/net.onnx"] = [status(500)] * 3
    run("s3://bucket/models/net.onnx", environment=environment)
    assert output.read_bytes() == content


def test_an_object_that_changes_while_it_is_read(bucket, environment, run, content, output):
    changed = content[:-1] + bytes([content[-1] ^ 1])

    async def change(request, before):
        bucket.files["/bucket/models/net.onnx"] = changed
        first, last = map(int, re.findall("[0-9]+", request.headers["Range"]))
        return web.Response(status=206, body=before[first : last + 1])

    async def head(request, before):
        return web.Response(body=before, headers={"ETag": '"before"'})

    bucket.faults["/bucket/models/net.onnx"] = [head, change]
    run("s3://bucket/models/net.onnx", environment=environment)
    assert output.read_bytes() == changed


def test_an_endpoint_must_be_allowed(bucket, environment, run):
    with pytest.raises(FetchRefused, match="not https"):
        run("s3://bucket/models/net.onnx", environment=environment, allow=[])
    secure = {**environment, "AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"].replace("http:", "https:")}
    with pytest.raises(FetchRefused, match=r"127\.0\.0\.1 is loopback"):
        run("s3://bucket/models/net.onnx", environment=secure, allow=[])
    assert bucket.requests == []


def test_a_bucket_whose_host_is_private(run, monkeypatch):
    names = {"s3.example": ["10.0.0.5"], "bucket.s3.example": ["10.0.0.5"]}
    with pytest.raises(FetchRefused, match=r"s3\.example resolves to 10\.0\.0\.5, which is private"):
        run("s3://bucket/net.onnx", environment={"AWS_ENDPOINT_URL": "https://s3.example"}, resolver=names)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "s3://bucket/folder/", "gs://bucket"])
def test_what_names_no_object(run, uri):
    with pytest.raises(ModelNotFound, match="BUCKET/KEY"):
        run(uri)


def test_nobody_answers(run):
    with pytest.raises(Unreachable, match=r"s3://bucket/net\.onnx"):
        run("s3://bucket/net.onnx", environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})


GOOGLE = [("{}", "has a type"), ("no", "has a type"), ('{"type": "external_account"}', "service_account")]


@pytest.mark.parametrize(("key", "because"), GOOGLE)
def test_google_keys_of_other_kinds_are_refused(run, key, because):
    with pytest.raises(AccessDenied, match=because):
        run("gs://bucket/net.onnx", environment={"GOOGLE_CREDENTIALS": key})


def test_google_storage(run, content, output):
    info = {"bucket": "bucket", "name": "net.onnx", "size": str(len(content)), "generation": "7", "etag": "x"}

    async def describe(request, _):
        return web.json_response(info)

    async def nothing(request, _):
        return web.json_response({"kind": "storage#objects"})

    path = "/storage/v1/b/bucket/o/net.onnx"
    faults = {path: [describe] * 9, "/storage/v1/b/bucket/o": [nothing] * 9}
    with FileServer({"/download/storage/v1/b/bucket/o/net.onnx": content}, faults) as google:
        run("gs://bucket/net.onnx", environment={"STORAGE_EMULATOR_HOST": google.url("")})
    assert output.read_bytes() == content
