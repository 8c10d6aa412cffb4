"""Sending: a client's side of a commit: the effects of `flow.start` are brought, in slices where there are many.

Where the store can do it a slice is made while the server works on the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from .commit.base import Commit
from .commit.overlap import overlapping
from .commit.transition import Transition
from .effect import Effect, OpenJoin, SealJoin
from .killpoint import reach
from .unique import Unique

SLICE = 250
"""Effects in one commit of a sender: with 500 a Redis served nobody else for 10 ms."""
SENDER_LEASE_SECONDS = 60.0
"""How long a sender of a large canvas may be silent between two slices."""


def send_each(commit: Commit, starts: Sequence[Sequence[Effect]]) -> None:
    """As `send`, for canvases that whoever calls brings again until all are sent, so none of them is ever left half sent."""
    small = [effects for effects in starts if len(effects) <= SLICE]
    if small:
        commit.exchange([Transition(effects=tuple(effects)) for effects in small])
    for effects in starts:
        if len(effects) > SLICE:
            send(commit, effects, is_repeated=True)


def send(commit: Commit, effects: Sequence[Effect], *, is_repeated: bool = False) -> None:
    """Bring the effects of `flow.start`. Raises Unavailable.

    Up to SLICE effects are one commit: all or nothing. More go in slices, into joins that are sealed after the last slice, so that
    a sender that dies in between leaves joins that workers settle as SendInterrupted (decisions K4); but not where it `is_repeated`, and
    somebody will bring all of them again.
    """
    reach("send.begun")
    if len(effects) <= SLICE:
        commit.exchange([Transition(effects=tuple(effects))])
        reach("send.sent")
        return
    lease_seconds = None if is_repeated else SENDER_LEASE_SECONDS
    unsealed = {e.record.join_id: e for e in effects if isinstance(e, OpenJoin)}
    opened: dict[str, Effect] = {}
    with overlapping(commit) as bring:
        for first in range(0, len(effects), SLICE):
            part = effects[first : first + SLICE]
            slice_: list[Effect] = list(opened.values())
            for effect in part:
                if isinstance(effect, OpenJoin):
                    effect = replace(effect, size=None, lease_seconds=lease_seconds)  # noqa: PLW2901 - the same, unsealed
                    opened[effect.record.join_id] = effect
                slice_.append(effect)
            bring([Transition(effects=tuple(slice_))])
            reach("send.sliced")
        seals = [SealJoin(id_, e.size) for id_, e in unsealed.items() if e.size is not None]
        bring([Transition(effects=tuple(seals))])
    reach("send.sealed")


def send_unique(commit: Commit, effects: Sequence[Effect], unique: Unique) -> str | None:
    """As `send`, for a single task; if another task has the key nothing is sent, and the id of that one is returned."""
    reach("send.begun")
    holder = commit.exchange([Transition(effects=tuple(effects), unique=unique)]).holders.get(0)
    reach("send.sent")
    return holder
