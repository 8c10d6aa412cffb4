"""Two beats whose store takes no writes for a while: nothing is sent meanwhile, somebody is told, and it heals by itself.

And the other way round: beats that are all stopped for longer than a lease, and a store whose every answer takes its time.
"""

from __future__ import annotations

import math
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
from support.processes import SECONDS, own_clocks, wait_until, why_no_own_clocks
from support.proxy import Proxy
from support.thorough import in_turn

SENT = r"Scheduler: Sending due task "
ALARM = "ERROR.*No answer about the lease"
PERIOD_US = 100_000
HINT_SECONDS = 3
"""Far less than the lease of that test, and more than it takes on a machine that does something else, too (0.1 to 0.3 s)."""
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
def two_beats(programs, tmp_path, url, *, ttl=2, hosts=1, survivors=2):
    """A leader and a standby; in the end the ledger holds each fire time once, and all of them were sent.

    `hosts` 2: their clocks differ, and neither knows of the other's process.
    """
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    arguments = ("-q", "-A", NAME, "-b", f"sqlite:///{tmp_path}/broker.db", "--store", url)
    arguments += ("beat", "--lease-ttl", ttl, "-s", path)
    leader = programs.start(*arguments)
    leader.wait_for(SENT, count=5)
    standby = programs.start(*arguments, launcher=own_clocks(86_400) if hosts > 1 else ())
    standby.wait_for("Standing by")
    yield leader, standby
    running = [each for each in (standby, leader) if each.runs]
    # on SQLite a leader that shows no life is ended, also if its standby woke a moment before it
    assert len(running) == survivors - ("Ended the frozen leader" in standby.text)
    for each in running:  # in order: who is killed between sending and marking leaves a firing open
        each.send(signal.SIGTERM)
        assert each.wait() == 0
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


@pytest.mark.parametrize("kind", in_turn(["sqlite", "postgres"], always=["postgres"]))
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


@pytest.mark.parametrize("kind", in_turn(["postgres", "mariadb"], always=["postgres"]))
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


@pytest.mark.parametrize("seconds", [0, 0.8])
@pytest.mark.parametrize("kind", in_turn(["postgres", "mariadb"], always=["postgres"]))
def test_a_leader_that_is_killed_just_after_its_store_was_away_is_followed_by_its_hint(
    kind, seconds, programs, tmp_path, figure
):
    """The store is silent, then all connections turn out to be dead: the leader's lock is gone, and the standby hears nothing of it."""
    if why := why_no_own_clocks():
        pytest.skip(
            f"no time namespace can be made here, and a standby sees by the process that its leader ended: {why}"
        )
    with servers.own_database(kind) as direct_url:
        port = urlsplit(direct_url).port
        with closing(Proxy(port)) as proxy:
            url = direct_url.replace(f":{port}/", f":{proxy.port}/")
            with two_beats(programs, tmp_path, url, ttl=10, hosts=2, survivors=1) as beats:
                proxy.silence()
                threading.Event().wait(seconds)  # the fault lasts: it is what is tested, nothing is awaited
                proxy.cut()
                back_at = time.monotonic()
                proxy.open_door()
                wait_until(lambda: any(_first_after(each, back_at) for each in beats), SECONDS)
                leader, standby = sorted(beats, key=lambda each: _first_after(each, back_at) or math.inf)
                killed_at = time.monotonic()
                leader.send(signal.SIGKILL)

                gap = wait_until(lambda: _first_after(standby, killed_at), SECONDS) - killed_at

    assert gap < HINT_SECONDS
    figure(f"killed {killed_at - back_at:.2f} s after the store was back, followed after {gap:.2f} s")


def _first_after(beat, instant):
    return next((at for at in beat.lines_like(SENT) if at > instant), None)


@contextmanager
def _file(tmp_path):
    yield f"sqlite:///{tmp_path}/store.db"
