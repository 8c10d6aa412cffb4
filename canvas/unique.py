"""Unique: a send that is dropped if another task has its key, as data, and the words that users say it with. PURE.

    unique_key         True (the task's name and arguments), a text, or a callable of the arguments; False for none
    unique_scope       how long a task has its key: "pending", "running" or seconds
    unique_conflict    what becomes of a send whose key is taken: "existing", "replace" or "raise"

How a key is made is unique_call.py's matter; when it is free is decided by stores, as commit/unique.py says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from .errors import ImproperlyConfigured
from .value import LIMIT, number_of

NAMES = frozenset({"unique_key", "unique_scope", "unique_conflict"})
"""The options of `apply_async` and of tasks."""
LONGEST_KEY = 255
"""Bytes, as for ids: databases look keys up by an index."""


class Scope(Enum):
    """How long a task has its key."""

    PENDING = "pending"
    """From sending until a worker claims it."""
    RUNNING = "running"
    """From sending until it has ended, its retries included."""
    TIME = "time"
    """For so many seconds from sending, whatever becomes of it."""


class Conflict(Enum):
    """What becomes of a send whose key is taken."""

    EXISTING = "existing"
    """Nothing is sent; the handle is that of the task that has the key."""
    REPLACE = "replace"
    """The task that has the key is revoked if it waits, and this one is sent; one that runs is left alone, as by EXISTING."""
    RAISE = "raise"
    """Nothing is sent, and UniqueConflict is raised."""


class Unique(Struct, frozen=True, kw_only=True):
    """What a send asks of its store: send task `id` only if no other task has `key`.

    `seconds` counts from sending, with Scope.TIME only. `replaces`: a task that has the key and waits is revoked.
    """

    key: str
    id: str
    scope: Scope = Scope.RUNNING
    seconds: float = 0.0
    replaces: bool = False


def checked_unique(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that are NAMES, with seconds for a timedelta. Raises ImproperlyConfigured for a wrong value."""
    if NAMES.isdisjoint(options):
        return {}
    out = {name: value for name, value in options.items() if name in NAMES and value is not None}
    if "unique_key" in out:
        _check_key_option(out["unique_key"])
    if "unique_scope" in out:
        scope, seconds = scope_of(out["unique_scope"])
        out["unique_scope"] = seconds if scope is Scope.TIME else scope.value
    if "unique_conflict" in out:
        conflict_of(out["unique_conflict"])
    return out


def scope_of(value: Any) -> tuple[Scope, float]:
    """The scope that `unique_scope` names, and its seconds. Raises ImproperlyConfigured."""
    if value in (Scope.PENDING.value, Scope.RUNNING.value):
        return Scope(value), 0.0
    seconds = number_of(value)
    if seconds is None or not LIMIT.holds(seconds):
        raise ImproperlyConfigured(
            f'unique_scope must be "pending", "running", or seconds above 0 and at most a century, found {value!r:.100}'
        )
    return Scope.TIME, float(seconds)


def conflict_of(value: Any) -> Conflict:
    """The policy that `unique_conflict` names. Raises ImproperlyConfigured."""
    if value not in [conflict.value for conflict in Conflict]:
        raise ImproperlyConfigured(
            f'unique_conflict must be "existing", "replace" or "raise", found {value!r:.100}'
        )
    return Conflict(value)


def checked_key(value: Any) -> str:
    """A key that every store takes. Raises ImproperlyConfigured."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.encode()) <= LONGEST_KEY:
        raise ImproperlyConfigured(
            f"a unique_key must be a printable text of 1 to {LONGEST_KEY} bytes, found {value!r:.100}"
        )
    return value


def _check_key_option(value: Any) -> None:
    if not isinstance(value, bool | str) and not callable(value):
        raise ImproperlyConfigured(
            f"unique_key must be True, False, a text, or a callable of the task's arguments, found {value!r:.100}"
        )
    if isinstance(value, str):
        checked_key(value)
