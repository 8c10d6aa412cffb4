"""Crontab: when a cron expression fires in a zone; and the word @every, which is an interval written where a crontab stands.

PURE. The text is cron.py's and cron_field.py's, the rule for skipped and repeated hours clock_change.py's. Made by the loaders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta

from .clock_change import Dst, next_fire
from .cron import Cron, DayMatch, LongCron, parse_cron
from .duration import parse_duration
from .errors import ScheduleError
from .instants import SECOND_US
from .zone import Zone, plain_zone, zone_rules

_H = re.compile(r"(?i)(?<![a-z@])h(?![a-z])")
_EVERY = "@every"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """A cron expression or an @word in the wall-clock time of a zone; Debian cron's meaning (cron.py, clock_change.py).

    `fields` is 5, 6 (seconds first) or 7 (seconds first, years last). An entry whose minute or hour field (of six and seven: or
    second field) begins with `*` follows elapsed time through clock changes: nothing in a skipped hour, all of a repeated one. A fixed
    time follows `dst`; several fixed times inside one skipped hour give one fire, right after it.
    Fire times of five fields are whole minutes of the wall clock, but for the end of a gap that is none (Liberia 1972).
    `hash_key` is the name that H is drawn from; it is kept only where the expression has an H.
    Raises: ScheduleError for text that is no such expression, a date that never comes, an unknown zone.
    """

    expression: str
    timezone: str = "UTC"
    dst: Dst = Dst.ONCE
    day_match: DayMatch = DayMatch.ANY
    fields: int = 5
    hash_key: str = ""
    _cron: Cron | LongCron = field(init=False, repr=False, compare=False)
    _zone: Zone = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timezone", plain_zone(self.timezone))
        # So that equal expressions of many entries share one compiled form.
        if self.hash_key and not (isinstance(self.expression, str) and _H.search(self.expression)):
            object.__setattr__(self, "hash_key", "")
        cron = parse_cron(self.expression, self.day_match, fields=self.fields, hash_key=self.hash_key)
        object.__setattr__(self, "_cron", cron)
        object.__setattr__(self, "_zone", zone_rules(self.timezone))

    @property
    def cron(self) -> Cron | LongCron:
        """The compiled expression."""
        return self._cron

    @property
    def zone(self) -> Zone:
        """The rules of the zone."""
        return self._zone

    def next_after(self, after_us: int) -> int | None:
        # Fires are on whole seconds: later than a part of a second is later than the second's begin.
        fire = next_fire(self._cron, self._zone, self.dst, after_us // SECOND_US)
        return None if fire is None else fire * SECOND_US


def every_word(expression: str) -> timedelta | None:
    """The distance of "@every 5m", written where a cron expression stands; None for any other text.

    Raises: ScheduleError if what follows the word is no duration.
    """
    word, _, distance = expression.strip().partition(" ")
    if word.lower() != _EVERY:
        return None
    if not distance.strip():
        raise ScheduleError(f'"{expression}" lacks its distance', help='write "@every 5m"')
    return parse_duration(distance)
