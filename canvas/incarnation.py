"""Incarnation: a worker's or client's name together with its process, as text; what it holds is signed with it.

Others on the same machine can tell when the process is over and need not wait for the lease (see holder.py).
"""

from __future__ import annotations

from functools import cache

from .holder import Holder, LocalProcesses, Sighting


def incarnation(name: str = "") -> str:
    """A text that no other process, earlier or later, shares: the name, then the process."""
    return f"{name.replace('|', '_')}|{_processes().myself()}"


def name_of(text: str) -> str:
    """The name that an incarnation was made with; any other text as it is."""
    return text.split("|", 1)[0]


def pid_of(text: str) -> int | None:
    """The pid of an incarnation's process on its own host; None for any other text."""
    holder = Holder.parse(text.partition("|")[2])
    return None if holder is None else holder.pid


def is_gone(text: str) -> bool:
    """True only if it is certain that the process is over; False where that cannot be known."""
    holder = Holder.parse(text.partition("|")[2])
    return holder is not None and _processes().look(holder) is Sighting.GONE


@cache
def _processes() -> LocalProcesses:
    return LocalProcesses()
