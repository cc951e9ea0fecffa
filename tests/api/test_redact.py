"""What may be secret in URLs, and in what others say of them, does not come out of `shown` and `redacted`."""

import pytest

from chrion_api import ChrionError, ChrionModel
from chrion_api.redact import redacted, shown

SHOWN = {
    "https://host/a.onnx": "https://host/a.onnx",
    "https://host:8443/a/b.onnx": "https://host:8443/a/b.onnx",
    "https://[::1]:80/@scope/a.onnx": "https://[::1]:80/@scope/a.onnx",
    "s3://bucket/key": "s3://bucket/key",
    "file:///a/b.onnx": "file:///a/b.onnx",
    "no-uri.onnx": "no-uri.onnx",
    "": "",
    "https://host/a?X-Amz-Signature=SECRET&X-Amz-Expires=1": "https://host/a?…",
    "https://host/a?sv=1&sig=SECRET#x": "https://host/a?…",
    "https://host/a#SECRET": "https://host/a?…",
    "https://host/a%3Fsig=SECRET": "https://host/a?…",
    "s3://bucket/key?SECRET": "s3://bucket/key?…",
    "https://me:SECRET@host/a": "https://…@host/a",
    "https://SECRET@host": "https://…@host",
    "https://me:SE@SECRET@host/a": "https://…@host/a",
    "https://me:SE/SECRET@host/a?SECRET": "https://…@host/a?…",
    "https://me:SE?SECRET@host/a": "https://…@host/a",
    "https://me:SE SECRET@host/a": "https://…@host/a",
    "https://host:80:SECRET@x/a": "https://…@x/a",
    "me:SECRET@host/a": "…@host/a",
    "//me:SECRET@host/a": "//…@host/a",
}


@pytest.mark.parametrize("url", SHOWN)
def test_shown(url):
    assert shown(url) == SHOWN[url]
    assert shown(shown(url)) == shown(url)


SAID = [
    "cannot reach https://me:SECRET@host/a?sig=SECRET: refused",
    'Could not connect to the endpoint URL: "https://host/a?X-Amz-Security-Token=SECRET"',
    "GET /a?sig=SECRET&b=1 failed",
    "Location: //SECRET@host/a?SECRET",
    "Authorization: Bearer SECRET.a-b_c",
    "{'Authorization': 'Basic SECRET=='}",
    "AWS4-HMAC-SHA256 Credential=SECRET/2026/us/s3/aws4_request, SignedHeaders=host, Signature=SECRET",
    "{'X-Amz-Security-Token': 'SECRET'}",
    '"access_token": "SECRET"',
    "sig=SECRET",
    "AWSAccessKeyId=SECRET",
    "private_key: SECRET",
]


@pytest.mark.parametrize("text", SAID)
def test_what_looks_like_a_secret(text):
    assert "SECRET" not in redacted(text)


def test_known_secrets_wherever_they_stand():
    assert redacted("it said SECRETS and sec", ["SECRET", "SECRETS", "sec", ""]) == "it said … and sec"


@pytest.mark.parametrize(
    "text", ["is it there? check the credentials in the Secret of spec.model.secretRef", "503 a=b"]
)
def test_the_rest_stays(text):
    assert redacted(text) == text


def test_a_chrion_model_that_is_refused_does_not_quote_its_query():
    with pytest.raises(ChrionError) as caught:
        ChrionModel.from_yaml(
            "{apiVersion: chrion.dev/v1alpha1, kind: ChrionModel, metadata: {name: a}, "
            "spec: {model: {uri: 'ftp://me:SECRET@host/a?SECRET'}}}"
        )
    assert "ftp://…@host/a?…" in str(caught.value)
    assert "SECRET" not in str(caught.value)
