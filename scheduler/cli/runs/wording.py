"""Runs as text and as JSON: without secrets, and without characters that a terminal would obey."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from ...history.task_run import TaskRun
from ...view import moment_or_none
from ..table import clock, table

SHORT = 60


def run_data(run: TaskRun) -> dict[str, Any]:
    """All of it, as JSON data; times are ISO text, `key` is its place in lists."""
    instants = ("due", "sent", "received", "started", "ended")
    args, kwargs = run.arguments.shown()
    return {
        "id": run.id,
        "key": f"{run.at_us}-{run.id}",
        "task": run.name,
        "state": run.state,
        "schedule": run.entry or None,
        "queue": run.queue or None,
        "worker": run.worker or None,
        "root_id": run.root_id or None,
        "parent_id": run.parent_id or None,
        "args": args,
        "kwargs": kwargs,
        "arguments_known": run.arguments.is_whole,
        "retries": run.retries,
        "result": run.result or None,
        "error": run.error or None,
        "traceback": run.traceback or None,
        "seconds": run.seconds,
        **{name: _iso(getattr(run, f"{name}_us")) for name in instants},
        "attempts": [
            {
                "state": each.state,
                "worker": each.worker or None,
                "started": _iso(each.started_us),
                "ended": _iso(each.ended_us),
                "error": each.error or None,
            }
            for each in run.attempts
        ],
    }


def runs_table(runs: Sequence[TaskRun], zone: tzinfo) -> str:
    """One line for each."""
    heads = ("heard of", "id", "task", "state", "schedule", "worker", "seconds", "error")
    rows = [
        (
            clock(moment_or_none(run.at_us), zone, parts=True),
            printable(run.id),
            printable(run.name),
            printable(run.state),
            printable(run.entry) or "-",
            printable(run.worker) or "-",
            "-" if run.seconds is None else f"{run.seconds:.3f}",
            printable(run.error, SHORT),
        )
        for run in runs
    ]
    return table(heads, rows)


def run_lines(run: TaskRun, family: Sequence[TaskRun], zone: tzinfo) -> list[str]:
    """All of it, a fact a line."""
    args, kwargs = run.arguments.shown()
    known = "" if run.arguments.is_whole else "  (as an event showed them: not known in full)"
    facts: list[tuple[str, str]] = [
        ("task", run.name),
        ("state", run.state),
        ("schedule", run.entry),
        ("queue", run.queue),
        ("worker", run.worker),
        ("args", (args if isinstance(args, str) else json.dumps(args)) + known),
        ("kwargs", kwargs if isinstance(kwargs, str) else json.dumps(kwargs)),
        ("result", run.result),
        ("error", run.error),
        ("retries", str(run.retries) if run.retries else ""),
        ("seconds", "" if run.seconds is None else f"{run.seconds:.3f}"),
    ]
    for name in ("due", "sent", "received", "started", "ended"):
        us = getattr(run, f"{name}_us")
        facts.append((name, "" if us is None else clock(moment_or_none(us), zone, parts=True)))
    lines = [printable(run.id), *(f"  {name:<9} {printable(text, 2000)}" for name, text in facts if text)]
    for number, each in enumerate(run.attempts, start=1):
        ended = clock(moment_or_none(each.ended_us), zone, parts=True)
        lines.append(
            f"  try {number:<5} {each.state} {ended} {printable(each.worker)} {printable(each.error, SHORT)}".rstrip()
        )
    lines += [
        f"  {_kin(run, each):<9} {printable(each.id)} {printable(each.name)} {each.state}" for each in family
    ]
    if run.root_id and run.root_id != run.id:
        lines.append(f"  canvas    backbeat canvas show {printable(run.root_id)}")
    lines += [f"    {printable(line, 2000)}" for line in run.traceback.splitlines()]
    return lines


def printable(text: str, longest: int = 255) -> str:
    """The text in one line, with a sign in place of each character that a terminal would obey."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)


def _kin(run: TaskRun, other: TaskRun) -> str:
    return "parent" if other.id == run.parent_id else "child"


def _iso(us: int | None) -> str | None:
    instant = moment_or_none(us)
    return None if instant is None else instant.isoformat()
