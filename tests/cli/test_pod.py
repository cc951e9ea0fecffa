"""`chrion` as pods run it: user 65532, no home, a root filesystem that is read-only, ConfigMaps as chains of links."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import chrion
from tests.support.command import SCRIPT, WAIT_SECONDS, Process, Server
from tests.support.file_server import FileServer

POD = Path("/mnt")
"""Where the folders are that a pod has as volumes."""
PYTHON = Path(sys.executable).resolve()
ENVIRONMENT = Path(sys.prefix)
NEEDED = (PYTHON.parents[1], ENVIRONMENT, ENVIRONMENT.resolve(), Path(chrion.__file__).parents[2])
"""Python, its environment and the checkout, wherever they lie."""
# A mount namespace of its own: the volumes at /mnt, /tmp and the folders $2 empty but for what is needed ($3), and all
# else read-only.
ENTER = """
set -e
IFS=$'\n'
number=0
for path in $3; do
    mkdir -p "$1/.needed/$((++number))" && mount --bind "$path" "$1/.needed/$number"
done
mount --bind "$1" /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
for path in $2; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
number=0
for path in $3; do
    mkdir -p "$path" && mount --bind "$1/.needed/$((++number))" "$path"
done
mount --bind / / && mount -o remount,bind,ro /
shift 3
cd /
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


def closed() -> set[Path]:
    """The folders on the way to what is needed, such as /root, through which the pod's user may not go."""
    found = {folder for path in NEEDED for folder in path.parents if not folder.stat().st_mode & 0o001}
    return {folder for folder in found if not found & set(folder.parents)}


def can_enter() -> bool:
    """Whether this is root, and may make mount namespaces."""
    try:
        done = subprocess.run(
            ["unshare", "--mount", "setpriv", "--reuid", "65532", "true"], capture_output=True, check=False
        )
    except OSError:
        return False
    return os.geteuid() == 0 and done.returncode == 0


pytestmark = pytest.mark.skipif("not can_enter()", reason="needs root, unshare and setpriv")


class Pod:
    """Folders that stand for volumes, and commands run beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        for name in ("model", "cache"):
            (folder / name).mkdir()
            os.chown(folder / name, 65532, 65532)

    def run(self, *arguments: str) -> Process:
        """Start `chrion` with next to no environment."""
        hidden = {POD, Path("/tmp"), *closed()}
        needed = [path for path in NEEDED if hidden & set(path.parents)]
        folders = ["\n".join(map(str, paths)) for paths in (closed(), needed)]
        command = ["unshare", "--mount", "bash", "-c", ENTER, "enter", self.folder, *folders, SCRIPT, *arguments]
        log = f"{POD}/cache/termination-log"
        environment = {"PATH": os.environ["PATH"], "CHRION_CACHE": f"{POD}/cache", "CHRION_TERMINATION_LOG": log}
        return Process([str(part) for part in command], environment)

    def mount(self, name: str, files: dict[str, bytes]) -> None:
        """Files as a ConfigMap is mounted, or changed: all at once, by the swap of a link."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        held = Path(tempfile.mkdtemp(prefix="..2026_", dir=folder))
        held.chmod(0o755)
        for file, content in files.items():
            (held / file).write_bytes(content)
            if not (folder / file).is_symlink():
                (folder / file).symlink_to(f"..data/{file}")
        (folder / "..data_tmp").symlink_to(held.name)
        (folder / "..data_tmp").rename(folder / "..data")


@pytest.fixture
def pod():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Pod(Path(folder))


SERVE = ("serve", f"{POD}/model/model.onnx", "--plan", f"{POD}/plan/plan.json", "--slo", f"{POD}/slo/slo.json")
REST = ("--name", "gru", "--host", "127.0.0.1", "--port", "0", "--metrics-port", "-1", "--log-format", "json")


def test_fetched_and_served_with_what_a_pod_has(pod, model, plan_file):
    with FileServer({"/gru.onnx": model.read_bytes()}) as store:
        fetch = pod.run("fetch", store.url("/gru.onnx"), "--output", f"{POD}/model/model.onnx", "--allow", "127.0.0.1")
        assert fetch.end() == 0, fetch.err
    assert (pod.folder / "model" / "model.onnx").stat().st_uid == 65532
    pod.mount("plan", {"plan.json": gzip.compress(plan_file.read_bytes())})
    pod.mount("slo", {"slo.json": b'{"latency": "10s", "mode": "Latency"}'})
    process = pod.run(*SERVE, *REST)
    try:
        _, _, rest = process.wait_for("serving on http://").partition("http://")
        server = Server(process, "gru", rest.partition("/")[0])
        said = server.plan()
        assert said["mode"] == "Latency"
        (bucket,) = said["buckets"]
        assert bucket["plan"]["measured"]["p50"] > 0
        assert set(bucket["plan"]["gpuBytes"]) == {"weights", "activations", "workspace", "context"}
        assert {"seconds", "sloMet", "percentile"} <= set(said["observed"])
        assert said["stale"] is None

        pod.mount("slo", {"slo.json": b'{"latency": "9s", "mode": "Memory"}'})
        deadline = time.monotonic() + WAIT_SECONDS
        while server.plan()["mode"] != "Memory":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.popen.terminate()
        assert process.end() == 0, process.err
    kept = {path.name for path in (pod.folder / "cache").iterdir()}
    assert kept == {"models", "termination-log"}


def test_a_plan_for_another_model_is_refused(pod, other_model, plan_file):
    shutil.copy(other_model, pod.folder / "model" / "model.onnx")
    pod.mount("plan", {"plan.json": plan_file.read_bytes()})
    pod.mount("slo", {"slo.json": b"{}"})
    process = pod.run(*SERVE, *REST)
    assert process.end() == 2
    planned = json.loads(plan_file.read_text())["model"]
    assert f"the plan was made for model {planned[:12]}, this is" in process.err
    assert process.err.rstrip().endswith("plan again")
