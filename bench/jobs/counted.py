"""Counted: every run of a task is noted in a file that all processes of a worker share with who measures: how many ran, and the sum of their numbers.

A thread has two integers of its own in a file of its own, so nothing is locked and nothing is lost, and a run costs some 0.2 us at every side.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

_own = threading.local()
_WORDS = 2


def count(number: int) -> int:
    """A run of the task that was sent with `number`, which is what the task returns."""
    try:
        words = _own.words
    except AttributeError:
        words = _opened()
    words[0] += 1
    words[1] += number
    return number


def _opened() -> memoryview:
    path = Path(os.environ["BENCH_COUNTS"], f"{os.getpid()}-{threading.get_native_id()}")
    path.write_bytes(bytes(8 * _WORDS))
    with path.open("r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
    _own.words = words
    return words


def _forked() -> None:
    """A process that was forked counts in a file of its own."""
    _own.__dict__.clear()


os.register_at_fork(after_in_child=_forked)


def counted(directory: Path) -> tuple[int, int]:
    """How many runs there were, and the sum of their numbers."""
    runs = total = 0
    for path in directory.iterdir():
        data = path.read_bytes()
        if len(data) == 8 * _WORDS:  # not one that is just being made
            runs += int.from_bytes(data[:8], "little")
            total += int.from_bytes(data[8:], "little")
    return runs, total
