"""What tests of a real GPU share: the device, or the reason why there is none."""

import pytest

from chrion_runtime.devices import Device, open_devices
from chrion_runtime.errors import DeviceUnavailable


@pytest.fixture(scope="session")
def cuda() -> Device:
    """The first GPU; where it cannot be used the test is skipped, with the probe's reason."""
    try:
        return open_devices(["cuda:0"])["cuda:0"]
    except DeviceUnavailable as error:
        pytest.skip(str(error))
