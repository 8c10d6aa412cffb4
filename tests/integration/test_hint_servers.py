"""The crash hint on servers: locks of sessions, connections that are cut, and a pooler between."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest
from backbeat.canvas.holder import LocalProcesses
from backbeat.scheduler.clock import SystemClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.lease_info import LeaseInfo
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.hint_sql import SqlHint
from backbeat.scheduler.store.wiring import open_for_beat
from sqlalchemy import text

from support import servers
from support.processes import wait_until


@pytest.fixture(params=["postgres", "mariadb"])
def url(request):
    with servers.own_database(request.param) as url:
        yield url


@pytest.fixture
def hints(url):
    pair = SqlHint(open_engine(url)), SqlHint(open_engine(url))
    yield pair
    for hint in pair:
        hint.close()


def test_a_key_is_held_by_one_session_and_free_when_it_ends(hints):
    mine, other = hints

    assert other.is_free("1-a")
    assert mine.hold("1-a")
    assert mine.hold("1-a")
    assert not other.hold("1-a")
    assert not other.is_free("1-a")
    mine.close()
    wait_until(lambda: other.is_free("1-a"), 5)


def test_a_later_key_replaces_the_earlier_one(hints):
    mine, other = hints
    mine.hold("1-a")

    assert mine.hold("2-a")

    wait_until(lambda: other.is_free("1-a"), 5)
    assert not other.is_free("2-a")
    mine.drop()
    assert other.is_free("2-a")


def test_a_lock_whose_connection_was_cut_is_held_again_at_once(hints, url):
    mine, other = hints
    mine.hold("1-a")
    cut_all(url)
    wait_until(lambda: other.is_free("1-a"), 5)

    assert mine.hold("1-a")

    assert not other.is_free("1-a")


def test_a_standby_whose_connection_was_cut_holds_at_once_what_it_takes(hints, url):
    mine, _ = hints
    assert mine.is_free("1-a")
    cut_all(url)

    assert mine.hold("1-a")


def test_a_server_that_does_not_answer_makes_no_hint_and_no_fault():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    hint = SqlHint(open_engine(f"postgresql://x@127.0.0.1:{port}/x"))

    assert not hint.hold("1-a")
    assert not hint.is_free("1-a")
    hint.close()


def cut_all(url):
    if url.startswith("postgres"):
        servers.cut_database(url)
        return
    engine = open_engine(url)
    with engine.connect() as conn:
        query = text("SELECT id FROM information_schema.processlist WHERE db = :db AND id <> CONNECTION_ID()")
        for (number,) in conn.execute(query, {"db": url.rpartition("/")[2]}).all():
            conn.exec_driver_sql(f"KILL {number}")
    engine.dispose()


# --- a pooler --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pooled_url(tmp_path):
    """A PostgreSQL database behind PgBouncer in transaction mode, with one server connection for all."""
    program = (
        os.environ.get("BACKBEAT_TEST_PGBOUNCER")
        or shutil.which("pgbouncer")
        or shutil.which("/usr/sbin/pgbouncer")
    )
    if program is None:
        servers.missing["pgbouncer"] = "not installed"
        pytest.skip("NO PGBOUNCER: the store is not tested behind it")
    with servers.own_database("postgres") as url, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        name = url.rpartition("/")[2]
        settings = tmp_path / "pgbouncer.ini"
        (tmp_path / "users.txt").write_text('"postgres" ""\n')
        settings.write_text(
            f"[databases]\n{name} = host=127.0.0.1 port=5432 dbname={name} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nauth_file = {tmp_path}/users.txt\n"
            "pool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\nignore_startup_parameters = extra_float_digits\n"
        )
        settings.chmod(0o644)
        tmp_path.chmod(0o755)
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        bouncer = subprocess.Popen([program, "-q", *as_user, str(settings)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _listens(port), 10)
            yield f"postgresql://postgres@127.0.0.1:{port}/{name}"
        finally:
            bouncer.terminate()
            bouncer.wait()


def _listens(port):
    with socket.socket() as conn:
        return conn.connect_ex(("127.0.0.1", port)) == 0


def test_behind_a_pooler_that_shares_sessions_the_hint_is_off_and_says_so(pooled_url, caplog):
    processes, clock = LocalProcesses(), SystemClock()
    pair = [open_for_beat(pooled_url, lease_ttl_seconds=2) for _ in range(2)]
    leader, standby = (
        Elector(each.store, clock, processes.myself(), processes, ttl_seconds=2, hint=each.hint)
        for each in pair
    )

    for _ in range(20):  # statements that were prepared on one session would be missing on the other
        assert leader.hold().epoch == 1
        assert standby.hold() is None
        clock.wait(0.05)
        assert pair[0].store.load(None) is not None

    assert not LeaseInfo.parse(pair[0].store.read_lease().info).hint
    assert "pooler" in caplog.text
    begun = time.monotonic()
    while (term := standby.hold()) is None and time.monotonic() < begun + 10:
        clock.wait(standby.next_look())
    assert term.epoch == 2
    assert time.monotonic() - begun >= 1
    for each in pair:
        each.close()
    clock.close()
