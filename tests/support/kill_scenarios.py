"""Scenarios of the kill-point harness: a canvas, what it gives, and how the workers are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from backbeat.canvas import chain, chord, group
from backbeat.canvas.ids import derive

from .kill_tasks import (
    asks_again,
    broken,
    early_step,
    frozen,
    held,
    repaired,
    replaced,
    step,
    third_time,
    told,
    total,
)

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
    operator: str = ""
    """What is done with it from outside: "retry", once it has failed and was repaired; or "cancel", once it was sent."""

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
            name="nested",
            canvas=lambda: chord([chord([step.s(1), step.s(2)], total.s()), step.s(3)], total.s()),
            values={
                ("step:0", "0", "step:0", "0"): 2,
                ("step:0", "0", "step:0", "1"): 3,
                ("step:0", "0"): 5,
                ("step:0", "1"): 4,
                BODY: 9,
            },
            short=("postgres", "redis"),
        ),
        Scenario(
            name="dropped",
            canvas=lambda: chord(
                [step.s(1), broken.s(), step.s(2)], total.s(), failure_policy="drop"
            ).on_done(told.s()),
            values={("step:0", "0"): 2, ("step:0", "2"): 3, BODY: 5, ("step:2", "on_done:0"): "SUCCESS"},
            short=("redis",),
        ),
        Scenario(
            name="hasty",
            canvas=lambda: chord([step.s(1), broken.s()], total.s(), failure_policy="fail_fast").on_failure(
                told.s()
            ),
            values={("step:2", "on_failure:0"): "FAILURE"},
            short=("postgres",),
        ),
        Scenario(
            name="retry-canvas",
            canvas=lambda: chain(step.s(1), group(repaired.s(), step.s()), total.s()),
            values={("step:0",): 2, ("step:1", "0"): 3, ("step:1", "1"): 3, BODY: 6},
            operator="retry",
            short=("sqlite", "redis"),
        ),
        Scenario(
            name="cancel-canvas",
            canvas=lambda: chain(step.s(1).set(countdown=8), group(step.s(), step.s()), total.s()),
            values={("step:0",): None, ("step:1", "0"): None, ("step:1", "1"): None, BODY: None},
            operator="cancel",
            short=("postgres", "rabbitmq+redis"),
        ),
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
