"""Footprint: P19 and P20 of the targets: memory of a worker with timers and over many tasks, and how soon things are there; and workers that idle.

    python -m bench p19 p20 idlers

P19 timers: what a worker grows by while so many tasks with an eta in an hour are sent to it; the rest: see soak.py. P20 `import`, `--help`
and a worker's start, each in a process of its own. Idlers: twenty workers that have nothing to do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from .environment import peers_python
from .pairs import Outcome, absolute, against, alternate, limited, run_json
from .rates import Open
from .soak import soak
from .systems import CELERY, OURS, Place, System, on_postgresql, on_rabbitmq, on_redis
from .working import Working, cpu_seconds, resident_mb, tree, working

OUR_TIMERS, THEIR_TIMERS = 100_000, 20_000
SETTLED_SECONDS = 3.0
STARTS, TRIPS = 5, 100
IDLERS, IDLE_SECONDS = 20, 20.0
SOAK_TASKS, SOAK_RESULTS = 1_000_000, 100_000
IMPORT = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
SERVERS = {"redis": "redis-server", "rabbitmq": "beam.smp", "postgresql": "postgres"}
PLACES: dict[str, Open] = {
    "redis": partial(on_redis, results=True),
    "rabbitmq": on_rabbitmq,
    "postgresql": on_postgresql,
}


def p19() -> list[Outcome]:
    """Memory: of timers, and of many tasks."""
    ours, theirs = alternate(
        lambda: _timers_mb(OURS, OUR_TIMERS), lambda: _timers_mb(CELERY, THEIR_TIMERS), 1
    )
    title = f"{OUR_TIMERS:,} timers: a worker grows by (Celery: {THEIR_TIMERS:,})"
    outcomes = [limited("P19-timers", title, "MB", CELERY.name, ours, theirs, at_most=20)]
    with on_redis(results=True) as place:
        found = soak(place.broker, tasks=SOAK_TASKS, results=SOAK_RESULTS)
    for who in ("worker", "children", "client"):
        title = f"{SOAK_RESULTS if who == 'client' else SOAK_TASKS:,} tasks: {who} grows by, each 100,000"
        outcomes.append(absolute(f"P19-{who}", title, "MB", [found.slope_mb(who)], 1))
    return outcomes


def _timers_mb(system: System, count: int) -> float:
    with on_redis() as place, working(system, place) as worker:
        system.run(place, "send", 100)
        _until(lambda: worker.counted[0] == 100, "the first tasks have run")
        before = sum(map(resident_mb, tree(worker.pid)))
        system.run(place, "timers", count)
        time.sleep(SETTLED_SECONDS)  # Celery's worker takes them all; ours must not
        return max(0.0, sum(map(resident_mb, tree(worker.pid))) - before)


def p20() -> list[Outcome]:
    """Seconds to be there."""
    names = "Celery, chain, chord, group"
    cli = (OURS.worker[0], OURS.worker[1], "--help"), ("-m", "celery", "--help")
    mine, peers = sys.executable, str(peers_python())
    rows: list[tuple[str, str, Callable[[], float], Callable[[], float], float]] = [
        (
            "import",
            "import of App and canvases",
            lambda: run_json([mine, "-c", IMPORT.format(f"from backbeat.canvas import {names}")]),
            lambda: run_json([peers, "-c", IMPORT.format(f"from celery import {names}")]),
            0.12,
        ),
        ("help", "backbeat --help", lambda: _seconds(mine, cli[0]), lambda: _seconds(peers, cli[1]), 0.15),
        ("start", "worker, start to ready, Redis", lambda: _start(OURS), lambda: _start(CELERY), 0.8),
    ]
    outcomes = []
    for name, title, ours, theirs, most in rows:
        ours(), theirs()  # what is read is in the page cache
        pairs = alternate(ours, theirs, STARTS)
        outcomes.append(limited(f"P20-{name}", title, "s", "Celery 5.7", *pairs, at_most=most))
    return outcomes


def _seconds(python: str, arguments: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run([python, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


def _start(system: System) -> float:
    with on_redis(results=True) as place, working(system, place) as worker:
        return worker.seconds_to_ready


def idlers() -> list[Outcome]:
    """Twenty workers that have nothing to do: what they and the server take, and a call while they wait, against one worker alone."""
    return [outcome for server in PLACES for outcome in _idle(server)]


def _idle(server: str) -> Iterator[Outcome]:
    with PLACES[server]() as place, ExitStack() as running:
        before = _shares(server, [])
        workers = [running.enter_context(working(OURS, place))]
        alone = _trip_ms(place)
        workers += [running.enter_context(working(OURS, place)) for _ in range(IDLERS - 1)]
        time.sleep(SETTLED_SECONDS)
        after = _shares(server, workers)
        title = f"{IDLERS} idle workers, {server}"
        yield absolute(f"I1 {server}", f"{title}: CPU of all of them", "% of a core", [after[0]], IDLERS)
        more = max(0.0, after[1] - before[1])
        yield absolute(f"I2 {server}", f"{title}: CPU of the server", "% of a core", [more], IDLERS / 2)
        if alone:
            trips = _trip_ms(place)
            yield against(
                f"I3 {server}", f"{title}: send to result, p50", "ms", "one worker", trips, alone, at_most=2
            )


def _shares(server: str, workers: Sequence[Working]) -> tuple[float, float]:
    """How much of a core the workers and the server take; whatever else the server does in this time counts, too."""

    def seconds() -> tuple[float, float]:
        return sum(worker.cpu_seconds for worker in workers), _server_seconds(server)

    before = seconds()
    time.sleep(IDLE_SECONDS)
    first, second = (100 * (b - a) / IDLE_SECONDS for a, b in zip(before, seconds(), strict=True))
    return first, second


def _trip_ms(place: Place) -> list[float]:
    """The median of some trips; nothing where nobody stores results."""
    return [statistics.median(OURS.run(place, "latency", TRIPS)["ms"])] if place.results else []


def _server_seconds(server: str) -> float:
    """All processes of this name."""
    name = SERVERS[server]
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.read_text(errors="replace").strip() == name
    ]
    return sum(map(cpu_seconds, found))


def _until(ask: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not ask():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within a minute: {what}")
        time.sleep(0.02)
