"""The page of a plan file: well-formed, complete, and with names that are never markup."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from chrion_api import Frontier, Plan, PlanFile
from chrion_runtime.report.html.page import standalone_page
from tests.support.plan_files import NASTY, SAMPLES, crowded, nasty, stage, two_lanes, with_gpu


class Page(HTMLParser):
    """Checks that tags nest, and gathers what the tests ask about."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def pictures(page: str) -> Iterator[ElementTree.Element]:
    for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        yield ElementTree.fromstring(found)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(sample):
    text = standalone_page(sample(), "A <title> & more")
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not re.search(r"https?://|@import|url\(", text)
    for tag, attributes in page.seen:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href"} & set(attributes)
    ids = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "A <title> & more" in page.text
    for picture in pictures(text):
        named = picture.attrib["aria-labelledby"].split()
        assert picture.attrib["role"] == "img"
        assert set(named) <= {element.get("id") for element in picture}
        left, top, width, height = map(float, picture.attrib["viewBox"].split())
        assert (left, top) == (0, 0)
        for block in picture.iter("rect"):
            assert 0 <= float(block.attrib["x"]) <= float(block.attrib["x"]) + float(block.attrib["width"]) <= width + 1
            assert 0 <= float(block.attrib["y"]) <= float(block.attrib["y"]) + float(block.attrib["height"]) <= height


@pytest.mark.parametrize("sample", [two_lanes, with_gpu, crowded])
def test_every_stage_is_in_the_picture_and_in_the_table(sample):
    plan_file = sample()
    text = standalone_page(plan_file, "x")
    charts = [picture for picture in pictures(text) if picture.get("class") == "gantt"]
    plans = [plan for bucket in plan_file.buckets for plan in bucket.plans]
    assert len(charts) == len(plans)
    for chart, plan in zip(charts, plans, strict=True):
        drawn = {element.attrib["data-stage"] for element in chart.iter("g") if "data-stage" in element.attrib}
        assert drawn == {str(index) for index in range(len(plan.stages))}
    listed = text.count('<tr><th scope="row" class="text">')
    assert listed >= sum(len(plan.stages) for plan in plans)


def test_a_stage_is_drawn_across_the_lanes_it_holds():
    heights: dict[str, list[float]] = {}
    charts = [picture for picture in pictures(standalone_page(two_lanes(), "x")) if picture.get("class") == "gantt"]
    for block in charts[0].iter("g"):
        if "data-stage" in block.attrib:
            heights.setdefault(block.attrib["data-stage"], []).extend(
                float(rect.attrib["height"]) for rect in block.iter("rect")
            )
    assert heights["0"][0] > 2 * heights["1"][0]
    apart = standalone_page(PlanFile(model="00" * 32, devices={}, buckets=(with_lanes_apart(),)), "x")
    assert apart.count('data-stage="0"') == 2


def with_lanes_apart() -> Frontier:
    stages = (stage((0,), ("cpu/0", "cpu/2"), 0, 1), stage((1,), ("cpu/1",), 0, 1))
    return Frontier(inputs={}, plans=(Plan(name="a", graph="", stages=stages, predicted_seconds=1e-3),))


def test_the_page_shows_what_a_reader_asks():
    text = Page(standalone_page(with_gpu(), "x")).text
    for expected in ("Truncated", "Some GPU 100", "570.86", "1.31.1", "9f" * 32, "400 MiB", "300 MiB", "712 MiB"):
        assert expected in text
    assert "×1.14" in text
    assert "+5.0 %" in text
    assert "predicted only" in text
    assert "x [1, 9], state scalar" in text
    assert "split-directions(node=3)" in text
    assert "0-2" in text
    assert "4-5, 9" in text


def test_names_are_text_never_markup():
    text = standalone_page(nasty(), NASTY)
    page = Page(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '<script>alert("x")</script> & [red]名前[/red]' in page.text


def test_same_file_same_page():
    assert standalone_page(with_gpu(), "x") == standalone_page(PlanFile.from_json(with_gpu().to_json()), "x")
