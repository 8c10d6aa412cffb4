"""Allowed: which hosts and addresses webhooks may go to. PURE.

Any public address may be reached by https. What else may be reached is listed in the setting `webhook_allowed_hosts`: a name, or
`*.corp.example` for all names below one, may lead to a private address or to this machine; a network (10.0.0.0/8) or an address may
be reached by any name. For both http will do. What is link-local (where clouds keep their metadata), multicast, reserved or nobody's is
reached only where its network is listed: a name that is listed does not open it, as whoever answers for the name could then choose it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from msgspec import Struct

from ..errors import ImproperlyConfigured

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_WRAPPED_BITS = 32
_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


class Allowed(Struct, frozen=True):
    """What is listed."""

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def has_name(self, host: str) -> bool:
        """Whether a host is listed by its name."""
        return any(
            host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name
            for name in self.names
        )

    def has_address(self, text: str) -> bool:
        """Whether an address is in a network that is listed."""
        address = _address(text)
        return any(address in network for network in self.networks if network.version == address.version)

    def objection(self, host: str, scheme: str, text: str) -> str | None:
        """Why the address `text`, to which the name `host` leads, must not be connected to by this scheme; None if it may be."""
        if self.has_address(text):
            return None
        is_named, address = self.has_name(host), _address(text)
        if not (address.is_global and not address.is_multicast):
            is_private = (address.is_private or address.is_loopback) and not _is_special(address)
            if not (is_named and is_private):
                return f"{host} leads to {text}, which is no public address"
        if scheme != "https" and not is_named:
            return f"{host} is to be reached by http, which everybody on the way can read"
        return None


def read_allowed(entries: Iterable[str]) -> Allowed:
    """What the entries of the setting say. Raises ImproperlyConfigured."""
    names: list[str] = []
    networks: list[Network] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError as error:
            name = entry.lower()
            bare = name.removeprefix("*.")
            if not bare or not _HOST.issuperset(bare) or bare.replace(".", "").isdigit() or "/" in entry:
                raise ImproperlyConfigured(
                    f"webhook_allowed_hosts: {entry!r:.100} is no host, network or address: write hooks.example.org, *.example.org, "
                    "10.0.0.0/8 or 10.1.2.3"
                ) from error
            names.append(name)
    return Allowed(tuple(names), tuple(networks))


def _address(text: str) -> Address:
    """The address that a connection to `text` reaches: what is wrapped in an address of IPv6 counts, not the wrapping."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & (2**_WRAPPED_BITS - 1))
    wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
    if not wrapped and int(address) >> _WRAPPED_BITS == 0 and int(address) > 1:  # ::1.2.3.4, as it once was
        return ipaddress.IPv4Address(int(address))
    return wrapped or address


def _is_special(address: Address) -> bool:
    if address.is_loopback:
        return False  # ::1 lies in a range that is reserved as a whole
    return address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
