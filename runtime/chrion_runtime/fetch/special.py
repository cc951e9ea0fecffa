"""Special addresses: a table of our own, for what `ipaddress` calls private or global changes between Pythons.

The most specific row that holds an address says what it is. Sources: IANA's special-purpose address registries
(https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry) with the RFCs they name, and
the clouds' own documentation, or where that is silent the data sources of cloud-init, which follow it.
"""

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Reach(Enum):
    """Who may be reached at an address."""

    NEVER = auto()
    """Nobody, whatever is allowed."""
    LOOPBACK = auto()
    """This machine; where it is named."""
    PRIVATE = auto()
    """Whoever is not public; where it or its host is named."""
    PUBLIC = auto()
    """Anybody."""


@dataclass(frozen=True)
class Row:
    """What the addresses of a network are."""

    network: Network
    reach: Reach
    what: str
    """What an address is called that is refused: "… is a multicast address"."""
    source: str


_LINK, _CLOUD, _MANY = "link-local", "a cloud's metadata service", "a multicast address"

_TABLE = (
    # IPv4
    ("0.0.0.0/0", Reach.PUBLIC, "public", "RFC 791"),
    ("0.0.0.0/8", Reach.NEVER, "unspecified", "RFC 1122, 3.2.1.3: never a destination"),
    ("10.0.0.0/8", Reach.PRIVATE, "private", "RFC 1918"),
    ("100.64.0.0/10", Reach.PRIVATE, "private", "RFC 6598: shared by carriers"),
    ("100.96.0.96/32", Reach.NEVER, _CLOUD, "Volcengine ECS, instance metadata"),
    ("100.100.100.200/32", Reach.NEVER, _CLOUD, "Alibaba Cloud ECS, instance metadata"),
    ("127.0.0.0/8", Reach.LOOPBACK, "loopback", "RFC 1122, 3.2.1.3"),
    ("168.63.129.16/32", Reach.NEVER, _CLOUD, "Azure, what is IP address 168.63.129.16"),
    ("169.254.0.0/16", Reach.NEVER, _LINK, "RFC 3927; most clouds' metadata at 169.254.169.254 and near"),
    ("172.16.0.0/12", Reach.PRIVATE, "private", "RFC 1918"),
    ("192.0.0.0/24", Reach.PRIVATE, "private", "RFC 6890: IETF protocol assignments"),
    ("192.0.0.192/32", Reach.NEVER, _CLOUD, "Oracle Cloud Classic, instance metadata"),
    ("192.0.2.0/24", Reach.PRIVATE, "private", "RFC 5737: documentation"),
    ("192.88.99.0/24", Reach.PRIVATE, "private", "RFC 7526: 6to4 relays, deprecated"),
    ("192.168.0.0/16", Reach.PRIVATE, "private", "RFC 1918"),
    ("198.18.0.0/15", Reach.PRIVATE, "private", "RFC 2544: benchmarks"),
    ("198.51.100.0/24", Reach.PRIVATE, "private", "RFC 5737: documentation"),
    ("203.0.113.0/24", Reach.PRIVATE, "private", "RFC 5737: documentation"),
    ("224.0.0.0/4", Reach.NEVER, _MANY, "RFC 5771"),
    ("240.0.0.0/4", Reach.PRIVATE, "private", "RFC 1112, 4: reserved"),
    ("255.255.255.255/32", Reach.NEVER, "the broadcast address", "RFC 919"),
    # IPv6: what IANA has not given out as global unicast is not public.
    ("::/0", Reach.PRIVATE, "private", "RFC 4291, 2.4: reserved by the IETF"),
    ("::/128", Reach.NEVER, "unspecified", "RFC 4291, 2.5.2"),
    ("::1/128", Reach.LOOPBACK, "loopback", "RFC 4291, 2.5.3"),
    ("2000::/3", Reach.PUBLIC, "public", "RFC 4291, 2.5.4: global unicast"),
    ("2001::/23", Reach.PRIVATE, "private", "RFC 2928: IETF protocol assignments, Teredo among them"),
    ("2001:db8::/32", Reach.PRIVATE, "private", "RFC 3849: documentation"),
    ("2002::/16", Reach.PRIVATE, "private", "RFC 3056, RFC 7526: 6to4, deprecated"),
    ("3fff::/20", Reach.PRIVATE, "private", "RFC 9637: documentation"),
    ("fc00::/7", Reach.PRIVATE, "private", "RFC 4193: unique local"),
    ("fd00:42::42/128", Reach.NEVER, _CLOUD, "Scaleway, instance metadata"),
    ("fd00:100::100:200/128", Reach.NEVER, _CLOUD, "Alibaba Cloud ECS, instance metadata"),
    ("fd00:a9fe:a9fe::/64", Reach.NEVER, _CLOUD, "Akamai (Linode), metadata service: ::1"),
    ("fd00:c1::/64", Reach.NEVER, _CLOUD, "Oracle Cloud Infrastructure, instance metadata: ::a9fe:a9fe"),
    ("fd00:ec2::/32", Reach.NEVER, _CLOUD, "Amazon EC2, metadata ::254; EKS, Pod Identity ::23; DNS, time"),
    ("fd20:ce::/64", Reach.NEVER, _CLOUD, "Google Compute Engine, metadata server: ::254"),
    ("fe80::/10", Reach.NEVER, _LINK, "RFC 4291, 2.5.6; OpenStack's metadata at fe80::a9fe:a9fe"),
    ("fec0::/10", Reach.NEVER, "site-local", "RFC 3879: deprecated"),
    ("ff00::/8", Reach.NEVER, _MANY, "RFC 4291, 2.7"),
)
TABLE = tuple(Row(ip_network(network), reach, what, source) for network, reach, what, source in _TABLE)

LOOPBACK = tuple(row.network for row in TABLE if row.reach is Reach.LOOPBACK)

_V4_LAST = (
    (IPv6Network("::/96"), "RFC 4291, 2.5.5.1: IPv4-compatible, deprecated"),
    (IPv6Network("::ffff:0:0/96"), "RFC 4291, 2.5.5.2: IPv4-mapped"),
    (IPv6Network("::ffff:0:0:0/96"), "RFC 2765, 2.1: IPv4-translated"),
    (IPv6Network("64:ff9b::/96"), "RFC 6052, 2.1: NAT64, well-known prefix"),
)
"""Networks whose addresses are nothing but the IPv4 address in their last 32 bits, with the source."""
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215; the prefix of a gateway may be 48, 56, 64 or 96 bits long
_TEREDO = IPv6Network("2001::/32")  # RFC 4380, 4
_6TO4 = IPv6Network("2002::/16")  # RFC 3056, 2
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214, 6.1: the third quarter of an address, in any network


def row_of(address: Address) -> Row:
    """The row that says what an address is, by itself."""
    return max((row for row in TABLE if address in row.network), key=lambda row: row.network.prefixlen)


def readings(address: Address) -> tuple[Address, ...]:
    """All that an address may stand for: itself, and IPv4 addresses inside it to which packets would be handed on."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1 carry nothing
        return (address,)
    if any(address in network for network, _ in _V4_LAST):
        return (_v4(address, 0),)
    inside: list[Address] = []
    if address in _6TO4:
        inside.append(_v4(address, 80))
    if address in _TEREDO:  # the server, and the client with its bits turned over
        inside += [_v4(address, 64), IPv4Address(int(_v4(address, 0)) ^ 0xFFFFFFFF)]
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        inside.append(_v4(address, 0))
    if address in _NAT64_LOCAL:
        inside += _translated(address)
    return (address, *inside)


def _translated(address: IPv6Address) -> list[Address]:
    """The IPv4 addresses at each place where RFC 6052, 2.2, has them; bits 64 to 71 are skipped."""
    value = int(address)
    low = value & (1 << 56) - 1  # bits 72 to 127
    places = (
        (value >> 64 & 0xFFFF) << 16 | low >> 40,
        (value >> 64 & 0xFF) << 24 | low >> 32,
        low >> 24,
        value & 0xFFFFFFFF,
    )
    # A gateway's prefix is one of the four; the places of the others are filled with zeros.
    return [IPv4Address(place) for place in places if place >> 24]


def _v4(address: IPv6Address, shift: int) -> IPv4Address:
    """The IPv4 address that begins so many bits before the last 32."""
    return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
