"""Settings come from the environment, and what cannot be used is named."""

from typing import Any

import pytest

from chrion_operator.errors import InvalidSetting
from chrion_operator.settings import VERSION, Settings


def test_without_an_environment_the_defaults_hold() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.image("planner", gpu=False) == f"ghcr.io/chrion/chrion-planner:{VERSION}"
    assert settings.image("runtime", gpu=True) == f"ghcr.io/chrion/chrion-runtime-cuda:{VERSION}"
    assert settings.max_model_bytes == 8 << 30


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("NAMESPACES", "audio, video,", "namespaces", ("audio", "video")),
        ("OPERATOR_NAMESPACE", "chrion", "operator_namespace", "chrion"),
        ("PLANNER_IMAGE", "here/planner:1", "planner_image", "here/planner:1"),
        ("IMAGE_PULL_POLICY", "never", "image_pull_policy", "Never"),
        ("POD_TEMPLATE", '{"spec": {"priority": 1}}', "pod_template", {"spec": {"priority": 1}}),
        ("READ_NODES", "false", "read_nodes", False),
        ("READ_NODES", " ", "read_nodes", True),
        ("FETCH_ALLOW", "minio.audio.svc, 10.0.0.0/8", "fetch_allow", ("minio.audio.svc", "10.0.0.0/8")),
        ("MAX_MODEL_BYTES", "64Mi", "max_model_bytes", 64 << 20),
        ("SERVICE_MONITOR", "true", "service_monitor", True),
        ("SERVICE_MONITOR_LABELS", '{"release": "p"}', "service_monitor_labels", {"release": "p"}),
        ("WORKERS", "8", "workers", 8),
        ("SCRAPE_SECONDS", "2.5", "scrape_seconds", 2.5),
        ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
    ],
)
def test_a_variable_sets_its_field(name: str, text: str, field: str, value: Any) -> None:
    assert getattr(Settings.from_environment({f"CHRION_{name}": text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NAMESPACES", "Audio"),
        ("IMAGE_PULL_POLICY", "Sometimes"),
        ("POD_TEMPLATE", "{"),
        ("POD_TEMPLATE", "[]"),
        ("POD_TEMPLATE", '{"spec": []}'),
        ("READ_NODES", "perhaps"),
        ("FETCH_ALLOW", "10.0.0.0/99"),
        ("MAX_MODEL_BYTES", "much"),
        ("SERVICE_MONITOR_LABELS", '{"release": 1}'),
        ("WORKERS", "0"),
        ("SCRAPE_SECONDS", "nan"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^CHRION_{name}: ") as caught:
        Settings.from_environment({f"CHRION_{name}": text})
    assert "\n" not in str(caught.value)
