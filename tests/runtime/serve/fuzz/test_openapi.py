"""The description of the HTTP API is true: of every route, every answer, and what schemathesis makes of it."""

import re

import jsonschema
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as conformance

from chrion_runtime.serve.http.app import build_app

QUICK = settings(derandomize=True, max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))

CHECKS = [
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
    conformance.negative_data_rejection,
]


@pytest.fixture(scope="module")
def document(target):
    request = b"GET /v2/openapi.json HTTP/1.1\r\nHost: here\r\n\r\n"
    return orjson.loads(target.send(request).body)


@pytest.fixture(scope="module")
def api(document, target):
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=target.url)
    return schema


def throw(api, modes, effort):
    """Cases of every operation, of what its schema allows or forbids, each with all checks."""
    for result in api.get_all_operations():
        operation = result.ok()
        takes_nothing = not (operation.path_parameters or operation.headers or operation.query or operation.body)
        for mode in modes:
            if takes_nothing and mode is GenerationMode.NEGATIVE:
                continue

            @effort
            @given(case=operation.as_strategy(generation_mode=mode))
            def run(case):
                case.call_and_validate(checks=CHECKS)

            run()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_schemathesis(api, mode):
    throw(api, [mode], QUICK)


@pytest.mark.slow
def test_schemathesis_at_length(api):
    throw(api, list(GenerationMode), LONG)


def test_every_route_is_described_and_nothing_else(document, target):
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in build_app(target.running.registry).router.routes()
        if route.method != "HEAD"
    }
    described = {
        (path, method) for path, item in document["paths"].items() for method in item if method in ("get", "post")
    }
    assert described == routes


def test_each_model_s_example_is_answered_as_described(document, target):
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert sorted(examples) == ["lstm", "picky", "types"], "FP16 has no JSON form, so half has none"
    validate = jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/InferAnswer", "components": document["components"]}
    ).validate
    for model, example in examples.items():
        reply = target.infer(model, orjson.dumps(example["value"]))
        if model != "picky":  # its index 1 is out of range, as ones in all inputs are
            assert reply.status == 200, reply
            validate(orjson.loads(reply.body))


def test_errors_are_as_described(document, target):
    validate = jsonschema.Draft202012Validator(document["components"]["schemas"]["Error"]).validate
    for reply in (target.infer("types", b"{}"), target.infer("nobody", b"{}"), target.infer("types", bytes(10**6))):
        assert re.match(r"4\d\d", str(reply.status))
        validate(orjson.loads(reply.body))
