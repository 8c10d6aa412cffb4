"""KillMatrix: all points of a scenario on a stack, each with a trial; points that only a death brings up get a second death there.

no death          -> the points that it meets
a death at each   -> the points that are met only behind it
two deaths        -> nothing new is asked of these: a third death of the same task would be its last (task_max_lost)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .kill_scenarios import Scenario
from .kill_trial import Ended, Plan, Trial
from .leftovers import Leftovers
from .stacks import Stack
from .zygote import Zygote

DEEPEST = 2
TRIES = 3


@dataclass
class Figures:
    """What was tried on one stack."""

    stack: str
    points: int = 0
    """Different points (a name, and how often it was passed before), over all scenarios."""
    trials: int = 0
    kills: int = 0
    runs: int = 0
    repeats: int = 0
    longest: float = 0.0
    """Seconds from the last death until everything had ended."""
    by_name: Counter[str] = field(default_factory=Counter)
    """Kills by the name of the point."""
    missed: list[tuple[str, Plan]] = field(default_factory=list)
    """Scenario and plan where a point was not met, though another run had met it."""
    troubles: list[str] = field(default_factory=list)

    def add(self, ended: Ended) -> None:
        """One more trial."""
        self.trials += 1
        self.kills += len(ended.killed)
        self.runs += ended.runs
        self.repeats += ended.repeats
        self.by_name.update(name_of(point) for point in ended.killed)
        if ended.killed:
            self.longest = max(self.longest, ended.seconds)

    def line(self) -> str:
        """All of it in a line."""
        return (
            f"{self.stack:<16} {self.points:>6} points {self.trials:>6} trials {self.kills:>6} kills "
            f"{self.runs:>6} runs {self.repeats:>5} repeats {self.longest:>6.2f} s {len(self.missed):>3} not met"
        )


class KillMatrix:
    """Plays scenarios on a stack. `wants`: whether a process shall be killed at a point, by its name and the scenario's."""

    def __init__(
        self,
        stack: Stack,
        leftovers: Leftovers,
        zygote: Zygote,
        directory: Path,
        wants: Callable[[str, str], bool] = lambda _scenario, _point: True,
    ) -> None:
        self._stack = stack
        self._leftovers = leftovers
        self._zygote = zygote
        self._directory = directory
        self._wants = wants
        self.figures = Figures(stack.name)

    def explore(self, scenario: Scenario) -> None:
        """Without a death, then with one at each point, until a run meets no new one."""
        seen: set[str] = set()
        plans: list[Plan] = [()]
        while plans:
            plan = plans.pop(0)
            ended = self._play(scenario, plan)
            new = [point for point in ended.points if point not in seen]
            seen.update(new)
            if len(plan) < DEEPEST:
                plans += [(*plan, point) for point in new if self._wants(scenario.name, point)]
        self.figures.points += len(seen)

    def _play(self, scenario: Scenario, plan: Plan) -> Ended:
        """Play a plan; again if a point was not met, as some depend on which of two messages comes first."""
        for _ in range(TRIES):
            trial = Trial(self._zygote, self._stack, self._leftovers, scenario, self._directory, plan)
            ended = trial.run()
            self.figures.add(ended)
            if ended.troubles:
                where = (
                    f"{self._stack.name}, {scenario.name}, to be killed at {', '.join(plan) or 'no point'}"
                )
                self.figures.troubles.append("\n".join([f"=== {where}", *ended.troubles, ended.story]))
            if len(ended.killed) == len(plan):
                return ended
        self.figures.missed.append((scenario.name, plan))
        return ended


def name_of(point: str) -> str:
    """The name of a point without its number."""
    return point.partition("#")[0]
