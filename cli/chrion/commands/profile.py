"""`chrion profile`: measure what a model's nodes cost on the devices of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from chrion import planning
from chrion.options import (
    DevicesOption,
    InputOption,
    LanesOption,
    ModelArgument,
    ValueOption,
    check_output,
    parse_devices,
    parse_inputs,
)
from chrion.planning import PlanningTask
from chrion.progress import Display
from chrion_graph.files import write_aside


def command(
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PROFILE.json", help="Where to write the profile.")],
    inputs: InputOption = None,
    value: ValueOption = None,
    devices: DevicesOption = "",
    lanes: LanesOption = 0,
) -> None:
    """Measure what a model's nodes cost on each device, for `chrion plan --profile` on any machine."""
    check_output(output)
    with Display() as display:
        task = PlanningTask(
            model=model,
            inputs=parse_inputs(inputs, value),
            devices=parse_devices(devices),
            cpu_lanes=lanes,
            progress=display.progress,
            warn=display.warn,
        )
        found = planning.profile(task)
    write_aside(output, found.to_json())
    kinds = sum(len(device.nodes) for device in found.devices)
    typer.echo(f"wrote {output}: {kinds} node costs on {', '.join(device.name for device in found.devices)}")
