"""The operator as a process: its arguments, any user, no cluster, one that comes late, and how it ends."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import chrion_operator
from chrion_operator.__main__ import main
from tests.support.api_server import ApiServer
from tests.support.on_thread import reserved_port
from tests.support.operator import OperatorProcess

ENVIRONMENT = {"CHRION_OPERATOR_NAMESPACE": "chrion-system"}


@contextmanager
def operator(kubeconfig: Path, log: Path, *identity: str, **environment: str) -> Iterator[OperatorProcess]:
    process = OperatorProcess(kubeconfig, log, {**ENVIRONMENT, **environment}, identity)
    try:
        yield process
    finally:
        process.kill()


def ask(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "chrion_operator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_it_says_how_it_is_used() -> None:
    done = ask("--help")
    assert done.returncode == 0
    assert "usage: python -m chrion_operator" in done.stdout
    assert "CHRION_NAMESPACES" in done.stdout


@pytest.mark.parametrize("wrong", ["--nonsense", "namespace", "--hel"])
def test_what_it_does_not_know_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([wrong])
    assert caught.value.code == 2
    assert f"error: unrecognized arguments: {wrong}" in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_ends_in_one_line() -> None:
    done = ask(CHRION_WORKERS="none")
    assert (done.returncode, done.stderr) == (2, 'CHRION_WORKERS: "none" must be a whole number of 1 or more\n')


def test_without_a_cluster_it_says_so_in_a_line_and_tries_again(tmp_path: Path) -> None:
    with operator(tmp_path / "none", tmp_path / "log") as process:
        process.wait_for_words("trying again in 4 s")
        # Alive, but not ready.
        assert process.health() == {"leading": False}
        with pytest.raises(OSError, match="503"):
            process.ready()
        assert process.terminate() == 0
        lines = process.words().splitlines()
    assert len(lines) == 2
    assert all("found no pod service account and no usable kubeconfig" in line for line in lines)


def test_an_api_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    with reserved_port() as port:
        server = ApiServer(port)
        with operator(server.kubeconfig(tmp_path / "kubeconfig"), tmp_path / "log") as process:
            process.wait_for_words("the API server cannot be reached")
            with server.running():
                process.wait_until_ready()
                assert process.terminate() == 0
            words = process.words()
    assert "Traceback" not in words
    assert all("WARNING chrion_operator." in line or " INFO chrion_operator." in line for line in words.splitlines())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_it_runs_as_any_user_without_an_account_or_a_home() -> None:
    for path in (Path(sys.prefix), Path(chrion_operator.__file__).parent):
        if not all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents)):
            pytest.skip(f"nobody but root may read {path}")
    # pytest's own folders are its user's alone.
    with tempfile.TemporaryDirectory() as folder, ApiServer().running() as server:
        Path(folder).chmod(0o755)
        kubeconfig = server.kubeconfig(Path(folder) / "kubeconfig")
        kubeconfig.chmod(0o644)
        identity = ("--reuid", "1000760000", "--regid", "0", "--clear-groups")
        with operator(kubeconfig, Path(folder) / "log", *identity, HOME="/") as process:
            process.wait_until_ready()
            assert process.terminate() == 0
            assert "Traceback" not in process.words()


def test_a_port_that_is_taken_ends_in_one_line(tmp_path: Path) -> None:
    with ApiServer().running() as server:
        done = ask(KUBECONFIG=str(server.kubeconfig(tmp_path / "kubeconfig")), CHRION_HEALTH_PORT=str(server.port))
    assert done.returncode == 1
    assert f"CHRION_HEALTH_PORT: cannot listen on port {server.port}" in done.stderr
    assert "Traceback" not in done.stderr
