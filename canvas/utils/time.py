"""The delay before a retry, as tasks compute it that call `self.retry(countdown=...)` themselves."""

from __future__ import annotations

import random

__all__ = ["get_exponential_backoff_interval"]

_DOUBLINGS = 64
"""More make no difference to any delay."""


def get_exponential_backoff_interval(
    factor: float, retries: int, maximum: float, full_jitter: bool = False
) -> float:
    """Seconds: `factor`, doubled with each retry, up to `maximum`; with `full_jitter` any whole number up to that. Never below 0."""
    delay = max(0, min(maximum, factor * 2 ** min(retries, _DOUBLINGS)))
    return random.randrange(int(delay) + 1) if full_jitter else delay  # noqa: S311 - no secret
