"""Token: a secret text that lets its bearer in, in one role. PURE.

A file holds one a line, `operator:TOKEN`, `viewer:TOKEN`, or the bare token of an operator; empty lines and lines that begin with # are nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from msgspec import Struct

from ..errors import ScheduleError
from .visitor import Role

SHORTEST = 16
"""Characters: what cannot be guessed in the tries that the throttle lets through."""


class Token(Struct, frozen=True):
    """The text is nowhere shown."""

    role: Role
    text: str

    def __repr__(self) -> str:
        return f"Token({self.role.value})"


def tokens_of(text: str, source: str) -> tuple[Token, ...]:
    """Those of a file or a variable called `source`. Raises ScheduleError for one that is too short, and where there is none."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        kind, colon, rest = line.partition(":")
        is_named = bool(colon) and kind in {role.value for role in Role}
        token = Token(Role(kind), rest.strip()) if is_named else Token(Role.OPERATOR, line)
        if len(token.text) < SHORTEST:
            raise ScheduleError(
                f"{source}: line {number}: a token has {SHORTEST} characters or more; draw one with: openssl rand -hex 24"
            )
        found.append(token)
    if not found:
        raise ScheduleError(f"{source}: there is no token in it; draw one with: openssl rand -hex 24")
    return tuple(found)


def role_for(tokens: Sequence[Token], shown: str) -> Role | None:
    """The role of who shows this text. It takes as long whichever token it is, or none."""
    role = None
    for token in tokens:
        if hmac.compare_digest(token.text.encode(), shown.encode("utf-8", "surrogatepass")):
            role = token.role
    return role
