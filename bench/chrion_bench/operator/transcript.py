"""Write docs/end-to-end.md from a real run: `make transcript`, inside tests/cluster/kubernetes/run.sh --node.

Every command on the page was run as it stands there, and what stands below it is what it printed.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import yaml

from chrion_bench.operator.place import CHECKOUT, server_version
from chrion_bench.operator.served_here import nsnet2
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from tests.support.waiting import wait_until

PAGE = CHECKOUT / "docs" / "end-to-end.md"
NAMESPACE = "default"

CLIENT = """\
import sys, numpy, tritonclient.http as triton

tensor = triton.InferInput("input", [1, 50, 161], "FP32")
tensor.set_data_from_numpy(numpy.zeros((1, 50, 161), numpy.float32))
print(triton.InferenceServerClient(sys.argv[1]).infer("nsnet2", [tensor]).as_numpy("output").shape)
"""


class Transcript:
    """Commands and what they printed, as Markdown."""

    def __init__(self, folder: Path) -> None:
        self.parts: list[str] = []
        self._folder = folder

    def say(self, text: str) -> None:
        """A paragraph."""
        self.parts.append(textwrap.fill(text, 120))

    def file(self, name: str, content: str) -> None:
        """A file that commands use."""
        (self._folder / name).write_text(content, encoding="utf-8")
        self.parts.append(f"`{name}`:\n\n```{name.rpartition('.')[2]}\n{content}```")

    def run(self, command: str) -> None:
        """A command of a shell, which must succeed."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ran = subprocess.run(
            command,
            shell=True,
            cwd=self._folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            sys.exit(f"error: {command}\n{ran.stdout}")
        self.parts.append(f"```console\n$ {command}\n{ran.stdout.rstrip()}\n```")


def main() -> None:
    """Run all of it and write the page."""
    with workplace() as place, nsnet2(place, NAMESPACE) as here, tempfile.TemporaryDirectory() as folder:
        script = Transcript(Path(folder))
        model = {
            "apiVersion": "chrion.dev/v1alpha1",
            "kind": "ChrionModel",
            "metadata": {"name": here.model.name},
            "spec": {**here.model.spec, "slo": {"latency": "50ms", "percentile": 99}},
        }
        script.parts.append("# From apply to delete")
        script.say(
            f"A real run on one node of Kubernetes {server_version()}, written by `make transcript`. The model is on "
            "an HTTPS server on the node, and the operator runs and may fetch from there."
        )
        script.file("nsnet2.yaml", yaml.safe_dump(model, sort_keys=False, default_flow_style=None))
        script.run("kubectl apply -f nsnet2.yaml")
        script.say("The operator starts a planner, which fetches the model, measures it and writes its plans.")
        here.model.wait_for("Profiled", "False", "Planning", "%")
        script.run("kubectl get chm nsnet2")
        script.run("kubectl get chm nsnet2 -o jsonpath='{.status.conditions[?(@.type==\"Profiled\")].message}'")
        script.run("kubectl wait --for=condition=Ready chm/nsnet2 --timeout=10m")
        here.model.wait_for("Serving")
        script.run("kubectl get chm nsnet2")
        script.run("kubectl get job,deployment,service,pod -l chrion.dev/model=nsnet2")
        script.say("The Service answers any client of the Open Inference Protocol.")
        script.file("client.py", CLIENT)
        script.run("kubectl get service nsnet2 -o jsonpath='{.spec.clusterIP}'")
        script.run("python client.py $(kubectl get service nsnet2 -o jsonpath='{.spec.clusterIP}')")
        script.say("A changed objective reaches the pod while it serves. Nothing is planned again or restarted.")
        script.run(
            'kubectl patch chm nsnet2 --type merge -p \'{"spec": {"slo": {"latency": "30ms", "percentile": 95}}}\''
        )
        (pod,) = here.model.pods()
        wait_until(lambda: here.model.plan_of(pod)["slo"].get("latency") == "30ms", "the objective's reaching the pod")
        here.model.spec["slo"] = {"latency": "30ms", "percentile": 95}
        here.model.wait_for("Serving")
        script.run("kubectl get chm nsnet2")
        script.run("kubectl get pod -l chrion.dev/model=nsnet2,app.kubernetes.io/component=runtime")
        events = "kubectl get events --field-selector involvedObject.name=nsnet2"
        script.run(f"{events} -o custom-columns=REASON:.reason,MESSAGE:.message")
        script.say("Deleting the ChrionModel deletes everything that was created for it.")
        script.run("kubectl delete chm nsnet2")
        wait_until(lambda: not here.model.owned(), "the going of all that it had")
        script.run("kubectl get job,deployment,service,pod,configmap -l chrion.dev/model=nsnet2")
    write_aside(PAGE, "\n\n".join(script.parts) + "\n")


if __name__ == "__main__":
    main()
