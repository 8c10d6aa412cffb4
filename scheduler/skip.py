"""Skip: fire times that are not sent, and why: what the ledger holds of them. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SkipReason(Enum):
    """Why an instant was not sent."""

    CATCH_UP_NONE = "catch_up_none"
    """Older than the grace, and the entry wants no catching up."""
    SUPERSEDED = "superseded"
    """A newer missed instant was sent in its place (catch_up: latest)."""
    WINDOW = "window"
    """Older than the catch-up window."""
    LIMIT = "limit"
    """More than catch_up_limit newer ones were missed too."""
    OPERATOR = "operator"
    """Somebody wanted it passed over (skip-next)."""
    OVERLAP = "overlap"
    """The run before it was not over (overlap: skip); the record's detail is that run's task id."""
    BACKLOG = "backlog"
    """It was decided, and more than catch_up_limit newer ones wait for the broker, too."""
    EXPIRED = "expired"
    """It was decided, and its `expires` had passed before it could be sent."""


@dataclass(frozen=True, slots=True)
class Skip:
    """The fire times of `entry` from `from_us` to `to_us`, both inclusive, were not sent; `count` None is "not counted".

    `detail` says more where there is more to say: the run that was in the way.
    """

    entry: str
    from_us: int
    to_us: int
    count: int | None
    reason: SkipReason
    detail: str = ""
