"""The GPU that these tests are for; where there is none they are skipped, with the reason."""

import pytest

from chrion_runtime.devices import Device, open_devices
from chrion_runtime.errors import DeviceUnavailable


@pytest.fixture(scope="session")
def cuda() -> Device:
    """The first GPU."""
    try:
        return open_devices(["cuda:0"])["cuda:0"]
    except DeviceUnavailable as error:
        pytest.skip(str(error))
