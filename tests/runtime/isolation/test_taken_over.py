"""What a process says that a model has taken over: the server ends it, and nobody else is the worse for it."""

from functools import partial

import numpy as np
import pytest

from chrion_api import ChrionError
from chrion_runtime.errors import PlanRefused, ProcessLost
from chrion_runtime.isolation import Group, worker
from chrion_runtime.isolation.wire import Description, Report
from chrion_runtime.servable import Figure
from chrion_runtime.stop import Stop
from tests.support.plans import Planned
from tests.support.rounds import BUCKET, STATE, rounds


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return Planned(rounds(), tmp_path_factory.mktemp("rounds"), BUCKET)


def answer_with(reply):
    """As a setup: every request is answered with this."""
    worker._Worker._answer = lambda *_: (reply, [])


@pytest.mark.parametrize("reply", [[], {"names": ["last"]}])
def test_a_process_whose_answers_cannot_be_read_is_ended(planned, reply):
    group = Group("mumbling", partial(answer_with, reply))
    [model] = group.open([("m", planned.opening(name="m", state=STATE))])
    feeds = {"steps": np.array(3), "x": np.ones(4, np.float32), "count": np.array([0])}
    with pytest.raises(ProcessLost):
        model.run(feeds, stop=Stop())
    model.close()


def report_with(**fields):
    """As a setup: what is reported of a model says this."""
    report = worker._report
    worker._report = lambda model: {"report": {**report(model)["report"], **fields}}


FIGURE = {"name": "chrion_sessions", "kind": "gauge", "help": "", "labels": {}, "value": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "chrion_sessions 1\nother"},
        {"name": "up"},
        {"kind": "histogram"},
        {"labels": {"a b": "c"}},
        {"labels": {"a": 1}},
        {"value": "much"},
        {"more": 1},
    ],
)
def test_figures_that_would_spoil_the_metrics_are_refused(wrong):
    report = Report(figures=(Figure(**FIGURE),)).to_data()
    assert Report.of(report).figures[0].value == 1.0
    with pytest.raises((ValueError, TypeError)):
        Report.of({**report, "figures": [{**FIGURE, **wrong}]})


@pytest.mark.parametrize("wrong", [{"slo": 3}, {"deadline": "soon"}, {"figures": 7}, {"mode": None}])
def test_reports_are_checked(wrong):
    with pytest.raises((ValueError, TypeError, ChrionError)):
        Report.of({**Report().to_data(), **wrong})


def test_a_process_whose_reports_cannot_be_read_is_ended(planned):
    wrong = [{**FIGURE, "name": "up"}]
    with pytest.raises(PlanRefused, match="its process ended while it was loaded"):
        Group("raving", partial(report_with, figures=wrong)).open([("m", planned.opening(name="m", state=STATE))])


@pytest.mark.parametrize("wrong", [0, -1, 1 << 30, "many"])
def test_as_many_threads_as_a_process_likes_are_not_started(wrong):
    about = Description((), (), {}, 2, frozenset()).to_data()
    assert Description.of(about).concurrency == 2
    with pytest.raises(ValueError, match=r"concurrency|invalid literal"):
        Description.of({**about, "concurrency": wrong})
