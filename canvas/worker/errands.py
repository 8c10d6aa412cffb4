"""Errands: what other threads ask the worker's thread to do or to tell, as it alone may touch what it holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Errands:
    """`wake` gets the worker's loop to go round."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def ask(self, call: Callable[[], T]) -> Future[T]:
        """Have the worker's thread call this soon; from any other thread. Whoever cancels what it returns may still have it done."""
        told: Future[T] = Future()
        self._asked.put((call, told))
        self._wake()
        return told

    def run(self) -> None:
        """Do all that was asked; for the worker's thread."""
        while True:
            try:
                call, told = self._asked.get_nowait()
            except Empty:
                return
            with contextlib.suppress(InvalidStateError):  # nobody waits any more
                try:
                    told.set_result(call())
                except Exception as error:  # noqa: BLE001 - whatever it is, it is for who asked
                    told.set_exception(error)
