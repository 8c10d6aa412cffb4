"""Plan: a canvas as it is drawn, the signature of it, and what it must come to. PURE but for the generator that is passed in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from backbeat.canvas import Signature, chain, chord

from . import tasks

WORTH = {"step": 1, "again": 1, "swapped": 2}
"""What a task adds to the value that it gets."""
POLICIES = ("fail", "fail", "fail_fast", "collect", "drop")


class Broken(Exception):
    """This canvas fails."""


@dataclass(frozen=True, slots=True)
class Task:
    name: str


@dataclass(frozen=True, slots=True)
class Steps:
    steps: Sequence[Plan]


@dataclass(frozen=True, slots=True)
class Fork:
    """A chord whose body adds up."""

    members: Sequence[Plan]
    policy: str


Plan = Task | Steps | Fork


def drawn(draw: random.Random, depth: int = 3) -> Plan:
    """A canvas; about one task in twelve fails."""
    kind = draw.choice(["task", "steps", "fork", "fork"]) if depth else "task"
    match kind:
        case "steps":
            return Steps([drawn(draw, depth - 1) for _ in range(draw.randint(2, 4))])
        case "fork":
            members = [drawn(draw, depth - 1) for _ in range(draw.randint(1, 5))]
            return Fork(members, draw.choice(POLICIES))
    return Task(draw.choices(["step", "again", "swapped", "broken"], [15, 3, 4, 2])[0])


def signature_of(plan: Plan, x: int | None = None) -> Signature:
    """The canvas; its first tasks get `x`, if it is given, else the value of what comes before."""
    match plan:
        case Task(name):
            return tasks.app.signature(f"{tasks.NAME}.{name}", [] if x is None else [x])
        case Steps(steps):
            first, *rest = steps
            return chain(signature_of(first, x), *map(signature_of, rest))
        case Fork(members, policy):
            body = tasks.app.signature(f"{tasks.NAME}.total")
            return chord([signature_of(member, x) for member in members], body, failure_policy=policy)


def value_of(plan: Plan, x: int) -> int:
    """What it must come to with `x`. Raises Broken."""
    match plan:
        case Task("broken"):
            raise Broken
        case Task(name):
            return x + WORTH[name]
        case Steps(steps):
            for step in steps:
                x = value_of(step, x)
            return x
        case Fork(members, policy):
            values, has_failed = [], False
            for member in members:
                try:
                    values.append(value_of(member, x))
                except Broken:
                    has_failed = True
            if has_failed and policy in ("fail", "fail_fast"):
                raise Broken
            return sum(values)
