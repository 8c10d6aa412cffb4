"""Crash points: the real loop, ended before and after every effect, and at every pair of effects; the ledger must hold after each.

An effect is a call on the store, on the registry of operators' orders, on the broker. One scenario has everything that an entry can
have: catching up in each way, overlap in each way, at most once, max_runs, jitter, a pause, a change, a reload, a backfill. It is run
once without faults to count its effects, then once for each point: the process ends there, another one takes over, time goes on, and
the checker of the simulation judges. All pairs take long: the suite takes a sample by seed, BACKBEAT_CRASH_PAIRS=all (`make crashes`) takes all.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import random
import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest
from backbeat.scheduler.backfill import Backfill
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap
from backbeat.scheduler.order import Change, Pause, Resume
from backbeat.scheduler.published import OutletDown
from backbeat.scheduler.schedule import Crontab, Interval
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.registry_wiring import registry_of
from backbeat.scheduler.store.sql import SqlStore
from backbeat.scheduler.store.wiring import open_engine
from sqlalchemy import MetaData, event

from simulation.books import SqlBooks
from simulation.fault import FaultKind
from simulation.node import BROKER, Crash
from simulation.setting import Setting
from simulation.world import World

START = 1_774_000_020 * SECOND_US
ACTIVE, ASLEEP, AWAKE_AGAIN = 5.4, 70.0, 3.3
"""Seconds: of the scenario proper, of a stop that makes everybody late, and of catching up."""
ALL = os.environ.get("BACKBEAT_CRASH_PAIRS") == "all"
SEED = int(os.environ.get("BACKBEAT_SEED", "1"))
PAIRS = 300 if ALL else int(os.environ.get("BACKBEAT_CRASH_PAIRS", "150"))
DOUBTS = 90
SETTING = Setting(
    start_us=START, nodes=1, one_host=True, sender_takes_time=False, jumps=False, calm_seconds=6.0
)


def entry(name, seconds, **more):
    given = {"catch_up": CatchUp.LATEST, "grace_us": 2 * SECOND_US, "what": {"task": f"app.{name}"}} | more
    when = given.pop("when", None) or Interval(every=timedelta(seconds=seconds))
    end_us = START + round((ACTIVE + ASLEEP + AWAKE_AGAIN) * SECOND_US)
    return Entry(name=name, when=when, end_us=end_us, **given)


def entries():
    late = {"catch_up": CatchUp.ALL, "catch_up_limit": 3}
    short = {"overlap_timeout_us": 3 * SECOND_US}
    return [
        entry("latest", 1),
        entry("all", 2, **late),
        entry("none", 3, catch_up=CatchUp.NONE),
        entry("skips", 1, overlap=Overlap.SKIP, **short),
        entry("queues", 1, overlap=Overlap.QUEUE, **short),
        entry("cancels", 2, overlap=Overlap.CANCEL, **short),
        entry("once", 2, delivery=Delivery.AT_MOST_ONCE, **late),
        entry("limited", 1, max_runs=4),
        entry("jittered", 2, jitter_us=900_000),
        entry("cron", 0, when=Crontab(expression="*/2 * * * * *", fields=6, timezone="Asia/Kathmandu")),
        entry("paused", 1),
        entry("leaves", 1, **late),
        entry("expires", 2, what={"task": "app.expires", "options": {"expires": 1.5}}),
        entry("poison", 3, what={"task": "app.poison"}),
    ]


class SqliteWorld(World):
    """The same world over a SQLite file."""

    def _registry(self):
        registry, records, chores = registry_of(self.store)
        return SimpleNamespace(
            backfill=registry.backfill,
            running=chores.running,
            advance=chores.advance,
            first_end_us=chores.first_end_us,
            lift=chores.lift,
            get=records.get,
        )

    def _books(self):
        return SqlBooks(self.store)

    @property
    def leader(self):
        return None


class Scenario:
    """The script, over a new world each time. `doomed`: the effects, counted from 0, at which something happens."""

    def __init__(self, make_world):
        self._make_world = make_world

    def play(self, doomed=(), doubted=()):
        """(the world at its end, the names of the effects that came up)."""
        effects = []

        def strike(node, name, when):
            number = len(effects)
            effects.append((name, when))
            now_us = node.world.timeline.now_us
            if number in doomed:
                node.world.faults.note(FaultKind.CRASH, now_us, None, 3.0)
                raise Crash(node)
            if number in doubted:
                node.world.faults.note(FaultKind.LOST_ANSWER, now_us, None, 3.0)
                raise OutletDown("cut") if name in BROKER else StoreDown("cut")

        world = self._make_world(strike)
        world.restart_seconds = lambda: 0.2
        for seconds, happens in self._operators(world):
            world.timeline.within(seconds, happens)
        world.timeline.within(ACTIVE, lambda: self._sleep(world))
        world.nodes[0].start()
        world.run(ACTIVE + ASLEEP + AWAKE_AGAIN)
        return world, effects

    @staticmethod
    def _sleep(world):
        world.faults.note(FaultKind.CRASH, world.timeline.now_us)
        world.restart_seconds = lambda: ASLEEP
        world.nodes[0].crash()
        world.restart_seconds = lambda: 0.2

    @staticmethod
    def _operators(world):
        def backfill():
            if "all" not in world.books.entries():
                world.timeline.within(0.5, backfill)  # nobody has come to apply the file yet
                return
            wish = {"from_us": START - 3 * SECOND_US, "to_us": START + SECOND_US}
            world.registry.backfill(Backfill(id="a backfill", entry="all", actor="operator", **wish))

        def reload():
            known = [each for each in entries() if each.name != "leaves"]
            known[0] = entry("latest", 1, what={"task": "app.reloaded"})
            known[1] = entry("all", 1, catch_up=CatchUp.ALL, catch_up_limit=3)
            world.files.write([*known, entry("comes", 1)])

        yield 1.4, backfill
        yield 2.6, reload
        if hasattr(world.registry, "edit"):
            yield from Scenario._edits(world)

    @staticmethod
    def _edits(world):
        def order(name, what):
            def happens():
                if name in world.store._entries:
                    world.registry.edit(name, what, actor="operator")
                    world.history.entries_may_differ()

            return happens

        yield 1.7, order("paused", Pause(reason="a test"))
        yield 3.7, order("paused", Resume())
        yield 4.2, order("skips", Change(changes={"what": {"task": "app.changed"}}))


def judged(world):
    """What is wrong at the end, if anything."""
    return world.judge().violations()


@pytest.fixture(autouse=True)
def quiet(caplog):
    """A thousand ends of beats are a thousand times the same lines."""
    caplog.set_level(logging.CRITICAL, logger="backbeat")


@pytest.fixture
def memory():
    return Scenario(lambda strike: World(SETTING, entries(), SEED, strikes=strike))


@pytest.fixture
def sqlite(tmp_path):
    opened, numbers = [], itertools.count()
    template = tmp_path / "template.db"
    store = SqlStore(open_engine(f"sqlite:///{template}"), MetaData(), World.cluster)
    store.create()
    store.close()

    def make(strike):
        while opened:
            opened.pop().close()
        gc.collect()  # the traceback of a crash holds a cursor, and SQLite its lock with it
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(template, path)
        engine = open_engine(f"sqlite:///{path}")
        # The crashes here are of processes, not of machines: what the kernel has is safe.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        opened.append(SqlStore(engine, MetaData(), World.cluster))
        return SqliteWorld(SETTING, entries(), SEED, store=opened[-1], strikes=strike)

    yield Scenario(make)
    for each in opened:
        each.close()


def test_the_scenario_has_every_effect_and_every_end_of_a_firing(memory):
    world, effects = memory.play()

    assert judged(world) == []
    names = {name for name, _ in effects}
    assert names >= {
        "swap_lease",
        "load",
        "reconcile",
        "decide",
        "settle",
        "load_open",
        "mark",
        "publish",
        "reach",
    }
    assert names >= {"running", "advance", "get", "first_end_us", "latest_cursor_us"}
    assert {row.state.name for row in world.books.rows().values()} >= {"SENT", "SKIPPED", "FAILED"}
    assert {skip.reason.name for skip in world.books.skips()} >= {
        "CATCH_UP_NONE",
        "SUPERSEDED",
        "LIMIT",
        "OVERLAP",
    }
    assert {key.kind for key in world.books.rows()} == {"regular", "backfill"}
    assert all(len(copies) == 1 for copies in world.broker.deliveries.values()), "a fault-free run sends once"


def test_a_crash_at_every_effect_leaves_a_clean_ledger(memory):
    _, effects = memory.play()

    for number, (name, when) in enumerate(effects):
        world, _ = memory.play({number})
        assert judged(world) == [], f"crash {when} {name}, effect {number}"

    print(f"crash points: {len(effects)} covered")


@pytest.mark.timeout(86_400 if ALL else max(120, PAIRS // 5))
def test_a_crash_at_every_pair_of_effects_leaves_a_clean_ledger(memory):
    """The second crash is at an effect of those who took over, or much later: both are counted on one line of effects."""
    draw, covered, pairs = random.Random(SEED), 0, 0
    _, effects = memory.play()
    for first in range(len(effects)):
        world, followed = memory.play({first}) if ALL else (None, effects)
        seconds = range(first + 1, len(followed))
        pairs += len(seconds)
        share = 1.0 if ALL else PAIRS / (len(effects) * len(effects) / 2)
        for second in seconds:
            if draw.random() < share:
                world, _ = memory.play({first, second})
                assert judged(world) == [], f"crashes at effects {first} and {second} of seed {SEED}"
                covered += 1

    print(f"pairs of crash points: {covered:,} of some {pairs:,} covered, seed {SEED}")
    assert covered > PAIRS / 2


@pytest.mark.timeout(600)
def test_a_lost_answer_and_then_a_crash_leave_a_clean_ledger(memory):
    draw = random.Random(SEED)
    _, effects = memory.play()
    for number in range(0, len(effects), 1 if ALL else max(1, len(effects) // DOUBTS)):
        second = draw.randrange(number + 1, len(effects) + 1)
        world, _ = memory.play({second}, {number})
        assert judged(world) == [], f"lost answer at effect {number}, crash at {second}, seed {SEED}"


@pytest.mark.timeout(600)
def test_a_crash_at_effects_of_a_sqlite_store_leaves_a_clean_ledger(sqlite):
    draw = random.Random(SEED)
    world, effects = sqlite.play()
    assert judged(world) == []
    numbers = range(len(effects)) if ALL else sorted(draw.sample(range(len(effects)), 30))

    for number in numbers:
        second = draw.randrange(number + 1, len(effects) + 40)
        world, _ = sqlite.play({number, second})
        assert judged(world) == [], (
            f"crashes at effects {number} and {second}, {effects[number]}, seed {SEED}"
        )

    print(f"crash points on SQLite: {len(numbers)} of {len(effects)} covered, with a second crash each")
