"""Pruning: what is finished and old goes, and nothing that a beat still needs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.cli.main import main
from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.base import Batch, Fence, Lease, Marks, Move
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.prune import Pruned, Pruning
from backbeat.scheduler.store.tables import Tables
from backbeat.scheduler.store.wiring import open_store
from click.testing import CliRunner
from sqlalchemy import MetaData, text

from support import servers
from support.thorough import in_turn

DAY = 86_400 * SECOND_US
MINUTE = 60 * SECOND_US
NOW = (
    time.time_ns() // 1000 // MINUTE * MINUTE + 60 * MINUTE
)  # so that a slow run does not meet its own boundary
LEADER = Fence("me", 1)
WHAT = {"task": "app.tick"}


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["sqlite"]))
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
    else:
        with servers.own_database(request.param) as url:
            yield url


class World:
    """A store whose entry `tick` fires each day for 200 days; batches of ten are sent but for the one of `unsent`."""

    def __init__(self, url, days=200, unsent=()):
        self.url = url
        self.store = open_store(url, cluster="test")
        assert self.store.swap_lease(self.store.read_lease(), Lease("me", 1, 1, 10_000))
        self.start = NOW - days * DAY
        entry = Entry(name="tick", when=Interval(every=timedelta(days=1)), what=WHAT)
        self.store.reconcile([entry], self.start, LEADER, batch_id=1)
        cursor = self.start
        for number, first in enumerate(range(0, days, 10), 2):
            dues = [self.start + (first + k + 1) * DAY for k in range(10)]
            firings = tuple(regular_firing("test", "tick", due, WHAT, rev=1, batch_id=number) for due in dues)
            skip = Skip("tick", dues[0] - 2, dues[0] - 1, 1, SkipReason.CATCH_UP_NONE)
            move = Move("tick", 1, cursor, dues[-1], dues[-1] + DAY)
            assert self.store.decide(Batch(number, dues[-1], firings, (move,), (skip,)), LEADER).fresh
            if number not in unsent:
                self.store.mark(Marks(batches=(number,), sent_us=dues[-1]))
            cursor = dues[-1]

    def prune(self, days=90, *, dry_run=False):
        engine = open_engine(self.url)
        pruning = Pruning(engine, Tables.on(MetaData()), NOW - days * DAY)
        removed = pruning.count() if dry_run else sum(pruning.run(), start=Pruned())
        engine.dispose()
        return removed

    def rows(self):
        engine = open_engine(self.url)
        with engine.connect() as conn:
            counts = [
                conn.execute(text(f"SELECT count(*) FROM bb_{n}")).scalar()
                for n in ("firing", "batch", "skip")
            ]
        engine.dispose()
        return Pruned(firings=counts[0], batches=counts[1], skips=counts[2])


def test_what_is_older_goes_with_its_batches_and_skips_and_the_rest_stays(url):
    world = World(url)

    counted = world.prune(dry_run=True)
    assert world.rows() == Pruned(firings=200, batches=20, skips=20)
    removed = world.prune()

    assert removed == counted == Pruned(firings=100, batches=10, skips=11)
    assert world.rows() == Pruned(firings=100, batches=10, skips=9)
    assert world.prune() == Pruned()
    world.store.close()


def test_an_open_batch_stays_with_all_its_firings_and_can_be_sent(url):
    world = World(url, unsent={3})

    assert world.prune() == Pruned(firings=90, batches=9, skips=11)

    assert len(world.store.load_open(LEADER, 100).firings) == 10
    world.store.close()


def test_what_lies_after_the_cursor_of_its_entry_stays_and_is_not_decided_again(url):
    world = World(url)
    back_to = world.start + 15 * DAY
    world.store.rewind(back_to, LEADER)

    assert world.prune() == Pruned(firings=15, batches=1, skips=2)

    again = [back_to + k * DAY for k in range(1, 6)]
    firings = tuple(regular_firing("test", "tick", due, WHAT, rev=1, batch_id=99) for due in again)
    batch = Batch(99, NOW, firings, (Move("tick", 1, back_to, again[-1], again[-1] + DAY),))
    assert world.store.decide(batch, LEADER).fresh == ()
    world.store.close()


def test_firings_of_an_entry_that_is_gone_from_the_table_go_too(url):
    world = World(url)
    engine = open_engine(url)
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM bb_entry"))
    engine.dispose()

    assert world.prune(days=-10) == Pruned(firings=200, batches=20, skips=20)
    world.store.close()


def run(url, *arguments):
    done = CliRunner().invoke(main, ["--store", url, "--json", *arguments])
    return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr


def test_the_command_counts_and_removes(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    world = World(url)
    world.store.close()

    code, counted = run(url, "db", "prune", "--dry-run", "--older-than", "90d")
    assert (code, counted) == (0, {"firings": 100, "batches": 10, "skips": 11, "dry_run": True})
    code, removed = run(url, "db", "prune")

    assert (code, removed) == (0, {**counted, "dry_run": False})
    assert run(url, "db", "current")[1]["version"] == run(url, "db", "current")[1]["needed"]
    assert replace(world.rows(), skips=0) == Pruned(firings=100, batches=10)


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    for command in (("db", "prune"), ("db", "current"), ("db", "upgrade")):
        code, said = run(f"sqlite:///{tmp_path}/none.db", *command)

        assert code == 2
        assert "there is no store" in said
    assert list(tmp_path.iterdir()) == []
