"""Post: where a child hands in what it has to say: reports, and what its jobs say of themselves before they end.

A report is written by the thread that has it, and waits until the worker reads. A word of a job is written by a thread of its own, the first one starts
it, so a task never waits for that: of each job only the last word is kept until there is room, and none of a job that has ended.

A task's thread may be struck by an exception at any moment, from a signal or from outside, so it holds no lock here: what it does are single steps.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from queue import SimpleQueue

from ..json_text import Json
from ..killpoint import reach
from .base import Ended, Requeue
from .memory import resident_kib
from .pipe import pack, pack_report

MOST_TOLD = 1 << 20
"""Characters of what a job says of itself by way of the pool; what is longer it stores itself."""


class Post:
    """One end of a child's pipe, for all of its threads. `is_green`: these are greenlets, all in one."""

    def __init__(self, pipe: socket.socket, max_memory_kib: int | None, *, is_green: bool = False) -> None:
        self._pipe = pipe
        self._max_memory_kib = max_memory_kib
        self._pid = os.getpid()
        self._is_green = is_green
        self.is_full = False
        """The pool has been told that this process is too large."""
        self._writing = threading.Lock()
        self._words: dict[str, bytes] = {}
        """By job, the frame of its last word, if it is not written yet."""
        self._told: SimpleQueue[str] = SimpleQueue()
        self._teller: threading.Thread | None = None

    def report(self, report: Ended | Requeue) -> bool:
        """Tell the pool; first that this process has grown too large, if so, that it gets no more jobs. False if the worker is gone."""
        limit = self._max_memory_kib
        size = resident_kib() if limit else 0
        self.is_full = bool(limit and size > limit)
        full = pack([["full", size]]) if self.is_full else b""
        self._words.pop(report.key, None)
        told = self._write(full + pack_report(report))
        reach("child.told")
        return told

    def dropped(self, key: str) -> bool:
        """Answer that a job was dropped."""
        self._words.pop(key, None)
        return self._write(pack([["dropped", key]]))

    def left(self, key: str) -> bool:
        """A job that was dropped has ended."""
        self._words.pop(key, None)
        return self._write(pack([["left", key]]))

    def tell(self, key: str, state: str, value: Json) -> bool:
        """Pass on what a job says of itself, from any of its threads; False if it cannot go this way, as from a process that it forked."""
        if os.getpid() != self._pid or len(value) > MOST_TOLD:
            return False
        self._words[key] = pack([["told", key, state, value]])
        self._told.put(key)
        if self._teller is None or not self._teller.is_alive():
            self._teller = threading.Thread(target=self._write_words, name="backbeat-words", daemon=True)
            self._teller.start()
        return True

    def _write(self, frame: bytes) -> bool:
        with self._writing:
            return say(self._pipe, frame)

    def _write_words(self) -> None:
        if not self._is_green:
            # they are for the main thread, which a signal must wake
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while True:
                key = self._told.get()
                if (
                    not self._is_green
                ):  # only one of them may wait for room at a time, and it may be the one with a report
                    self._await_room()
                with self._writing:  # a report waits for it, so no word comes behind one
                    frame = self._words.pop(key, None)
                    if frame is not None and not say(self._pipe, frame):
                        return
        except (OSError, ValueError):
            return  # the task closed our pipe

    def _await_room(self) -> None:
        room = select.poll()
        room.register(self._pipe, select.POLLOUT)
        room.poll()


def say(pipe: socket.socket, frame: bytes) -> bool:
    """Write a frame; False if the worker is gone."""
    try:
        pipe.sendall(frame)
    except ConnectionError:
        return False
    return True
