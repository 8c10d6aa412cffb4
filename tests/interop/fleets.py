"""Fleets: a worker of backbeat's and one of Celery's on one Redis, with tasks of the same kinds, and clients of either side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from support.stacks import own_redis_database
from support.two_sides import TwoSides

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
def note(value, *, path):
    # by name only: Celery before 5.7 gives an error callback with more than one positional argument (request, exc, traceback) besides its own
    with open(path, "a") as lines:
        lines.write(str(value) + "\\n")
"""

_NEW_TASKS = """
from backbeat.canvas.errors import Ignore, Reject

@app.task(name="new.rejects")
def rejects():
    raise Reject("no", requeue=False)

@app.task(name="new.ignores")
def ignores():
    raise Ignore()
"""

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
    with own_redis_database() as url, _celery_worker(_sides(home, url)):
        yield url


@contextmanager
def both_fleets(home: Path) -> Iterator[str]:
    """The same with a worker of ours beside it."""
    with own_redis_database() as url:
        sides = _sides(home, url)
        with _celery_worker(sides), sides.new():
            yield url


def _sides(home: Path, url: str) -> TwoSides:
    return TwoSides(home=home, broker=url, tasks=_TASKS, new_tasks=_NEW_TASKS)


def _celery_worker(sides: TwoSides) -> AbstractContextManager[None]:
    return sides.old("-P", "solo", "--without-mingle", "--without-gossip")
