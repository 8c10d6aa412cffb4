"""Brokers and stores that are not there: client commands say so and end; beat and worker say so, stay, and go on when they come."""

from __future__ import annotations

import itertools
import re
import select
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from support.acceptance_tasks import NAME
from support.journal import read_lines
from support.processes import SECONDS, wait_until
from support.stacks import open_stack

PATIENCE_SECONDS = 10.0
COMMANDS = {
    "call": ["call", "support.acceptance_tasks.add", "-a", "[1, 2]"],
    "result": ["result", "5f2b1c1e-0000-4000-8000-000000000000"],
    "status": ["status"],
    "beat --once": ["beat", "--once"],
}
ADDRESSES = {
    "amqp": ("amqp://127.0.0.1:{port}//", "redis://127.0.0.1:{port}/0"),
    "redis": ("redis://127.0.0.1:{port}/0", None),
    "postgresql": ("postgresql://127.0.0.1:{port}/x", None),
}


@pytest.fixture(params=["refuses", "is silent"])
def port(request):
    """A port where nothing listens; or where somebody listens, and never says anything."""
    if request.param == "refuses":
        yield 1
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ADDRESSES)
def test_client_commands_exit_69_on_a_dead_broker_within_ten_seconds(programs, tmp_path, kind, port, figure):
    (tmp_path / "schedules.yaml").write_text(
        "schedules:\n  a: {every: 1ms, task: support.acceptance_tasks.add, args: [1, 1]}\n"
    )
    broker, backend = ADDRESSES[kind]

    def answer(command):
        options = ["-A", NAME, "-b", broker.format(port=port)]
        if backend is not None and command == "result":
            options += ["--result-backend", backend.format(port=port)]
        begun = time.monotonic()
        code, output = programs.run(*options, *COMMANDS[command])
        return code, output, time.monotonic() - begun

    with ThreadPoolExecutor(2) as side_by_side:  # each of them mostly waits
        answers = dict(zip(COMMANDS, side_by_side.map(answer, COMMANDS), strict=True))

    for command, (code, output, seconds) in answers.items():
        *_, last = output.splitlines()
        figure(f"{command}: {seconds:.1f} s: {last}")
        assert code == 69, (command, output)
        assert "Traceback" not in output
        assert re.match("backbeat: error: .*(reached|answer)", last), (command, output)
        assert seconds < PATIENCE_SECONDS, command


class Forwarder:
    """A port that leads to a server while it is open; connections are refused while it is not."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        self._listener.listen()
        self._start(self._accept, self._listener)

    def cut(self) -> None:
        """Close the port and all connections."""
        former, self._listener = self._listener, None
        with suppress(OSError):
            former.shutdown(socket.SHUT_RDWR)
        former.close()
        self._listener = self._bound(self.port)
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._start(self._forward, near, far)

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        """Until one end says nothing any more, or is cut."""
        with self._lock:
            self._ends += [near, far]
        with near, far, suppress(OSError):
            while True:
                readable, _, _ = select.select([near, far], [], [])
                for source in readable:
                    if not (data := source.recv(65536)):
                        return
                    (far if source is near else near).sendall(data)

    def _start(self, run, *arguments) -> None:
        thread = threading.Thread(target=run, args=arguments)
        thread.start()
        self._threads.append(thread)


@pytest.fixture(params=["rabbitmq+sqlite", "redis", "postgres"])
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def forwarder(stack):
    made = Forwarder(int(re.search(r":(\d+)/", stack.broker)[1]))
    yield made
    made.close()


@pytest.mark.timeout(300)
def test_beat_and_worker_stay_while_a_server_is_away_and_go_on_when_it_comes(
    stack, programs, forwarder, tmp_path, figure
):
    log = tmp_path / "log.jsonl"
    (tmp_path / "schedules.yaml").write_text(
        "defaults: {catch_up: all}\nschedules:\n"
        f"  noted: {{every: 500ms, task: support.acceptance_tasks.note_firing, kwargs: {{log: {log}}}}}\n"
    )
    broker, backend = (
        re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{forwarder.port}", url)
        for url in (stack.broker, stack.backend)
    )
    options = ["-q", "-A", NAME, "-b", broker, "--result-backend", backend]
    pair = [programs.start(*options, "beat"), programs.start(*options, "worker", "-c", 1)]
    away = "WARNING.*(cannot be reached|does not answer|broker is down)"

    seconds = []
    for outage in range(1, 3):
        if outage > 1:
            forwarder.cut()
        known = [len(program.matches(away)) if outage > 1 else 0 for program in pair]
        for program, before in zip(pair, known, strict=True):
            program.wait_for(away, count=before + 1)
            assert program.runs
        done = len(read_lines(log))
        begun = time.monotonic()
        forwarder.open()
        wait_until(
            lambda done=done: len(read_lines(log)) >= done + 4, what=lambda: f"{pair[0].text}\n{pair[1].text}"
        )
        seconds.append(time.monotonic() - begun)

    beat, worker = pair
    beat.send(signal.SIGTERM)
    assert beat.wait() == 0, beat.text
    sent = len(beat.matches("Sending due task noted"))
    wait_until(
        lambda: len(fire_times(log)) >= sent,
        what=lambda: f"{sent} sent, {len(fire_times(log))} run\n{worker.text}",
    )
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    fires = fire_times(log)
    steps = {later - earlier for earlier, later in itertools.pairwise(fires)}
    assert steps == {timedelta(seconds=0.5)}
    assert len({(line["id"], line["fire_time"]) for line in read_lines(log)}) == len(fires)
    for program in pair:
        assert "Traceback" not in program.text
    figure(
        f"{stack.name}: works {seconds[0]:.1f} s after the server came, {seconds[1]:.1f} s after it came again; "
        f"{len(fires)} fire times, 0 missing, {len(read_lines(log)) - len(fires)} second runs"
    )


def fire_times(log):
    return sorted({datetime.fromisoformat(line["fire_time"]) for line in read_lines(log)})
