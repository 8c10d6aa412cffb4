"""Blocking: whether code that runs here may wait for another task. Inside a task it may not, unless somebody says so.

If all workers waited for tasks that none of them is left to run, the fleet would stand still; so `get()` refuses. What was allowed or denied
holds for this thread or coroutine, and ends with its block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .request import running_request

_said: ContextVar[bool | None] = ContextVar("backbeat_join_blocks", default=None)
"""What the innermost block says; None where there is none."""


def task_join_will_block() -> bool:
    """True where `get()` is refused: inside a task, but for a block of `allow_join_result`; and in one of `denied_join_result`."""
    said = _said.get()
    return running_request() is not None if said is None else said


def assert_will_not_block() -> None:
    """Raise RuntimeError where `get()` is refused."""
    if task_join_will_block():
        raise RuntimeError(
            "a task must not wait for another one: all workers may come to wait. Use a chain or chord, "
            "or get(disable_sync_subtasks=False) or allow_join_result() if you are sure."
        )


def forbid_in_task(disable_sync_subtasks: bool) -> None:
    """What `get` does first: raise RuntimeError where it is refused, unless its caller knows better."""
    if disable_sync_subtasks:
        assert_will_not_block()


@contextmanager
def allow_join_result() -> Iterator[None]:
    """In this block `get()` may be called inside a task."""
    with _saying(False):
        yield


@contextmanager
def denied_join_result() -> Iterator[None]:
    """In this block `get()` is refused, as it is inside a task."""
    with _saying(True):
        yield


@contextmanager
def _saying(blocks: bool) -> Iterator[None]:
    token = _said.set(blocks)
    try:
        yield
    finally:
        _said.reset(token)
