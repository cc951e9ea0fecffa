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
from tests.runtime.serve.fuzz import open_inference

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


def throw(api, modes, effort, asked=CHECKS):
    """Cases of every operation, of what its schema allows or forbids, each with the checks asked for."""
    for result in api.get_all_operations():
        operation = result.ok()
        takes_nothing = not (operation.path_parameters or operation.headers or operation.query or operation.body)
        for mode in modes:
            if takes_nothing and mode is GenerationMode.NEGATIVE:
                continue

            @effort
            @given(case=operation.as_strategy(generation_mode=mode))
            def run(case):
                case.call_and_validate(checks=asked)

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


def test_the_protocol_s_own_description_holds(target):
    names = [model.servable.name for model in target.running.registry.models]
    public = schemathesis.openapi.from_dict(open_inference.document(names))
    public.config.update(base_url=target.url)
    # The specification names no statuses but 200 and 400.
    asked = [checks.not_a_server_error, conformance.content_type_conformance, conformance.response_schema_conformance]
    throw(public, [GenerationMode.POSITIVE], QUICK, asked)


@pytest.mark.parametrize(("method", "path", "answer"), open_inference.PATHS)
def test_each_of_the_protocol_s_paths_answers_as_it_says(document, target, method, path, answer):
    url = path.format(model="types", version="1")
    if method == "post":
        operation = document["paths"]["/v2/models/{model}/infer"]["post"]
        example = operation["requestBody"]["content"]["application/json"]["examples"]["types"]["value"]
        reply = target.post(url, orjson.dumps(example))
    else:
        reply = target.send(f"GET {url} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    assert reply.status == 200
    schema = {"$ref": f"#/components/schemas/{answer}", "components": {"schemas": open_inference.SCHEMAS}}
    jsonschema.Draft202012Validator(schema).validate(orjson.loads(reply.body))
