"""`chrion serve`: serve models by plans that were made before."""

from pathlib import Path
from typing import Annotated

import typer

from chrion.commands.serving import (
    ListenOptions,
    RequestOptions,
    Setup,
    TelemetryOptions,
    entry_opening,
    run_memory_of,
    serve_models,
    server_options,
)
from chrion.errors import UsageError
from chrion.grouping import Grouping, Served
from chrion.models_to_serve import by_model, pair
from chrion.opening import Opening
from chrion.option_groups import ObjectiveOptions, grouped
from chrion.options import (
    AnyDeviceOption,
    Isolate,
    IsolateOption,
    LeaveOption,
    RepositoryOption,
    SloOption,
    StateOption,
    ValueOption,
    parse_inputs,
    parse_state,
)
from chrion_runtime.live import Live
from chrion_runtime.run.machine import Machine
from chrion_runtime.serve.models.folder import Entry


@grouped
def command(
    *,
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="The ONNX files.", show_default=False)
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan", metavar="PLAN.json", help="The plans, from `chrion plan`: one for each model, in the same order."
        ),
    ] = None,
    listen: ListenOptions,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="The models' names, in the same order. Default: the file names.")
    ] = None,
    value: ValueOption = None,
    state: StateOption = None,
    requests: RequestOptions,
    objective: ObjectiveOptions,
    slo: SloOption = None,
    repository: RepositoryOption = None,
    isolate: IsolateOption = Isolate.OWNER,
    any_device: AnyDeviceOption = False,
    leave: LeaveOption = None,
    telemetry: TelemetryOptions,
) -> None:
    """Serve models over the Open Inference Protocol, each with the plan that the objective selects.

    Several models share the lanes, and each must meet the objective by itself. The plans and the file of --slo are
    watched: changes take effect while the models serve.
    """
    if not models and repository is None:
        raise UsageError("name a model with its --plan, or a --repository to load models from")
    wanted = pair(models or (), plan or (), name or ())
    names = [one.name for one in wanted]
    values, states = by_model("--value", value, names), by_model("--state", state, names)
    machine = Machine() if repository is not None or len(wanted) > 1 else None
    keeping = requests.keeping
    options = server_options(listen, requests, telemetry, leave)
    lives = [Live.of(one.plan, slo) for one in wanted]  # before they are read
    pursued = objective.read(slo)
    setup = Setup(telemetry, run_memory_of(requests.run_memory))
    setup()
    grouping = Grouping(isolate, setup, machine, several=repository is not None)
    opened = grouping.open(
        [
            Opening(
                file=one.model,
                model=one.model,
                plan=one.plan,
                name=one.name,
                live=live,
                keeping=keeping,
                slo=pursued.slo,
                mode=pursued.mode,
                inputs=tuple(parse_inputs(None, values[one.name])),
                state=tuple(parse_state(states[one.name])),
                any_device=any_device,
            )
            for one, live in zip(wanted, lives, strict=True)
        ]
    )

    def load(entry: Entry) -> Served:
        return grouping.open([entry_opening(entry, keeping, any_device)])[0]

    serve_models(opened, options, repository, load)
