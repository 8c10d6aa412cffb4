"""Nursery, as the pool sees it: a process that bears, kills and buries children on request; nursery_main.py is its inside.

Why not multiprocessing's fork server, which does much the same? It lets each child import the worker's main module again (a console
script then imports the whole command line, a script without a guard starts a second worker); the app's import error is lost; between the
fork and our first line Ctrl-C kills a child; it is one per process, with a resource tracker, and neither ends before the interpreter
does; and its processes are daemonic, so that a task may not use multiprocessing. What is needed of it is a hundred lines.
"""

from __future__ import annotations

import contextlib
import marshal
import signal
import socket
import subprocess
import sys
from enum import StrEnum

from .line import Line
from .pipe import COMMAND, OUR_SIGNALS, Frame, Inbox, pack
from .runner import ChildSpec, Kind
from .turnstile import Turnstile

_END_SECONDS = 5.0
"""How long a nursery without children may take to end before it is killed."""


class StartMethod(StrEnum):
    """How a child comes into being (the setting worker_pool_start_method)."""

    FORKSERVER = "forkserver"
    """A fork of the nursery, which has imported the app if that is safe: milliseconds, and the app's memory is shared."""
    SPAWN = "spawn"
    """A new interpreter that imports the app: for libraries that do not survive any fork."""


class Nursery:
    """One nursery process. Commands are sent at once; `hear` gives what it said. Used by one thread."""

    def __init__(self, spec: ChildSpec, method: StartMethod, *, preload: bool) -> None:
        self.preload = preload
        """It is to import the app itself, if that is safe."""
        self.is_ready = False
        """It has said that it can bear children."""
        self.is_unsafe = False
        """It has said that the app is not safe to fork, and ends."""
        self._launch = pack([spec.to_data()])
        self._spawns = method is StartMethod.SPAWN
        if spec.kind.is_green and not self._spawns:
            raise ValueError(
                f"a child of kind {spec.kind} must be a program of its own, as it is patched first"
            )
        self._inbox = Inbox()
        self._control, theirs = socket.socketpair()
        with theirs:
            argv = _argv("child", _PATCHES.get(spec.kind, "")) if self._spawns else None
            setup = [spec.to_data(), [preload and not self._spawns, argv]]
            self._control.sendall(_path() + pack(setup))
            # the mask is inherited: signals wait until the nursery has handlers, and this thread until it has a nursery
            former = signal.pthread_sigmask(signal.SIG_BLOCK, OUR_SIGNALS)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                    [*_argv("nursery_main"), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._control.fileno()

    def bear(self, number: int) -> Line:
        """Ask for a child; the line to it. The child itself is announced later."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        turnstile = Turnstile()
        with theirs, contextlib.suppress(ConnectionError):  # a dead nursery is noticed by `hear`
            ends = [theirs.fileno(), turnstile.exit.fileno()]
            socket.send_fds(self._control, [COMMAND.pack(b"B", number, 0, 0.0)], ends)
        line = Line(number, ours, turnstile, self)
        if self._spawns:
            line.say(_path() + self._launch)
        return line

    def kill(self, number: int, signum: int = signal.SIGKILL, seconds: float = 0.0) -> None:
        """Send a signal to a child, if it still lives (0: none), and SIGKILL if it lives so many seconds later.

        The sooner of several ends holds; inf takes them back.
        """
        with contextlib.suppress(ConnectionError):
            self._control.sendall(COMMAND.pack(b"K", number, signum, seconds))

    def hear(self) -> tuple[Frame, bool]:
        """What it said since the last call, and whether it still lives. Never waits."""
        alive = True
        while True:
            try:
                data = self._control.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                alive = False
                break
            self._inbox.feed(data)
        return [note for frame in self._inbox.frames() for note in frame], alive

    def close(self, *, kill: bool = False) -> str:
        """End it and what children it still has; how it ended. Waits for it, at most a few seconds."""
        self._control.close()
        if kill:
            self._process.kill()
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _path() -> bytes:
    return marshal.dumps([str(entry) for entry in sys.path])


_PATCHES = {
    Kind.GEVENT: "from gevent import monkey; monkey.patch_all(); ",
    # that it is being retired the worker says, once; pools/wiring.py
    Kind.EVENTLET: "import warnings; warnings.filterwarnings('ignore', r'\\s*Eventlet is deprecated'); "
    "import eventlet; eventlet.monkey_patch(); ",
}


def _argv(module: str, patch: str = "") -> list[str]:
    """A command that runs `main` of a module of this package on the descriptor given as last argument, with our sys.path.

    `patch` is done before anything is imported: what is imported earlier would keep what it has taken of the standard library.
    """
    code = (
        "import marshal, sys; fd = int(sys.argv.pop()); "
        "sys.path[:] = marshal.load(open(fd, 'rb', 0, closefd=False)); "
        f"{patch}"
        f"from {__package__}.{module} import main; main(fd)"
    )
    flags = [f"-W{option}" for option in sys.warnoptions]
    flags += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    flags += ["-O"] * sys.flags.optimize
    return [sys.executable, *flags, "-c", code]
