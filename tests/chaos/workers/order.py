"""Order: one thing that the client asks for: a call, a chain, a chord, ...; the ids that it is made of, and what each must end with."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from backbeat.canvas import chain, chord, group
from backbeat.canvas.result import AsyncResult, GroupResult
from backbeat.canvas.signature import Signature

from . import tasks

FAILED = "ValueError"
"""What `broken` ends with, where others have a value."""
SPAWNED = "the id of a task"
"""What `spawn` ends with; which one is known when it has ended, see load.py."""
KINDS = {
    "call": 6,
    "retry": 2,
    "chain": 3,
    "chord": 3,
    "group": 2,
    "countdown": 2,
    "early": 3,
    "error": 2,
    "spawn": 2,
    "long": 1,
}
"""All kinds, with how often each comes in a round."""
MEMBERS, STEPS = 4, 3


@dataclass(slots=True)
class Order:
    """`wanted` has by id what each task must end with: its value, FAILED or SPAWNED. `child` is known when a `spawn` has ended."""

    number: int
    kind: str
    wanted: dict[str, object] = field(default_factory=dict)
    body: str | None = None
    child: str | None = None
    sent_us: int = 0


def signature_of(number: int, kind: str, draw: random.Random) -> Signature:
    """What order `number` asks for; each task takes some tens of milliseconds, the long ones seconds."""
    tag = {"order": number}
    work = {**tag, "seconds": round(draw.uniform(0.01, 0.15), 3)}
    match kind:
        case "retry":
            return tasks.again.s(number, **work)
        case "chain":
            return chain(tasks.step.s(number, **work), *[tasks.step.s(**work) for _ in range(STEPS - 1)])
        case "chord":
            return chord([tasks.step.s(number + i, **work) for i in range(MEMBERS)], tasks.total.s(**tag))
        case "group":
            return group([tasks.step.s(number + i, **work) for i in range(MEMBERS)])
        case "countdown":
            return tasks.step.s(number, **work).set(countdown=round(draw.uniform(0.2, 2.0), 2))
        case "early":
            return tasks.early.s(number, **work)
        case "error":
            return tasks.broken.s(number, **tag).set(link_error=[tasks.notice.s(**tag)])
        case "spawn":
            return tasks.spawn.s(number, **work)
        case "long":
            return tasks.step.s(number, order=number, seconds=round(draw.uniform(1.0, 3.0), 2))
        case _:
            return tasks.step.s(number, **work)


def wanted_of(number: int, kind: str, handle: Any) -> dict[str, object]:
    """By id of each task of the order what it must end with."""
    match kind:
        case "chain":
            steps = [handle.parent.parent, handle.parent, handle]
            return {step.id: number + i + 1 for i, step in enumerate(steps)}
        case "group":
            return _members(number, handle)
        case "chord":
            members = _members(number, handle.parent)
            return {**members, handle.id: sum(map(int, members.values()))}  # type: ignore[call-overload]
        case "error":
            return {handle.id: FAILED}
        case "spawn":
            return {handle.id: SPAWNED}
        case _:
            return {handle.id: number + 1}


def _members(number: int, handle: GroupResult) -> dict[str, object]:
    members = [member for member in handle.results if isinstance(member, AsyncResult)]
    return {member.id: number + i + 1 for i, member in enumerate(members)}
