"""Which packages an offline host lacks: a pure function of what it has, what is needed, and the lock."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chrion_api import ChrionError

Needs = Callable[[str], Iterable[str]]
"""What a package requires, as its metadata says."""

_PROVIDED = "onnxruntime"
"""Packages that begin so are packed apart; what they need counts all the same."""


class CannotPack(ChrionError):
    """Something that must be packed is not in the lock, does not fit or cannot be had."""


@dataclass(frozen=True)
class Target:
    """The host's Python: CPython on Linux, x86-64."""

    python: str = "3.12"

    @property
    def markers(self) -> dict[str, str]:
        """The environment that markers of requirements are judged in."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "os_name": "posix",
        }


def host_packages(text: str) -> dict[str, str]:
    """What the host has, by name: `pip list --format=json`, or a line a package, with or without `==version`.

    A package without a version counts as one that will do. Raises CannotPack on anything else.
    """
    if text.lstrip().startswith("["):
        try:
            return {canonicalize_name(item["name"]): item["version"] for item in json.loads(text)}
        except (ValueError, KeyError, TypeError):
            raise CannotPack("the host's packages: not what `pip list --format=json` writes") from None
    found: dict[str, str] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        if not re.fullmatch(r"[A-Za-z0-9._-]+(==[^\s=]+)?", line):
            raise CannotPack(f'the host\'s packages: "{line[:60]}" is not a package, nor package==version')
        name, _, version = line.partition("==")
        found[canonicalize_name(name)] = version
    return found


def locked(lock: str, target: Target) -> dict[str, str]:
    """The lock's lines for the target, with their hashes, by name."""
    found: dict[str, str] = {}
    for line in filter(None, lock.replace("\\\n", " ").splitlines()):
        requirement = Requirement(re.split(r"\s+--hash=", line.strip())[0])
        if requirement.marker is None or requirement.marker.evaluate(target.markers):
            found[canonicalize_name(requirement.name)] = line
    return found


def missing(
    roots: Iterable[str], needs: Needs, lock: Mapping[str, str], host: Mapping[str, str], target: Target
) -> list[str]:
    """The lock's lines that the host lacks of all that `roots` come to; what it has in a version that will do, it has.

    `needs` is asked for what is carried only: what the host has brings its own. Raises CannotPack for a package that is
    needed and not locked.
    """
    carried: dict[str, str] = {}
    waiting = list(_applying(roots, {""}, target))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        apart = name.startswith(_PROVIDED)
        if name in carried or (name in host and not apart and _will_do(host[name], requirement)):
            continue
        if not apart and name not in lock:
            raise CannotPack(f"{name} is needed and not in requirements.lock")
        carried[name] = "" if apart else lock[name]
        waiting += _applying(needs(name), {"", *requirement.extras}, target)
    return sorted(filter(None, carried.values()))


def _will_do(version: str, requirement: Requirement) -> bool:
    return not version or requirement.specifier.contains(version, prereleases=True)


def _applying(requirements: Iterable[str], extras: Iterable[str], target: Target) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**target.markers, "extra": extra}) for extra in extras):
            yield requirement
