"""Health: is a beat alive, and is it ready? Judged from its vitals, in words that say what is wrong.

PURE: numbers come in. Alive means that its loop turns and that no publish hangs; a store or a broker that is away is no reason to end a
beat, for it heals by itself, and a new one would find them as absent. Ready means more: the role is known, leader or standby, and the
broker answers. A standby is as healthy as a leader. The probes of probe_server.py and the systemd watchdog ask here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MAX_AGE_SECONDS = 30.0
"""A loop that was not complete for so long hangs; it passes about once a second."""
STUCK_SECONDS = 60.0
"""A publish is bounded (see Outlet.publish); one that takes so long hangs, and with it all that wait for it."""


class Signs(Protocol):
    """The vitals that matter."""

    leads: bool | None
    broker_up: bool | None

    @property
    def pass_age_seconds(self) -> float: ...

    @property
    def publishing_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """Well or not, in one sentence."""

    well: bool
    text: str


def liveness(signs: Signs, max_age_seconds: float = MAX_AGE_SECONDS) -> Verdict:
    """Whether its loop turns and what it sends moves."""
    age_seconds = signs.pass_age_seconds
    if age_seconds > max_age_seconds:
        return Verdict(
            False, f"the loop's last pass was {age_seconds:.0f} s ago, more than {max_age_seconds:g} s"
        )
    if signs.publishing_seconds > STUCK_SECONDS:
        return Verdict(False, f"a publish to the broker has hung for {signs.publishing_seconds:.0f} s")
    return Verdict(True, f"alive: the loop's last pass was {age_seconds:.1f} s ago")


def readiness(signs: Signs, broker: Verdict, max_age_seconds: float = MAX_AGE_SECONDS) -> Verdict:
    """Whether it is alive, knows its role, which the store tells, and reaches the broker; `broker` says whether that answered."""
    alive = liveness(signs, max_age_seconds)
    if not alive.well:
        return alive
    if signs.leads is None:
        return Verdict(False, "the role is not known yet: the store was not reached")
    if not broker.well:
        return broker
    return Verdict(True, "ready: leading" if signs.leads else "ready: standing by")
