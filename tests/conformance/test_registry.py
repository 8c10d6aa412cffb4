"""The contract of scheduler.store.registry, over every implementation: memory, SQLite, PostgreSQL, MariaDB.

What an edit does to dues and cursors is edit.py's rule, and tested with it; here it is whether each implementation reads and
writes one entry under one lock, keeps what lies on top of a definition, and gives runs and backfills identities of their own.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from backbeat.scheduler.backfill import Backfill, RequestState, backfill_firing
from backbeat.scheduler.edit import EditKind
from backbeat.scheduler.entry import SECOND_US, CatchUp, Entry, Owner
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.firing import FiringKind, FiringState
from backbeat.scheduler.order import (
    Add,
    Change,
    Conflict,
    NoSuchEntry,
    OrderRefused,
    Pause,
    Remove,
    Resume,
    Revert,
    SkipNext,
    Unskip,
)
from backbeat.scheduler.override import OverrideKind
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import FENCED, Fence, Lease, Marks, Move
from backbeat.scheduler.store.base import Batch as StoreBatch
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry import Which
from backbeat.scheduler.store.registry_wiring import registry_of
from backbeat.scheduler.store.wiring import open_store

from support.processes import wait_until
from support.servers import own_database
from support.thorough import in_turn

MINUTE, HOUR = 60 * SECOND_US, 3_600 * SECOND_US
A, B = Fence("a", 1), Fence("b", 2)
WHAT = {"task": "app.tick", "args": [1]}


def entry(name="tick", seconds=60, **known) -> Entry:
    what = known.pop("what", WHAT)
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what=what, **known)


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    """One database a server for the whole suite: names of entries are the test's own."""
    opened = {}

    def open_on(kind):
        if kind not in opened:
            if kind == "sqlite":
                url, lent = f"sqlite:///{tmp_path_factory.mktemp('registry')}/store.db", None
            else:
                lent = own_database({"postgresql": "postgres", "mariadb": "mariadb"}[kind])
                url = lent.__enter__()
            # a transaction may stand for a quarter of a lease's time, which a busy machine takes for nothing
            pair = [
                open_store(
                    url.replace("+psycopg", "").replace("+pymysql", ""),
                    cluster="test",
                    lease_ttl_seconds=120.0,
                )
                for _ in range(2)
            ]
            opened[kind] = (pair, lent)
        return opened[kind][0]

    yield open_on
    for pair, lent in opened.values():
        for store in pair:
            store.close()
        if lent is not None:
            lent.__exit__(None, None, None)


@dataclass
class World:
    """A store with its registry, and the same as another process has it."""

    store: object
    registry: object
    records: object
    chores: object
    other: object

    def lead(self, fence=A):
        row = self.store.read_lease()
        assert self.store.swap_lease(row, Lease(fence.holder, fence.epoch, row.renewal + 1, 10_000))

    def file(self, *entries, owner=Owner.FILE, now_us=None):
        answer = self.store.reconcile(
            entries, now_us or self.registry.now_us(), A, batch_id=next(numbers), owner=owner
        )
        assert answer is not FENCED
        return answer

    def edit(self, order, name="tick", actor="anna", **known):
        return self.registry.edit(name, order, actor=actor, **known)

    def loaded(self, name="tick"):
        return {known.entry.name: known for known in self.store.load(None).entries}.get(name)


numbers = iter(range(1, 1_000_000))


@pytest.fixture(params=in_turn(["memory", "sqlite", "postgresql", "mariadb"], always=["memory", "sqlite"]))
def world(request):
    if request.param == "memory":
        store = MemoryStore("test")
        registry, records, chores = registry_of(store)
        other = SimpleNamespace(registry=registry, store=store)
    else:
        store, second = request.getfixturevalue("databases")(request.param)
        _empty(store)
        registry, records, chores = registry_of(store)
        other = SimpleNamespace(registry=registry_of(second)[0], store=second)
    world = World(store, registry, records, chores, other)
    world.lead()
    return world


def _empty(store):
    tables = store._tables
    with store._engine.begin() as conn:
        for table in (
            tables.entry,
            tables.revision,
            tables.batch,
            tables.firing,
            tables.skip,
            tables.backfill,
            tables.audit,
        ):
            conn.execute(table.delete())
        conn.execute(tables.meta.delete().where(tables.meta.c.name == "override_end_us"))
        conn.execute(tables.lease.update().values(holder="", epoch=0))


# --- entries of the store's own ---------------------------------------------------------------------------------------


def test_an_added_entry_is_the_stores_own_and_starts_now(world):
    before = world.registry.now_us()

    answer = world.edit(Add(entry=entry()))

    assert answer.kind is EditKind.ADDED
    known = world.loaded()
    assert (known.entry, known.rev, known.entry.owner) == (entry(), 1, Owner.DB)
    assert before <= known.cursor_us <= world.registry.now_us()
    assert known.cursor_us < answer.standing.next_us <= known.cursor_us + MINUTE


def test_an_edit_shows_in_what_a_leader_asks_for_and_nothing_else_does(world):
    world.edit(Add(entry=entry("other")), "other")
    revision = world.store.load(None).revision

    world.edit(Add(entry=entry()))

    changed = world.store.load(revision)
    assert [known.entry.name for known in changed.entries] == ["tick"]
    assert changed.revision > revision


def test_an_entry_that_is_there_cannot_be_added(world):
    world.edit(Add(entry=entry()))

    with pytest.raises(OrderRefused, match="there is an entry 'tick' already"):
        world.edit(Add(entry=entry(seconds=5)))

    assert world.loaded().rev == 1


def test_a_change_of_what_keeps_the_cursor_and_a_change_of_when_does_not(world):
    world.edit(Add(entry=entry()))
    cursor_us = world.loaded().cursor_us

    answer = world.edit(Change(changes={"what": {"task": "app.other"}}))

    assert (answer.kind, world.loaded().cursor_us) == (EditKind.REVISED, cursor_us)
    assert world.loaded().entry.what == {"task": "app.other"}

    answer = world.edit(Change(changes={"when": {"every_us": 5 * SECOND_US, "anchor_us": 0}}))

    assert answer.kind is EditKind.RETIMED
    assert (world.loaded().rev, world.loaded().cursor_us > cursor_us) == (3, True)


def test_a_change_that_changes_nothing_is_none(world):
    world.edit(Add(entry=entry()))
    revision = world.store.load(None).revision

    answer = world.edit(Change(changes={"what": WHAT}))

    assert answer.kind is None
    assert world.store.load(revision) is None
    assert [line.action for line in world.records.audit("tick", 9)] == ["add"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"skip_us": [5]}, "'skip_us' cannot be changed"),
        ({"interval": 5}, "'interval' cannot be changed"),
        ({"when": {"cron": "61 * * * *"}}, "61"),
    ],
)
def test_a_change_that_makes_no_entry_is_refused(world, changes, said):
    world.edit(Add(entry=entry()))

    with pytest.raises((OrderRefused, ScheduleError), match=said):
        world.edit(Change(changes=changes))

    assert world.loaded().rev == 1


def test_two_who_edit_what_they_have_seen_meet_a_conflict_that_shows_both_revisions(world):
    world.edit(Add(entry=entry()))
    world.edit(Change(changes={"grace_us": 1}), expected_rev=1)

    with pytest.raises(Conflict, match="at revision 2 and you have seen revision 1"):
        world.edit(Change(changes={"grace_us": 2}), expected_rev=1)

    assert world.loaded().entry.grace_us == 1


def test_of_many_edits_of_one_revision_one_is_done(world):
    world.edit(Add(entry=entry()))
    done, refused = [], []
    barrier = threading.Barrier(6)

    def run(me):
        registry = (world.registry, world.other.registry)[me % 2]
        barrier.wait()
        try:
            done.append(
                registry.edit("tick", Change(changes={"grace_us": me + 1}), actor=str(me), expected_rev=1)
            )
        except Conflict as conflict:
            refused.append(conflict)

    threads = [threading.Thread(target=run, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(done), len(refused)) == (1, 5)
    assert world.loaded().rev == 2


def test_edits_of_different_entries_at_once_are_all_done(world):
    barrier = threading.Barrier(6)
    faults = []

    def run(me):
        registry = (world.registry, world.other.registry)[me % 2]
        barrier.wait()
        try:
            for k in range(4):
                registry.edit(f"e{me}-{k}", Add(entry=entry(f"e{me}-{k}")), actor=str(me))
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(me,)) for me in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(world.store.load(None).entries) == 24


def test_an_edit_and_a_leaders_decision_at_once_decide_an_instant_once(world):
    world.edit(Add(entry=entry(seconds=0.001, catch_up=CatchUp.ALL)))
    stop = threading.Event()
    stale, fresh = [], []

    def decide():
        while not stop.is_set():
            known = world.loaded()
            now_us = world.registry.now_us()
            due_us = known.entry.next_after(known.cursor_us)
            if due_us > now_us or not known.entry.enabled:
                continue
            batch_id = next(numbers)
            firing = backfill_firing("test", known.entry, due_us, rev=known.rev, batch_id=batch_id)
            regular = firing._replace(kind=FiringKind.REGULAR)
            move = Move("tick", known.rev, known.cursor_us, due_us, due_us + 1)
            answer = world.other.store.decide(StoreBatch(batch_id, now_us, (regular,), (move,)), A)
            stale.extend(answer.stale)
            fresh.extend(answer.fresh)

    thread = threading.Thread(target=decide)
    thread.start()
    for k in range(5):
        decided = len(fresh)
        wait_until(lambda before=decided: len(fresh) > before)
        world.edit(Change(changes={"when": {"every_us": 1001 + k, "anchor_us": 0}}))
    stop.set()
    thread.join()

    dues = [row.due_us for row in world.records.history("tick", 100_000) if row.count == 1]
    assert len(fresh) >= 5
    assert len(dues) == len(set(dues)) >= len(fresh)
    assert world.loaded().rev == 6


def test_a_removed_entry_keeps_its_history_and_replays_nothing_when_it_is_back(world):
    world.edit(Add(entry=entry(seconds=0.05)))
    _wait_for_us(world, world.loaded().cursor_us + 120_000)
    answer = world.edit(Remove())

    assert answer.kind is EditKind.REMOVED
    assert world.loaded() is None
    history = world.records.history("tick", 10)
    assert 2 <= len(history) <= 10
    with pytest.raises(NoSuchEntry):
        world.edit(Pause())

    time_us = world.registry.now_us()
    answer = world.edit(Add(entry=entry(seconds=0.05)))

    assert answer.kind is EditKind.RESTORED
    assert world.loaded().cursor_us >= time_us
    assert world.records.history("tick", 10) == history
    assert [line.action for line in world.records.audit("tick", 9)] == ["add", "remove", "add"]


def test_what_an_old_revision_owes_is_decided_with_the_edit_and_waits_for_a_leader(world):
    world.edit(Add(entry=entry(seconds=0.05, catch_up=CatchUp.ALL)))
    first_us = world.loaded().cursor_us
    _wait_for_us(world, first_us + 120_000)

    world.edit(Change(changes={"when": {"every_us": HOUR, "anchor_us": 0}, "what": {"task": "app.new"}}))

    firings = _open(world)
    assert 2 <= len(firings) <= 20
    assert {(f.rev, f.payload["task"], f.kind) for f in firings} == {(1, "app.tick", FiringKind.REGULAR)}
    assert all(first_us < f.due_us <= world.loaded().cursor_us for f in firings)
    assert {f.batch_id < 0 for f in firings} == {True}


# --- entries of a file, with something on top -------------------------------------------------------------------------


def test_an_entry_of_a_file_keeps_its_definition_below_a_change(world):
    world.file(entry(source="schedules.yaml:3"))

    world.edit(Change(changes={"what": {"task": "app.other"}}, reason="the old one is ill"))

    known = world.records.get("tick")
    assert known.entry.what == {"task": "app.other"}
    assert known.kept.definition != known.kept.spec
    (override,) = known.kept.overrides
    assert (override.kind, override.actor, override.reason) == (
        OverrideKind.CHANGE,
        "anna",
        "the old one is ill",
    )
    assert known.kept.owner is Owner.FILE


def test_a_reload_keeps_what_lies_on_top(world):
    world.file(entry())
    world.edit(Change(changes={"what": {"task": "app.other"}}))

    answer = world.file(entry(what={"task": "app.third"}, grace_us=7))

    assert answer.changes == (("tick", EditKind.REVISED),)
    known = world.records.get("tick")
    assert (known.entry.what, known.entry.grace_us) == ({"task": "app.other"}, 7)
    assert world.file(entry(what={"task": "app.third"}, grace_us=7)).changes == ()

    world.edit(Revert())

    assert world.records.get("tick").entry.what == {"task": "app.third"}
    assert world.records.get("tick").kept.overrides == ()


def test_what_is_hidden_below_an_override_is_no_revision(world):
    world.file(entry())
    world.edit(Change(changes={"what": {"task": "app.other"}}))
    rev = world.loaded().rev

    answer = world.file(entry(what={"task": "app.third"}))

    assert answer.changes == (("tick", EditKind.MOVED),)
    assert world.loaded().rev == rev
    world.edit(Revert())
    assert world.loaded().entry.what == {"task": "app.third"}


def test_a_pause_survives_a_reload_and_fires_nothing_when_it_ends(world):
    world.file(entry(seconds=0.05))
    world.edit(Pause(reason="the database moves"))
    paused_us = world.loaded().cursor_us

    world.file(entry(seconds=0.05, grace_us=9))

    assert not world.loaded().entry.enabled
    _wait_for_us(world, paused_us + 120_000)
    answer = world.edit(Resume())
    assert answer.kind is EditKind.RETIMED
    assert world.loaded().entry.enabled
    assert world.loaded().cursor_us >= paused_us + 120_000
    assert [row for row in world.records.history("tick", 50) if row.due_us > paused_us] == []


def test_a_pause_of_a_removed_and_restored_entry_of_a_file_stays(world):
    world.file(entry())
    world.edit(Pause())
    world.file()

    world.file(entry())

    assert not world.loaded().entry.enabled


def test_an_entry_that_is_damaged_is_left_out_and_can_be_removed_and_defined_anew(world, caplog):
    for name in ("tick", "tock", "whole"):
        world.edit(Add(entry=entry(name)), name)
    world.file(entry("filed"), entry("other"))
    _damage(world.store, "tick", "tock", "filed", "other")

    assert [standing.kept.name for standing in world.records.entries()] == ["whole"]
    assert "Entry tick cannot be read and is left out" in caplog.text
    assert world.edit(Remove()).kind is EditKind.REMOVED
    world.edit(Change(changes={"grace_us": 5}), "whole")
    answer = world.file(entry("filed", what={"task": "app.new"}))

    assert dict(answer.changes) == {"filed": EditKind.RETIMED, "other": EditKind.REMOVED}
    assert world.loaded("filed").entry.what == {"task": "app.new"}


def test_an_entry_of_a_file_cannot_be_removed_or_be_added_here(world):
    world.file(entry(source="schedules.yaml:3"))

    with pytest.raises(OrderRefused, match=r"belongs to owner file, schedules\.yaml:3"):
        world.edit(Remove())
    with pytest.raises(OrderRefused, match="already"):
        world.edit(Add(entry=entry()))


def test_an_entry_that_its_definition_disables_is_not_resumed(world):
    world.file(entry(enabled=False))

    with pytest.raises(OrderRefused, match="disabled by its definition"):
        world.edit(Resume())


def test_resuming_what_is_not_paused_does_nothing(world):
    world.file(entry())

    assert world.edit(Resume()).kind is None


def test_fire_times_to_skip_lie_on_top_and_go_when_they_are_past(world):
    world.file(entry(seconds=3600))
    first_us = world.records.get("tick").next_us

    answer = world.edit(SkipNext(count=2, reason="holidays"))

    assert (answer.kind, answer.standing.entry.skip_us) == (EditKind.REVISED, (first_us, first_us + HOUR))
    world.file(entry(seconds=3600, grace_us=3))
    assert world.edit(SkipNext()).standing.entry.skip_us == tuple(first_us + k * HOUR for k in range(3))
    assert world.edit(Unskip()).standing.entry.skip_us == ()
    said = [line.action for line in world.records.audit("tick", 9)]
    assert said == ["unskip", "skip-next", "reload", "skip-next", "reload"]


def test_a_fire_time_to_skip_that_is_decided_is_forgotten_at_the_next_edit(world):
    world.edit(Add(entry=entry(seconds=0.2)))
    (skipped_us,) = world.edit(SkipNext()).standing.entry.skip_us
    known = world.loaded()
    move = Move("tick", known.rev, known.cursor_us, skipped_us, None)
    world.store.decide(StoreBatch(next(numbers), skipped_us, (), (move,)), A)

    answer = world.edit(Change(changes={"grace_us": 1}))

    assert answer.standing.entry.skip_us == ()


def test_a_paused_entry_has_no_next_fire_time_to_skip(world):
    world.edit(Add(entry=entry()))
    world.edit(Pause())

    with pytest.raises(OrderRefused, match="paused or disabled"):
        world.edit(SkipNext())


# --- overrides that end -----------------------------------------------------------------------------------------------


def test_an_override_that_ends_is_taken_off_by_the_leader_alone(world):
    world.file(entry(seconds=0.1, catch_up=CatchUp.ALL))
    until_us = world.registry.now_us() + 300_000
    world.edit(Pause(until_us=until_us))
    assert world.chores.first_end_us() == until_us
    assert world.chores.lift(until_us - 1, A, batch_id=next(numbers)) == 0
    assert world.chores.first_end_us() == until_us

    assert world.chores.lift(until_us + HOUR, Fence("b", 1), batch_id=next(numbers)) is FENCED
    assert world.chores.lift(until_us + HOUR, A, batch_id=next(numbers)) == 1

    known = world.loaded()
    assert known.entry.enabled
    assert known.cursor_us == until_us - 1, "what came after its end is owed, however late that was noticed"
    assert world.chores.first_end_us() is None
    assert [line.actor for line in world.records.audit("tick", 1)] == ["backbeat"]


def test_a_change_with_an_end_goes_on_top_of_the_stores_own_entry_and_comes_off(world):
    world.edit(Add(entry=entry()))
    until_us = world.registry.now_us() + HOUR

    world.edit(Change(changes={"what": {"task": "app.other"}}, until_us=until_us))
    assert world.loaded().entry.what == {"task": "app.other"}
    world.chores.lift(until_us, A, batch_id=next(numbers))

    assert world.loaded().entry.what == WHAT


def test_the_first_of_several_ends_is_known(world):
    now_us = world.registry.now_us()
    for k, name in enumerate(("a", "b", "c")):
        world.edit(Add(entry=entry(name)), name)
        world.edit(Pause(until_us=now_us + (3 - k) * HOUR), name)

    assert world.chores.first_end_us() == now_us + HOUR
    assert world.chores.lift(now_us + 2 * HOUR, A, batch_id=next(numbers)) == 2
    assert world.chores.first_end_us() == now_us + 3 * HOUR


def test_an_end_in_the_past_is_refused(world):
    world.edit(Add(entry=entry()))

    with pytest.raises(OrderRefused, match="the end lies in the past"):
        world.edit(Pause(until_us=5))


# --- runs and backfills -----------------------------------------------------------------------------------------------


def test_a_run_now_has_an_identity_of_its_own_and_moves_nothing(world):
    world.edit(Add(entry=entry()))
    before = world.loaded()

    run = world.registry.run_now("tick", "5f0e", actor="anna")

    (firing,) = _open(world)
    assert (firing.kind, firing.key, firing.task_id, firing.due_us) == (
        FiringKind.MANUAL,
        "5f0e",
        run.task_id,
        run.due_us,
    )
    assert firing.payload == WHAT
    assert world.loaded() == before
    assert [line.action for line in world.records.audit("tick", 1)] == ["run-now"]


def test_the_same_request_again_adds_nothing(world):
    world.edit(Add(entry=entry()))
    first = world.registry.run_now("tick", "5f0e", actor="anna")
    revision = world.store.load(None).revision

    again = world.other.registry.run_now("tick", "5f0e", actor="bob", payload={"task": "app.other"})

    assert (first.is_new, again) == (True, replace(first, is_new=False))
    assert len(_open(world)) == 1
    assert world.store.load(revision) is None


def test_a_request_id_belongs_to_one_entry(world):
    world.edit(Add(entry=entry()))
    world.edit(Add(entry=entry("other")), "other")
    world.registry.run_now("tick", "5f0e", actor="anna")

    with pytest.raises(OrderRefused, match="one of entry 'tick'"):
        world.registry.run_now("other", "5f0e", actor="anna")
    with pytest.raises(OrderRefused, match="36 characters"):
        world.registry.run_now("tick", "x" * 37, actor="anna")


def test_a_run_now_may_have_arguments_of_its_own(world):
    world.edit(Add(entry=entry()))

    world.registry.run_now("tick", "one", actor="anna", payload={"task": "app.tick", "args": [9]})
    world.registry.run_now("tick", "two", actor="anna", payload={"task": "app.tick", "args": [8]})
    world.registry.run_now("tick", "three", actor="anna")

    assert {f.key: f.payload["args"] for f in _open(world)} == {"one": [9], "two": [8], "three": [1]}
    assert world.loaded().entry.what == WHAT
    assert world.loaded().rev == 1


def test_a_paused_entry_runs_when_it_is_asked_to_and_a_missing_one_does_not(world):
    world.edit(Add(entry=entry()))
    world.edit(Pause())

    assert world.registry.run_now("tick", "5f0e", actor="anna").is_new
    with pytest.raises(NoSuchEntry):
        world.registry.run_now("gone", "5f0f", actor="anna")


def asked(world, **known):
    now_us = world.registry.now_us()
    given = {"from_us": now_us - HOUR, "to_us": now_us - MINUTE, "actor": "anna", "entry": "tick", "id": "b1"}
    return world.registry.backfill(Backfill(**{**given, **known}))


def test_a_backfill_is_put_down_once(world):
    world.edit(Add(entry=entry()))

    put = asked(world)

    assert (put.state, put.cursor_us, put.decided) == (RequestState.RUNNING, put.from_us - 1, 0)
    assert asked(world, from_us=put.from_us, to_us=put.to_us) == put
    assert asked(world, from_us=put.from_us, to_us=put.at_us + 1) == put, "to now, asked for again"
    assert world.chores.running() == world.records.backfills() == [put]


def test_a_backfill_with_a_rate_is_put_down_once(world):
    world.edit(Add(entry=entry()))
    put = asked(world, rate=0.1)

    again = asked(world, from_us=put.from_us, to_us=put.to_us, rate=0.1)

    assert (again.id, again.rate) == (put.id, pytest.approx(0.1))


@pytest.mark.parametrize("other", ["entry", "from_us", "to_us", "rate"])
def test_the_id_of_a_backfill_names_one_thing(world, other):
    world.edit(Add(entry=entry()))
    world.edit(Add(entry=entry("tock")), name="tock")
    put = asked(world)

    same = {"from_us": put.from_us, "to_us": put.to_us}
    values = {"entry": "tock", "from_us": put.from_us - 1, "to_us": put.to_us - 1, "rate": 5.0}
    with pytest.raises(OrderRefused, match="choose another id"):
        asked(world, **{**same, other: values[other]})

    assert world.records.backfills() == [put]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"to_us": 5, "from_us": 5}, "from an earlier to a later time"),
        ({"to_us": 1 << 61}, "of the past"),
        *(({"rate": rate}, "more than 0 and at most") for rate in (0.0, -1.0, math.inf, math.nan, "5")),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused(world, known, said):
    world.edit(Add(entry=entry()))

    with pytest.raises(ScheduleError, match=said):
        asked(world, **known)

    assert world.chores.running() == []


def test_a_slice_is_recorded_with_the_backfills_progress_and_repeating_adds_nothing(world):
    world.edit(Add(entry=entry()))
    put = asked(world)
    dues = [put.from_us + k for k in (1, 2)]
    after = replace(put, cursor_us=dues[-1])

    fresh = _advance(world, put, after, dues)

    assert [(f.kind, f.due_us) for f in fresh] == [(FiringKind.BACKFILL, due) for due in dues]
    (running,) = world.chores.running()
    assert (running.cursor_us, running.decided) == (dues[-1], 2)
    assert sorted(_open(world), key=lambda f: f.due_us) == sorted(fresh, key=lambda f: f.due_us)

    again = asked(world, id="b2", from_us=put.from_us)
    assert _advance(world, again, replace(again, state=RequestState.DONE), dues) == ()
    assert len(_open(world)) == 2
    assert {each.id: each.decided for each in world.records.backfills()} == {"b1": 2, "b2": 0}


def test_a_slice_of_a_stale_leader_or_of_a_changed_backfill_is_not_recorded(world):
    world.edit(Add(entry=entry()))
    put = asked(world)
    after = replace(put, cursor_us=put.from_us + 5)

    assert _advance(world, put, after, [put.from_us + 5], fence=B) is FENCED
    _advance(world, put, after, [put.from_us + 5])
    assert _advance(world, put, after, [put.from_us + 6]) is None
    world.registry.cancel_backfill("b1", actor="bob")
    assert _advance(world, after, replace(after, cursor_us=put.to_us), [put.from_us + 7]) is None

    assert [f.due_us for f in _open(world)] == [put.from_us + 5]


def test_i_rev_a_slice_of_an_entry_that_was_edited_meanwhile_is_not_recorded(world):
    world.edit(Add(entry=entry()))
    put = asked(world)
    after, before = replace(put, cursor_us=put.from_us + 5), world.loaded("tick")
    world.edit(Change(changes={"what": {"task": "other"}}))

    assert _advance(world, put, after, [put.from_us + 5], known=before) is None

    assert list(_open(world)) == []
    assert len(_advance(world, put, after, [put.from_us + 5])) == 1


def test_a_cancelled_backfill_keeps_what_it_has_decided(world):
    world.edit(Add(entry=entry()))
    put = asked(world)
    _advance(world, put, replace(put, cursor_us=put.from_us + 5), [put.from_us + 5])

    cancelled = world.registry.cancel_backfill("b1", actor="bob")

    assert (cancelled.state, cancelled.decided) == (RequestState.CANCELLED, 1)
    assert world.registry.cancel_backfill("b1", actor="bob") == cancelled
    assert world.chores.running() == []
    with pytest.raises(NoSuchEntry):
        world.registry.cancel_backfill("b9", actor="bob")


def test_a_removed_entry_takes_its_backfills_along(world):
    world.edit(Add(entry=entry()))
    asked(world)

    world.edit(Remove())

    assert [each.state for each in world.records.backfills()] == [RequestState.CANCELLED]


# --- what one may read ------------------------------------------------------------------------------------------------


def test_the_history_has_firings_of_all_kinds_with_what_became_of_them(world):
    world.edit(Add(entry=entry()))
    world.registry.run_now("tick", "5f0e", actor="anna")
    put = asked(world)
    fresh = _advance(world, put, replace(put, cursor_us=put.from_us + 5), [put.from_us + 5])
    world.store.mark(Marks(batches=(fresh[0].batch_id,), sent_us=77))

    manual, backfilled = world.records.history("tick", 10)

    assert (manual.kind, manual.state) == (FiringKind.MANUAL, FiringState.DECIDED)
    assert (backfilled.kind, backfilled.state) == (FiringKind.BACKFILL, FiringState.SENT)
    assert (backfilled.task_id, backfilled.due_us) == (fresh[0].task_id, put.from_us + 5)
    assert world.records.history("tick", 1) == [manual]
    assert world.records.history("tick", 9, before_us=manual.due_us) == [backfilled]
    assert world.records.history("other", 9) == []


def test_the_history_knows_when_each_firing_of_a_batch_was_sent(world):
    world.edit(Add(entry=entry()))
    put = asked(world)
    dues = [put.from_us + k for k in (5, 6, 7)]
    early, *late = _advance(world, put, replace(put, cursor_us=dues[-1]), dues)
    world.store.mark(Marks(firings=(early.ledger_key,), sent_us=55))
    world.store.mark(Marks(batches=(early.batch_id,), sent_us=77))

    sent = [line.sent_us for line in world.records.history("tick", 10)]

    assert len(late) == 2
    # the memory store keeps no times
    assert sent == [None] * 3 if isinstance(world.store, MemoryStore) else [77, 77, 55]


def test_entries_are_listed_by_name_and_by_what_lies_on_them(world):
    for name in ("b", "a", "c"):
        world.edit(Add(entry=entry(name)), name)
    world.edit(Pause(), "a")
    world.edit(Remove(), "c")

    def names(which):
        return [standing.kept.name for standing in world.records.entries(which)]

    assert names(Which.PRESENT) == ["a", "b"]
    assert names(Which.OVERRIDDEN) == ["a"]
    assert names(Which.ALL) == ["a", "b", "c"]


def test_the_audit_says_who_changed_what_from_what_to_what(world):
    world.edit(Add(entry=entry()), actor="anna")
    world.edit(Change(changes={"grace_us": 5}, reason="it is slow"), actor="bob")
    world.edit(Change(changes={"grace_us": 6}), actor="carol")

    carol, bob, anna = world.records.audit("tick", 9)

    assert [line.actor for line in (anna, bob, carol)] == ["anna", "bob", "carol"]
    assert (carol.detail["before"], carol.detail["after"]) == ({"grace_us": 5}, {"grace_us": 6})
    assert bob.detail["reason"] == "it is slow"
    assert [line.detail["rev"] for line in (anna, bob, carol)] == [1, 2, 3]
    assert [line.actor for line in world.records.audit(None, 1)] == ["carol"]


def _advance(world, seen, put, dues, fence=A, known=None):
    batch_id = -next(numbers)
    known = known or world.loaded(seen.entry)
    firings = [backfill_firing("test", known.entry, due, rev=known.rev, batch_id=batch_id) for due in dues]
    return world.chores.advance(seen, put, firings, world.registry.now_us(), fence)


def _damage(store, *names):
    text = '{"when": 5'
    if isinstance(store, MemoryStore):
        store._entries |= {name: replace(store._entries[name], spec=text) for name in names}
    else:
        revision = store._tables.revision
        with store._engine.begin() as conn:
            conn.execute(revision.update().where(revision.c.entry.in_(names)).values(spec=text))


def _open(world):
    answer = world.store.load_open(A, 10_000)
    return tuple(getattr(answer, "firings", answer))


def _wait_for_us(world, until_us):
    """Entries of the store's own go by the database's clock, which nobody can set here."""
    wait_until(lambda: world.registry.now_us() >= until_us)


def test_a_reload_beside_operators_who_never_stop_is_done_and_undoes_nothing_of_theirs(world):
    world.file(*[entry(f"e{k}") for k in range(300)])
    stop, done, faults = threading.Event(), [], []

    def run():
        registry = world.other.registry
        # SQLite lets waiters poll for its lock: one who never lets go of it for a moment can starve them until they give up
        while not stop.wait(0.002):
            k = len(done)
            try:
                done.append(registry.edit(f"e{k % 50}", Change(changes={"grace_us": k + 1}), actor="anna"))
            except Exception as fault:
                faults.append(fault)
                return

    thread = threading.Thread(target=run)
    thread.start()
    reloads, deadline = 0, time.monotonic() + 60
    while (reloads < 5 or len(done) < 5) and time.monotonic() < deadline:
        reloads += 1
        world.file(*[entry(f"e{number}", what={"task": f"app.t{reloads}"}) for number in range(300)])
    stop.set()
    thread.join()

    assert faults == []
    loaded = {known.entry.name: known.entry for known in world.store.load(None).entries}
    assert {known.what["task"] for known in loaded.values()} == {f"app.t{reloads}"}
    latest = {answer.standing.kept.name: answer.standing.entry.grace_us for answer in done}
    assert len(done) >= 5
    assert {name: loaded[name].grace_us for name in latest} == latest


def test_a_reload_is_in_the_audit_with_where_it_stands_and_what_is_different(world):
    world.file(entry(source="schedules.yaml:3"), entry("other"))
    world.file(entry(source="schedules.yaml:5", grace_us=5))

    lines = world.records.audit("tick", 9)

    assert [(line.actor, line.action) for line in lines] == [
        ("file schedules.yaml:5", "reload"),
        ("file schedules.yaml:3", "reload"),
    ]
    assert (lines[0].detail["kind"], lines[0].detail["after"]) == ("revised", {"grace_us": 5})
    assert [line.detail["kind"] for line in world.records.audit("other", 9)] == ["removed", "added"]


def test_a_reload_of_thousands_is_one_line_in_the_audit(world):
    world.file(*[entry(f"e{k}") for k in range(1_001)])
    world.file(*[entry(f"e{k}", source="schedules.yaml:9") for k in range(1_001)])

    (line,) = world.records.audit(None, 9)

    assert (line.actor, line.target, line.detail) == ("file", "*", {"added": 1_001})
