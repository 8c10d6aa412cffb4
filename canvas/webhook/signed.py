"""Signed: the headers that a webhook is signed with, and their check on the other side, for programs that receive them.

The headers are those of the Standard Webhooks specification, so that its libraries verify them in any language:

    webhook-id           the id of the delivery: the same each time that it is sent again
    webhook-timestamp    when it was sent, in seconds since 1970
    webhook-signature    "v1," and the HMAC-SHA256 of "id.timestamp.body" in base64; several with spaces between them

A secret is a text; one that begins with `whsec_` is what follows it, decoded from base64, as that specification has it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BackbeatError
from .secret import key_of

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_SECONDS = 300.0
"""How old, or how far in the future, a webhook may be: what somebody has recorded cannot be played again later."""
_VERSION = "v1,"


class SignatureMismatch(BackbeatError):
    """What was received is not what the holder of a secret has sent now."""


def signed_headers(secret: str, id: str, body: bytes, now: float) -> dict[str, str]:
    """The three headers of a body that is sent at `now`, in seconds since 1970."""
    timestamp = str(int(now))
    signature = _VERSION + _mac(key_of(secret), id, timestamp, body)
    return {ID: id, TIMESTAMP: timestamp, SIGNATURE: signature}


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """The payload of a webhook that was received, checked. `body` is what came, byte by byte; names of headers in any case.

    Several secrets: one of them must fit, so that a secret can be changed. Keep `webhook-id` of what was dealt with: the same delivery may
    come again. Raises SignatureMismatch for what must not be believed.
    """
    known = {name.lower(): value for name, value in headers.items()}
    try:
        id_, timestamp, given = known[ID], known[TIMESTAMP], known[SIGNATURE]
    except KeyError as error:
        raise SignatureMismatch(f"the header {error.args[0]} is missing") from None
    _check_age(timestamp, tolerance_seconds, time.time() if now is None else now)
    secrets = [secret] if isinstance(secret, str) else secret
    wanted = [_mac(key_of(each), id_, timestamp, body).encode() for each in secrets]
    found = [each.removeprefix(_VERSION).encode() for each in given.split(" ") if each.startswith(_VERSION)]
    fits = [hmac.compare_digest(one, other) for one in wanted for other in found]
    if not any(fits):  # all were compared: how long it takes tells nobody which one fits
        raise SignatureMismatch("no signature fits the body and the secret")
    payload: dict[str, Any] = json.loads(body)
    return payload


def _check_age(timestamp: str, tolerance_seconds: float, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise SignatureMismatch(f"the header {TIMESTAMP} is no number of seconds")
    if abs(now - int(timestamp)) > tolerance_seconds:
        raise SignatureMismatch(f"it was sent more than {tolerance_seconds:g} s before, or after, now")


def _mac(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    message = b".".join((id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
