"""Entry: one schedule, whole: its name, when it fires, what it sends and the policies that decide about missed instants.

PURE data. Loaders (files, the store, an app's beat_schedule) make entries; `plan` reads them; the store keeps them as JSON.
Times are microseconds since 1970-01-01 UTC (`_us`), so that no zone and no float enters a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from ..canvas.node import HOOKS
from ..canvas.webhook.ending_urls import OPTIONS as ENDING_URLS
from .schedule import Schedule, schedule_from_spec, schedule_to_spec
from .zone import LAST_SECOND

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


class Overlap(Enum):
    """What becomes of a fire time while the run before it is not over (decisions B5)."""

    ALLOW = "allow"
    """It is sent; nobody looks at the run before it."""
    SKIP = "skip"
    """It is skipped, with a ledger row that names the run in its way."""
    QUEUE = "queue"
    """It is held until that run is over; at most one is held, and a newer one takes its place."""
    CANCEL = "cancel"
    """That run is revoked, and this one is sent."""


class Delivery(Enum):
    """What happens when nobody can know whether the broker has a message (decisions B6)."""

    AT_LEAST_ONCE = "at_least_once"
    """It is sent again, with the same task id."""
    AT_MOST_ONCE = "at_most_once"
    """It is never sent again; its row says that it is doubtful."""


class Owner(Enum):
    """Who may change an entry."""

    FILE = "file"
    DB = "db"
    APP = "app"


LAST_US = LAST_SECOND * SECOND_US
"""There are no fire times from here on, in the year 9998: what comes later no datetime can hold in all zones."""
GRACE_US = 60 * SECOND_US
PUNCTUAL_US = SECOND_US
"""What is decided or sent within this was not missed, whatever the grace is: the loop needs some time for each instant."""


EVENTS = ("late", "missed", "failed")
"""Of what a schedule's webhook can tell (notice.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tells:
    """Who hears of the firings of an entry. "" is nobody."""

    webhook_url: str = ""
    webhook_on: tuple[str, ...] = ()
    ping_start: str = ""
    late_us: int = GRACE_US
    """Sent later than this is told as late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the firings of an entry travel: what the relay must know of them. Shared by all firings of a revision."""

    once: bool = False
    """At most once: recorded as sending before it is, and never sent again."""
    expires_us: int | None = None
    """So long after its fire time a firing that is still here is not worth sending (decisions B10)."""
    backlog: int = 1000
    """More open firings than this are skipped while the broker is down, oldest first (decisions B10)."""
    rate: float | None = None
    """Late firings a second, at most, ..."""
    rate_after_us: int = GRACE_US
    """... which are those that are later than this: the grace of their entry."""
    late_after_us: int | None = None
    """Sent later than this is late: it is counted, and told."""
    tells: Tells | None = None


USUAL = Terms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One schedule.

    `what` is a signature in Celery's JSON shape (task, args, kwargs, options, subtask_type, immutable).
    `start_us` and `end_us` bound the fire times, both inclusive. `catch_up_window_us` None means the larger of one day and
    one period. `source` says where the entry was written ("schedules.yaml:12"), for messages only. `jitter_us` and
    `spread_us` (None: one period) delay the sending of a fire time, never past the next one; the fire time stays what it is.
    `max_runs` bounds how many regular firings are ever sent (decisions B8). `skip_us` are fire times that somebody wants passed
    over, sorted. `webhook_url` hears of `webhook_on`, `ping_start` is asked for when it was sent; who hears how a run ended stands in
    `what`. `tags` and `team` are for people.
    """

    name: str
    when: Schedule
    what: Mapping[str, Any]
    enabled: bool = True
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window_us: int | None = None
    catch_up_limit: int = 1000
    grace_us: int = GRACE_US
    start_us: int | None = None
    end_us: int | None = None
    max_runs: int | None = None
    jitter_us: int = 0
    spread_us: int | None = 0
    overlap: Overlap = Overlap.ALLOW
    overlap_timeout_us: int = 3_600 * SECOND_US
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    catch_up_rate: float | None = None
    late_after_us: int | None = None
    skip_us: tuple[int, ...] = ()
    webhook_url: str = ""
    webhook_on: tuple[str, ...] = EVENTS
    ping_start: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    team: str = ""
    owner: Owner = field(default=Owner.FILE, compare=False)
    source: str = field(default="", compare=False)
    terms: Terms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", self._terms())

    def next_after(self, after_us: int) -> int | None:
        """First fire time strictly later than `after_us`, inside start and end; None when there is none."""
        return self.next_of(self.when, after_us)

    def next_of(self, when: Schedule, after_us: int) -> int | None:
        """What `next_after` would say if the schedule were this one."""
        if self.start_us is not None and after_us < self.start_us:
            after_us = self.start_us - 1
        fire_us = when.next_after(after_us)
        if fire_us is None or fire_us >= LAST_US or (self.end_us is not None and fire_us > self.end_us):
            return None
        return fire_us

    def to_spec(self) -> dict[str, Any]:
        """The entry as JSON data, for the store; `from_spec` gives it back. What has its default is left out."""
        spec: dict[str, Any] = {"when": schedule_to_spec(self.when), "what": dict(self.what)}
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if value != default:
                spec[name] = _plain(value)
        return spec

    @classmethod
    def from_spec(cls, name: str, spec: Mapping[str, Any]) -> Entry:
        """The inverse of `to_spec`; it also reads the specs of older versions, which wrote defaults, too."""
        known = dict(spec)
        when = schedule_from_spec(known.pop("when"))
        for key, kind in _KINDS.items():
            if key in known:
                known[key] = kind(known[key])
        return cls(name=name, when=when, **known)

    def _terms(self) -> Terms:
        options = self.what.get("options") or {}
        expires = options.get("expires") if isinstance(options, Mapping) else None
        terms = Terms(
            once=self.delivery is Delivery.AT_MOST_ONCE,
            expires_us=round(expires * SECOND_US)
            if isinstance(expires, int | float) and not isinstance(expires, bool)
            else None,
            backlog=self.catch_up_limit,
            rate=self.catch_up_rate,
            rate_after_us=GRACE_US if self.catch_up_rate is None else max(self.grace_us, PUNCTUAL_US),
            late_after_us=self.late_after_us,
            tells=self._tells(),
        )
        return USUAL if terms == USUAL else terms

    def _tells(self) -> Tells | None:
        if not self.webhook_url and not self.ping_start:
            return None
        late_us = max(self.grace_us, PUNCTUAL_US) if self.late_after_us is None else self.late_after_us
        return Tells(
            webhook_url=self.webhook_url,
            webhook_on=self.webhook_on if self.webhook_url else (),
            ping_start=self.ping_start,
            late_us=late_us,
        )


def is_canvas(what: Mapping[str, Any]) -> bool:
    """Whether a signature is more than one task; one of which somebody is told how it ended is, too."""
    return what.get("subtask_type") is not None or not _HOOKS.isdisjoint(what.get("options") or ())


_HOOKS = frozenset({*HOOKS, *ENDING_URLS})
_KINDS: dict[str, Callable[[Any], Any]] = {
    "catch_up": CatchUp,
    "overlap": Overlap,
    "delivery": Delivery,
    "owner": Owner,
    "skip_us": tuple,
    "tags": tuple,
    "webhook_on": tuple,
}
_DEFAULTS = {
    known.name: known.default
    for known in fields(Entry)
    if known.init and known.name not in {"name", "when", "what"}
}


def _plain(value: Any) -> Any:
    """A value of a field as JSON has it."""
    match value:
        case Enum():
            return value.value
        case tuple():
            return list(value)
        case _:
            return value
