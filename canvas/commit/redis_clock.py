"""ServerClock: a Redis server's clock, as well as its client knows it."""

from __future__ import annotations

import time
from typing import Any

from ..redis_client import Redis, unavailable

LONGEST_WAY_US = 50_000
"""What took longer than that to be answered says nothing about the way."""


def monotonic_us() -> int:
    """The local clock, which never jumps."""
    return time.monotonic_ns() // 1_000


class ServerClock:
    """Texts are made here with times of the server's clock; it is told with every answer, and the local one counts on.

    The server looked at its clock some time after it was asked. To take it for the moment of asking makes countdowns late by the way
    there, and never early.
    """

    def __init__(self) -> None:
        self._ahead_us: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the server has told it once."""
        return self._ahead_us is not None

    def ask(self, client: Redis) -> None:
        """Ask the server. Raises Unavailable."""
        asked_us = monotonic_us()
        with unavailable():
            answer: Any = client.time()
        self.heard(answer[0] * 1_000_000 + answer[1], asked_us)

    def heard(self, server_us: int, asked_us: int, away_us: int = 0) -> None:
        """The server's time came with an answer; it was asked at `asked_us` of `monotonic_us`, and for `away_us` nobody waited for it."""
        self._ahead_us = server_us - max(asked_us, monotonic_us() - away_us - LONGEST_WAY_US)

    def now_us(self) -> int:
        """The server's time. It must have been told."""
        assert self._ahead_us is not None
        return self._ahead_us + monotonic_us()
