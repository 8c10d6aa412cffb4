"""Older schedules files never undo newer ones, and the beat with the newest is handed the lead."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import Entry
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.source import FilesSource
from backbeat.scheduler.store.base import FENCED, Fence, Lease
from backbeat.scheduler.store.serials import Serial
from backbeat.scheduler.store.wiring import open_for_beat
from backbeat.scheduler.succession import HAND_OVER_SECONDS, Succession

from support import servers

numbers = itertools.count()


class Files:
    """Schedules files of one host, of a version that the test sets."""

    def __init__(self, serial, *names):
        self.put(serial, *names)

    def put(self, serial, *names):
        self.serial, self.digest = serial, ",".join(names)
        self.fresh = [
            Entry(name=name, when=Interval(every=timedelta(minutes=1)), what={"task": name}) for name in names
        ]

    def __call__(self):
        fresh, self.fresh = self.fresh, None
        return fresh


class Strangers:
    def look(self, holder):
        return Sighting.UNKNOWN

    def end(self, holder):
        raise AssertionError("nobody is to be ended")


class World:
    def __init__(self, url):
        self.url, self.clock, self.opened = url, FakeClock(), []
        self.store = self.open().store
        self.refused = []

    def open(self):
        self.opened.append(open_for_beat(self.url, cluster="test"))
        return self.opened[-1]

    def beat(self, files):
        opened = self.open()
        me = Holder(host="h", host_id="", pid=1, started=1, nonce=str(next(numbers)))
        succession = Succession(
            files, opened.serials, self.clock, str(me), leads=lambda: beat.leads, refused=self.refused.extend
        )
        elector = Elector(
            opened.store, self.clock, me, Strangers(), hint=opened.hint, fit=succession.is_willing
        )
        beat = Beat(
            opened.store,
            MemoryOutlet(),
            self.clock,
            elector,
            cluster="test",
            entries_source=succession,
            may_apply=succession.may_apply,
        )
        return beat

    def run(self, *beats, seconds=3.0):
        """Passes of all, a tenth of a second apart; the most that led at the same time."""
        most = 0
        for _ in range(round(seconds * 10)):
            for beat in beats:
                beat.step()
            most = max(most, sum(beat.leads for beat in beats))
            self.clock.advance(0.1)
        return most

    def names(self):
        return sorted(known.entry.name for known in self.store.load(None).entries)

    def close(self):
        for each in self.opened:
            each.close()


@pytest.fixture
def world(tmp_path):
    world = World(f"sqlite:///{tmp_path}/s.db")
    yield world
    world.close()


def test_a_standby_with_newer_files_is_handed_the_lead(world):
    old, new = world.beat(Files(1, "a")), world.beat(Files(2, "a", "b"))
    world.run(old)
    assert world.names() == ["a"]

    world.run(new, old)

    assert (old.leads, new.leads) == (False, True)
    assert world.names() == ["a", "b"]
    world.run(new, old, seconds=30)
    assert (new.leads, world.store.read_lease().epoch) == (True, 2)


def test_files_that_become_newer_on_a_standby_are_seen_there(world):
    files = Files(1, "a")
    first, second = world.beat(Files(1, "a")), world.beat(files)
    world.run(first, second, seconds=5)
    assert first.leads

    files.put(2, "a", "c")
    world.run(first, second, seconds=5)

    assert second.leads
    assert world.names() == ["a", "c"]


def test_older_files_are_not_applied_when_their_beat_leads_again(world):
    old, new = world.beat(Files(1, "a")), world.beat(Files(2, "a", "b"))
    world.run(old)
    world.run(new, old)
    assert new.leads

    new.retire()
    world.run(old, seconds=HAND_OVER_SECONDS + 3)

    assert old.leads
    assert world.names() == ["a", "b"]
    assert any("older than those that were applied (serial 2)" in text for text in world.refused)


def test_files_with_the_same_content_are_not_older_whatever_their_times_say(world):
    one, two = world.beat(Files(1, "a")), world.beat(Files(2, "a"))

    world.run(one)
    world.run(one, two, seconds=10)

    assert one.leads
    assert world.store.read_lease().epoch == 1
    one.retire()
    world.run(two, seconds=3)
    assert world.refused == []


def test_a_newer_beat_that_is_gone_delays_the_old_one_only_for_a_moment(world):
    old = world.beat(Files(1, "a"))
    world.run(old)
    world.opened[0].serials.ask(9, "somebody who died")

    world.run(old, seconds=2)
    assert not old.leads
    world.run(old, seconds=HAND_OVER_SECONDS + 3)

    assert old.leads
    world.run(old, seconds=30)
    assert (old.leads, world.store.read_lease().epoch) == (True, 2)
    assert world.opened[0].serials.read().asked == 0


def test_the_wish_of_a_beat_that_died_is_in_nobodys_way_whose_files_are_less_new(world):
    old, newer = world.beat(Files(1, "a")), world.beat(Files(5, "a", "b"))
    world.run(old)
    world.opened[0].serials.ask(9, "somebody who died")

    world.run(old, newer, seconds=4 * HAND_OVER_SECONDS)

    assert newer.leads
    assert world.names() == ["a", "b"]
    world.run(old, newer, seconds=30)
    assert newer.leads


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def opened(request, tmp_path):
    if request.param == "sqlite":
        opened = open_for_beat(f"sqlite:///{tmp_path}/s.db")
        yield opened
        opened.close()
        return
    with servers.own_database(request.param) as url:
        opened = open_for_beat(url)
        yield opened
        opened.close()


def test_serials_only_grow_and_only_their_leader_raises_them(opened):
    serials, mine = opened.serials, Fence("a", 1)
    assert serials.read() == Serial()
    assert serials.apply(1, "x", mine) is FENCED
    assert opened.store.swap_lease(opened.store.read_lease(), Lease("a", 1, 1, 10_000))

    assert serials.apply(5, "x", mine) is True
    serials.ask(7, "me")
    serials.ask(6, "other")
    serials.withdraw(7, "other")
    serials.withdraw(6, "me")
    assert serials.read() == Serial(number=5, digest="x", asked=7, asker="me")
    serials.withdraw(7, "me")
    assert serials.read() == Serial(number=5, digest="x")
    serials.ask(7, "me")
    assert serials.apply(4, "y", mine) is False
    assert serials.apply(4, "x", mine) is True
    assert serials.read().number == 5
    assert serials.apply(7, "z", mine) is True

    assert serials.read() == Serial(number=7, digest="z")
    assert serials.apply(8, "x", Fence("b", 1)) is FENCED


def test_the_serial_of_real_files_is_their_own_or_their_time_and_their_digest_is_their_content(tmp_path):
    path, twin = tmp_path / "one.yaml", tmp_path / "two.yaml"
    for each in (path, twin):
        each.write_text("schedules: {a: {every: 1m, task: t}}\n")
    os.utime(path, ns=(1, 1_000))
    sources = [FilesSource([each]) for each in (path, twin)]
    for source in sources:
        source.read()
        assert source() is not None

    assert sources[0].serial == 1_000
    assert sources[0].digest == sources[1].digest != ""
    path.write_text("serial: 3\nschedules: {a: {every: 1m, task: t}}\n")
    sources[0].ask()
    sources[0]()
    assert sources[0].serial == 3
    assert sources[0].digest != sources[1].digest
