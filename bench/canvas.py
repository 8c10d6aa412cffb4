"""Canvas: chains, groups and chords beside Celery's, each side with one worker of two processes, in turns.

    python -m bench p14 p15 p16 p17

P14 chains of 100 and 1,000 steps that do nothing: milliseconds a step; one of 10,000 steps, and its first message. P15 a group of 10,000: members sent in a
second, commands that Redis is given for each, and results read in a second. P16 chords of 1,000 and 10,000: seconds from send to `get()`, the longest
command of Redis, and milliseconds from the end of the last member to the start of the body. P17 the same with results in PostgreSQL.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from .environment import peers_python
from .pairs import PAIRS, Outcome, absolute, against, alternate, run_data

REDIS = {"backbeat": "redis://127.0.0.1:6379/14", "celery": "redis://127.0.0.1:6379/15"}
POSTGRES = "postgresql://postgres@127.0.0.1:5432"
PEER = "Celery 5.7"
LARGE = 10_000
READY_SECONDS = 60.0

TASKS = """
import sys, time
from {package} import {name} as App

app = App("bench_tasks", broker="{broker}", backend="{backend}")
app.conf.task_default_queue = "bench"


@app.task(name="bench.noop")
def noop(x=0):
    return x


@app.task(name="bench.clock")
def clock(x):
    return time.time()


@app.task(name="bench.total")
def total(values):
    return sum(values)


@app.task(name="bench.gap")
def gap(values):
    return time.time() - max(values)
"""

CLIENT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from bench_tasks import app, clock, gap, noop, total
from {package} import chain, chord, group
if len(sys.argv) < 4 or sys.argv[3] != "alone":
    assert noop.delay(1).get(timeout=60) == 1
n = int(sys.argv[2])
{body}
"""
BODIES = {
    "chain": """
began = time.perf_counter()
value = chain(noop.s(7), *(noop.s() for _ in range(n - 1))).apply_async().get(timeout=160)
assert value == 7, value
print(json.dumps((time.perf_counter() - began) / n * 1000))
""",
    "chord": """
began = time.perf_counter()
value = chord([noop.s(i) for i in range(n)], total.s()).apply_async().get(timeout=160)
took = time.perf_counter() - began
assert value == sum(range(n)), value
print(json.dumps(took))
""",
    "gap": """
print(json.dumps(chord([clock.s(i) for i in range(n)], gap.s()).apply_async().get(timeout=160) * 1000))
""",
    "blocked": """
import redis
with redis.Redis.from_url(app.conf.broker_url) as client:
    before = client.config_get("slowlog-log-slower-than")
    client.config_set("slowlog-log-slower-than", 1000)
    client.slowlog_reset()
    try:
        assert chord([noop.s(i) for i in range(n)], total.s()).apply_async().get(timeout=160) == sum(range(n))
        print(json.dumps(max([each["duration"] for each in client.slowlog_get(128)], default=1000) / 1000))
    finally:
        client.config_set("slowlog-log-slower-than", before["slowlog-log-slower-than"])
""",
    "send": """
import redis
with redis.Redis.from_url(app.conf.broker_url) as client:
    noop.delay(0)  # connections are open
    client.config_resetstat()
    began = time.perf_counter()
    group([noop.s(i) for i in range(n)]).apply_async()
    took = time.perf_counter() - began
    commands = sum(each["calls"] for each in client.info("commandstats").values())
print(json.dumps([n / took, commands / n]))
""",
    "group": """
began = time.perf_counter()
values = group([noop.s(i) for i in range(n)]).apply_async().get(timeout=160)
took = time.perf_counter() - began
assert values == list(range(n))
print(json.dumps(n / took))
""",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its interpreter, its package, and the directory with its tasks."""

    package: str
    python: str
    home: Path

    def run(self, body: str, n: int, *more: str) -> Any:
        """Run a client; what it printed."""
        code = CLIENT.format(package=self.package, body=BODIES[body])
        return run_data([self.python, "-W", "ignore", "-c", code, str(self.home), str(n), *more], timeout=200)


@contextmanager
def sides(backends: dict[str, str] | None = None, *, workers: bool = True) -> Iterator[tuple[Side, Side]]:
    """Ours and Celery's, with empty brokers; with a worker each."""
    backends = backends or REDIS
    with tempfile.TemporaryDirectory() as home, ExitStack() as lent:
        made = []
        for name, package, app, python in (
            ("backbeat", "backbeat.canvas", "App", sys.executable),
            ("celery", "celery", "Celery", str(peers_python())),
        ):
            _flush(REDIS[name])
            side = Side(package, python, Path(home, name))
            side.home.mkdir()
            source = TASKS.format(package=package, name=app, broker=REDIS[name], backend=backends[name])
            (side.home / "bench_tasks.py").write_text(source)
            made.append(side)
            if workers:
                lent.enter_context(_worker(side))
        yield made[0], made[1]


@contextmanager
def _worker(side: Side) -> Iterator[None]:
    program = (
        ["-m", "celery", "-A", "bench_tasks"]
        if side.package == "celery"
        else ["-m", "backbeat.scheduler.cli", "-A", "bench_tasks:app"]
    )
    path = side.home / "worker.log"
    command = [side.python, *program, "worker", "-Q", "bench", "-c", "2", "-l", "INFO"]
    with path.open("w") as log:
        process = subprocess.Popen(command, cwd=side.home, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + READY_SECONDS
    try:
        while "ready" not in path.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(path.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _flush(url: str) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        client.flushdb()


def p14() -> list[Outcome]:
    """Chains."""
    outcomes = []
    with sides() as (ours, theirs):
        for n, share in ((100, 1 / 7), (1_000, 1 / 25)):
            mine, peer = alternate(lambda n=n: ours.run("chain", n), lambda n=n: theirs.run("chain", n))
            title = f"chain of {n:,} steps, a step"
            outcomes.append(against(f"P14-{n}", title, "ms", PEER, mine, peer, at_most=round(share, 3)))
        large = [ours.run("chain", LARGE)]
        outcomes.append(
            absolute(f"P14-{LARGE}", f"chain of {LARGE:,} steps, a step", "ms", large, at_most=0.5)
        )
    return outcomes


def p15() -> list[Outcome]:
    """A group of 10,000."""
    with sides(workers=False) as (ours, theirs):
        mine, peer = alternate(
            lambda: ours.run("send", LARGE, "alone"), lambda: theirs.run("send", LARGE, "alone")
        )
    rates, commands = ([each[place] for each in mine] for place in (0, 1))
    outcomes = [
        against(
            "P15-send",
            f"group of {LARGE:,}, sent",
            "/s",
            PEER,
            rates,
            [each[0] for each in peer],
            at_least=20,
        ),
        absolute("P15-commands", f"group of {LARGE:,}, commands a member", "", commands, at_most=1.1),
    ]
    with sides() as (ours, theirs):
        mine, peer = alternate(lambda: ours.run("group", LARGE), lambda: theirs.run("group", LARGE))
    outcomes.append(
        against("P15-get", f"group of {LARGE:,}, all results read", "/s", PEER, mine, peer, at_least=10)
    )
    return outcomes


def p16() -> list[Outcome]:
    """Chords, results in Redis."""
    outcomes = []
    with sides() as (ours, theirs):
        for n, share, pairs in ((1_000, 1 / 30, PAIRS), (LARGE, 1 / 100, 1)):
            mine, peer = alternate(
                lambda n=n: ours.run("chord", n), lambda n=n: theirs.run("chord", n), pairs
            )
            title = f"chord of {n:,}, send to get()"
            outcomes.append(against(f"P16-{n}", title, "s", PEER, mine, peer, at_most=round(share, 4)))
        blocked = [ours.run("blocked", LARGE)]
        title = f"chord of {LARGE:,}, longest command of Redis"
        outcomes.append(absolute("P16-blocked", title, "ms", blocked, at_most=10.0))
        mine, peer = alternate(lambda: ours.run("gap", 1_000), lambda: theirs.run("gap", 1_000))
        title = "chord of 1,000, last member to body"
        outcomes.append(against("P16-gap", title, "ms", PEER, mine, peer, at_most=1 / 5))
        outcomes.append(absolute("P16-gap-ms", title, "ms", mine, at_most=2.0))
    return outcomes


def p17() -> list[Outcome]:
    """Chords, results in PostgreSQL."""
    with _databases() as backends, sides(backends) as (ours, theirs):
        mine, peer = alternate(lambda: ours.run("gap", 100), lambda: theirs.run("gap", 100))
    title = "chord of 100 with results in PostgreSQL, last member to body"
    return [against("P17", title, "ms", PEER, mine, peer, at_most=1 / 50)]


@contextmanager
def _databases() -> Iterator[dict[str, str]]:
    """A database for each side."""
    engine = create_engine(
        f"{POSTGRES.replace('postgresql', 'postgresql+psycopg')}/postgres", isolation_level="AUTOCOMMIT"
    )
    names = {side: f"bb_bench_{side}_{secrets.token_hex(4)}" for side in REDIS}
    with engine.connect() as connection:
        for name in names.values():
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield {
                "backbeat": f"{POSTGRES}/{names['backbeat']}",
                "celery": f"db+{POSTGRES.replace('postgresql', 'postgresql+psycopg')}/{names['celery']}",
            }
        finally:
            for name in names.values():
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
