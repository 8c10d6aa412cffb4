"""Secret: the key that a secret of webhooks is. PURE."""

from __future__ import annotations

import base64
import binascii

from ..errors import ImproperlyConfigured

SHORTEST_SECRET = 16
_ENCODED = "whsec_"


def key_of(secret: str) -> bytes:
    """The key that a secret is. Raises ImproperlyConfigured, with nothing of it."""
    if not isinstance(secret, str) or len(secret) < SHORTEST_SECRET:
        raise ImproperlyConfigured(f"webhook_secret must be a text of at least {SHORTEST_SECRET} characters")
    if not secret.startswith(_ENCODED):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
    except binascii.Error:
        raise ImproperlyConfigured(f"webhook_secret: what follows {_ENCODED} must be base64") from None
