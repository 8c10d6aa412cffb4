"""Checker: what was asked for, against what ended, what ran and what was done to the workers. It reads nothing itself.

A second run of an attempt needs a claim that died: a blow to the process or the worker that ran it before, which came before that run was
committed. What was acknowledged early never runs twice; it, and what took three claims with it, may end as WorkerLostError, where blows
explain that, and what waited for it then fails too. Everything else ends with its value, and stays so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backbeat.canvas.outcome import State

from .blow import KILLS, Blow, BlowKind
from .fleet import CONCURRENCY
from .load import Ending
from .order import FAILED, Order
from .poison import Ended, faults_of
from .run import Run
from .tasks import ATTEMPTS

LOST = "WorkerLostError"
MAX_LOST = 3
"""Dead claims after which a task runs no more (the default of `task_max_lost`)."""
BEGIN_US = 1_000_000
"""A child reads what its worker gave it, also when the worker has died since."""
COMMIT_US = 2_000_000
"""Within it what has ended is committed, on a machine that is busy."""
HAND_BACK_US = 50_000
"""A worker that stops may kill a task that was about to say that it has ended."""
REPEATS = {
    BlowKind.CHILD: 1,
    BlowKind.PARENT: 2 * CONCURRENCY,
    BlowKind.WORKER: 2 * CONCURRENCY,
    BlowKind.STOP: CONCURRENCY,
}
"""Second runs that one blow may cause: what ran, and what had ended and was not committed yet."""

Runs = Mapping[tuple[str, int], Sequence[Run]]


@dataclass(slots=True)
class Verdict:
    """The findings. The lists are for people, and each of them must be empty."""

    orders: int = 0
    tasks: int = 0
    runs: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    """Second runs, by the kind of blow that explains them."""
    max_runs: int = 0
    lost_early: int = 0
    capped: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    over_bound: list[str] = field(default_factory=list)
    early_twice: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    remains: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        named = {
            "lost": self.lost,
            "wrong": self.wrong,
            "changed": self.changed,
            "unexplained run": self.unexplained,
            "over the bound": self.over_bound,
            "acknowledged early, run twice": self.early_twice,
            "stranger": self.strangers,
            "dead letter": self.dead_letters,
            "poison": self.poison,
            "left": self.remains,
        }
        return [f"{name}: {each}" for name, found in named.items() for each in found]


def check(
    orders: Sequence[Order],
    endings: Mapping[str, Ending],
    runs: Runs,
    blows: Sequence[Blow],
    *,
    dead: Sequence[str],
    remains: Mapping[str, int],
    changed: Sequence[str] = (),
    poisons: Sequence[Ended] = (),
) -> Verdict:
    """Judge a run. `dead` are the ids of the dead letters, "None" where there is no id."""
    verdict = Verdict(
        orders=len(orders),
        tasks=len(endings),
        runs=sum(map(len, runs.values())),
        max_runs=max(map(len, runs.values()), default=0),
        changed=list(changed),
        remains=[f"{count} {name}" for name, count in remains.items()],
    )
    _check_repeats(verdict, runs, blows)
    by_order: dict[int, list[Run]] = defaultdict(list)
    for found in runs.values():
        for run in found:
            by_order[run.order].append(run)
    early = {id_ for order in orders if order.kind == "early" for id_ in order.wanted}
    excused = {
        id_
        for id_, (_, value) in endings.items()
        if value == LOST and _is_excused(verdict, id_, runs, blows, is_early=id_ in early)
    }
    for order in orders:
        _check_endings(verdict, order, endings, runs, excused)
        _check_ids(verdict, order, by_order.get(order.number, []))
    verdict.strangers += [
        f"order {number}" for number in by_order.keys() - {order.number for order in orders}
    ]
    verdict.poison += faults_of(poisons, dead)
    excused |= {str(each.id) for each in poisons}
    verdict.dead_letters += [id_ for id_ in dead if id_ not in excused]
    return verdict


# --- runs ----------------------------------------------------------------------------------------------------------------------


def _check_repeats(verdict: Verdict, runs: Runs, blows: Sequence[Blow]) -> None:
    caused: Counter[Blow] = Counter()
    for (id_, attempt), found in runs.items():
        if found[0].task == "early" and len(found) > 1:
            verdict.early_twice.append(f"{id_}: {found}")
        for run in found[:-1]:
            blow = cause_of(run, blows)
            if blow is None:
                verdict.unexplained.append(f"{id_}, attempt {attempt}: {found}")
            else:
                caused[blow] += 1
                verdict.repeats[blow.kind.value] += 1
    verdict.over_bound += [
        f"{count} second runs by {blow}" for blow, count in caused.items() if count > REPEATS[blow.kind]
    ]


def cause_of(run: Run, blows: Sequence[Blow]) -> Blow | None:
    """The blow that kept `run` from being committed, if there is one."""
    return next((blow for blow in blows if _is_struck(run, blow)), None)


def _is_struck(run: Run, blow: Blow) -> bool:
    is_its = blow.pid == run.pid if blow.kind is BlowKind.CHILD else blow.worker == run.worker
    slack_us = HAND_BACK_US if blow.kind is BlowKind.STOP else COMMIT_US
    return (
        is_its
        and run.start_us <= blow.fatal_us + BEGIN_US
        and (run.end_us is None or run.end_us >= blow.fatal_us - slack_us)
    )


# --- endings -------------------------------------------------------------------------------------------------------------------


def _is_excused(verdict: Verdict, id_: str, runs: Runs, blows: Sequence[Blow], *, is_early: bool) -> bool:
    """Whether blows explain that `id_` ended as WorkerLostError. A claim may die before the task starts, so that no run is there."""
    attempts = [found for (of, _), found in runs.items() if of == id_]
    last = attempts[-1] if attempts else []
    all_struck = all(cause_of(run, blows) for run in last)
    needed = 1 if is_early else MAX_LOST
    deadly = sum(blow.kind in KILLS or (is_early and blow.kind is BlowKind.STOP) for blow in blows)
    if not all_struck or len(last) > needed or deadly < needed:
        return False
    verdict.lost_early += is_early
    verdict.capped += not is_early
    return True


def _check_endings(
    verdict: Verdict, order: Order, endings: Mapping[str, Ending], runs: Runs, excused: set[str]
) -> None:
    is_hurt = any(id_ in excused for id_ in order.wanted)
    for id_, value in order.wanted.items():
        ending = endings.get(id_)
        if ending is None:
            verdict.lost.append(f"{order.kind} {order.number}: {id_} never ended")
        elif id_ in excused:
            continue
        elif ending[0] == State.FAILURE and ending[1] != FAILED and is_hurt:
            continue  # what it waited for was lost
        elif ending != ((State.FAILURE if value == FAILED else State.SUCCESS), value):
            verdict.wrong.append(f"{order.kind} {order.number}: {id_} ended with {ending}, not {value}")
        else:
            attempts = ATTEMPTS if order.kind == "retry" else 1
            missing = [n for n in range(attempts) if not any(run.end_us for run in runs.get((id_, n), ()))]
            if missing and order.kind != "spawn":  # whose attempts depend on the broker
                verdict.wrong.append(f"{order.kind} {order.number}: {id_} never ran attempts {missing}")


def _check_ids(verdict: Verdict, order: Order, runs: Sequence[Run]) -> None:
    """Bodies and error callbacks have one id each; nothing ran that nobody asked for."""
    bodies = {run.id for run in runs if run.task == "total"}
    if bodies - {order.body}:
        verdict.strangers.append(f"chord {order.number}: bodies {bodies}")
    notices = {run.id for run in runs if run.task == "notice"}
    if len(notices) != (order.kind == "error"):
        verdict.lost.append(f"{order.kind} {order.number}: error callbacks {notices}")
    if order.kind != "spawn":  # each run of it sends a task with an id of its own
        others = {run.id for run in runs} - notices - order.wanted.keys()
        verdict.strangers += [f"{order.kind} {order.number}: {id_}" for id_ in others]
