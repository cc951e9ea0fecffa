#!/usr/bin/env python3
"""Write a container image from a few files, with no builder and no registry, as a tar for `ctr images import`."""

import hashlib
import io
import json
import platform
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_image(
    path: Path,
    name: str,
    files: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    entrypoint: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Write the image `name` (with its tag) of executable `files` and symbolic `links`, both by their path in it."""
    layer = _layer(files or {}, links or {})
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Env": [f"{key}={value}" for key, value in (environment or {}).items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, config_name, config)
        _add(archive, layer_name, layer)
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _layer(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folders = {parent for file in (*files, *links) for parent in PurePosixPath(file).parents} - {PurePosixPath("/")}
        for folder in sorted({*folders, PurePosixPath("/tmp")}):
            entry = tarfile.TarInfo(str(folder).lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder.name == "tmp" else 0o755
            archive.addfile(entry)
        for file, content in files.items():
            _add(archive, file.lstrip("/"), content)
        for link, target in links.items():
            entry = tarfile.TarInfo(link.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    # image.py OUTPUT NAME BINARY [ARGUMENT…]: an image of one static binary that runs with these arguments
    output, name, binary, *arguments = sys.argv[1:]
    inside = f"/{Path(binary).name}"
    write_image(Path(output), name, {inside: Path(binary).read_bytes()}, entrypoint=[inside, *arguments])
