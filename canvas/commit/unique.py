"""Unique keys: who has one, and when it is free again. PURE.

A store keeps a hold for each key that was taken: the task that took it, how long it meant to (its scope), and a time. Nobody gives a
key back. Whoever wants it looks at the run of the holder, in the step that would publish, and so no crash can leave a key taken:

    scope TIME       taken until `until_us`, whatever becomes of the task
    scope RUNNING    taken while the holder's run is open: it was sent, is claimed, or will run again (a retry)
    scope PENDING    taken while the holder's run is open and was never claimed; a hand-back of what never started is no start

and in the last two: free once the store knows of no run of the holder, and once its `expires` (`until_us`) has come before it started.
So a store leaves an empty run for the holder when it publishes, also where it needs none otherwise; it is kept for HELD_SECONDS after the
task is due, and for ever once the task is claimed, until it ends. A task has its own key: bringing its send again is no conflict.

The scope that counts is the holder's; what becomes of the newcomer is the newcomer's policy. `unique.lua` decides the same way; the
conformance suite holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ..effect import Effect, Publish
from ..message import Message, sent_at
from ..unique import Scope, Unique
from .run import RunRecord, revoke
from .sent import STEP_SECONDS
from .verdict import Standing

HELD_SECONDS = STEP_SECONDS
"""How long after it is due a task that no worker took has its key."""
LOOK_US, LOOK_AGAIN_US = 60 * 1_000_000, 3_600 * 1_000_000
"""How long after a task is due a sweep looks whether its key is free, and can be forgotten; and how long after that it looks again."""


class Hold(Struct, frozen=True, kw_only=True):
    """A key that task `id` took."""

    id: str
    scope: Scope
    until_us: int | None = None


class Take(Struct, frozen=True):
    """The key is free, or the task's own: send, and keep `hold`. `replaced`: that task is to be revoked in the same step."""

    hold: Hold
    replaced: str | None = None


class Held(Struct, frozen=True):
    """Another task has the key: send nothing."""

    id: str


def take(
    unique: Unique, message: Message, hold: Hold | None, record: RunRecord | None, now_us: int
) -> Take | Held:
    """What becomes of a send that wants a key. `record` is the run of the one that has it; `message` is what would be sent."""
    wanted = hold_of(unique, message, now_us)
    if hold is None or is_free(hold, record, now_us):
        return Take(wanted)
    if hold.id == unique.id:
        return Take(hold)
    if unique.replaces and record is not None and revoke(record, now_us) is not None:
        return Take(wanted, replaced=hold.id)
    return Held(hold.id)


def hold_of(unique: Unique, message: Message, now_us: int) -> Hold:
    """What taking the key keeps."""
    if unique.scope is Scope.TIME:
        return Hold(
            id=unique.id, scope=Scope.TIME, until_us=now_us + max(1, round(unique.seconds * 1_000_000))
        )
    return Hold(id=unique.id, scope=unique.scope, until_us=sent_at(message, now_us).expires_us)


def is_free(hold: Hold, record: RunRecord | None, now_us: int) -> bool:
    """Whether a key may be taken by another task."""
    is_over = hold.until_us is not None and hold.until_us <= now_us
    if hold.scope is Scope.TIME:
        return is_over
    if record is None or not record.is_open:
        return True
    return hold.scope is Scope.PENDING if _has_started(record) else is_over


def apart(answers: Sequence[Standing | Held | None]) -> tuple[list[Standing | None], dict[int, str]]:
    """What became of each transition, as an Exchange says it: the outcomes that stand instead, and who has the keys."""
    standing = [answer if isinstance(answer, Standing) else None for answer in answers]
    return standing, {index: answer.id for index, answer in enumerate(answers) if isinstance(answer, Held)}


def message_of(unique: Unique, effects: Sequence[Effect]) -> Message:
    """The message that the key is for."""
    return next(e.message for e in effects if isinstance(e, Publish) and e.message.id == unique.id)


def known_us(message: Message, now_us: int) -> int:
    """Until when the empty run of a holder says that it was sent."""
    return _due_us(message, now_us) + HELD_SECONDS * 1_000_000


def look_us(hold: Hold, message: Message, now_us: int) -> int:
    """When a sweep is to look whether a key is free."""
    if hold.scope is Scope.TIME and hold.until_us is not None:
        return hold.until_us
    return _due_us(message, now_us) + LOOK_US


def _due_us(message: Message, now_us: int) -> int:
    return max(now_us, sent_at(message, now_us).eta_us or 0)


def _has_started(record: RunRecord) -> bool:
    return bool(record.worker or record.lost or record.outcome is not None or record.key > (0, 0))
