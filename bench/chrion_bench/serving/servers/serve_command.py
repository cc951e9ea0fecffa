"""`chrion serve` itself, by a plan file that is watched: `plan=PATH` names it."""

import sys
from pathlib import Path

from chrion.main import main


def command() -> list[str]:
    """Its arguments."""
    port, folder, model, plan = sys.argv[1:]
    path = Path(folder) / f"{model}.onnx"
    plan = plan.removeprefix("plan=")
    return ["serve", str(path), "--plan", plan, "--name", model, "--port", port, "--metrics-port", "-1"]


if __name__ == "__main__":
    sys.argv[1:] = command()
    main()
