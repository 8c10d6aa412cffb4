"""Throttle: how often a login may be tried: by each peer, and by all of them together. PURE: the caller says what time it is.

Who is over the limit waits until the oldest of the last tries is a minute ago. Only tries that failed count.
"""

from __future__ import annotations

from collections import deque

PER_PEER = 5
IN_ALL = 50
SPAN_SECONDS = 60.0


class Throttle:
    """Not thread-safe: one event loop asks it. It remembers no more than IN_ALL tries."""

    def __init__(self) -> None:
        self._failed: deque[tuple[float, str]] = deque()

    def wait_seconds(self, peer: str, now: float) -> float:
        """How long this peer has to wait before the next try; 0.0: not at all."""
        while self._failed and self._failed[0][0] <= now - SPAN_SECONDS:
            self._failed.popleft()
        own = [at for at, each in self._failed if each == peer]
        waits = [0.0]
        if len(own) >= PER_PEER:
            waits.append(own[-PER_PEER] + SPAN_SECONDS - now)
        if len(self._failed) >= IN_ALL:
            waits.append(self._failed[-IN_ALL][0] + SPAN_SECONDS - now)
        return max(waits)

    def failed(self, peer: str, now: float) -> None:
        """This peer showed no token of ours."""
        self._failed.append((now, peer))
