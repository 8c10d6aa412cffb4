"""Entry: one schedule, whole: its name, when it fires, what it sends and the policies that decide about missed instants.

PURE data. Loaders (files, the store, an app's beat_schedule) make entries; `plan` reads them; the store keeps them as JSON.
Times are microseconds since 1970-01-01 UTC (`_us`), so that no zone and no float enters a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .schedule import Schedule, schedule_from_spec, schedule_to_spec

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class CatchUp(Enum):
    """What becomes of instants older than the entry's grace (decisions B2)."""

    NONE = "none"
    """They are skipped, with a ledger row that says so."""
    LATEST = "latest"
    """Only the newest of them is sent; the others are skipped, with rows."""
    ALL = "all"
    """All of them are sent, oldest first, as far as the window and the limit reach."""


class Owner(Enum):
    """Who may change an entry."""

    FILE = "file"
    DB = "db"
    APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One schedule.

    `what` is a signature in Celery's JSON shape (task, args, kwargs, options, subtask_type, immutable).
    `start_us` and `end_us` bound the fire times, both inclusive. `catch_up_window_us` None means the larger of one day and
    one period. `source` says where the entry was written ("schedules.yaml:12"), for messages only.
    """

    name: str
    when: Schedule
    what: Mapping[str, Any]
    enabled: bool = True
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window_us: int | None = None
    catch_up_limit: int = 1000
    grace_us: int = 60 * SECOND_US
    start_us: int | None = None
    end_us: int | None = None
    description: str = ""
    owner: Owner = field(default=Owner.FILE, compare=False)
    source: str = field(default="", compare=False)

    def next_after(self, after_us: int) -> int | None:
        """First fire time strictly later than `after_us`, inside start and end; None when there is none."""
        if self.start_us is not None and after_us < self.start_us:
            after_us = self.start_us - 1
        fire_us = self.when.next_after(after_us)
        if fire_us is None or (self.end_us is not None and fire_us > self.end_us):
            return None
        return fire_us

    def to_spec(self) -> dict[str, Any]:
        """The entry as JSON data, for the store; `from_spec` gives it back."""
        return {
            "when": schedule_to_spec(self.when),
            "what": dict(self.what),
            "enabled": self.enabled,
            "catch_up": self.catch_up.value,
            "catch_up_window_us": self.catch_up_window_us,
            "catch_up_limit": self.catch_up_limit,
            "grace_us": self.grace_us,
            "start_us": self.start_us,
            "end_us": self.end_us,
            "description": self.description,
            "owner": self.owner.value,
            "source": self.source,
        }

    @classmethod
    def from_spec(cls, name: str, spec: Mapping[str, Any]) -> Entry:
        """The inverse of `to_spec`."""
        known = dict(spec)
        return cls(
            name=name,
            when=schedule_from_spec(known.pop("when")),
            catch_up=CatchUp(known.pop("catch_up")),
            owner=Owner(known.pop("owner")),
            **known,
        )
