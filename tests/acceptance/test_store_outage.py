"""A beat whose store takes no writes for a while: nothing is sent meanwhile, somebody is told, and it heals by itself."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text

from support import servers
from support.acceptance_tasks import NAME

SENT = r"Scheduler: Sending due task "
DOUBT = "No answer about the lease|The store is in doubt"
SCHEDULES = (
    "schedules: {tick: {every: 100ms, catch_up: all, task: support.acceptance_tasks.add, args: [1, 2]}}\n"
)


@contextmanager
def full_disk(beat, url):
    """No file of the process may grow: what a full disk does to it, without one."""
    before = resource.prlimit(beat.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield
    resource.prlimit(beat.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(beat, url):
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


@pytest.mark.parametrize(("kind", "fault"), [("sqlite", full_disk), ("postgres", read_only)])
def test_a_store_that_takes_no_writes_stops_emission_and_heals(kind, fault, programs, tmp_path, figure):
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    lent = servers.own_database("postgres") if kind == "postgres" else _file(tmp_path)
    with lent as url:
        beat = programs.start(
            "-q", "-A", NAME, "-b", "memory://", "--store", url, "beat", "--lease-ttl", "2", "-s", path
        )
        beat.wait_for(SENT, count=5)

        with fault(beat, url):
            beat.wait_for(DOUBT)
            sent = len(beat.matches(SENT))
            beat.wait_for("ERROR.*No answer about the lease")
            assert len(beat.matches(SENT)) == sent
        healed_at = time.monotonic()
        beat.wait_for(SENT, count=sent + 30)  # those of the outage too

        first = next(at for at in beat.lines_like(SENT) if at > healed_at)
        assert first - healed_at < 5
        assert beat.runs
        beat.end()
    figure(f"{kind}: sends again {first - healed_at:.2f} s after the store takes writes again")


@contextmanager
def _file(tmp_path):
    yield f"sqlite:///{tmp_path}/store.db"
