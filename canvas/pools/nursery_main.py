"""Nursery, inside: the process that makes the runner once, forks a child for each request and tells the pool who died.

It runs no task and starts no thread, so a fork of it is clean, and a new child costs milliseconds whatever the app costs to import.
If importing the app started a thread or opened a socket, a fork would not be clean (a lock held for ever, one connection used by all children):
then it says "unsafe" and ends, and the pool starts another one that leaves the import to each child.

As it is the parent of the children, only it can know that a process id is still theirs: kills go through it and never hit a stranger.
A child that was told to end and does not is killed by it, too. When the worker dies, however it dies, the nursery kills the children: their jobs' leases are no longer renewed, so others will run them.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from ..readable import readable
from .child import live
from .child_signal import keep_signals, take_user_signal
from .pipe import COMMAND, OUR_SIGNALS, pack, read_frame
from .runner import Runner, RunnerSpec, child_spec_of


def main(fd: int) -> None:
    """The main function of the nursery. A forked child returns through it too, so that it ends as any program does."""
    keep_signals()
    take_user_signal()
    control = socket.socket(fileno=fd)
    launch = read_frame(control)
    if launch is None:
        return
    data, [preload, argv] = launch
    spec = child_spec_of(data)
    ends = None
    with contextlib.suppress(ConnectionError):  # the worker is gone
        make = _preloaded(spec.runner, control) if preload else spec.runner.make
        gc.collect()
        gc.freeze()
        control.sendall(pack([["ready"]]))
        ends = _nurse(control, argv)
    if ends is not None:
        live(*ends, spec, make)


def _preloaded(spec: RunnerSpec, control: socket.socket) -> Callable[[], Runner]:
    before = _sockets()
    try:
        runner = spec.make()
    except BaseException:  # noqa: BLE001 - importing the user's app may raise anything, SystemExit included
        control.sendall(pack([["broken", traceback.format_exc()]]))
        sys.exit(1)
    doubts = []
    if threads := _threads() - 1:
        doubts.append(f"started {threads} threads")
    if sockets := len(_sockets() - before):
        doubts.append(f"opened {sockets} sockets")
    if doubts:
        control.sendall(pack([["unsafe", f"importing the app {' and '.join(doubts)}"]]))
        sys.stdout.flush()
        # not sys.exit: what the app registered to be done at exit is for processes that ran tasks
        os._exit(0)
    return lambda: runner


def _threads() -> int:
    with contextlib.suppress(OSError):  # Linux: threads of C libraries too
        return len(list(Path("/proc/self/task").iterdir()))
    return threading.active_count()


def _sockets() -> set[int]:
    found = set()
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
            if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                found.add(int(path.name))
    return found


def _nurse(control: socket.socket, argv: list[str] | None) -> tuple[socket.socket, socket.socket] | None:
    """Until the pool is gone. In a new child: its ends of the pipe and the turnstile. With `argv`, children are started as programs of their own."""
    wake, waker = _wake_on_death()
    ward = _Ward(control)
    with contextlib.suppress(ConnectionError):
        while True:
            ready = readable([control.fileno(), wake.fileno()], ward.patience)
            if wake.fileno() in ready:
                wake.recv(4096)
                ward.bury()
            ward.kill_overdue()
            if control.fileno() not in ready:
                continue
            data, fds, _, _ = socket.recv_fds(control, COMMAND.size, 2)
            if len(data) < COMMAND.size:
                break
            command, number, signum, seconds = COMMAND.unpack(data)
            if command == b"K":
                ward.send(number, signum, seconds)
                continue
            pid = _fork(control, number)
            if pid == 0:
                return _begin(fds, argv, leave=(control, wake, waker))
            for fd in fds:
                os.close(fd)
            if pid is not None:
                ward.admit(number, pid)
    ward.kill_all()
    return None


class _Ward:
    """The children that live, or of whose death the pool has not been told."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pids: dict[int, int] = {}
        self._ends: dict[int, float] = {}
        """When they are killed, by the monotonic clock: those that were told to end."""

    @property
    def patience(self) -> float | None:
        """Seconds until one must be killed."""
        return max(0.0, min(self._ends.values()) - time.monotonic()) if self._ends else None

    def admit(self, number: int, pid: int) -> None:
        self._pids[number] = pid

    def send(self, number: int, signum: int, seconds: float) -> None:
        if number in self._pids:
            os.kill(self._pids[number], signum)
            end = time.monotonic() + seconds
            self._ends[number] = min(self._ends.get(number, end), end)
            if seconds == math.inf:
                del self._ends[number]

    def kill_overdue(self) -> None:
        now = time.monotonic()
        for number in [number for number, end in self._ends.items() if end <= now]:
            del self._ends[number]
            os.kill(self._pids[number], signal.SIGKILL)

    def bury(self) -> None:
        for number, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[number]
                self._ends.pop(number, None)
                self._control.sendall(pack([["died", number, pid, _reason(status)]]))

    def kill_all(self) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids.values():
            os.waitpid(pid, 0)


def _wake_on_death() -> tuple[socket.socket, socket.socket]:
    """A pair of which the first can be read after a child died; the second must be kept."""
    wake, waker = socket.socketpair()
    wake.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _note_only)
    return wake, waker


def _fork(control: socket.socket, number: int) -> int | None:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return os.fork()
    except OSError as error:
        control.sendall(pack([["died", number, 0, f"cannot fork: {error}"]]))
        return None


def _begin(
    fds: Sequence[int], argv: list[str] | None, leave: Sequence[socket.socket]
) -> tuple[socket.socket, socket.socket]:
    """The first steps of a child: let go of what is the nursery's. With `argv`, become that program, and do not return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in leave:
        each.close()
    if argv:
        signal.pthread_sigmask(signal.SIG_BLOCK, OUR_SIGNALS)  # until it has handlers
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execv(argv[0], [*argv, *map(str, reversed(fds))])  # noqa: S606 - our own interpreter
    pipe, turnstile = (socket.socket(fileno=fd) for fd in fds)
    return pipe, turnstile


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def _note_only(signum: int, frame: FrameType | None) -> None:
    """The wake-up descriptor does the work."""
