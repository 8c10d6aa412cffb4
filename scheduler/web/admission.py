"""Admission: who is let in, and as what. It is decided at the start; a dashboard that others could reach without a login is refused. PURE."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from msgspec import Struct

from ..errors import ScheduleError
from .token import Token, role_for
from .visitor import Means, Role, Visitor

HEADER_CHARACTERS = 200
"""Of a user's name from a proxy."""


class Admission(Struct, frozen=True, kw_only=True):
    """`tokens` let in by themselves; `header` names the user if the request comes from one of `proxies`; those in `operators` may act.

    With neither everybody who reaches the address is an operator: `checked` allows that on loopback only. `hosts` are the names that a request may be for.
    """

    host: str
    tokens: tuple[Token, ...] = ()
    header: str = ""
    proxies: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    is_read_only: bool = False

    @property
    def is_open(self) -> bool:
        """Whether no login is needed."""
        return not self.tokens and not self.header

    def checked(self) -> Admission:
        """The same. Raises ScheduleError where strangers would be let in, and for a proxy that is no address."""
        if self.is_open and not is_loopback(self.host):
            raise ScheduleError(
                f"--host {self.host} can be reached from elsewhere, and there is no login: name a file with tokens with --token-file, "
                "set BACKBEAT_WEB_TOKEN, or trust the user header of a proxy with --trust-header; or stay on 127.0.0.1"
            )
        if self.header and not self.proxies:
            raise ScheduleError(
                "--trust-header needs --trust-proxy ADDRESS: whose word on the user is taken; anybody else could write that header, too"
            )
        for proxy in self.proxies:
            if not _is_address(proxy):
                raise ScheduleError(f"--trust-proxy {proxy}: it is no address; write one such as 10.0.0.7")
        return self

    def by_request(self, peer: str, headers: Mapping[str, str]) -> Visitor | None:
        """Who is known by what the request itself shows: a token, the word of a proxy, or that it comes from this machine."""
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if self.tokens and kind.lower() == "bearer":
            role = role_for(self.tokens, shown.strip())
            return None if role is None else self._as(f"token ({role.value})", role, Means.BEARER)
        if self.is_proxy(peer) and (name := headers.get(self.header.lower(), "").strip()):
            role = Role.OPERATOR if name in self.operators else Role.VIEWER
            return self._as(name[:HEADER_CHARACTERS], role, Means.PROXY)
        return None

    def by_token(self, shown: str) -> Visitor | None:
        """Who logs in with this text."""
        role = role_for(self.tokens, shown.strip())
        return None if role is None else self._as(f"token ({role.value})", role, Means.SESSION)

    def anybody(self) -> Visitor | None:
        """Who is let in without a login; None where one is needed."""
        return self._as("this machine", Role.OPERATOR, Means.LOOPBACK) if self.is_open else None

    def is_proxy(self, peer: str) -> bool:
        """Whether the peer's word is taken."""
        return bool(self.header) and peer in self.proxies

    def _as(self, name: str, role: Role, means: Means) -> Visitor:
        return Visitor(name=name, role=Role.VIEWER if self.is_read_only else role, means=means)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
