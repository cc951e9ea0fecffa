"""How far plans that round weights are off: their answers to further inputs, against those of ONNX Runtime."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from chrion_api import ChrionError
from chrion_graph.equality import error
from chrion_graph.model_worker import ModelWorker
from chrion_planner.measuring import Arrays, Contender, Feeds, PlanContender, SessionContender, Trial
from chrion_planner.settings import PlanningSettings

AnyContender = PlanContender | SessionContender


def check_errors(
    trials: Sequence[Trial],
    contender_of: Callable[[Trial], PlanContender],
    model: SessionContender,
    samples: Sequence[Feeds],
    settings: PlanningSettings,
) -> None:
    """Have those of the trials that round weights answer `samples`; each of them notes how far it is off."""
    rounding = [trial for trial in trials if trial.plan.rounds_weights and trial.fine]
    if not (rounding and samples):
        return
    settings.progress("comparing answers", 0.0)
    expected = _answers(model, samples, settings)
    for trial in rounding:
        try:
            found = _answers(contender_of(trial), samples, settings)
        except ChrionError as failure:
            trial.problem = str(failure)
        else:
            trial.note_error(max(error(one, other) for one, other in zip(found, expected, strict=True)))
        if trial.problem:
            settings.warn(f"plan {trial.plan.name} is dropped: {trial.problem}")


def _answers(contender: AnyContender, samples: Sequence[Feeds], settings: PlanningSettings) -> list[Arrays]:
    memory = None if contender.needs_address_space else settings.limits.memory
    with ModelWorker(memory, server=settings.server) as worker:
        asked = [replace(contender, feeds=sample) for sample in samples]
        seconds = settings.limits.seconds * len(samples)
        return worker.call(answers, asked, seconds=seconds, what=f"comparing {contender.name}")


def answers(contenders: Sequence[Contender]) -> list[Arrays]:
    """What each contender answers, in a worker."""
    return [contender.load().run() for contender in contenders]
