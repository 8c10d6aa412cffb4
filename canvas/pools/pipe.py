"""Pipe: what travels between a pool, its nursery and its children: frames of a 4-byte length and the `marshal` of a list.

`marshal` is several times faster than JSON or pickle and builds no objects of ours. Both ends are the same interpreter on the same
machine, and nothing from outside is ever decoded here: a job's message travels as the text or the parts that it is.

    pool -> child     [[key, raw, queue], ...]                             jobs
                      [["back", n], [key, raw, queue], ...]                and the n before are taken back
                      [["drop", key]]                                      nobody waits for this one any more
    child -> pool     [["ready", pid]] | [["broken", traceback]]           once
                      [["ended", key, outcome, seconds, trace], ["requeue", key]] reports
                      [["told", key, state, value]]                        it says something of itself, and goes on
                      [["full", KiB]]                                      I am too large: no more jobs
                      [["dropped", key]]                                   the answer to a drop
                      [["left", key]]                                      what was dropped has ended
    pool -> nursery   "B" + number, with ends of a pipe and a turnstile    a child shall be born
                      "K" + number, signum, seconds                        send it the signal, and SIGKILL so much later (inf: never)
    nursery -> pool   [["ready"]] | [["unsafe", why]] | [["broken", traceback]]  once
                      [["died", number, pid, reason]]
"""

from __future__ import annotations

import marshal
import signal
import socket
import struct
from collections.abc import Iterator
from typing import Any

from ..outcome import lost, outcome_from_data, outcome_to_data
from .base import Ended, Job, Requeue

Frame = list[list[Any]]
COMMAND = struct.Struct("!cIid")
"""A command to the nursery: what, the child's number, the signal (0 is none), seconds."""
OUR_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGQUIT})
"""What a terminal or an init system sends to all processes of a worker, and the worker alone obeys; blocked while a process starts."""
BACK = "back"
_LENGTH = struct.Struct("!I")


def pack(frame: Frame) -> bytes:
    """The bytes of a frame. Raises ValueError for what marshal cannot write."""
    body = marshal.dumps(frame)
    return _LENGTH.pack(len(body)) + body


def pack_report(report: Ended | Requeue) -> bytes:
    """The frame of one report. An outcome that cannot be sent is reported as the failure that it is."""
    match report:
        case Requeue(key):
            return pack([["requeue", key]])
        case Ended(key, outcome, seconds, trace):
            try:
                return pack([["ended", key, outcome_to_data(outcome), seconds, dict(trace)]])
            except ValueError as error:  # e.g. an exception whose str() is a subclass of str
                failure = lost("EncodeError", f"the outcome cannot be sent to the worker: {error}", key)
                return pack([["ended", key, outcome_to_data(failure), seconds, dict(trace)]])


def report_of(note: list[Any]) -> Ended | Requeue:
    """The inverse of `pack_report`, for one note of a frame."""
    match note:
        case ["ended", str(key), data, float(seconds), dict(trace)]:
            return Ended(key, outcome_from_data(data), seconds, trace)
        case ["requeue", str(key)]:
            return Requeue(key)
    raise ValueError(f"not a report: {note!r:.200}")


def orders_of(frame: Frame) -> list[Job | str]:
    """Jobs, and the keys of jobs that are to be dropped."""
    return [Job(*note) if len(note) == 3 else note[1] for note in frame]  # noqa: PLR2004 - see above


def read_frame(pipe: socket.socket) -> Frame | None:
    """Wait for the next frame; None at the end of the stream, also where it ends inside a frame."""
    head = _exactly(pipe, _LENGTH.size)
    body = _exactly(pipe, _LENGTH.unpack(head)[0]) if head else b""
    return marshal.loads(body) if body else None  # noqa: S302 - the other end is ours, see above


def _exactly(pipe: socket.socket, size: int) -> bytes:
    data = pipe.recv(size)
    if len(data) == size or not data:
        return data
    parts = bytearray(data)
    while len(parts) < size:
        data = pipe.recv(min(size - len(parts), 1 << 20))
        if not data:
            return b""
        parts += data
    return bytes(parts)


class Inbox:
    """Bytes as they came, given out as frames once these are complete."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def frames(self) -> Iterator[Frame]:
        """The complete frames; each is given once."""
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            frame: Frame = marshal.loads(self._bytes[_LENGTH.size : end])  # noqa: S302 - the other end is ours, see above
            del self._bytes[:end]
            yield frame
