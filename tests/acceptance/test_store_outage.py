"""Two beats whose store takes no writes for a while: nothing is sent meanwhile, somebody is told, and it heals by itself.

And the other way round: beats that are all stopped for longer than a lease, and a store whose every answer takes its time.
"""

from __future__ import annotations

import resource
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, text

from support import servers
from support.acceptance_tasks import NAME
from support.processes import SECONDS, wait_until
from support.proxy import Proxy

SENT = r"Scheduler: Sending due task "
ALARM = "ERROR.*No answer about the lease"
PERIOD_US = 100_000
DOUBT = "No answer about the lease|The store is in doubt"
SCHEDULES = (
    "schedules: {tick: {every: 100ms, catch_up: all, task: support.acceptance_tasks.add, args: [1, 2]}}\n"
)


@contextmanager
def full_disk(beats, url):
    """No file of the processes may grow: what a full disk does to them, without one."""
    before = [
        resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)) for each in beats
    ]
    yield
    for each, limits in zip(beats, before, strict=True):
        resource.prlimit(each.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def locked(beats, url):
    """Somebody writes for longer than a lease."""
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def read_only(beats, url):
    """The database refuses all writing, as a standby server does, and as one does whose disk is full."""
    server, _, name = url.rpartition("/")
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    for setting in ("on", "off"):
        with engine.connect() as conn:
            conn.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}"))
        if setting == "on":
            servers.cut_database(url)
            yield
    engine.dispose()


@contextmanager
def two_beats(programs, tmp_path, url):
    """A leader and a standby; in the end the ledger holds each fire time once, and all of them were sent."""
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    arguments = ("-q", "-A", NAME, "-b", f"sqlite:///{tmp_path}/broker.db", "--store", url)
    arguments += ("beat", "--lease-ttl", "2", "-s", path)
    leader = programs.start(*arguments)
    leader.wait_for(SENT, count=5)
    standby = programs.start(*arguments)
    standby.wait_for("Standing by")
    yield leader, standby
    assert leader.runs
    assert standby.runs
    standby.end()
    leader.end()
    engine = create_engine(url)
    with engine.connect() as conn:
        dues = conn.execute(text("SELECT due_us FROM bb_firing ORDER BY due_us")).scalars().all()
        still_open = conn.execute(text("SELECT count(*) FROM bb_batch WHERE state = 1")).scalar_one()
    engine.dispose()
    assert dues == [dues[0] + k * PERIOD_US for k in range(len(dues))]
    assert still_open == 0


def sent_by(beats):
    return sum(len(each.matches(SENT)) for each in beats)


@pytest.mark.parametrize(
    ("kind", "fault"), [("sqlite", full_disk), ("sqlite", locked), ("postgres", read_only)]
)
def test_a_store_that_takes_no_writes_stops_emission_and_heals(kind, fault, programs, tmp_path, figure):
    lent = servers.own_database("postgres") if kind == "postgres" else _file(tmp_path)
    with lent as url, two_beats(programs, tmp_path, url) as beats:
        with fault(beats, url):
            beats[0].wait_for(DOUBT)
            wait_until(lambda: any(each.matches(ALARM) for each in beats), SECONDS)
            sent = sent_by(beats)
            beats[0].wait_for(DOUBT, count=len(beats[0].matches(DOUBT)) + 2)
            assert sent_by(beats) == sent
        healed_at = time.monotonic()
        wait_until(lambda: sent_by(beats) > sent + 30, SECONDS)  # those of the outage too

        first = min(at for each in beats for at in each.lines_like(SENT) if at > healed_at)
        assert first - healed_at < 5
    figure(
        f"{kind}, {fault.__name__}: sends again {first - healed_at:.2f} s after the store takes writes again"
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_beats_that_were_all_stopped_for_longer_than_a_lease_go_on(kind, programs, tmp_path):
    lent = servers.own_database("postgres") if kind == "postgres" else _file(tmp_path)
    with lent as url, two_beats(programs, tmp_path, url) as beats:
        for each in beats:
            each.send(signal.SIGSTOP)
        threading.Event().wait(4)  # the fault lasts: it is what is tested, nothing is awaited
        sent = sent_by(beats)
        for each in reversed(beats):
            each.send(signal.SIGCONT)

        wait_until(lambda: sent_by(beats) > sent + 45, SECONDS)  # those of the stop too


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_store_whose_every_answer_takes_long_is_led_and_sent_from(kind, programs, tmp_path):
    """A hundred milliseconds each way."""
    with servers.own_database(kind) as direct_url:
        port = urlsplit(direct_url).port
        with closing(Proxy(port)) as proxy:
            path = tmp_path / "schedules.yaml"
            path.write_text(SCHEDULES)
            url = direct_url.replace(f":{port}/", f":{proxy.port}/")
            arguments = ("-q", "-A", NAME, "-b", f"sqlite:///{tmp_path}/broker.db", "--store", url)
            leader = programs.start(*arguments, "beat", "--lease-ttl", "10", "-s", path)
            leader.wait_for(SENT, count=5)

            proxy.delay(0.1)
            leader.wait_for(SENT, count=len(leader.matches(SENT)) + 100)

            assert len(leader.matches("Leading, epoch")) == 1
            assert leader.matches(DOUBT) == []
            proxy.delay(0)
            leader.end()


@contextmanager
def _file(tmp_path):
    yield f"sqlite:///{tmp_path}/store.db"
