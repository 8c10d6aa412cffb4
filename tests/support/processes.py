"""The command line as its users run it: a process of its own, in a process group of its own, whose output is read as it comes.

A program's processes are known by a mark in their environment, which children inherit: so it can be said that none is left, and none is.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

TESTS = Path(__file__).parent.parent
SECONDS = 60.0
"""Deadline of anything that happens by itself: other suites share this machine's two processors."""
CLI = (sys.executable, "-m", "backbeat.scheduler.cli")
_MARK = "BACKBEAT_TEST_PROGRAM"


class Program:
    """One run of `backbeat`. Its standard output and standard error are `lines`, each with the monotonic time when it was read.

    `launcher` is a command that becomes the program, such as `unshare`, which gives it clocks of its own.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        environ: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        self.arguments = arguments
        self._mark = secrets.token_hex(16)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BACKBEAT_")}
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        marked = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", _MARK: self._mark}
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            [*launcher, *CLI, *arguments],
            cwd=cwd,
            env={**inherited, **marked, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.lines: list[tuple[float, str]] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"output of {self.pid}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append((time.monotonic(), line.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # --- its output ----------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """All that it has written so far."""
        return "\n".join(line for _, line in self.lines)

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """All matches of `pattern`, at most one a line."""
        return [match for _, line in list(self.lines) if (match := re.search(pattern, line))]

    def lines_like(self, pattern: str) -> list[float]:
        """When each line that matches was read."""
        return [at for at, line in list(self.lines) if re.search(pattern, line)]

    def wait_for(self, pattern: str, seconds: float = SECONDS, *, count: int = 1) -> re.Match[str]:
        """Wait until `count` lines match `pattern`; the match of the last of them. Fails when it ends or the time is over before."""
        deadline, seen, found = time.monotonic() + seconds, 0, 0
        with self._changed:
            while True:
                for _, line in self.lines[seen:]:
                    seen += 1
                    match = re.search(pattern, line)
                    found += match is not None
                    if match is not None and found >= count:
                        return match
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "it ended" if self._ended else f"{seconds:.0f} s passed"
                    raise AssertionError(
                        f"{self}: {found} of {count} lines match {pattern!r}, and {why}:\n{self.text}"
                    )
                self._changed.wait(left)

    # --- its life ------------------------------------------------------------------------------------------------------------

    def send(self, number: int) -> None:
        """A signal to the process alone."""
        self._process.send_signal(number)

    def send_to_group(self, number: int) -> None:
        """A signal to its whole process group, as a terminal sends Ctrl-C and systemd sends SIGTERM."""
        os.killpg(self.pid, number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Wait for its end; its exit code."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} did not end within {seconds:.0f} s:\n{self.text}") from None
        self._reader.join(SECONDS)
        return code

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def processes(self) -> list[int]:
        """The pids of this program that live, its own and those of its children, wherever they went."""
        mark = f"{_MARK}={self._mark}".encode()
        ours = (
            path
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and mark in _environ(path).split(b"\0") and not _is_over(path)
        )
        return sorted(int(path.name) for path in ours)

    def end(self) -> None:
        """Kill what is left of it."""
        while self.processes:
            for pid in self.processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if self._process.poll() is None:
                self._process.wait(SECONDS)
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __str__(self) -> str:
        return f"backbeat {' '.join(self.arguments)} [{self.pid}]"


def own_clocks(seconds_ahead: int) -> list[str]:
    """A launcher: a time namespace in which boot-time and the monotonic clock are ahead, as on another machine; only root may make one."""
    return ["unshare", "--time", "--boottime", str(seconds_ahead), "--monotonic", str(seconds_ahead)]


def why_no_own_clocks() -> str:
    """What stands in the way of `own_clocks` here; nothing, if it works."""
    tried = subprocess.run([*own_clocks(1), "true"], capture_output=True, text=True, timeout=10)
    return tried.stderr.strip() if tried.returncode else ""


class Programs:
    """Starts programs, and ends all of them in the end."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._started: list[Program] = []

    def start(
        self, *arguments: object, environ: Mapping[str, str] | None = None, launcher: Sequence[str] = ()
    ) -> Program:
        """Start `backbeat ARGUMENTS`."""
        program = Program(*map(str, arguments), cwd=self._cwd, environ=environ, launcher=launcher)
        self._started.append(program)
        return program

    def run(self, *arguments: object, seconds: float = SECONDS) -> tuple[int, str]:
        """Run `backbeat ARGUMENTS` to its end; exit code and output."""
        program = self.start(*arguments)
        return program.wait(seconds), program.text

    def close(self) -> None:
        for program in self._started:
            program.end()


def wait_until(ask: Callable[[], T], seconds: float = SECONDS, *, what: object = "what was waited for") -> T:
    """Ask until the answer is true, and return it; `what` (or what it returns) says what is missing when the time is over."""
    deadline, waiting = time.monotonic() + seconds, threading.Event()
    while not (answer := ask()):
        if time.monotonic() >= deadline:
            shown = what() if callable(what) else what
            raise AssertionError(f"not within {seconds:.0f} s: {shown}")
        waiting.wait(0.02)
    return answer


def percentiles(seconds: Sequence[float]) -> str:
    """p50 and max, in seconds."""
    ordered = sorted(seconds)
    return f"p50 {ordered[len(ordered) // 2]:.2f} s, max {ordered[-1]:.2f} s"


def _environ(path: Path) -> bytes:
    try:
        return (path / "environ").read_bytes()
    except OSError:  # somebody else's, or it has ended
        return b""


def _is_over(path: Path) -> bool:
    try:
        return (path / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def free_port() -> int:
    """A port of this machine that nobody listens on just now, for a program that must be told one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
