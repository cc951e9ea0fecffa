"""The page on the second port, as bytes and in a real browser."""

import json
import re
import shutil

import numpy as np
import pytest

from chrion_api import SLO, Frontier, GpuBytes, Latency, Mode, Plan, Stage
from chrion_runtime.choice.selection import Selection
from chrion_runtime.report.format import NOTHING
from tests.support.browser import browser

WAIT_SECONDS = 60
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
NASTY = '<img src=x onerror="alert(1)">'


def plan(name, seconds, nbytes):
    stages = (
        Stage(nodes=(0,), lanes=("cpu/0",), start_seconds=0, finish_seconds=seconds / 2),
        Stage(nodes=(1,), lanes=("cuda:0/0",), start_seconds=seconds / 2, finish_seconds=seconds),
    )
    measured = Latency(p50=seconds, p90=seconds, p99=seconds, repetitions=9)
    gpu = GpuBytes(weights=nbytes)
    return Plan(name=name, graph="0" * 64, stages=stages, predicted_seconds=seconds, measured=measured, gpu_bytes=gpu)


class Planned:
    """What a planned model tells beside serving; `use(index)` moves along its frontier."""

    def __init__(self, model):
        self.model = model
        self.plans = (plan("fast", 0.001, 1 << 20), plan("small", 0.004, 1 << 10))
        model.slo, model.mode, model.off_profile = SLO.parse({"latency": "1h"}), Mode.MEMORY, 0
        model.description = {"moves": []}
        model.describe_plan = lambda: model.description
        self.use(0)

    def use(self, index):
        frontier = Frontier(inputs={"x": (1, 2)}, plans=self.plans)
        self.model.in_use = ((frontier, Selection(self.plans[index], "the one that serves", True)),)


@pytest.fixture
def planned(add):
    return Planned(add)


def base(running):
    return running.where.page_url


def test_the_page_holds_everything_without_its_script(serving, planned, http):
    planned.model.description = {"moves": [{"time": "2026-01-02T03:04:05Z", "from": "a", "to": "b", "why": NASTY}]}
    with serving(planned.model) as running:
        http("POST", f"{running.where.url}/v2/models/add/infer", json={"inputs": [X]})
        answer = http("GET", base(running))
    text = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in (
        "Memory mode · p99 within 1h",
        "<b>fast</b>, the one that serves",
        "x [1, 2]",
        "a → b",
        "cpu/0",
        "cuda:0",
    ):
        assert words in text
    assert "fast (in use)</th>" in text, "the table beside the picture"
    assert NASTY not in text
    assert "&lt;img src=x" in text


def test_a_browser_may_load_and_run_nothing_else(serving, planned, http):
    with serving(planned.model) as running:
        answer = http("GET", base(running))
        parts = {
            part: http("GET", base(running) + part)
            for part in set(re.findall(r'(?:href|src)="([^"]+)"', answer.body.decode()))
        }
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "://" not in re.sub(r'xmlns="[^"]+"', "", answer.body.decode())
    assert "style=" not in answer.body.decode()
    assert {part: answer.status for part, answer in parts.items()} == dict.fromkeys(parts, 200)
    assert {"page/page.css", "page/page.js", "page/icon.svg", "metrics", "page/now.json"} == set(parts)
    assert all(parts[name].headers["X-Content-Type-Options"] == "nosniff" for name in parts if name != "metrics")


def test_models_that_tell_nothing_of_plans_are_shown_too(serving, add, make_model, http):
    other = make_model(lambda: {"one": np.int8([1])}, {}, {"one": ("INT8", (1,))}, name=NASTY)
    with serving(add, other) as running:
        text = http("GET", base(running)).body.decode()
        now = http("GET", base(running) + "page/now.json").json
    assert text.count("data-model=") == 2
    assert NASTY not in text
    assert [model["name"] for model in now["models"]] == ["add", NASTY]


def test_it_is_not_on_the_inference_port(serving, add, http):
    with serving(add) as running:
        for path in ("/", "/page/now.json", "/metrics"):
            assert http("GET", running.where.url + path).status == 404


@pytest.fixture(scope="module")
def chrome():
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    with browser() as found:
        yield found


@pytest.fixture
def wait(chrome):
    """Wait until a function of the browser gives something true, and give that."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(chrome, WAIT_SECONDS).until


def text_of(chrome, selector):
    return chrome.execute_script(
        "const one = document.querySelector(arguments[0]); return one && one.textContent", selector
    )


def test_in_a_browser(serving, planned, http, chrome, wait):
    """Numbers move while requests come, and a change of plan is drawn without a reload."""
    chrome.get_log("browser")
    with serving(planned.model) as running:
        infer = f"{running.where.url}/v2/models/add/infer"
        chrome.get(base(running))
        assert text_of(chrome, "h1") == "Chrion"
        assert text_of(chrome, '[data-value="p99"]') == NOTHING

        def answered(_):
            http("POST", infer, json={"inputs": [X]})
            return " " in text_of(chrome, '[data-value="p99"]')

        wait(answered)
        wait(lambda _: text_of(chrome, ".badge") == "objective held")
        wait(lambda _: chrome.execute_script("return document.querySelectorAll('.latency path.p99').length") == 1)
        assert http("POST", infer, data=b"{}").status == 400
        wait(lambda _: text_of(chrome, '[data-value="refused"]') == "1")
        wait(lambda _: text_of(chrome, '[data-lane="cpu/0"] [data-busy] span').endswith("%"))

        chrome.execute_script("window.stayed = true; document.querySelector('details').open = true")
        planned.use(1)
        planned.model.description = {"moves": [{"time": "now", "from": "fast", "to": "small", "why": NASTY}]}
        wait(lambda _: text_of(chrome, ".bucket b") == "small")
        assert NASTY in text_of(chrome, ".moves td:last-child")
        assert "small" in text_of(chrome, ".point.used title")
        assert chrome.execute_script("return window.stayed && document.querySelector('details').open")
        assert not chrome.execute_script("return document.images.length")

        planned.model.slo = SLO.parse({"latency": "1ns"})
        wait(lambda _: text_of(chrome, ".badge") == "objective missed")
        assert chrome.get_log("browser") == [], "nothing was refused by the policy, nothing failed"
    wait(lambda _: text_of(chrome, "#state") == "no answer")


@pytest.mark.parametrize("width", [360, 1180])
def test_it_fits_narrow_and_wide_screens(serving, planned, chrome, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    with serving(planned.model) as running:
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        chrome.get(base(running))
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= width


def test_dark_where_the_reader_wants_it_dark(serving, planned, chrome):
    seen = {}
    with serving(planned.model) as running:
        for scheme in ("light", "dark"):
            feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
            chrome.get(base(running))
            script = "return getComputedStyle(document.body).backgroundColor"
            seen[scheme] = sum(json.loads(chrome.execute_script(script).replace("rgb(", "[").replace(")", "]")))
    assert seen["dark"] < 3 * 64 < 3 * 192 < seen["light"]
