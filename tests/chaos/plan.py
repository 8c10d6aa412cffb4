"""Plan and Outcome: what a scenario is to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from .checker import Verdict
from .fault import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often each thing is done. `cluster_kills`: a leader and a standby at once; `all_kills`: all beats at once."""

    kills: int
    pauses: int
    freezes: int
    stops: int
    cluster_kills: int = 0
    all_kills: int = 0
    standby_kills: int = 0
    rolls: int = 0
    outages: int = 0
    """Of the store and of the broker, each."""

    @property
    def steps(self) -> list[str]:
        """All steps, in their order here."""
        return (
            ["kill"] * self.kills
            + ["pause"] * self.pauses
            + ["freeze"] * self.freezes
            + ["stop"] * self.stops
            + ["kill_two"] * self.cluster_kills
            + ["kill_all"] * self.all_kills
            + ["kill_standby"] * self.standby_kills
            + ["roll"] * self.rolls
            + ["store"] * self.outages
            + ["broker"] * self.outages
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    store: str
    broker: str
    seconds: float
    epochs: int
    faults: list[Fault]
    verdict: Verdict
    strange_ends: list[str]
    not_done: list[str]

    @property
    def troubles(self) -> list[str]:
        """Everything that must not be."""
        return self.verdict.faults + self.strange_ends
