"""Which addresses models may be fetched from: a pure rule, asked about addresses that nothing is ever sent to."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from chrion_runtime.fetch import Allowed, FetchRefused, addresses, special
from chrion_runtime.fetch.special import TABLE, Reach, readings, row_of

SERVICES = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.169.123",
    "169.254.0.23",
    "169.254.42.42",
    "100.96.0.96",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
]
NEVER_V4 = [*SERVICES, "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255"]
NEVER_V6 = [
    "::",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2::123",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
    "fd00:100::100:200",
]


def carried(v4: str) -> dict[str, str]:
    """An IPv4 address in each of the forms in which IPv6 addresses carry one."""
    value = int(IPv4Address(v4))
    high, low = value >> 16, value & 0xFFFF
    turned = value ^ 0xFFFFFFFF
    local = 0x0064FF9B0001 << 80
    return {
        "compatible": f"::{v4}",
        "mapped": f"::ffff:{v4}",
        "translated": f"::ffff:0:{v4}",
        "nat64": f"64:ff9b::{v4}",
        "nat64 local, 96": f"64:ff9b:1::{v4}",
        "nat64 local, 96, deeper": f"64:ff9b:1:2:3:4:{v4}",
        "nat64 local, 64": str(IPv6Address(local | value << 24)),
        "nat64 local, 56": str(IPv6Address(local | value >> 24 << 64 | (value & 0xFFFFFF) << 32)),
        "nat64 local, 48": str(IPv6Address(local | high << 64 | low << 40)),
        "6to4": f"2002:{high:x}:{low:x}::1",
        "teredo client": f"2001:0:808:808:8000:63bf:{turned >> 16:x}:{turned & 0xFFFF:x}",
        "teredo server": f"2001:0:{high:x}:{low:x}:8000:63bf:f7f7:f7f7",
        "isatap": f"2606:4700::5efe:{v4}",
        "isatap, global": f"2606:4700::200:5efe:{v4}",
        "isatap, link-local": f"fe80::5efe:{v4}",
        "with a zone": f"::ffff:{v4}%eth0",
    }


FORMS = list(carried("8.8.8.8"))
LOOPBACK = ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "::1%lo"]
PRIVATE = [
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.19.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "fd12::1",
    "fd00:ec3::254",
    "100::1",
    "2001:2::1",
    "2001:db8::1",
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "64:ff9b:1::8.8.8.8",
    "::ffff:10.0.0.1",
]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1", "169.253.0.1"]


def test_every_row_has_a_source_and_holds_what_it_says():
    assert len({row.network for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert row.source
        assert row_of(row.network[0]).network.subnet_of(row.network)
        assert row_of(row.network[-1]).network.subnet_of(row.network)


def test_no_rule_depends_on_the_python():
    """`is_private`, `is_global` and others have changed from 3.11 to 3.13."""
    for module in (addresses, special):
        assert not re.findall(r"\.(?:is_[a-z_]+|ipv4_mapped|sixtofour|teredo)\b", Path(module.__file__).read_text())


def assert_never(address):
    everything = ["0.0.0.0/0", "::/0", "127.0.0.0/8", "::1", "store"]
    own = [str(reading) for reading in readings(ip_address(address.partition("%")[0]))]
    for allowed in (Allowed(), Allowed.of(everything), Allowed.of(own)):
        assert "never" in str(allowed.objection(address, ["store"])), address


@pytest.mark.parametrize("address", [*NEVER_V4, *NEVER_V6, *(f"{one}%1" for one in NEVER_V6)])
def test_never_whatever_is_allowed(address):
    assert_never(address)


@pytest.mark.parametrize("form", FORMS)
def test_never_in_whatever_form(form):
    # An IPv4 address that begins with 0 is none to be carried, and where all else is 0 it is another IPv6 address.
    for v4 in (one for one in NEVER_V4 if not one.startswith("0.")):
        assert_never(carried(v4)[form])


@pytest.mark.parametrize("form", FORMS)
def test_loopback_and_private_in_whatever_form(form):
    wide = Allowed.of(["0.0.0.0/0", "::/0", "store"])
    if form != "isatap, link-local":
        assert "loopback" in str(wide.objection(carried("127.0.0.1")[form], ["store"]))
        assert "private" in str(Allowed().objection(carried("10.1.2.3")[form]))
        assert wide.objection(carried("10.1.2.3")[form]) is None
        assert Allowed.of(["Store."]).objection(carried("10.1.2.3")[form], ["store"]) is None


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_only_by_a_network_within_it(address):
    assert "loopback" in str(Allowed.of(["0.0.0.0/0", "::/0", "store"]).objection(address, ["store"]))
    assert Allowed.of(["127.0.0.0/8", "::1"]).objection(address) is None
    assert Allowed.of(["127.0.0.0/8", "::1"]).names(address)
    assert not Allowed.of(["0.0.0.0/0", "::/0"]).names(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_by_network_or_by_host(address):
    own = [str(reading) for reading in readings(ip_address(address))]
    assert "private" in str(Allowed().objection(address, ["store"]))
    assert "private" in str(Allowed.of(["other", "11.0.0.0/8"]).objection(address, ["store"]))
    assert Allowed.of(["Store."]).objection(address, ["store"]) is None
    assert Allowed.of(own).objection(address) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert row_of(readings(ip_address(address))[0]).reach is Reach.PUBLIC
    assert Allowed().objection(address) is None


@pytest.mark.parametrize("entry", ["", " a", "10.0.0.1/8", "http://host", "host:9000", "10.0.0.0/99"])
def test_what_is_no_entry(entry):
    with pytest.raises(FetchRefused, match="--allow"):
        Allowed.of([entry])
