"""The lease on servers, between real processes: kill -9, leaders that are frozen inside their transaction, and what helps then."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.store.base import FENCED, Fence, Lease, StoreDown
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.session_mysql import MysqlSessions
from backbeat.scheduler.store.sql import SqlStore
from backbeat.scheduler.store.wiring import open_for_beat
from sqlalchemy import MetaData, text

from support import servers

TTL = 3.0
LEADER = """
import sys, time
from msgspec.structs import replace
from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.store.base import Fence
from backbeat.scheduler.store.wiring import open_for_beat
url, ttl, state, prepare = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
opened = open_for_beat(url, lease_ttl_seconds=ttl)
processes = LocalProcesses()
elsewhere = replace(processes.myself(), host_id="another host")
elector = Elector(opened.store, SystemClock(), elsewhere, processes, ttl_seconds=ttl, hint=opened.hint, sessions=opened.sessions)
term = elector.hold()
assert term
elector.hold()
if state == "in-transaction":
    transaction = opened.store._transaction()
    conn = transaction.__enter__()
    if prepare:
        conn.exec_driver_sql(prepare)
    assert opened.store._holds(conn, term.fence)
print("leading", flush=True)
while True:
    time.sleep(0.05)
    state == "in-transaction" or elector.hold()
"""


@pytest.fixture(params=["postgres", "mariadb"])
def url(request):
    with servers.own_database(request.param) as url:
        yield url


@pytest.fixture
def start():
    started = []

    def run(url, ttl_seconds, state="free", prepare=""):
        arguments = [sys.executable, "-c", LEADER, url, str(ttl_seconds), state, prepare]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "leading\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


class Candidate:
    """A beat of another host, as far as its elector goes: it knows nothing of the leader's process."""

    def __init__(self, url, ttl_seconds=TTL):
        self.opened = open_for_beat(url, lease_ttl_seconds=ttl_seconds)
        self.clock, processes = SystemClock(), LocalProcesses()
        self.elector = Elector(
            self.opened.store,
            self.clock,
            processes.myself(),
            processes,
            ttl_seconds=ttl_seconds,
            hint=self.opened.hint,
            sessions=self.opened.sessions,
        )

    def take_over(self):
        """Seconds until it leads, and its term."""
        begun = time.monotonic()
        while (term := self.elector.hold()) is None and time.monotonic() < begun + 30:
            self.clock.wait(self.elector.next_look())
        return time.monotonic() - begun, term

    def close(self):
        self.elector.release()
        self.opened.close()
        self.clock.close()


@pytest.fixture
def candidate():
    opened = []

    def make(url, ttl_seconds=TTL):
        opened.append(Candidate(url, ttl_seconds))
        assert opened[-1].elector.hold() is None
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_after_kill_9_on_another_host_the_standby_leads_at_once(url, start, candidate):
    leader = start(url, 30)
    standby = candidate(url, 30)

    leader.kill()
    seconds, term = standby.take_over()

    assert term.epoch == 2
    assert seconds < 10  # of a lease of 30


def test_a_leader_frozen_inside_its_transaction_is_followed_within_its_ttl_and_a_quarter(
    url, start, candidate
):
    leader = start(url, TTL, "in-transaction")
    standby = candidate(url)

    os.kill(leader.pid, signal.SIGSTOP)
    seconds, term = standby.take_over()

    assert term.epoch == 2
    assert seconds <= TTL + TTL / 4 + 1


def test_where_the_server_ends_no_idle_session_the_candidate_ends_those_of_the_frozen_leader(
    start, candidate, caplog
):
    with servers.own_database("mariadb") as url:
        leader = start(url, TTL, "in-transaction", "SET SESSION idle_transaction_timeout = 0")
        standby = candidate(url)

        os.kill(leader.pid, signal.SIGSTOP)
        with caplog.at_level(logging.ERROR):
            seconds, term = standby.take_over()

        assert term.epoch == 2
        assert seconds <= TTL + TTL / 4 + 1
        assert "Ended session" in caplog.text


def test_a_leader_frozen_outside_a_transaction_keeps_its_hint_and_is_judged_by_its_ttl(url, start, candidate):
    leader = start(url, 2)
    standby = candidate(url, 2)

    os.kill(leader.pid, signal.SIGSTOP)
    seconds, term = standby.take_over()

    assert term.epoch == 2
    assert 1.5 <= seconds <= 2 + 1


def test_sessions_of_a_server_that_was_restarted_since_are_nobody_elses(start):
    with servers.own_database("mariadb") as url:
        engine = open_engine(url)
        victim = open_engine(url)
        sessions = MysqlSessions(engine)
        with victim.connect() as conn:
            number = conn.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
            started = int(MysqlSessions(engine).mine().partition("@")[2] or 0)
            assert started > 0

            sessions.end(f"{number}@{started - 100}")
            assert conn.exec_driver_sql("SELECT 1").scalar() == 1
            sessions.end(f"nonsense@{started}")
            sessions.end(f"{number}@{started}")

            with pytest.raises(Exception, match=r"Lost connection|gone away|killed"):
                conn.exec_driver_sql("SELECT 1").scalar()
            conn.invalidate()
        engine.dispose()
        victim.dispose()


# --- isolation ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_fence_refuses_a_stale_leader_whose_transaction_began_before_and_has_read_the_old_row(isolation):
    """On MariaDB a plain SELECT passes under REPEATABLE READ: the fence is a locking read."""
    with servers.own_database("mariadb") as url:
        old = SqlStore(open_engine(url).execution_options(isolation_level=isolation), MetaData(), "test")
        new = SqlStore(open_engine(url), MetaData(), "test")
        old.create()
        row = old.read_lease()
        assert old.swap_lease(row, Lease("a", 1, 1, 10_000))

        held = seen = None
        with contextlib.suppress(StoreDown), old._transaction() as conn:
            assert conn.exec_driver_sql("SELECT @@tx_isolation").scalar() == isolation.replace(" ", "-")
            read = text("SELECT holder FROM bb_lease")
            assert conn.execute(read).scalar() == "a"
            if isolation == "SERIALIZABLE":  # there each read locks: nobody could take over in between
                conn.commit()
            assert new.swap_lease(new.read_lease(), Lease("b", 2, 2, 10_000))
            seen = conn.execute(read).scalar()
            held = old._holds(conn, Fence("a", 1))

        assert held is False
        assert seen == ("a" if isolation == "REPEATABLE READ" else "b")
        assert old.load_open(Fence("a", 1), 1) is FENCED
        old.close()
        new.close()
