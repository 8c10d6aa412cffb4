"""Policy: how webhooks are signed, where they may go, and how long one may take. Pings are not signed. PURE."""

from __future__ import annotations

from msgspec import Struct

from ..errors import ImproperlyConfigured
from .allowed import Allowed


class Policy(Struct, frozen=True):
    """Of one app. `secret` None: nothing can be signed, and so nothing but pings is sent."""

    secret: str | None = None
    allowed: Allowed = Allowed()
    timeout_seconds: float = 10.0

    @property
    def signing_secret(self) -> str:
        """The secret. Raises ImproperlyConfigured where there is none."""
        if self.secret is None:
            raise ImproperlyConfigured(
                "webhook_secret is not set, so nothing can be signed: set it, or BACKBEAT_WEBHOOK_SECRET, for beats and workers"
            )
        return self.secret
