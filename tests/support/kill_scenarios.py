"""Scenarios of the kill-point harness: a canvas, what it gives, and how the workers are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from backbeat.canvas import chain, chord, group
from backbeat.canvas.ids import derive

from .kill_tasks import asks_again, early_step, frozen, held, replaced, step, third_time, total

STACKS = ("sqlite", "postgres", "redis", "rabbitmq+redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`values`: what each handle of the canvas gives, by what comes behind the canvas's id in its own. `early`: its tasks are
    acknowledged before they run.
    """

    name: str
    canvas: Callable[[], Any]
    values: Mapping[tuple[str, ...], Any]
    worker: tuple[str, ...] = ("-P", "solo")
    early: bool = False
    sliced: bool = False
    """The sender brings it in many small commits, and does not try again when it is killed in between."""
    freezes: bool = False
    """Its first worker stops itself in the middle, and goes on when others have done its work."""
    stacks: tuple[str, ...] = STACKS
    """Where it is played."""
    short: tuple[str, ...] = STACKS
    """Where it is played when there is little time."""
    told_to_stop: bool = False
    """The first worker is told to stop while a task runs, which is then handed back."""

    def expected(self, id_: str) -> dict[str, Any]:
        """The value of each handle, by its id, if the canvas has this id; ANY where it differs from run to run."""
        return {reduce(derive, path, id_): value for path, value in self.values.items()}


ANY = object()
PROCESSES = ("-P", "processes", "-c", "1")
BODY: tuple[str, ...] = ()
MEMBERS = {("step:0", str(index)): index + 2 for index in range(3)}
THREE = group(step.s(1), step.s(2), step.s(3))

SCENARIOS: Mapping[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(name="call", canvas=lambda: step.s(1), values={(): 2}),
        Scenario(name="retry", canvas=lambda: third_time.s(1), values={(): 2}),
        Scenario(
            name="chain",
            canvas=lambda: chain(step.s(1), step.s(), step.s()),
            values={("step:0",): 2, ("step:1",): 3, (): 4},
        ),
        Scenario(
            name="replace",
            canvas=lambda: chain(step.s(1), replaced.s(), step.s()),
            values={("step:0",): 2, ("step:1",): 4, (): 5},
            short=("sqlite", "redis"),
        ),
        Scenario(name="chord", canvas=lambda: chord(THREE, total.s()), values={**MEMBERS, BODY: 9}),
        Scenario(
            name="early",
            canvas=lambda: chain(early_step.s(1), early_step.s()),
            values={("step:0",): 2, (): 3},
            early=True,
        ),
        Scenario(
            name="requeue", canvas=lambda: asks_again.s(1), values={(): 2}, short=("sqlite", "rabbitmq+redis")
        ),
        Scenario(
            name="frozen",
            canvas=lambda: chain(frozen.s(1), step.s()),
            values={("step:0",): ANY, (): ANY},
            freezes=True,
            stacks=("sqlite", "postgres", "redis"),  # RabbitMQ waits for its heartbeat
            short=("postgres",),
        ),
        Scenario(
            name="sliced",
            canvas=lambda: chord(THREE, total.s()),
            values={**MEMBERS, BODY: 9},
            sliced=True,
            short=("redis",),
        ),
        Scenario(
            name="child",
            canvas=lambda: step.s(1),
            values={(): 2},
            worker=PROCESSES,
            short=("sqlite", "redis"),
        ),
        Scenario(
            name="stop",
            canvas=lambda: held.s(1),
            values={(): 2},
            worker=(*PROCESSES, "--grace", "0"),
            told_to_stop=True,
            short=("postgres",),
        ),
    )
}
