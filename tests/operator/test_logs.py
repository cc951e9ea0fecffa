"""The operator's log: a line for each entry, whatever namespaces wrote into what is logged."""

import json
import logging
import sys

from chrion_api.logs import JsonFormatter
from chrion_operator.logs import OneLineFormatter


def record(message: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("chrion_operator.x", logging.WARNING, "", 0, message, values, sys.exc_info())


def test_nobody_forges_a_line() -> None:
    text = OneLineFormatter().format(record("%s was rejected", "a\n2026 INFO all is well\x1b[31m\ud800 é"))
    assert text.splitlines()[0].endswith(
        r"WARNING chrion_operator.x: a\n2026 INFO all is well\x1b[31m\ud800 é was rejected"
    )


def test_json_has_the_error_and_its_stack() -> None:
    try:
        raise KeyError("metadata")
    except KeyError:
        line = JsonFormatter().format(record("cannot %s\n", "process"))
    assert "\n" not in line
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("warning", "chrion_operator.x", "cannot process\n")
    assert said["error"]["type"] == "KeyError"
    assert "Traceback" in said["error"]["stack"]
