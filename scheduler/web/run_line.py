"""RunLine: a run as lists show it: short, and without what keys say is secret. PURE."""

from __future__ import annotations

import json

from msgspec import Struct

from ..history.argument_text import Arguments
from ..history.task_run import TaskRun

LONGEST = 300
"""Characters of arguments and of an error in a list."""


class RunLine(Struct, frozen=True, kw_only=True):
    """`seconds` is how long the last try took."""

    id: str
    at_us: int
    state: str
    task: str
    schedule: str
    queue: str
    worker: str
    retries: int
    seconds: float | None
    arguments: str
    error: str


def line_of(run: TaskRun) -> RunLine:
    """The line of a run."""
    return RunLine(
        id=run.id,
        at_us=run.at_us,
        state=run.state,
        task=run.name,
        schedule=run.entry,
        queue=run.queue,
        worker=run.worker,
        retries=run.retries,
        seconds=run.seconds,
        arguments=short(arguments_text(run.arguments)),
        error=short(run.error),
    )


def arguments_text(arguments: Arguments) -> str:
    """What a task was called with, in one line, with secrets hidden."""
    args, kwargs = arguments.shown()
    if not arguments.is_whole:
        return " ".join(filter(None, (args, kwargs)))
    named = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in kwargs.items()]
    return ", ".join([*(json.dumps(each, ensure_ascii=False) for each in args), *named])


def short(text: str) -> str:
    """Its beginning."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\u2026"
