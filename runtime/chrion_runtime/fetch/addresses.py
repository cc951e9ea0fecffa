"""Which addresses models may be fetched from: a pure rule over the address that a connection would go to.

A model's URI comes from whoever may write a ChrionModel, and is followed by a pod inside the cluster. So it must not
lead to what only the pod can reach: the cloud's metadata, the node, the cluster's own services.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from chrion_runtime.fetch.errors import FetchRefused
from chrion_runtime.fetch.special import LOOPBACK, Address, Network, Reach, readings, row_of


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
                        f'--allow: "{entry}" is not a host name, address or CIDR such as minio.models.svc or 10.0.0.0/8'
                    ) from None
            hosts.add(_plain(entry))
        return cls(frozenset(hosts), tuple(networks))

    def names(self, host: str) -> bool:
        """Whether a host is named, by its name or, where it is written as an address, by a network."""
        try:
            found = parsed(host)
        except ValueError:
            return _plain(host) in self.hosts
        return all(map(self._holds, readings(found)))

    def objection(self, address: str, hosts: Sequence[str] = ()) -> str | None:
        """Why no connection may go to an address that was found under these host names; None where it may.

        Link-local, multicast and unspecified addresses and metadata services: never. Loopback: where a network within
        loopback is named, not by a wider one. Whatever else is not public: where it or its host is named. An address
        that carries another must not lead to where that one must not. Raises ValueError for what is no address.
        """
        named = any(_plain(host) in self.hosts for host in hosts)
        found = [(ip, row_of(ip)) for ip in readings(parsed(address))]
        for _, row in found:
            if row.reach is Reach.NEVER:
                return f"{row.what}; models are never fetched from there"
        for ip, row in found:
            if self._holds(ip):
                continue
            if row.reach is Reach.LOOPBACK:
                return f"{row.what}; allow it with --allow {ip}"
            if row.reach is Reach.PRIVATE and not named:
                return f"{row.what}; allow the host, or a network such as {ip}, with --allow (CHRION_FETCH_ALLOW)"
        return None

    def _holds(self, ip: Address) -> bool:
        local = row_of(ip).reach is Reach.LOOPBACK
        return any(ip in network and local == _is_loopback(network) for network in self.networks)


def parsed(address: str) -> Address:
    """An address without its zone. Raises ValueError."""
    return ip_address(address.partition("%")[0])


def _is_loopback(network: Network) -> bool:
    return any(network[0] in local and network[-1] in local for local in LOOPBACK)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
