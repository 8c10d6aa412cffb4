"""Chord: a chord of 1,000 no-op members, Redis as broker and result store, one worker with two processes; seconds from send to `get()`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.celery_env import celery_python

from .pairs import compare, run_json

MEMBERS = 1_000
OURS_URL, THEIRS_URL = "redis://127.0.0.1:6379/14", "redis://127.0.0.1:6379/15"

TASKS = """
from {package} import {name} as App
app = App("bench_tasks", broker="{url}", backend="{url}")
app.conf.task_default_queue = "bench"

@app.task(name="bench.noop")
def noop(x):
    return x

@app.task(name="bench.total")
def total(values):
    return sum(values)
"""

CLIENT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from bench_tasks import app, noop, total
{imports}
n = int(sys.argv[2])
assert noop.delay(1).get(timeout=30) == 1
began = time.perf_counter()
value = chord([noop.s(i) for i in range(n)], total.s()).apply_async().get(timeout=120)
took = time.perf_counter() - began
assert value == sum(range(n)), value
print(json.dumps(took))
"""


def main() -> None:
    """Send to get."""
    with tempfile.TemporaryDirectory() as home:
        ours, theirs = Path(home, "ours"), Path(home, "theirs")
        _write(ours, "backbeat.canvas", "App", OURS_URL)
        _write(theirs, "celery", "Celery", THEIRS_URL)
        worker = ["worker", "-Q", "bench", "-c", "2", "-l", "INFO"]
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for command, where in (
                ([sys.executable, "-m", "backbeat.scheduler.cli", "-A", "bench_tasks:app", *worker], ours),
                ([str(celery_python()), "-m", "celery", "-A", "bench_tasks", *worker], theirs),
            ):
                workers.append(_spawn(command, where))
                _wait_until_ready(workers[-1], where)
            compare(
                f"chord of {MEMBERS:,}, Redis, send to get()",
                "s",
                lambda: _measure(sys.executable, ours, "from backbeat.canvas import chord"),
                lambda: _measure(str(celery_python()), theirs, "from celery import chord"),
            )
        finally:
            for process in workers:
                process.terminate()
            for process in workers:
                process.wait(30)


def _write(home: Path, package: str, name: str, url: str) -> None:
    import redis

    home.mkdir()
    (home / "bench_tasks.py").write_text(TASKS.format(package=package, name=name, url=url))
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def _spawn(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    with (home / "worker.log").open("w") as log:
        return subprocess.Popen(command, cwd=home, stdout=log, stderr=subprocess.STDOUT)


def _wait_until_ready(worker: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + 30
    while "ready" not in (home / "worker.log").read_text():
        if worker.poll() is not None or time.monotonic() > deadline:
            raise SystemExit((home / "worker.log").read_text())
        time.sleep(0.05)


def _measure(python: str, home: Path, imports: str) -> float:
    return run_json(
        [python, "-W", "ignore", "-c", CLIENT.format(imports=imports), str(home), str(MEMBERS)], timeout=180
    )
