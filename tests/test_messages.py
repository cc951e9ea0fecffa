"""docs/messages.md is what the code says, and errors that really occur are among what it lists."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chrion.models_to_serve import pair
from chrion.options import parse_inputs, parse_seconds
from chrion_api import SLO, ChrionError
from chrion_graph.load import read_model
from chrion_runtime.choice.documents import read_objective
from chrion_runtime.devices.cpu import Cpu
from chrion_runtime.engines import engine_named
from tests.support.messages import page

PAGE = Path(__file__).parents[1] / "docs" / "messages.md"


def test_page_is_in_sync() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "messages changed: run `make schema` and commit docs/messages.md"


@pytest.fixture(scope="module")
def listed() -> list[re.Pattern[str]]:
    """The messages of the page, in which values may be anything."""
    texts = re.findall(r"^- `+ ?(.*?) ?`+$", page(), re.MULTILINE)
    return [re.compile(".*".join(map(re.escape, re.split(r"\{.*?\}", text)))) for text in texts]


@pytest.mark.parametrize(
    "fail",
    [
        lambda folder: read_model(folder / "none.onnx"),
        lambda folder: read_objective(folder),
        lambda folder: pair([folder], [], []),
        lambda _: parse_inputs(["x=axb"], None),
        lambda _: parse_seconds("--timeout", "20 bananas"),
        lambda _: SLO.parse({"load": {"concurrency": 1, "requestsPerSecond": 1}}, "slo"),
        lambda _: Cpu(4096),
        lambda _: engine_named("abacus"),
    ],
)
def test_an_error_is_listed(fail: Callable[[Path], object], listed: list[re.Pattern[str]], tmp_path: Path) -> None:
    with pytest.raises(ChrionError) as caught:
        fail(tmp_path)
    assert [pattern for pattern in listed if pattern.search(str(caught.value)) and len(pattern.pattern) > 12]
