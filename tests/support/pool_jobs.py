"""Jobs for the tests of the pools: a runner whose jobs are small commands, and a gate at which a job waits until the test lets it go on.

["echo", x]  ends with x        ["large", n]  ends with n bytes       ["fail", text]  ends as a failure      ["requeue"]
["wait"]  arrives at the gate, and ends once let go                   ["exit", code]  os._exit               ["pid"]
["hang", how]  arrives at the gate, and never ends                    ["tidy", path, stubborn]  waits, and writes down what ended it
["tell", n, path]  says "STEP" n times, with a number, from threads of its own, and at last from the job's; ends once there is a file
["leave"]  raises what ends the thread that reads it
["fork"]  comes back twice                                            ["close_all"]  closes what it does not own
["grow", n]  keeps n bytes for good, and ends with the pid             ["note", path, word]  writes the word at the end of the file
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import Success, lost
from backbeat.canvas.pools.base import Ended, Job, Requeue
from backbeat.canvas.pools.memory import resident_kib

SECONDS = 20.0
"""No wait of a test is longer than this."""
TRIES = 10
"""What a machine that is busy with other things too is asked for, at most so often, until it is quick once."""


def job(key, *command):
    return Job(str(key), json.dumps(command), "celery")


def value_of(report):
    """The value of a job that ended well."""
    assert isinstance(report, Ended), report
    assert isinstance(report.outcome, Success), report
    return json.loads(report.outcome.value)


def make(gate=None):
    """The runner. `gate` is the path of the test's socket."""

    def run(job: Job, limit, /):
        name, *args = json.loads(job.raw)
        return _JOBS[name](job, gate, *args)

    return run


def make_spec(gate=None):
    from backbeat.canvas.pools.runner import RunnerSpec

    return RunnerSpec("support.pool_jobs:make", (gate,))


def make_broken():
    raise ImportError("no module named nonsense_for_the_test")


def make_fatal(code):
    os._exit(code)


def make_endless(gate):
    """An app whose import never ends. It arrives at the gate first."""
    _wait(job("import"), gate)
    threading.Event().wait()


def make_with_thread(gate=None):
    """An app that starts a thread when it is imported."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return make(gate)


def make_with_socket(gate=None):
    """An app that opens a connection when it is imported, and keeps it."""
    keep = socket.socketpair()
    run = make(gate)

    def run_with(job: Job, limit, /):
        assert keep
        return run(job, limit)

    return run_with


def make_with_faulthandler(gate, path):
    """An app that has a use of its own for SIGUSR1."""
    faulthandler.register(signal.SIGUSR1, file=Path(path).open("w"))  # noqa: SIM115 - it is kept
    return make(gate)


def make_fatal_in_children(code, first_file):
    """Fine in the process that imports the app first, fatal in all later ones."""
    try:
        os.close(os.open(first_file, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        os._exit(code)
    return make_with_socket()


def _ended(job, value):
    return Ended(job.key, Success(value=Json(json.dumps(value))))


def _wait(job, gate, value=None):
    with socket.socket(socket.AF_UNIX) as knock:
        knock.connect(gate)
        knock.sendall(json.dumps({"key": job.key, "pid": os.getpid()}).encode() + b"\n")
        knock.recv(1)  # returns when let go, and when the test is gone
    return _ended(job, value if value is not None else job.key)


def _tell(job, gate, count, path):
    """Say something of oneself, from several threads."""
    from backbeat.canvas.teller import teller

    tell = teller()
    if tell is None:
        return _ended(job, "nobody listens")
    threads = [threading.Thread(target=tell, args=("STEP", Json(str(n)))) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tell("STEP", Json(json.dumps({"of": count, "by": job.key})))
    assert not tell("STEP", Json('"' + "x" * (1 << 20) + '"'))
    deadline = time.monotonic() + SECONDS
    while not Path(path).exists() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return _ended(job, "told")


def _answer_and_die(job, gate, size):
    """Write the whole report into the pipe, and die before anyone can read it all."""
    from backbeat.canvas.pools.pipe import pack_report

    report = pack_report(_ended(job, "x" * size))
    for fd in _fds():
        try:
            pipe = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if pipe.family == socket.AF_UNIX and pipe.type == socket.SOCK_STREAM:
            pipe.sendall(report)
    os.kill(os.getpid(), signal.SIGKILL)


def _fds():
    return sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())


def _leave_heir(job, gate):
    """A process that keeps the pipe open, and is told to end by the gate; then die."""
    if os.fork() == 0:
        _wait(job, gate)
        os._exit(0)
    os._exit(7)


def _noise(job, gate):
    os.write(1, b"\x00\x00\x00\x09 garbage \xff\xfe\n")
    os.write(2, b"\xff" * 100 + b"\n")
    return _ended(job, "fine")


def _terminate(job, gate, kind):
    """What becomes of SIGTERM in a program and in a fork that a task starts."""
    if kind == "program":
        program = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        program.stdout.readline()
        program.terminate()
        with program:
            return _ended(job, program.wait(SECONDS))
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    return _ended(job, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _use_multiprocessing(job, gate):
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=_nothing)
    process.start()
    process.join(SECONDS)
    return _ended(job, process.exitcode)


def _nothing():
    pass


def _note(job, gate, path, word):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{word}\n".encode())
    os.close(fd)
    return _ended(job, word)


def _fail(job, gate, text):
    return Ended(job.key, lost("TaskError", text, job.key))


class _Leaving(Exception):
    def __str__(self):
        raise SystemExit(1)


def _leave(job, gate):
    raise _Leaving


def _unmarshallable(job, gate):
    class Text(str):
        __slots__ = ()

    return Ended(job.key, Success(value=Json(Text('"x"'))))


def _knock(job, gate):
    with socket.socket(socket.AF_UNIX) as knock:
        knock.connect(gate)
        knock.sendall(json.dumps({"key": job.key, "pid": os.getpid()}).encode() + b"\n")


def _hang(job, gate, how):
    if how == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    _knock(job, gate)
    deadline = time.monotonic() + 10 * SECONDS
    while how == "spin" and time.monotonic() < deadline:
        pass
    if how == "hold":
        sum(range(10**11))  # C code that does not let go of the interpreter
    time.sleep(10 * SECONDS)


def _tidy(job, gate, path, stubborn):
    try:
        _knock(job, gate)
        time.sleep(10 * SECONDS)
    except BaseException as exc:
        Path(path).write_text(type(exc).__name__)
        if not stubborn:
            raise
    time.sleep(10 * SECONDS)


def _spin_tidily(job, gate, path):
    try:
        _hang(job, gate, "spin")
    except BaseException as exc:
        Path(path).write_text(type(exc).__name__)
        raise


_kept = []


def _grow(job, gate, size):
    _kept.append(b"x" * size)
    return _ended(job, os.getpid())


def _exit(job, gate, code):
    os._exit(code)


_JOBS = {
    "tell": _tell,
    "echo": lambda job, gate, x: _ended(job, x),
    "large": lambda job, gate, n: _ended(job, "x" * n),
    "size": lambda job, gate, text: _ended(job, len(text)),
    "pid": lambda job, gate: _ended(job, os.getpid()),
    "fork": lambda job, gate: (os.fork(), _ended(job, "forked"))[1],
    "close_all": lambda job, gate: (os.closerange(3, 1024), _ended(job, "closed"))[1],
    "fds": lambda job, gate: _ended(job, _fds()),
    "requeue": lambda job, gate: Requeue(job.key),
    "fail": _fail,
    "wait": _wait,
    "exit": _exit,
    "hang": _hang,
    "tidy": _tidy,
    "spin_tidily": _spin_tidily,
    "grow": _grow,
    "kib": lambda job, gate: _ended(job, resident_kib()),
    "sys_exit": lambda job, gate, code: sys.exit(code),
    "kill": lambda job, gate: os.kill(os.getpid(), signal.SIGKILL),
    "answer_and_die": _answer_and_die,
    "heir": _leave_heir,
    "noise": _noise,
    "terminate": _terminate,
    "multiprocessing": _use_multiprocessing,
    "unmarshallable": _unmarshallable,
    "leave": _leave,
    "note": _note,
}


# --- the test's side -----------------------------------------------------------------------------------------------------------


@dataclass
class Arrival:
    """A job that waits at the gate."""

    key: str
    pid: int
    knock: socket.socket

    def let_go(self):
        self.knock.close()

    def gone(self):
        """Wait until the process at the other side is gone, or has let go of us."""
        self.knock.settimeout(SECONDS)
        assert self.knock.recv(1) == b""


class Gate:
    """A socket at which jobs arrive, and wait."""

    def __init__(self, path):
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._arrived = []

    def arrival(self):
        self._listener.settimeout(SECONDS)
        knock, _ = self._listener.accept()
        knock.settimeout(SECONDS)
        line = b""
        while not line.endswith(b"\n"):
            line += knock.recv(1024) or b"\n"
        told = json.loads(line)
        arrival = Arrival(told["key"], told["pid"], knock)
        self._arrived.append(arrival)
        return arrival

    def fileno(self):
        return self._listener.fileno()

    def close(self):
        self._listener.close()
        for arrival in self._arrived:
            arrival.knock.close()


def wait_until(pool, done, reports):
    """Collect into `reports` until `done()`, woken by the pool."""
    deadline = time.monotonic() + SECONDS
    while True:
        reports += pool.collect()
        if done():
            return
        left = deadline - time.monotonic()
        assert left > 0, f"not within {SECONDS} s; reported so far: {reports!r:.500}"
        if pool.wakers():
            select.select(pool.wakers(), [], [], left)


def wait_free(pool, count, reports=None):
    reports = [] if reports is None else reports
    wait_until(pool, lambda: pool.free >= count, reports)
    return reports


def run_all(pool, jobs):
    """Run these jobs, as many at a time as there is room for; the reports in the order in which they came."""
    todo, reports = list(jobs), []

    def feed():
        room = min(pool.free, len(todo))
        if room:
            batch = [todo.pop(0) for _ in range(room)]
            pool.submit(batch)
        return len(reports) >= len(jobs)

    wait_until(pool, feed, reports)
    return reports


def alive(pid):
    """True for a process that runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_dead(*pids):
    """Wait for processes that are not our children to end."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            readable, _, _ = select.select([fd], [], [], SECONDS)
            assert readable, f"process {pid} still runs"
        finally:
            os.close(fd)


def wait_until_busy(pid):
    """Until a process has computed for a twentieth of a second."""
    deadline = time.monotonic() + SECONDS
    before = _cpu_ticks(pid)
    while _cpu_ticks(pid) < before + os.sysconf("SC_CLK_TCK") // 20:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
