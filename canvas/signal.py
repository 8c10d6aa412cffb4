"""Signal: a moment that a project's functions can be called at, in the process where it happens. The moments are in signals.py.

A receiver is called with `signal`, `sender` and the moment's own keyword arguments; it must take what it does not know (`**kwargs`). What it
raises is logged and ends there: no task, send or worker is hurt by it. Who wants to be cheap asks `receivers` first: it is false if there are none.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from msgspec import Struct

logger = logging.getLogger(__name__)

Receiver = Callable[..., Any]
TRIES = 3
"""How often a receiver that was connected with `retry` is called until it does not raise."""


class _Connection(Struct, frozen=True):
    """One receiver. `find` gives it, or None when it is gone. It hears of all senders if `sender` is None."""

    key: object
    find: Callable[[], Receiver | None]
    sender: Any
    tries: int

    def hears(self, sender: Any) -> bool:
        """Names are compared as texts, all else must be the very object."""
        return (
            self.sender is None
            or self.sender is sender
            or (isinstance(self.sender, str) and self.sender == sender)
        )


class Signal:
    """One moment. Thread-safe. `never` says why it does not come here, for a moment that only Celery has."""

    def __init__(self, name: str, providing_args: frozenset[str] = frozenset(), *, never: str = "") -> None:
        self.name = name
        self.providing_args = providing_args
        self.never = never
        self.receivers: tuple[_Connection, ...] = ()
        self._changing = threading.Lock()
        self._is_told = False

    def connect(
        self,
        *receiver: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: object = None,
        retry: bool = False,
    ) -> Any:
        """Call `receiver` at this moment; also as a decorator, with and without arguments. Returns the receiver.

        `sender`: only if that is the sender. `weak`: the receiver is forgotten when nobody else has it, as functions inside functions are.
        `dispatch_uid`: instead of the receiver itself what tells it from others; the same receiver is connected once. `retry`: call it up
        to three times until it does not raise.
        """
        if receiver:
            return self._connect(receiver[0], sender, weak, dispatch_uid, TRIES if retry else 1)
        return lambda found: self._connect(found, sender, weak, dispatch_uid, TRIES if retry else 1)

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        weak: bool | None = None,  # noqa: ARG002 - Celery's argument, which says nothing
        dispatch_uid: object = None,
    ) -> bool:
        """Call it no more; whether it was connected. `sender` and `dispatch_uid` as it was connected with."""
        key = _key(receiver, sender, dispatch_uid)
        with self._changing:
            left = tuple(connection for connection in self.receivers if connection.key != key)
            found, self.receivers = len(left) < len(self.receivers), left
        return found

    def send(self, sender: Any, **known: Any) -> list[tuple[Receiver, Any]]:
        """The moment has come: (receiver, what it returned or raised) of each."""
        return [
            (receiver, self._call(receiver, connection.tries, sender, known))
            for connection in self.receivers
            if connection.hears(sender) and (receiver := connection.find()) is not None
        ]

    send_robust = send

    def has_listeners(self, sender: Any = None) -> bool:
        """Whether somebody would be called."""
        return any(each.hears(sender) and each.find() is not None for each in self.receivers)

    def _connect(self, receiver: Receiver, sender: Any, weak: bool, uid: object, tries: int) -> Receiver:
        if not callable(receiver):
            raise TypeError(f"signal {self.name}: a receiver is a function, found {receiver!r:.100}")
        key = _key(receiver, sender, uid)
        find = _weakly(receiver, self._forget) if weak else lambda: receiver
        with self._changing:
            others = tuple(connection for connection in self.receivers if connection.key != key)
            self.receivers = (*others, _Connection(key, find, sender, tries))
            is_told, self._is_told = self._is_told, True
        if self.never and not is_told:
            extra = {"action": "signal_never", "signal": self.name}
            logger.warning("signal %s is never sent: %s", self.name, self.never, extra=extra)
        return receiver

    def _call(self, receiver: Receiver, tries: int, sender: Any, known: dict[str, Any]) -> Any:
        for left in reversed(range(tries)):
            try:
                return receiver(signal=self, sender=sender, **known)
            except Exception as error:
                if not left:
                    extra = {"action": "receiver_failed", "signal": self.name}
                    logger.exception("signal %s: receiver %r raised", self.name, receiver, extra=extra)
                    return error
        raise AssertionError("unreachable")

    def _forget(self, _: object) -> None:
        """A receiver is gone. Without the lock, as this may happen while it is held, by the same thread."""
        self.receivers = tuple(connection for connection in self.receivers if connection.find() is not None)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={sorted(self.providing_args)}>"


def _weakly(receiver: Receiver, gone: Callable[[Any], None]) -> Callable[[], Receiver | None]:
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return weakref.WeakMethod(receiver, gone)
    return weakref.ref(receiver, gone)


def _key(receiver: Any, sender: Any, uid: object) -> object:
    """What tells connections apart. A bound method is another object each time that it is asked for."""
    who: object = uid
    if uid is None and hasattr(receiver, "__func__"):
        who = (id(receiver.__self__), id(receiver.__func__))
    elif uid is None:
        who = id(receiver)
    return who, sender if isinstance(sender, str) else id(sender)
