"""Fleets: a worker of backbeat's and one of Celery's on one Redis, with tasks of the same kinds, and clients of either side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.celery_env import celery_python, ready_program
from support.stacks import own_redis_database

_TASKS = """
import os

@app.task(name="{side}.add")
def add(x, y):
    return x + y

@app.task(name="{side}.total")
def total(values):
    return sum(values)

@app.task(name="{side}.collect")
def collect(values):
    return values

@app.task(name="{side}.fail")
def fail(text):
    raise ValueError(text)

@app.task(name="{side}.note")
def note(value, path):
    with open(path, "a") as lines:
        lines.write(str(value) + "\\n")
"""

OURS = (
    """
from backbeat.canvas import App
from backbeat.canvas.errors import Ignore, Reject
app = App("new")
app.conf.task_default_queue = "new"
"""
    + _TASKS.replace("{side}", "new")
    + """
@app.task(name="new.rejects")
def rejects():
    raise Reject("no", requeue=False)

@app.task(name="new.ignores")
def ignores():
    raise Ignore()
"""
)

THEIRS = """
from celery import Celery
app = Celery("old", broker="{url}", backend="{url}")
app.conf.task_default_queue = "old"
app.conf.broker_connection_retry_on_startup = True
""" + _TASKS.replace("{side}", "old")

CELERY_CLIENT = """
import json, sys
from celery import Celery, chain, chord, group
app = Celery("client", broker=sys.argv[1], backend=sys.argv[1])

def sig(name, *args):
    return app.signature(name, args=args).set(queue=name.split(".")[0])

class Side:
    def __init__(self, side):
        self.side = side
    def __getattr__(self, name):
        return lambda *args: sig(self.side + "." + name, *args)

new, old = Side("new"), Side("old")
begun = []

def begin(canvas):
    begun.append(canvas.apply_async())

def ended(result):
    # a client that propagates raises what the parts raised, before it looks at the body
    value = result.get(timeout=20, propagate=False)
    return [type(value).__name__, str(value)] if isinstance(value, Exception) else value

def finish():
    print(json.dumps([ended(result) for result in begun]))
"""


@contextmanager
def celery_fleet(home: Path) -> Iterator[str]:
    """The URL of a Redis of its own on which a worker of Celery's runs, alone."""
    with own_redis_database() as url, _theirs(home / "old", url):
        yield url


@contextmanager
def both_fleets(home: Path) -> Iterator[str]:
    """The same with a worker of ours beside it."""
    with celery_fleet(home) as url, _ours(home / "new", url):
        yield url


@contextmanager
def _theirs(home: Path, url: str) -> Iterator[None]:
    home.mkdir()
    (home / "old_fleet.py").write_text(THEIRS.replace("{url}", url))
    command = [str(celery_python()), "-m", "celery", "-A", "old_fleet", "worker", "-c", "1", "-P", "solo"]
    with ready_program(home, *command, "-l", "INFO", "--without-mingle", "--without-gossip"):
        yield


@contextmanager
def _ours(home: Path, url: str) -> Iterator[None]:
    home.mkdir()
    (home / "new_fleet.py").write_text(OURS)
    program = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "new_fleet:app", "-b", url]
    with ready_program(home, *program, "worker", "-c", "1"):
        yield
