"""Soak: many tasks through one worker, and some of their results through one client, and what each process's memory grows by meanwhile.

Most tasks are sent without a wish for a result, and never more than a few thousand of them wait; the others are those of jobs/soak_client.py.
A process counts from when a tenth of all has run: until then it imports, and fills its caches. Both the acceptance test and P19 judge by this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from backbeat.canvas import App, group
from redis import Redis

from .systems import OURS, QUEUE, Place
from .working import Working, resident_mb, tree, working

BACKLOG, SLICE = 2_000, 1_000
LOOK_SECONDS = 0.02
STALL_SECONDS = 60.0
LOOKS = 100
JUDGED = 0.8
"""The share of a run from the middle of its second tenth to the middle of its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What a run came to: how many tasks there were of each kind, and the sizes of each process, in MB, in equal steps of the run."""

    tasks: int
    results: int
    sizes: dict[str, list[float]]
    seconds: float

    def growth_mb(self, who: str) -> float:
        """Between the second tenth of the run and its last."""
        return grown(self.sizes[who])

    def slope_mb(self, who: str) -> float:
        """The same for 100,000 tasks, or results."""
        count = self.results if who == "client" else self.tasks
        return self.growth_mb(who) / (count * JUDGED) * 100_000

    def __str__(self) -> str:
        grew = ", ".join(
            f"{who} {sizes[-1]:.1f} MB, {grown(sizes):+.2f}" for who, sizes in self.sizes.items()
        )
        return f"{self.tasks:,} tasks, {self.results:,} results read, {self.seconds:.0f} s: {grew}"


def grown(sizes: Sequence[float]) -> float:
    """By how much the last tenth is larger than the tenth after the first, each by its median: one look may meet a full buffer."""
    tenth = max(1, len(sizes) // 10)
    return _median(sizes[-tenth:]) - _median(sizes[tenth : 2 * tenth])


def _median(sizes: Sequence[float]) -> float:
    return sorted(sizes)[len(sizes) // 2]


def soak(redis_url: str, *, tasks: int, results: int) -> Soaked:
    """Run so many tasks with one worker of two processes; of these so many are sent by a client that reads their results.

    Raises AssertionError where a task did not run once, or where one is left.
    """
    place = Place(redis_url, redis_url)
    began = time.monotonic()
    with working(OURS, place) as worker:
        client = OURS.start(place, "import soak_client", str(results))
        try:
            sizes = _fed(place, worker, range(results, tasks), tasks)
            out, _ = client.communicate(timeout=STALL_SECONDS)
        finally:
            client.kill()
            client.wait()
        assert client.returncode == 0, out
        assert worker.counted == (tasks, tasks * (tasks - 1) // 2)
    assert place.left == 0
    sizes["client"] = json.loads(out.splitlines()[-1])["resident_mb"]
    return Soaked(tasks=tasks, results=results, sizes=sizes, seconds=time.monotonic() - began)


def _fed(place: Place, worker: Working, numbers: range, tasks: int) -> dict[str, list[float]]:
    """Send the tasks with these numbers, as the worker gets through; sizes after each hundredth of all that run."""
    sizes: dict[str, list[float]] = {"worker": [], "children": []}
    with (
        App("soak", broker=place.broker, backend=place.results, set_as_current=False) as app,
        Redis.from_url(place.broker) as redis,
    ):
        noop = app.signature("bench.noop", options={"queue": QUEUE, "ignore_result": True})
        sent, ran, moved = numbers.start, 0, time.monotonic()
        while ran < tasks:
            if sent < numbers.stop and redis.llen(QUEUE) < BACKLOG:
                members = range(sent, min(sent + SLICE, numbers.stop))
                group([noop.clone(args=(number,)) for number in members]).apply_async()
                sent = members.stop
            else:
                time.sleep(LOOK_SECONDS)
            before, (ran, _) = ran, worker.counted
            moved = time.monotonic() if ran > before else moved
            assert worker.runs, "the worker has ended"
            assert time.monotonic() < moved + STALL_SECONDS, f"{ran:,} of {tasks:,} tasks ran, and then none"
            while len(sizes["worker"]) < ran * LOOKS // tasks:
                own, *others = (resident_mb(pid) for pid in tree(worker.pid))
                sizes["worker"].append(own)
                sizes["children"].append(sum(others))
    return sizes
