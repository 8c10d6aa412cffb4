"""Lane: what a store remembers of one limit_key, and the decision whether one more task of it may start. PURE.

    rate           the times of the last starts are kept, as many as may be in a window: one more may start when the oldest of them has left it.
                   Who must wait gets a turn, and turns are spread over the window; at its turn it asks again, and only the starts decide.
    concurrency    who may start has a slot. Nobody gives a slot back: it is free when the run that has it is not claimed any more, by
                   whatever end, or when the claim is dead. Who must wait stands in line, and is woken when a slot is free.

A rate of many starts is kept as one of fewer in a shorter window: what holds in each part of a window holds in all of it. `limits.lua`
decides the same way; the conformance suite holds them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from ..message import Message
from ..quota import Ask
from ..rate import Rate
from .put_off import LONGEST_SECONDS, Wait
from .run import RunRecord

MOST_STARTS = 100
"""So many starts are kept of a key."""
LONGEST_SLACK_US = 50_000
"""A task begins a little after it may, and the next one perhaps less: a window is longer by a hundredth, and by this at most."""
LONGEST_US = round(LONGEST_SECONDS * 1_000_000)
KEPT_US = 60 * 1_000_000
"""How long a lane is kept when nothing depends on it any more."""
RUNNING_KEPT_US = 30 * 86_400 * 1_000_000
"""How long one is kept in which something runs and nobody asks."""


class Slot(Struct, frozen=True):
    """The run that has it."""

    id: str
    generation: int = 0
    attempt: int = 0

    def is_taken(self, record: RunRecord | None, now_us: int) -> bool:
        """Whether its run goes on, for all that is known."""
        if record is None or not record.worker or record.outcome is not None or record.lease_us <= now_us:
            return False
        return record.key == (self.generation, self.attempt)


class Lane(Struct, frozen=True, kw_only=True):
    """`starts` are times, the last one last; `turn_us` is the last turn that was given; `concurrency` what was last asked for."""

    starts: tuple[int, ...] = ()
    turn_us: int = 0
    slots: tuple[Slot, ...] = ()
    concurrency: int | None = None
    until_us: int = 0
    """When its starts and its turns are no matter any more."""

    def kept_until(self, now_us: int) -> int:
        """When it can be forgotten."""
        return now_us + RUNNING_KEPT_US if self.slots else max(self.until_us, now_us) + KEPT_US

    def pruned(self, is_taken: Callable[[Slot], bool]) -> Lane:
        """Without the slots that are free again."""
        return replace(self, slots=tuple(slot for slot in self.slots if is_taken(slot)))

    @property
    def free(self) -> int:
        """How many slots are free, if it is `pruned`; 1 where it was forgotten how many there are: who asks next says it."""
        return 1 if self.concurrency is None else max(0, self.concurrency - len(self.slots))


EMPTY_LANE = Lane()


class Ring(Struct, frozen=True):
    """A rate as it is kept: so many starts, at most, in any `window_us`, which is longer than it must be by a slack."""

    count: int
    window_us: int

    @property
    def step_us(self) -> int:
        """From one turn to the next."""
        return max(1, self.window_us // self.count)


def ring_of(rate: Rate) -> Ring:
    """Any `rate.count` + 1 starts span `rate.seconds` if any `count` + 1 span the window: the first hold that many of the second."""
    parts = math.ceil(rate.count / MOST_STARTS)
    window_us = math.ceil(rate.seconds * 1_000_000 / parts)
    return Ring(rate.count // parts, window_us + min(window_us // 100, LONGEST_SLACK_US))


def slot_of(message: Message) -> Slot:
    """The slot that it has when it starts."""
    return Slot(message.id, message.generation, message.attempt)


def admit(lane: Lane, ask: Ask, now_us: int) -> tuple[Wait | None, Lane]:
    """None if it may start, or how it is to wait; and the lane afterwards. `lane` is `pruned`."""
    slot, quota = slot_of(ask.message), ask.quota
    others = tuple(each for each in lane.slots if each != slot)
    lane = replace(lane, concurrency=quota.concurrency)
    if quota.concurrency is not None and len(others) >= quota.concurrency:
        return Wait(LONGEST_SECONDS, in_line=True), lane
    if quota.rate is not None:
        wait, lane = _at_rate(lane, ring_of(quota.rate), now_us, has_turn=ask.has_turn)
        if wait is not None:
            return wait, lane
    return None, replace(lane, slots=(*others, slot)) if quota.concurrency is not None else lane


def _at_rate(lane: Lane, ring: Ring, now_us: int, *, has_turn: bool) -> tuple[Wait | None, Lane]:
    last = lane.starts[-ring.count :]
    free_us = last[0] + ring.window_us if len(last) == ring.count else now_us
    if free_us <= now_us and (has_turn or lane.turn_us <= now_us):
        until_us = max(lane.until_us, now_us + ring.window_us)
        return None, replace(lane, starts=(*lane.starts, now_us)[-MOST_STARTS:], until_us=until_us)
    turn_us = max(free_us, lane.turn_us + ring.step_us)
    if turn_us > now_us + LONGEST_US:
        return Wait(LONGEST_SECONDS), lane
    wait = Wait((turn_us - now_us) / 1_000_000, has_turn=True)
    return wait, replace(lane, turn_us=turn_us, until_us=max(lane.until_us, turn_us))
