"""Zygote: a process that has imported all of backbeat, and forks programs in milliseconds: workers as the command line has them, and clients.

A fork is a process like any other: it opens its own connections, and dies of its own SIGKILL. The zygote itself opens none, has one
thread, and ends with all that it bore when its input ends. `python -m support.zygote` is its inside, Zygote what a test holds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
IMPORTED = [
    *"support.kill_client psycopg redis kombu amqp encodings.ascii importlib.readers".split(),
    *"backbeat.scheduler.cli backbeat.scheduler.store.base".split(),
    *(
        f"backbeat.canvas.{module}"
        for module in "brokers.kombu commit.store_broker commit.redis commit.split commit.sql pools.child pools.wiring "
        "results.redis results.sql worker.listener worker.systemd worker.wiring".split()
    ),
]
"""What programs would import when they need it."""


class Fork:
    """A program that a zygote bore. `code` is its exit code, or the negative number of the signal that ended it; None while it lives."""

    def __init__(self, zygote: Zygote, pid: int, output: Path) -> None:
        self._zygote = zygote
        self._output = output
        self.pid = pid
        self.code: int | None = None

    @property
    def text(self) -> str:
        """All that it has written so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    @property
    def is_stopped(self) -> bool:
        """By SIGSTOP."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] == "T"

    def send(self, number: int) -> None:
        """A signal; none if it has ended. The zygote sends it, which alone knows whose number this is now."""
        self._zygote.order({"pid": self.pid, "signal": int(number)})

    def wait(self, seconds: float) -> int:
        """Wait for its end; its code."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{self.pid} did not end within {seconds:.0f} s:\n{self.text}")
            self._zygote.listen(left)
        return self.code


class Zygote:
    """The zygote of one test. Used by one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._forks: dict[int, Fork] = {}
        self._born: Fork | None = None
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_environ(), "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
            start_new_session=True,
        )
        self._rest = b""

    def start(self, function: str, arguments: list[str], environ: dict[str, str]) -> Fork:
        """Fork a program that calls `function` ("module:name") with `arguments`."""
        self._count += 1
        output = self._directory / f"{self._count}.out"
        order = {"function": function, "arguments": arguments, "environ": environ, "output": str(output)}
        self._born = None
        self.order(order)
        while self._born is None:
            self.listen(30, output)
        return self._born

    def order(self, order: dict[str, Any]) -> None:
        """Have something done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def listen(self, seconds: float, output: Path = Path(os.devnull)) -> None:
        """Hear what has begun and what has ended; waits until there is something, at most so long."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return
        data = os.read(self._process.stdout.fileno(), 65536)
        if not data:
            raise AssertionError("the zygote ended")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            pid, code = json.loads(line)
            if code is None:
                self._born = self._forks[pid] = Fork(self, pid, output)
            else:
                self._forks.pop(pid).code = code

    def close(self) -> None:
        """End it, and all that it bore."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BACKBEAT_")}


# --- inside --------------------------------------------------------------------------------------------------------------------


def main() -> None:
    """Fork on request, say what has begun and what has ended; in the end kill all that is left, children of workers included."""
    for module in IMPORTED:
        import_module(module)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    rest = b""
    living: set[int] = set()
    while True:
        ready = select.select([0, wake], [], [])[0]
        if wake in ready:
            os.read(wake, 4096)
            _bury(living)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.killpg(0, signal.SIGKILL)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if "signal" not in order:
                    living.add(_bear(order))
                elif order["pid"] in living:  # dead or not, it is not buried
                    os.kill(order["pid"], order["signal"])


def _bear(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _say(pid, None)
        return pid
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, output, output)):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    os.environ.update(order["environ"])
    module, _, name = order["function"].partition(":")
    code = 1
    try:
        getattr(import_module(module), name)(order["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _bury(living: set[int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        living.discard(pid)
        _say(pid, os.waitstatus_to_exitcode(status))


def _say(pid: int, code: int | None) -> None:
    os.write(1, json.dumps([pid, code]).encode() + b"\n")


if __name__ == "__main__":
    main()
