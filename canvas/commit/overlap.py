"""Overlap: bringing to a Commit while it works on something else, where it can (OverlappingCommit), and one after the other where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .base import Commit, OverlappingCommit
from .transition import Exchange, Transition

Beside = Callable[[Sequence[Transition], int, Callable[[], object]], Exchange]


def nothing() -> None:
    """What there is to do meanwhile, mostly."""


@contextmanager
def overlapping(commit: Commit) -> Iterator[Callable[[Sequence[Transition]], object]]:
    """What brings slices to it, each in the time of the one before if it can."""
    if isinstance(commit, OverlappingCommit):
        with commit.overlapping() as bring:
            yield bring
    else:
        yield commit.exchange


def beside(commit: Commit) -> Beside:
    """What brings transitions, takes so many messages, and calls a function while the server works on that, if it can; else before."""
    if isinstance(commit, OverlappingCommit):
        return commit.exchange_beside

    def exchange(transitions: Sequence[Transition], take: int, meanwhile: Callable[[], object]) -> Exchange:
        meanwhile()
        return commit.exchange(transitions, take=take)

    return exchange
