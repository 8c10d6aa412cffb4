"""Watch: sleep until there is something in a Redis list or a timer is due. It takes nothing, so it can lose nothing.

One connection in RESP3 asks whether any of the lists is there with CLIENT TRACKING on; the server then tells it once when one of the keys
changes. (BLMOVE onto itself needs a connection for each list, so eight for two queues and four priorities; BRPOP loses what it popped
when its process dies.) Servers and proxies that do not know tracking are asked every 50 ms.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from .hesitation import Hesitation
from .readable import readable
from .redis_client import Redis, RedisError, ResponseError, unavailable

_UNTRACKED = ("CLIENT", "CACHING", "NO")
LOOK_SECONDS = 0.05
"""How often a server is asked that does not tell by itself."""


class Watch:
    """Waits for lists and timers. Not thread-safe."""

    def __init__(self, client: Redis, lists: Sequence[str], timers: str, head: str) -> None:
        """`timers` is the sorted set by due time (microseconds); `head` a key that is written when its first one changes."""
        self._client = client
        self._asking: list[tuple[Any, ...]] = [
            ("EXISTS", *(lists or [f"{head}:nothing"])),  # the command wants one at least
            ("GET", head),
            _UNTRACKED,
            ("ZRANGE", timers, 0, 0, "WITHSCORES"),
        ]
        self._packed, self._count = None, 0
        """What is asked, as it travels, and how many answers it has."""
        self._connection: Any = None
        self._pid = 0
        self._tracks = True

    def wait(
        self, timeout: float, wakers: Sequence[int], now_us: Callable[[], int], hesitation: Hesitation
    ) -> None:
        """Until a list may hold something, a timer is due, a waker can be read or `timeout` seconds have passed.

        `hesitation` is told which of the first two it was, and says how long what comes is left to others; it is no reason to return if it is gone then.
        """
        deadline, pause, is_left = time.monotonic() + timeout, hesitation.seconds, False
        while True:
            with unavailable():
                filled, due_us = self._ask()
            if filled and (is_left or not pause):
                hesitation.saw()
                return
            left = deadline - time.monotonic()
            if due_us is not None:
                left = min(left, (due_us - now_us()) / 1_000_000)
            if left <= 0:
                if time.monotonic() < deadline:  # it is a timer
                    hesitation.told()
                return
            if not filled:
                if not self._tracks:
                    if readable(wakers, min(left, LOOK_SECONDS)):
                        return
                    continue
                with unavailable():
                    is_told = self._sleep(left, wakers)
                if not is_told:
                    return
                if not hesitation.is_wary:
                    hesitation.told()
                    return
            if readable(wakers, min(left, pause)):
                return
            is_left = True

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            # a connection that a fork inherited is the parent's: the library closes only our copy of it
            with contextlib.suppress(RedisError, OSError):
                self._connection.disconnect()
            self._connection = None

    def _sleep(self, seconds: float, wakers: Sequence[int]) -> bool:
        """Until the server tells of a change, and whether it did."""
        # what came together with the answers lies in the parser's buffer, where poll does not see it
        if self._connection.can_read(0):
            return True
        # kombu reads this attribute too; the library has no public way to a socket
        own = self._connection._sock.fileno()
        return own in readable([own, *wakers], seconds)

    def _ask(self) -> tuple[bool, int | None]:
        """Is there something in a list, and when is the first timer due? From here on the server tells of changes, once."""
        try:
            answers = self._answers()
        except (RedisError, OSError):
            self.close()
            raise
        filled = answers[0] > 0  # there are no empty lists
        timer = answers[-1]
        if not timer:
            return filled, None
        # RESP3 nests (member, score); RESP2 does not
        score = timer[0][1] if isinstance(timer[0], list) else timer[1]
        return filled, int(float(score))

    def _answers(self) -> list[Any]:
        if self._connection is None or self._pid != os.getpid():
            self.close()
            self._connect()
        connection = self._connection
        connection.send_packed_command(self._packed)
        # changes that were told before, and that nobody read, are passed over here by the parser
        return [connection.read_response() for _ in range(self._count)]

    def _connect(self) -> None:
        pool = self._client.connection_pool
        settings = {**pool.connection_kwargs, "protocol": 3 if self._tracks else 2}
        self._connection, self._pid = pool.connection_class(**settings), os.getpid()
        try:
            self._connection.connect()
            if self._tracks:
                self._connection.send_command("CLIENT", "TRACKING", "ON", "OPTOUT")
                self._connection.read_response()
        except ResponseError:
            if not self._tracks:
                raise
            self.close()
            self._tracks = False
            self._connect()
            return
        asking = [command for command in self._asking if self._tracks or command is not _UNTRACKED]
        self._packed, self._count = self._connection.pack_commands(asking), len(asking)
