"""Load a session's plans, and check them against the model as it is. Heavy to import, so that first answers do not."""

from collections.abc import Sequence
from pathlib import Path

from chrion import cache
from chrion_api import Frontier, InputSpec, Objective, PlanFile, StateLink
from chrion_graph.equality import difference
from chrion_graph.inputs import Values, sample
from chrion_graph.limits import Limits
from chrion_runtime.errors import PlanRefused, UnfitValues
from chrion_runtime.planned_model import Hosting, NormalisedModel, PlannedModel
from chrion_runtime.servable import Array
from chrion_runtime.unplanned_model import UnplannedModel


def open_planned(
    model: Path | NormalisedModel,
    plans: PlanFile,
    name: str,
    objective: Objective,
    inputs: Sequence[InputSpec],
    state: Sequence[StateLink],
    hosting: Hosting,
) -> PlannedModel:
    """A model by its plans; where only its file is given, its normalised form is from the cache, or made.

    Raises ChrionError.
    """
    return PlannedModel(
        cache.normalised(model, Limits()) if isinstance(model, Path) else model,
        plans,
        name=name,
        slo=objective.slo,
        mode=objective.mode,
        inputs=inputs,
        state=state,
        hosting=hosting,
    )


def check_agree(planned: PlannedModel, model: UnplannedModel, inputs: Sequence[InputSpec]) -> None:
    """Raise PlanRefused where the plans of a model answer otherwise than the model as it is."""
    values = {spec.name: spec.value for spec in inputs if spec.value is not None}
    for frontier, selection in planned.in_use:
        found = _answered(model, frontier, values)
        if found is None:
            continue
        feeds, expected = found
        if difference(model.run(feeds), expected):
            continue  # the model itself answers one thing and then another: there is nothing to compare
        for _ in range(2):  # by values that were bound in advance, and by others
            if problem := difference(planned.run(feeds), expected):
                raise PlanRefused(f'plan "{selection.plan.name}" answers otherwise than the model: {problem}')


def _answered(
    model: UnplannedModel, frontier: Frontier, values: Values
) -> tuple[dict[str, Array], dict[str, Array]] | None:
    """Values of a bucket's shapes and what the model answers; None where it fails on zeros and on ones."""
    for other in (0, 1):
        feeds = sample(model.kinds, frontier.inputs, values, other=other)
        try:
            return feeds, model.run(feeds)
        except UnfitValues:
            continue
    return None
