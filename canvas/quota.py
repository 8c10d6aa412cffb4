"""Quota: what all workers of a store together may do of the tasks with one key: how often they start, and how many run at once. PURE.

limit_key            which tasks are counted together: a text ("tenant:{tenant}") or a callable of the arguments; None is no limit
rate_limit           with a limit_key: starts of each key, over all workers
limit_concurrency    runs of each key at the same time, over all workers
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured
from .message import Message
from .rate import Rate
from .value import COUNT, key

MOST_AT_ONCE = 1_000
"""Of one key: a store looks at all of them whenever one more wants to start."""


class Quota(Struct, frozen=True):
    """What is counted under `key`."""

    key: str
    rate: Rate | None = None
    concurrency: int | None = None


class Ask(Struct, frozen=True):
    """May this message, which its worker has claimed, start now? `has_turn`: it was put off to this time."""

    message: Message
    quota: Quota
    has_turn: bool = False


def check_quota(limit_key: Any, limit_concurrency: Any) -> None:
    """Refuse what cannot be meant. Raises ImproperlyConfigured."""
    if limit_key is not None and not callable(limit_key):
        key("limit_key", limit_key)
    if limit_concurrency is None:
        return
    COUNT("limit_concurrency", limit_concurrency)
    if limit_concurrency > MOST_AT_ONCE:
        raise ImproperlyConfigured(
            f"limit_concurrency must be at most {MOST_AT_ONCE:,}, found {limit_concurrency:,}"
        )
    if limit_key is None:
        raise ImproperlyConfigured(
            "limit_concurrency without a limit_key means nothing: name what is counted together, such as "
            'limit_key="tenant:{tenant}", or limit_key="imports" for all of them'
        )
