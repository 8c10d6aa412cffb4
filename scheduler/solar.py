"""Solar: sunrise, noon, sunset and the twilights of a place, every day on which they come.

PURE. astral (extra `solar`) knows where the sun stands; this finds the event of each solar day, so that none is met twice or passed
over at midnight UTC. All in UTC: the sun knows no zone and no clock change. Whole seconds; good to about a minute, as the air bends
light. Made by the loaders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from .errors import ScheduleError
from .instants import SECOND_US
from .zone import FIRST_SECOND, LAST_SECOND

_DAY = 86_400
_MINUTE = 60
_NOON = 43_200
_MINUTES_PER_DEGREE = 4
_UNIX_EPOCH_JULIAN = 2_440_587.5
_POLE = 89.8
_ROUNDS = 6
"""Each brings the time some hundred times nearer; the second round is good to seconds already."""
_LONGEST_NIGHT_DAYS = 400


class SolarEvent(Enum):
    """What of the sun; the names are Celery's. Twilight by the sun's centre: 6, 12 and 18 degrees below the horizon."""

    DAWN_ASTRONOMICAL = "dawn_astronomical"
    DAWN_NAUTICAL = "dawn_nautical"
    DAWN_CIVIL = "dawn_civil"
    SUNRISE = "sunrise"
    SOLAR_NOON = "solar_noon"
    SUNSET = "sunset"
    DUSK_CIVIL = "dusk_civil"
    DUSK_NAUTICAL = "dusk_nautical"
    DUSK_ASTRONOMICAL = "dusk_astronomical"


_ZENITH = {
    "astronomical": 108.0,
    "nautical": 102.0,
    "civil": 96.0,
    "sunrise": 90.833,  # 34 minutes of arc for the air, 16 for the sun's upper edge
    "sunset": 90.833,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Solar:
    """Whenever `event` comes at a place, degrees north and east. A polar day or night has no event: it is passed over.

    Raises: ScheduleError for an unknown event, a place that is not on earth, or if astral is not installed.
    """

    event: str
    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if self.event not in _EVENTS:
            raise ScheduleError(
                f'"{self.event}" is not an event of the sun', help=f"one of {', '.join(_EVENTS)}"
            )
        for key, degrees, most in (("latitude", self.latitude, 90), ("longitude", self.longitude, 180)):
            if (
                isinstance(degrees, bool)
                or not isinstance(degrees, int | float)
                or not -most <= degrees <= most
            ):
                raise ScheduleError(f'{key} "{degrees}" is out of range', help=f"-{most} to {most} degrees")
            object.__setattr__(self, key, float(degrees))
        _require_astral()

    def next_after(self, after_us: int) -> int | None:
        after = max(after_us // SECOND_US, FIRST_SECOND)
        # Solar day n has its mean noon at 12:00 of day n, mean time of the place; every event is within twelve hours of the true one.
        day = int((after + self.longitude * _MINUTES_PER_DEGREE * _MINUTE) // _DAY) - 1
        for later in range(day, day + _LONGEST_NIGHT_DAYS):
            if later * _DAY > LAST_SECOND - 2 * _DAY:
                return None
            found = self._on(later)
            if found is not None and found > after:
                return found * SECOND_US
        return None

    def _on(self, day: int) -> int | None:
        mean_noon = day * _DAY + _NOON - self.longitude * _MINUTES_PER_DEGREE * _MINUTE
        # Where a season of events begins or ends the sun may reach the height near midnight, and not with where it stood at noon.
        midnight = mean_noon + (-_NOON if self._is_rising else _NOON)
        found = self._near(mean_noon, mean_noon)
        return self._near(mean_noon, midnight) if found is None else found

    @property
    def _is_rising(self) -> bool:
        return self.event.startswith(("dawn", "sunrise"))

    def _near(self, mean_noon: float, at: float) -> int | None:
        """The event of that solar day, sought from `at` on, nearer with each round."""
        from astral import SunDirection
        from astral.julian import julianday_to_juliancentury
        from astral.sun import eq_of_time, hour_angle, sun_declination

        kind = self.event.rpartition("_")[2]
        latitude = max(-_POLE, min(_POLE, self.latitude))
        try:
            for _ in range(_ROUNDS):
                century = julianday_to_juliancentury(at / _DAY + _UNIX_EPOCH_JULIAN)
                noon = mean_noon - eq_of_time(century) * _MINUTE
                if kind == "noon":
                    at = noon
                    continue
                angle = hour_angle(latitude, sun_declination(century), _ZENITH[kind], SunDirection.RISING)
                away = math.degrees(angle) * _MINUTES_PER_DEGREE * _MINUTE
                at = noon - away if self._is_rising else noon + away
        except ValueError:  # the sun does not reach that height on that day
            return None
        return math.floor(at)


_EVENTS = tuple(event.value for event in SolarEvent)


def _require_astral() -> None:
    try:
        import astral  # noqa: F401 - only whether it is there
    except ImportError:
        raise ScheduleError(
            "the sun's events need the package astral", help="pip install 'backbeat[solar]'"
        ) from None
