"""Idle: P5 and P6 of the targets: what a beat costs that has nothing to do, what an entry takes, how soon the first firing is out."""

from __future__ import annotations

import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from backbeat.scheduler import Entry, Interval

from .beat import REDIS, cleared
from .environment import peers_python
from .our_beat import now_us
from .pairs import Outcome, absolute, against, alternate, run_data
from .stores import add_entries, copied, entries, many_entries, new_store, signature

FEW, MANY, MOST = 1_000, 100_000, 1_000_000
TICKING, SECONDS = 10, 20


def p5() -> list[Outcome]:
    """An idle pass at 1,000,000 and at 1,000 entries; drift and jitter of entries of each second among 10,000 others."""
    few, most = [], []
    for _ in range(2):
        few.append(_loaded("interval", FEW)["idle_us"])
        most.append(_loaded("interval", MOST)["idle_us"])
    ticked = [_ticked() for _ in range(3)]
    return [
        absolute("P5a", "a pass in which nothing is due, 1,000,000 entries", "us", most, 20),
        against(
            "P5b",
            "a pass in which nothing is due, 1,000,000 entries against 1,000",
            "us",
            "backbeat at 1,000",
            most,
            few,
            at_most=1.5,
        ),
        absolute(
            "P5c", "lateness p99 of entries of each second among 10,000", "s", _of(ticked, "p99_s"), 0.005
        ),
        absolute("P5d", "drift of an entry of each second", "s", _of(ticked, "drift_s"), 0.0),
    ]


def p6() -> list[Outcome]:
    """Memory of an entry against Celery's; from the start of the process to the first confirmed firing."""
    outcomes = []
    for name, kind, most in (("P6a", "interval", 0.6), ("P6b", "crontab", 0.2)):
        ours, theirs = alternate(
            lambda kind=kind: _loaded(kind, MANY), lambda kind=kind: _peers_memory(kind), 2
        )
        title = f"memory of an entry, {kind}, 100,000 of them"
        outcomes.append(
            against(name, title, "KiB", "celery beat", _of(ours, "kib"), _of(theirs, "kib"), at_most=most)
        )
        if kind == "interval":
            title = "start to first confirmed firing, 100,000 entries in the store"
            outcomes.append(absolute("P6c", title, "s", _of(ours, "first_s"), 3))
    title = "start to first confirmed firing, 1,000,000 entries in the store"
    outcomes.append(absolute("P6d", title, "s", [_loaded("interval", MOST)["first_s"]], 15))
    return outcomes


def _of(runs: list[Any], key: str) -> list[float]:
    return [run[key] for run in runs]


def _loaded(kind: str, count: int) -> Any:
    """A beat over so many idle entries, and one that is due when its process starts."""
    with tempfile.TemporaryDirectory() as home:
        path = copied(many_entries(count, kind, now_us()), home)
        began_us = now_us()
        when = Interval(every=timedelta(days=1), anchor_us=began_us)
        add_entries(path, [Entry(name="tracer", when=when, what=signature(0))], began_us - 1)
        program = [sys.executable, "-W", "ignore", "-m", "bench.our_load", str(path), REDIS]
        return cleared(REDIS, lambda: {**run_data([*program, str(now_us())]), "sent": 1}, 1)


def _peers_memory(kind: str) -> Any:
    return run_data([str(peers_python()), "-W", "ignore", "bench/peers/memory.py", kind, str(MANY)])


def _ticked() -> dict[str, float]:
    """Some entries of each second among many others, for some seconds."""
    with tempfile.TemporaryDirectory() as home:
        path = new_store(Path(home, "backbeat.db"))
        began_us = now_us()
        far_us = began_us + 86_400_000_000
        add_entries(path, entries(10_000, "interval", far_us), began_us)
        when = Interval(every=timedelta(seconds=1), anchor_us=0)
        known = [Entry(name=f"tick{n}", when=when, what=signature(n)) for n in range(TICKING)]
        add_entries(path, known, began_us)
        program = [sys.executable, "-W", "ignore", "-m", "bench.our_ticks", str(path), REDIS, str(SECONDS)]
        done = cleared(REDIS, lambda: run_data(program), 0)
    late = sorted(done["late_s"])
    return {
        "p99_s": late[int(len(late) * 0.99) - 1],
        "drift_s": done["drift_s"],
        "p50_s": statistics.median(late),
    }
