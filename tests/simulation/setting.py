"""Setting: what kind of world is simulated."""

from __future__ import annotations

from dataclasses import dataclass

CALM_SECONDS = 200.0
"""After the last fault: longer than any patience or back-off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What kind of world.

    `one_host`: all share a wall clock and see each other's processes, and the store has no clock; else each beat has a machine of its
    own, and the store a server. `far_steps`: clocks are set by more than what is made up for.
    """

    start_us: int
    nodes: int = 3
    ttl_seconds: float = 10.0
    one_host: bool = False
    hint: bool = False
    sender_takes_time: bool = True
    rollbacks: bool = False
    far_steps: bool = False
    jumps: bool = True
    calm_seconds: float = CALM_SECONDS
