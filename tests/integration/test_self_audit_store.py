"""The self-audit over real stores: a busy history shows no difference, and a row that somebody takes away is named."""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler import auditor as auditor_module
from backbeat.scheduler.auditor import Auditor
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Crontab, Interval
from backbeat.scheduler.self_audit import DifferenceKind
from backbeat.scheduler.store.audit_reader import AuditReader
from backbeat.scheduler.store.base import StoreDown, StoreRefused
from backbeat.scheduler.store.store_reader import StoreReader, open_reading
from backbeat.scheduler.store.tables import Tables
from backbeat.scheduler.store.wiring import open_store
from sqlalchemy import MetaData, delete, insert, select, update

from support import servers
from support.thorough import in_turn

START = 1_700_000_000 * SECOND_US
SECONDS = 20.0
SEEDS = int(os.environ.get("BACKBEAT_AUDIT_SEEDS", "4"))
"""Random histories; more of them with `make test-all`."""
numbers = itertools.count()


class Gone:
    """Every other holder's process has ended."""

    def look(self, _holder):
        return Sighting.GONE

    def end(self, _holder):
        raise AssertionError("nothing is frozen here")


class World:
    """One store, one clock; beats come and go, and so do the entries of the files."""

    def __init__(self, url):
        self.url = url
        self.store = open_store(url, cluster="test")
        self.clock = FakeClock(START)
        self.wanted = []
        self.changed = False
        self.running = None
        self.engine = open_reading(url)
        self.rounds = []
        self.auditor = Auditor(
            lambda: AuditReader(self.engine), self.rounds.append, now=lambda: self.clock.now_us() / SECOND_US
        )

    def start(self):
        """A new beat, by another holder."""
        holder = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(next(numbers)))
        elector = Elector(self.store, self.clock, holder, Gone(), ttl_seconds=10.0)
        self.changed = True
        self.running = Beat(
            self.store, MemoryOutlet(), self.clock, elector, cluster="test", entries_source=self._source
        )
        self.run(0.1)
        return self

    def _source(self):
        changed, self.changed = self.changed, False
        return tuple(self.wanted) if changed else None

    def want(self, *entries):
        self.wanted, self.changed = list(entries), True

    def run(self, seconds):
        end_us = self.clock.now_us() + round(seconds * SECOND_US)
        while self.clock.now_us() < end_us:
            self.clock.wait(min(self.running.step(), (end_us - self.clock.now_us()) / SECOND_US))
        while self.running.step() == 0:
            pass

    def differences(self):
        return self.auditor.audit().differences

    def change(self, statement):
        """As somebody with a SQL prompt does."""
        with self.store._engine.begin() as conn:
            return conn.execute(statement).rowcount

    def close(self):
        self.store.close()
        self.engine.dispose()


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["sqlite"]))
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/b.db"
    else:
        with servers.own_database(request.param) as found:
            yield found


@pytest.fixture
def world(url):
    made = World(url)
    yield made
    made.close()


@pytest.fixture
def quick(tmp_path):
    made = World(f"sqlite:///{tmp_path}/b.db")
    yield made
    made.close()


def entry(name, **known):
    known.setdefault("when", Interval(every=timedelta(seconds=10)))
    return Entry(name=name, what={"task": "t"}, **known)


FIRING = Tables.on(MetaData()).firing
SKIP = Tables.on(MetaData()).skip
REVISION = Tables.on(MetaData()).revision


# --- what is named -------------------------------------------------------------------------------------------------------------


def test_a_row_that_is_taken_away_is_named_at_the_next_round_until_it_is_back(world, caplog):
    world.want(entry("a"), entry("b"), entry("Ä"))
    world.start().run(600)
    assert world.differences() == ()
    due_us = START + 300 * SECOND_US

    assert world.change(delete(FIRING).where(FIRING.c.entry == "b", FIRING.c.due_us == due_us)) == 1
    with caplog.at_level(logging.INFO, auditor_module.__name__):
        found = world.differences()
        again = world.differences()

    assert [(each.entry, each.due_us, each.kind) for each in found] == [("b", due_us, DifferenceKind.MISSING)]
    assert again == found
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].getMessage() == (
        "Entry b: the ledger differs from its schedule: 2023-11-14T22:18:20+00:00 was a fire time of revision 1, and neither a "
        "firing nor a skip is recorded for it"
    )

    row = {
        "due_us": due_us,
        "entry": "b",
        "kind": "regular",
        "key": str(due_us),
        "task_id": "x",
        "rev": 1,
        "batch_id": 1,
    }
    world.change(insert(FIRING).values(row))
    assert world.differences() == ()


def test_a_row_that_is_moved_is_named_twice(world):
    world.want(entry("a"))
    world.start().run(60)

    moved = START + 30 * SECOND_US
    world.change(update(FIRING).where(FIRING.c.due_us == moved).values(due_us=moved + 1))

    assert [(each.due_us, each.kind) for each in world.differences()] == [
        (moved, DifferenceKind.MISSING),
        (moved + 1, DifferenceKind.EXTRA),
    ]


def test_a_skip_record_that_is_taken_away_is_named(world):
    world.want(entry("a", catch_up=CatchUp.NONE))
    world.start().run(60)
    world.clock.advance(1800)  # nobody runs
    world.start().run(20)
    assert world.differences() == ()

    assert world.change(delete(SKIP)) == 1
    found = world.differences()

    assert found
    assert {each.entry for each in found} == {"a"}


def test_a_skip_record_that_began_before_the_hour_is_found(world):
    world.want(entry("a", catch_up=CatchUp.NONE))
    world.start().run(60)
    world.clock.advance(2 * 3600)
    world.start().run(20)

    assert world.differences() == ()


def test_what_is_older_than_the_hour_is_not_looked_at(quick):
    quick.want(entry("a", when=Interval(every=timedelta(minutes=5)), catch_up=CatchUp.ALL))
    quick.start()
    quick.clock.advance(3000)
    quick.run(1)
    assert quick.change(delete(FIRING).where(FIRING.c.due_us < START + 400 * SECOND_US)) == 1
    assert len(quick.differences()) == 1

    quick.clock.advance(1800)
    quick.run(1)

    assert quick.differences() == ()


def test_an_entry_that_cannot_be_read_is_counted_and_keeps_nothing_from_the_others(quick):
    quick.want(entry("a"), entry("b"))
    quick.start().run(60)
    quick.change(update(REVISION).where(REVISION.c.entry == "a").values(spec="{"))
    quick.change(delete(FIRING).where(FIRING.c.entry == "b", FIRING.c.due_us == START + 20 * SECOND_US))

    audit = quick.auditor.audit()

    assert (audit.entries, audit.unreadable, len(audit.differences)) == (1, 1, 1)


# --- what is not ---------------------------------------------------------------------------------------------------------------


def test_an_entry_that_was_removed_for_a_while_owes_nothing_of_that_while(world):
    world.want(entry("a"), entry("b"))
    world.start().run(60)
    world.want(entry("b"))
    world.run(300)
    world.want(entry("a"), entry("b"))
    world.run(60)

    assert world.differences() == ()


WHENS = [
    *(Interval(every=timedelta(seconds=seconds)) for seconds in (3, 7, 20, 90, 400)),
    Crontab(expression="* * * * *"),
    Crontab(expression="*/7 * * * *", timezone="Asia/Kathmandu"),
    Crontab(expression="13,14 22 * * *"),
]


def drawn(draw, name):
    """An entry of that name, of any kind."""
    now_us = START + draw.randrange(3600) * SECOND_US
    return Entry(
        name=name,
        when=draw.choice(WHENS),
        what={"task": draw.choice("tuv")},
        enabled=draw.random() < 0.85,
        catch_up=draw.choice(list(CatchUp)),
        catch_up_limit=draw.choice([1, 5, 1000]),
        catch_up_window_us=draw.choice([None, 60 * SECOND_US, 900 * SECOND_US]),
        grace_us=draw.choice([SECOND_US, 60 * SECOND_US]),
        max_runs=draw.choice([None, None, None, 5, 50]),
        end_us=draw.choice([None, None, None, now_us]),
        jitter_us=draw.choice([0, SECOND_US]),
    )


def take_one_away(world, draw):
    """Delete a row of the last hour that has a younger one of its entry and revision; its entry and fire time, if there is one."""
    since_us = world.clock.now_us() - 3_500 * SECOND_US
    with world.engine.connect() as conn:
        rows = conn.execute(
            select(FIRING.c.entry, FIRING.c.rev, FIRING.c.due_us).where(FIRING.c.due_us > since_us)
        ).all()
    newest = {(row.entry, row.rev): row.due_us for row in sorted(rows, key=lambda row: row.due_us)}
    older = [row for row in rows if row.due_us < newest[row.entry, row.rev]]
    if not older:
        return None
    gone = draw.choice(older)
    assert (
        world.change(delete(FIRING).where(FIRING.c.entry == gone.entry, FIRING.c.due_us == gone.due_us)) == 1
    )
    return gone.entry, gone.due_us


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_busy_history_shows_no_difference_until_one_row_is_taken_away(quick, seed):
    """Edits of all kinds, outages long and short, beats that follow each other, the clock set forward and a little back."""
    draw = random.Random(seed)
    world = quick
    world.want(*(drawn(draw, f"e{number}") for number in range(6)))
    world.start()
    for _ in range(20):
        match draw.randrange(8):
            case 0:
                world.clock.advance(draw.choice([5, 70, 1000, 5000]))
            case 1:
                world.running.retire()
                world.start()
            case 2:
                world.clock.step_wall(draw.choice([-20, -2, 3, 100]))
            case 3:
                kept = [each for each in world.wanted if draw.random() < 0.8]
                world.want(*kept)
            case 4:
                names = {each.name for each in world.wanted}
                world.want(*world.wanted, *(drawn(draw, f"e{n}") for n in range(6) if f"e{n}" not in names))
            case 5 if world.wanted:
                odd = draw.randrange(len(world.wanted))
                changed = [*world.wanted]
                changed[odd] = drawn(draw, changed[odd].name)
                world.want(*changed)
            case 6 if world.wanted:
                odd = draw.randrange(len(world.wanted))
                changed = [*world.wanted]
                due_us = changed[odd].next_after(world.clock.now_us())
                changed[odd] = replace(changed[odd], skip_us=() if due_us is None else (due_us,))
                world.want(*changed)
            case _:
                pass
        world.run(draw.choice([1, 10, 40]))

        assert world.differences() == (), f"seed {seed}"

    gone = take_one_away(world, draw)
    assert [(each.entry, each.due_us) for each in world.differences()] == ([] if gone is None else [gone])


def test_many_rows_are_read_in_windows_and_many_entries_in_pages(quick, monkeypatch):
    monkeypatch.setattr(auditor_module, "ROWS", 100)
    monkeypatch.setattr(auditor_module, "ENTRIES", 4)
    quick.want(*(entry(f"e{number:02}") for number in range(10)))
    quick.start().run(600)
    gone = [START + 10 * SECOND_US, START + 300 * SECOND_US, START + 600 * SECOND_US]
    assert quick.differences() == ()

    for number, due_us in enumerate(gone):
        name = f"e{number * 4:02}"
        assert quick.change(delete(FIRING).where(FIRING.c.entry == name, FIRING.c.due_us == due_us)) == 1
    audit = quick.auditor.audit()

    assert [(each.entry, each.due_us) for each in audit.differences] == [
        ("e00", gone[0]),
        ("e04", gone[1]),
        ("e08", gone[2]),
    ]
    assert audit.entries == 10


# --- its thread ----------------------------------------------------------------------------------------------------------------


def test_it_works_while_its_beat_leads_and_no_longer(quick):
    quick.want(entry("a"))
    quick.start().run(60)
    told = threading.Semaphore(0)
    auditor = Auditor(
        lambda: AuditReader(quick.engine),
        lambda _audit: told.release(),
        now=lambda: quick.clock.now_us() / SECOND_US,
        round_seconds=0.0,
    )
    try:
        auditor.passed(leads=False)
        assert auditor._thread is None
        auditor.passed(leads=True)
        assert told.acquire(timeout=SECONDS)
        auditor.standby()
        while told.acquire(timeout=1.5):
            pass
        auditor.passed(leads=True)
        assert told.acquire(timeout=SECONDS)
    finally:
        auditor.close()
    assert not auditor._thread.is_alive()


def test_a_store_that_is_away_is_tried_again(quick, caplog):
    quick.want(entry("a"))
    quick.start().run(60)
    told, tries = threading.Event(), []

    def open_reader():
        tries.append(1)
        if len(tries) == 1:
            raise StoreDown("the store does not answer")
        return AuditReader(quick.engine)

    auditor = Auditor(
        open_reader,
        lambda _audit: told.set(),
        now=lambda: quick.clock.now_us() / SECOND_US,
        round_seconds=0.0,
    )
    auditor.passed(leads=True)
    try:
        assert told.wait(SECONDS)
    finally:
        auditor.close()
    assert "The self-audit waits: the store does not answer" in caplog.text


# --- what health and status read -----------------------------------------------------------------------------------------------


def test_the_store_says_who_leads_what_is_there_and_what_comes_next(world):
    world.want(entry("a"), entry("b", when=Interval(every=timedelta(hours=1))), entry("c", enabled=False))
    world.start().run(60)
    reader = StoreReader(world.engine)

    lease, counts = reader.lease(), reader.counts()

    assert (lease.holder, lease.epoch) == (world.store.read_lease().holder, 1)
    assert (counts.entries, counts.upcoming, counts.open_firings) == (3, 2, 0)
    assert [(each.entry, each.next_us) for each in reader.upcoming(1)] == [("a", START + 70 * SECOND_US)]


def test_a_database_without_the_tables_is_named_as_such(tmp_path):
    (tmp_path / "bare.db").write_bytes(b"")
    reader = StoreReader(open_reading(f"sqlite:///{tmp_path}/bare.db"))

    with pytest.raises(StoreDown, match="no tables yet: no beat has run with it"):
        reader.lease()


def test_reading_what_is_no_store_is_refused_with_what_to_write():
    with pytest.raises(StoreRefused, match=r'"foo" is no store: use sqlite:///'):
        open_reading("foo://user:secret@host/db")


def test_reading_makes_no_store(tmp_path):
    with pytest.raises(Exception, match="there is no store at"):
        open_reading(f"sqlite:///{tmp_path}/none.db")

    assert list(tmp_path.iterdir()) == []
