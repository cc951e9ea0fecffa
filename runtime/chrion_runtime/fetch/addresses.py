"""Which addresses models may be fetched from: a pure rule over the address that a connection would go to.

A model's URI comes from whoever may write a ChrionModel, and is followed by a pod inside the cluster. So it must not
lead to what only the pod can reach: the cloud's metadata, the node, the cluster's own services.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from chrion_runtime.fetch.errors import FetchRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA = frozenset(map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Metadata services outside the link-local range: Azure's, Alibaba's, Oracle's, and Amazon's over IPv6."""

_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Allowed:
    """What `--allow` names: hosts and networks that models may be fetched from although they are private."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[str]) -> "Allowed":
        """Host names, addresses and CIDRs. Raises FetchRefused for what is none of them."""
        hosts, networks = set(), []
        for entry in entries:
            try:
                networks.append(ip_network(entry))
                continue
            except ValueError:
                if not re.fullmatch(r"[A-Za-z0-9_][-A-Za-z0-9_.]*", entry):
                    raise FetchRefused(
                        f'--allow: "{entry}" is no host name, address or CIDR such as minio.models.svc or 10.0.0.0/8'
                    ) from None
            hosts.add(_plain(entry))
        return cls(frozenset(hosts), tuple(networks))

    def names(self, host: str) -> bool:
        """Whether a host is named, by its name or, where it is written as an address, by a network."""
        try:
            return self._holds(unwrapped(host))
        except ValueError:
            return _plain(host) in self.hosts

    def objection(self, address: str, hosts: Sequence[str] = ()) -> str | None:
        """Why no connection may go to an address that was found under these host names; None where it may.

        Link-local, multicast and unspecified addresses and metadata services: never. Loopback: where a network within
        loopback is named, not by a wider one. Whatever else is not public: where it or its host is named.
        """
        ip = unwrapped(address)
        for kind, found in (
            ("link-local", ip.is_link_local),
            ("a multicast address", ip.is_multicast),
            ("unspecified", ip.is_unspecified),
            ("a cloud's metadata service", ip in METADATA),
        ):
            if found:
                return f"{kind}; models are never fetched from there"
        if self._holds(ip):
            return None
        if ip.is_loopback:
            return f"loopback; allow it with --allow {ip}"
        if not ip.is_global and not any(_plain(host) in self.hosts for host in hosts):
            return f"private; allow the host, or a network such as {ip}, with --allow (CHRION_FETCH_ALLOW)"
        return None

    def _holds(self, ip: Address) -> bool:
        return any(ip in network and network.is_loopback == ip.is_loopback for network in self.networks)


def unwrapped(address: str) -> Address:
    """An address without its scope; the IPv4 address inside an IPv6 one that only carries it. Raises ValueError."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return ip
    if ip.ipv4_mapped:
        return ip.ipv4_mapped
    if ip.sixtofour:
        return ip.sixtofour
    if ip.teredo:
        return ip.teredo[1]
    # ::a.b.c.d is long out of use, and 64:ff9b::a.b.c.d leads through a NAT64 gateway; ::1 and :: are themselves.
    if ip in _NAT64 or 1 < int(ip) < 1 << 32:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
