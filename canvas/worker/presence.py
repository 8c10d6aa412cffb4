"""Presence: a worker says of each broadcast that it gets that it is there, and in which queue of its own it wants its copies."""

from __future__ import annotations

from collections.abc import Mapping

from ..commit.base import Commit

PRESENCE_SECONDS = 30.0
"""How long a worker that says nothing still gets copies of broadcasts; longer than what it held takes to come back."""


class Presence:
    """`queues`: its own queue for each broadcast. Raises Unavailable."""

    def __init__(self, commit: Commit, queues: Mapping[str, str]) -> None:
        self._commit = commit
        self._queues = dict(queues)

    def tell(self) -> None:
        """It is there, for a while."""
        self._say(PRESENCE_SECONDS)

    def leave(self) -> None:
        """It wants no more copies."""
        self._say(0)

    def _say(self, seconds: float) -> None:
        for broadcast, queue in self._queues.items():
            self._commit.present(broadcast, queue, seconds)
