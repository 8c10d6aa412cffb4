"""Entries of the owner app in the store, beside those of files: applied, moved, removed, and refused where a name is taken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.relay import MemoryOutlet
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.source import FilesSource
from backbeat.scheduler.store.memory import MemoryStore

from support.processes import Programs, wait_until

START = 1_700_000_000 * SECOND_US
APP = """
from backbeat.canvas import App
from backbeat.canvas.schedules import crontab

app = App("shop", broker="sqlite:///broker.db")
app.conf.beat_schedule = {"written in Python": {"task": "shop.sync", "schedule": 0.5}}

@app.on_after_configure.connect
def more(sender, **_):
    sender.add_periodic_task(crontab(minute=0, hour=4), sender.signature("shop.clean"), name="added")
"""
FILE = "schedules:\n  from a file: {task: shop.file, every: 1h}\n"


class Nobody:
    """No other process lives."""

    def look(self, _holder):
        return Sighting.GONE

    def end(self, _holder):
        raise AssertionError("nothing is frozen here")


class World:
    """One store and one clock; each `lead` is a beat of its own that has these entries, for some seconds."""

    def __init__(self):
        self.store, self.clock, self.outlet = MemoryStore("test"), FakeClock(START), MemoryOutlet()
        self.beats = 0

    def lead(self, *, app=None, files=None, seconds=1.0):
        self.beats += 1
        holder = Holder(host="h", host_id="b", pid=1, started=1, nonce=str(self.beats))
        given = [] if files is None else [files]
        beat = Beat(
            self.store,
            self.outlet,
            self.clock,
            Elector(self.store, self.clock, holder, Nobody()),
            cluster="test",
            entries_source=lambda: given.pop() if given else None,
            app_entries=app,
        )
        end_us = self.clock.now_us() + round(seconds * SECOND_US)
        while self.clock.now_us() < end_us:
            self.clock.wait(min(beat.step(), (end_us - self.clock.now_us()) / SECOND_US))
        beat.step()
        beat.retire()
        return self.owners()

    def owners(self):
        return {
            known.entry.name: known.entry.owner
            for known in self.store.load(None).entries
            if not known.removed
        }


def entry(name, owner, seconds=1):
    what = {"task": f"t.{name}"}
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what=what, owner=owner)


def app_entry(name):
    return entry(name, Owner.APP)


def file_entry(name):
    return entry(name, Owner.FILE)


def test_both_owners_are_applied_and_sent():
    world = World()

    owners = world.lead(app=[app_entry("a")], files=[file_entry("f")], seconds=3)

    assert owners == {"a": Owner.APP, "f": Owner.FILE}
    assert {firing.entry for firing in world.outlet.sent} == {"a", "f"}


def test_each_owner_s_entries_go_with_their_owner():
    world = World()
    world.lead(app=[app_entry("a"), app_entry("b")], files=[file_entry("f")])

    assert world.lead(app=[app_entry("a")], files=[file_entry("f")]) == {"a": Owner.APP, "f": Owner.FILE}
    assert world.lead(app=[app_entry("a")], files=[]) == {"a": Owner.APP}
    assert world.lead(app=[], files=None) == {}


def test_a_beat_without_a_project_leaves_the_project_s_entries_alone():
    world = World()
    world.lead(app=[app_entry("a")])

    assert world.lead(app=None, files=[file_entry("f")]) == {"a": Owner.APP, "f": Owner.FILE}


@pytest.mark.parametrize("to_app", [True, False])
def test_an_entry_that_moves_between_the_owners_is_there_in_one_step(to_app):
    world = World()
    ways = [{"app": [app_entry("x")], "files": []}, {"app": [], "files": [file_entry("x")]}]
    before, after = reversed(ways) if to_app else ways
    world.lead(**before)

    assert world.lead(**after) == {"x": Owner.APP if to_app else Owner.FILE}


def test_a_name_of_the_app_in_a_file_is_an_error_with_both_places(tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text("schedules:\n  mine: {task: a, every: 1m}\n")
    refused = []
    source = FilesSource([path], taken={"x": "app shop, beat_schedule"}, refused=refused.extend)
    source.read()
    assert [each.name for each in source()] == ["mine"]

    path.write_text("schedules:\n  x: {task: a, every: 1m}\n")
    source.ask()

    assert source() is None
    assert [problem.splitlines()[0] for problem in refused] == [
        f'{path}:2:1: error E110: x: duplicate schedule "x" (first in app shop, beat_schedule)'
    ]


@pytest.fixture
def programs(tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "schedules.yaml").write_text(FILE)
    started = Programs(tmp_path)
    yield started
    started.close()


def test_the_beat_command_reads_the_project(programs, tmp_path):
    beat = programs.start("-A", "shop", "beat")

    beat.wait_for(r"Sending due task written in Python \(shop.sync\)", count=2)
    wait_until(lambda: "Schedules applied: 2 changes" in beat.text)
    wait_until(lambda: "Schedules applied: 1 changes" in beat.text)


def test_a_name_that_file_and_app_share_ends_the_beat_with_both_places(programs, tmp_path):
    (tmp_path / "schedules.yaml").write_text("schedules:\n  added: {task: a, every: 1m}\n")

    code, text = programs.run("-A", "shop", "beat")

    assert code == 2
    assert (
        'schedules.yaml:2:1: error E110: added: duplicate schedule "added" (first in app shop, add_periodic_task)'
        in text
    )


def test_a_wrong_schedule_in_python_ends_the_beat_with_its_place(programs, tmp_path):
    (tmp_path / "shop.py").write_text(APP.replace("hour=4", "hour=24"))

    code, text = programs.run("-A", "shop", "beat")

    assert code == 2
    assert "app shop, add_periodic_task: added: hour 24 is out of range 0-23" in text


def test_the_commands_that_look_ahead_know_the_schedules_of_the_project(programs):
    _, following = programs.run("-A", "shop", "next", "-n", "1")
    code, dry = programs.run("-A", "shop", "beat", "--dry-run")
    _, without = programs.run("next", "-n", "1")

    assert code == 0
    assert all("written in Python" in text for text in (following, dry))
    assert "written in Python" not in without


def test_a_shared_name_is_an_error_before_the_beat_starts_too(programs, tmp_path):
    (tmp_path / "schedules.yaml").write_text("schedules:\n  added: {task: a, every: 1m}\n")

    code, text = programs.run("-A", "shop", "next")

    assert code == 2
    assert "schedules.yaml:2: added: duplicate schedule (first in app shop, add_periodic_task)" in text
