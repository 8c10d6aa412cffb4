"""Visitor: who asks, what they may, and how they are known. PURE."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Role(Enum):
    """A viewer reads; an operator also acts."""

    VIEWER = "viewer"
    OPERATOR = "operator"


class Means(Enum):
    """How a visitor is known."""

    LOOPBACK = "loopback"
    """By nothing but that the dashboard is served to this machine alone."""
    SESSION = "session"
    BEARER = "bearer"
    PROXY = "proxy"


class Visitor(Struct, frozen=True, kw_only=True):
    """`session` is the text of the cookie, "" for a program that shows its token with each request."""

    name: str
    role: Role
    means: Means
    session: str = ""

    @property
    def acts(self) -> bool:
        """Whether they may do more than read."""
        return self.role is Role.OPERATOR
