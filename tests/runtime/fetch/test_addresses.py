"""Which addresses models may be fetched from."""

import pytest

from chrion_runtime.fetch import Allowed, FetchRefused
from chrion_runtime.fetch.addresses import unwrapped

NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::",
    "64:ff9b::a9fe:a9fe",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
]
LOOPBACK = ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"]
PRIVATE = ["10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "255.255.255.255"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "172.32.0.1"]


@pytest.mark.parametrize("address", NEVER)
def test_never_whatever_is_allowed(address):
    for allowed in (Allowed(), Allowed.of(["0.0.0.0/0", "::/0"]), Allowed.of([str(unwrapped(address))])):
        assert "never" in str(allowed.objection(address, ["store"]))


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_only_by_a_network_within_it(address):
    assert "loopback" in str(Allowed.of(["0.0.0.0/0", "::/0", "store"]).objection(address, ["store"]))
    assert Allowed.of(["127.0.0.0/8", "::1"]).objection(address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_by_network_or_by_host(address):
    assert "private" in str(Allowed().objection(address, ["store"]))
    assert "private" in str(Allowed.of(["other", "11.0.0.0/8"]).objection(address, ["store"]))
    assert Allowed.of(["Store."]).objection(address, ["store"]) is None
    assert Allowed.of([str(unwrapped(address))]).objection(address) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert Allowed().objection(address) is None


@pytest.mark.parametrize("entry", ["", " a", "10.0.0.1/8", "http://host", "host:9000", "10.0.0.0/99"])
def test_what_is_no_entry(entry):
    with pytest.raises(FetchRefused, match="--allow"):
        Allowed.of([entry])
