"""The lease between real processes on one host: kill -9, and a leader that is frozen inside a transaction of SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.store.wiring import open_store
from msgspec.structs import replace

from support.processes import wait_until

LEADER = """
import sys, time
from backbeat.scheduler.clock import SystemClock
from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.store.wiring import open_store
store = open_store(sys.argv[1])
processes = LocalProcesses()
elector = Elector(store, SystemClock(), processes.myself(), processes, ttl_seconds=float(sys.argv[2]))
assert elector.hold()
connection = store._engine.raw_connection()
if sys.argv[3] == "in-transaction":
    connection.execute("BEGIN IMMEDIATE")
print("leading", flush=True)
while True:
    time.sleep(0.05)
    sys.argv[3] == "in-transaction" or elector.hold()
"""


@pytest.fixture
def url(tmp_path):
    if not LocalProcesses().myself().host_id:
        pytest.skip("this system has no /proc")
    return f"sqlite:///{tmp_path}/lease.db"


@pytest.fixture
def start(url):
    started = []

    def run(ttl_seconds, state):
        process = subprocess.Popen(
            [sys.executable, "-c", LEADER, url, str(ttl_seconds), state], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "leading\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def take_over(url, ttl_seconds, *, end_frozen=True):
    """Seconds until this process leads, and its term."""
    clock, processes, store = SystemClock(), LocalProcesses(), open_store(url, lease_ttl_seconds=ttl_seconds)
    elector = Elector(
        store, clock, processes.myself(), processes, ttl_seconds=ttl_seconds, end_frozen=end_frozen
    )
    begun = time.monotonic()
    while (term := elector.hold()) is None and time.monotonic() < begun + 20:
        clock.wait(elector.next_look())
    store.close()
    clock.close()
    return time.monotonic() - begun, term


def test_after_kill_9_the_next_beat_of_the_host_leads_at_its_first_look(url, start):
    leader = start(30, "free")

    leader.kill()
    seconds, term = take_over(url, 30)

    assert term.epoch == 2
    assert seconds < 10  # of a lease of 30; the process is a zombie here, as its parent has not asked for it


def test_a_leader_that_is_frozen_inside_a_transaction_is_ended_after_its_ttl(url, start):
    leader = start(1, "in-transaction")

    os.kill(leader.pid, signal.SIGSTOP)
    seconds, term = take_over(url, 1)

    assert term.epoch == 2
    assert 1 <= seconds < 5
    assert leader.wait(5) == -signal.SIGKILL


def test_a_leader_that_lives_is_not_followed(url, start):
    leader = start(1, "free")
    clock, processes, store = SystemClock(), LocalProcesses(), open_store(url)
    elector = Elector(store, clock, processes.myself(), processes, ttl_seconds=1, end_frozen=True)

    for _ in range(15):
        assert elector.hold() is None
        clock.wait(0.2)

    assert leader.poll() is None
    store.close()
    clock.close()


def test_a_sleep_ends_when_it_is_woken_from_a_signal_handler():
    clock = SystemClock()
    before = signal.signal(signal.SIGALRM, lambda *_: clock.wake())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        begun = time.monotonic()
        assert clock.wait(10)
        assert time.monotonic() - begun < 5
        assert not clock.wait(0)
        clock.wake()
        assert clock.wait(10)
    finally:
        signal.signal(signal.SIGALRM, before)
        clock.close()


def test_a_process_is_ended_when_it_is_stopped_and_not_while_it_only_waits():
    """Another program may hold SQLite's lock for longer than a lease: that is no reason to kill a beat."""
    program = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        program.stdout.readline()
        processes = LocalProcesses()
        started = int(Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[19])
        holder = replace(processes.myself(), pid=program.pid, started=started)

        assert not processes.end(holder)
        assert program.poll() is None

        program.send_signal(signal.SIGSTOP)
        wait_until(lambda: processes.end(holder), what="the end of what is stopped")
        assert program.wait(10) == -signal.SIGKILL
    finally:
        program.kill()
        program.communicate()
