"""Thorough: which kinds of a thing a test tries in `make test`, and which take as long again and are for `make test-all`.

Kinds are left out, never promises: each test has at least the kinds that it always has, and one of the others in turn, so that each kind
stays in use in each file. What is left out is told at the end of `make test`. pytest by itself, without --short, runs all there is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

SHORT = "--short"
REPORT = "BACKBEAT_LEFT_OUT"
"""A file that each lane adds its count to."""
ENOUGH = "other kinds of the same make this promise, too"


def in_turn(kinds: Iterable[str], *, always: Sequence[str], why: str = ENOUGH) -> list[Any]:
    """These kinds as parameters; those that are not tried `always` come in turn in a short run, one for each test of a file."""
    known = list(kinds)
    assert always, "a promise needs a kind that is always tried"
    assert set(always) <= set(known), f"{always} are not all among {known}"
    others = [kind for kind in known if kind not in always]
    of = max(len(others), 2)  # one alone comes every second time
    turns = {kind: pytest.mark.thorough(why, turn=turn, of=of) for turn, kind in enumerate(others)}
    return [pytest.param(kind, marks=turns.get(kind, ())) for kind in known]


def long(*values: Any, why: str = ENOUGH) -> Any:
    """A parameter, or several, for `make test-all` only: what others of the same test promise takes too long once more."""
    return pytest.param(*values, marks=pytest.mark.thorough(why))


def leave_out(config: Any, items: list[Any]) -> None:
    """Take out of a run what is for `make test-all` only."""
    kept, left_out = chosen(items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
    report(len(left_out))


def chosen(items: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """What a short run has, and what it leaves out. The tests of a file that have kinds in turn are counted in their order."""
    counted: dict[Any, list[str]] = {}
    kept, left_out = [], []
    for item in items:
        tests = counted.setdefault(item.path, [])
        marks = list(item.iter_markers("thorough"))
        if marks and item.originalname not in tests:
            tests.append(item.originalname)
        is_its_turn = all(
            "of" in mark.kwargs and tests.index(item.originalname) % mark.kwargs["of"] == mark.kwargs["turn"]
            for mark in marks
        )
        (kept if is_its_turn else left_out).append(item)
    return kept, left_out


def report(count: int) -> None:
    """Tell the one who started the lanes."""
    if path := os.environ.get(REPORT):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{count}\n")


def told(path: str) -> str:
    """The line for the end of all lanes."""
    with Path(path).open(encoding="utf-8") as file:
        return f"{sum(map(int, file)):,} tests, of kinds that come in turn, run in make test-all only (tests/support/thorough.py)"
