"""Settings: how the operator was told to work, from environment variables `CHRION_…`."""

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal, get_args

from chrion_api import InvalidField, Quantity
from chrion_api.podtemplate import PodTemplate
from chrion_operator.errors import InvalidSetting

VERSION = version("chrion")

PullPolicy = Literal["Always", "IfNotPresent", "Never"]

TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no", "")


def _image(name: str) -> str:
    return f"ghcr.io/chrion/chrion-{name}:{VERSION}"


@dataclass(frozen=True)
class Settings:
    """How the operator works; every field is the environment variable of its name in capitals, after `CHRION_`."""

    namespaces: tuple[str, ...] = ()
    """The namespaces to look after, separated by commas; empty for all."""
    operator_namespace: str = "chrion-system"
    """The operator's own namespace, where the leader's Lease is."""
    planner_image: str = _image("planner")
    """The image of planners on CPU classes."""
    runtime_image: str = _image("runtime")
    """The image of runtimes on CPU classes."""
    planner_gpu_image: str = _image("planner-cuda")
    """The image of planners on GPU classes."""
    runtime_gpu_image: str = _image("runtime-cuda")
    """The image of runtimes on GPU classes."""
    image_pull_policy: PullPolicy = "IfNotPresent"
    """Pull policy of these images."""
    pod_template: Mapping[str, Any] = field(default_factory=dict)
    """A pod template (JSON) merged under every pod's, before the one of the spec."""
    read_nodes: bool = True
    """Whether node objects may be read; without them there is one node class, made from the spec."""
    fetch_allow: tuple[str, ...] = ()
    """Hosts and networks that models may be fetched from although their addresses are private."""
    max_model_bytes: int = 8 * 1024**3
    """The largest model that is fetched, with its external data; a quantity such as 8Gi."""
    service_monitor: bool = False
    """Whether each model gets a ServiceMonitor, where the server knows that kind."""
    service_monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels (JSON) that a Prometheus selects its ServiceMonitors by."""
    workers: int = 4
    """How many ChrionModels are looked at at once."""
    scrape_seconds: float = 5.0
    """How often each ready pod is asked for the plan that it uses."""
    health_port: int = 8080
    """The port of /healthz; 0 for none."""
    metrics_port: int = 8002
    """The port of /metrics; 0 for none."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe entries that are logged."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that the environment gives. Raises InvalidSetting, which names the variable."""
        given: dict[str, Any] = {}
        for name, read in _READ.items():
            variable = f"CHRION_{name.upper()}"
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                given[name] = read(text)
            except ValueError as error:
                raise InvalidSetting(f"{variable}: {error}") from None
        return cls(**given)

    def image(self, component: Literal["planner", "runtime"], gpu: bool) -> str:
        """The image of a component's pods."""
        if component == "planner":
            return self.planner_gpu_image if gpu else self.planner_image
        return self.runtime_gpu_image if gpu else self.runtime_image


def _text(text: str) -> str:
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    for name in names:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise ValueError(f'"{name}" is not a valid namespace')
    return names


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(filter(None, (part.strip() for part in text.split(","))))
    for host in hosts:
        try:
            ipaddress.ip_network(host)
        except ValueError:
            if not re.fullmatch(r"[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?", host):
                raise ValueError(f'"{host}" is not a host name or a network such as 10.0.0.0/8') from None
    return hosts


def _flag(text: str) -> bool:
    if text.lower() not in (*TRUE, *FALSE):
        raise ValueError(f'"{text}" must be true or false')
    return text.lower() in TRUE


def _bytes(text: str) -> int:
    return Quantity(text).bytes


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f'"{text}" must be a whole number of 1 or more')
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f'"{text}" must be a port from 0 to 65535')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f'"{text}" must be a number of seconds above 0')
    return seconds


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object with named fields")
    return value


def _pod_template(text: str) -> dict[str, Any]:
    template = _object(text)
    try:
        PodTemplate.parse(template)
    except InvalidField as error:
        raise ValueError(str(error)) from None
    return template


def _labels(text: str) -> dict[str, str]:
    labels = _object(text)
    if not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("expected a JSON object of strings")
    return labels


def _one_of(choices: Any) -> Any:
    def read(text: str) -> str:
        for choice in get_args(choices):
            if text.lower() == choice.lower():
                return str(choice)
        raise ValueError(f'"{text}" must be one of {", ".join(get_args(choices))}')

    return read


_READ: dict[str, Any] = {
    "namespaces": _names,
    "operator_namespace": _text,
    "planner_image": _text,
    "runtime_image": _text,
    "planner_gpu_image": _text,
    "runtime_gpu_image": _text,
    "image_pull_policy": _one_of(PullPolicy),
    "pod_template": _pod_template,
    "read_nodes": _flag,
    "fetch_allow": _hosts,
    "max_model_bytes": _bytes,
    "service_monitor": _flag,
    "service_monitor_labels": _labels,
    "workers": _count,
    "scrape_seconds": _seconds,
    "health_port": _port,
    "metrics_port": _port,
    "log_format": _one_of(Literal["text", "json"]),
    "log_level": _one_of(Literal["debug", "info", "warning", "error"]),
}
