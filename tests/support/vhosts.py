"""Vhosts: those of RabbitMQ that tests are lent, made and dropped several at a time.

Each rabbitmqctl starts an Erlang machine of its own, which takes two thirds of a second of a processor: with three of them for each vhost that was
half of what many a test cost. So one call makes several, and one drops several that came back; nobody gets one that was used.
"""

from __future__ import annotations

import atexit
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from subprocess import SubprocessError

MOST = 8
"""Made at once, or kept until they are dropped; the first calls make fewer, as most runs of a few tests need one."""
MAKE = (
    'lists:foreach(fun(N) -> rabbit_vhost:add(N, <<"{user}">>), '
    'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, N, <<".*">>, <<".*">>, <<".*">>, <<"{user}">>) end, [{names}]).'
)
DROP = 'lists:foreach(fun(N) -> rabbit_vhost:delete(N, <<"{user}">>) end, [{names}]).'


class Vhosts:
    """`evaluate` runs an Erlang expression in the server. Thread-safe."""

    def __init__(self, evaluate: Callable[[str], None]) -> None:
        self._evaluate = evaluate
        self._lock = threading.Lock()
        self._size = 1
        self._new: list[str] = []
        self._used: list[str] = []
        self._user = ""

    def lend(self, user: str) -> str:
        """The name of a new, empty vhost, in which this user may do everything."""
        with self._lock:
            if not self._user:
                self._user = user
                atexit.register(self._close)
            if not self._new:
                made = [f"bb_test_{secrets.token_hex(4)}" for _ in range(self._size)]
                self._run(MAKE, made)
                self._new, self._size = made, min(2 * self._size, MOST)
            return self._new.pop()

    def take_back(self, name: str) -> None:
        """It is dropped, now or later."""
        with self._lock:
            self._used.append(name)
            if len(self._used) >= MOST:
                self._run(DROP, self._used)
                self._used = []

    def _close(self) -> None:
        left = [*self._used, *self._new]
        if left:
            with suppress(SubprocessError):  # the server is gone, and they with it
                self._run(DROP, left)

    def _run(self, expression: str, names: Sequence[str]) -> None:
        listed = ", ".join(f'<<"{name}">>' for name in names)
        self._evaluate(expression.format(user=self._user, names=listed))
