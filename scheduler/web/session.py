"""Sessions: cookies that say who somebody is, signed with a key that is drawn at the start: after a restart everybody logs in again.

Each ends after twelve hours, whatever the browser does with it. The CSRF token of a session is derived from it, so that no page needs
a memory.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from .visitor import Means, Role, Visitor

LIFE_SECONDS = 12 * 3600
_SIGNATURE = 32


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    name: str
    role: Role
    means: Means
    until: float
    nonce: str


class Sessions:
    """Used by one event loop. Times are seconds of any clock that goes on."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._ended: dict[str, float] = {}

    def begin(self, visitor: Visitor, now: float) -> Visitor:
        """The same with a new session, whose text goes into the cookie."""
        kept = _Kept(visitor.name, visitor.role, visitor.means, now + LIFE_SECONDS, secrets.token_hex(8))
        body = msgspec.json.encode(kept)
        text = urlsafe_b64encode(self._sign(b"session:" + body) + body).decode().rstrip("=")
        return msgspec.structs.replace(visitor, session=text)

    def visitor(self, text: str, now: float) -> Visitor | None:
        """Whose session it is; None if it is none of ours, has ended or is over."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
            if not hmac.compare_digest(signature, self._sign(b"session:" + body)):
                return None
            kept = msgspec.json.decode(body, type=_Kept)
        except (ValueError, msgspec.MsgspecError):
            return None
        if kept.until <= now or kept.nonce in self._ended:
            return None
        return Visitor(name=kept.name, role=kept.role, means=kept.means, session=text)

    def end(self, text: str, now: float) -> None:
        """Log out: the session is nobody's from now on."""
        if self.visitor(text, now) is None:
            return
        kept = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4))[_SIGNATURE:], type=_Kept)
        self._ended = {nonce: until for nonce, until in self._ended.items() if until > now}
        self._ended[kept.nonce] = kept.until

    def csrf(self, session: str) -> str:
        """The token that forms of this session carry."""
        return self._sign(b"csrf:" + session.encode()).hex()

    def is_csrf(self, session: str, shown: str) -> bool:
        """Whether it is that token."""
        return hmac.compare_digest(self.csrf(session).encode(), shown.encode("utf-8", "surrogatepass"))

    def _sign(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")
