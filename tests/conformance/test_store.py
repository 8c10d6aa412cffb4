"""The contract of scheduler.store.base.Store, over every implementation: memory, SQLite, PostgreSQL, MariaDB.

PostgreSQL gets a database of its own on the server at BACKBEAT_TEST_POSTGRES (default: the local one), made and dropped here.
A missing server is a loud skip on a laptop and a failure where CI=true.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from backbeat.scheduler.edit import EditKind
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap, Owner
from backbeat.scheduler.firing import (
    TRANSITIONS,
    FiringKind,
    FiringState,
    firing_of,
    regular_firing,
    terms_of,
)
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.base import (
    FENCED,
    Batch,
    Change,
    Decided,
    Fence,
    Lease,
    Marks,
    Move,
    Open,
    StoreDown,
)
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.sql import SqlStore
from backbeat.scheduler.store.tables import Tables
from backbeat.scheduler.store.wiring import open_engine
from psycopg import OperationalError
from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from support.processes import wait_until
from support.thorough import in_turn

SERVER = os.environ.get("BACKBEAT_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")
NOW = 1_700_000_000 * SECOND_US
MINUTE = 60 * SECOND_US
NO_MARKS = Marks()
A, B = Fence("a", 1), Fence("b", 2)


def entry(name="tick", seconds=60, **known) -> Entry:
    what = known.pop("what", {"task": "app.tick", "args": [1]})
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what=what, **known)


@pytest.fixture(scope="module")
def postgres_url():
    try:
        admin = create_engine(
            f"{SERVER}/postgres", isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3}
        )
        name = f"bb_test_{secrets.token_hex(4)}"
        with admin.connect() as conn:
            conn.execute(text(f"CREATE DATABASE {name}"))
    except SQLAlchemyError as cause:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no PostgreSQL at {SERVER}: {cause}")
        pytest.skip(f"NO POSTGRESQL at {SERVER}: the store is not tested on it")
    yield f"{SERVER}/{name}"
    with admin.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@dataclass
class Opened:
    """A store, and a second one on the same data, as another process would have it."""

    store: object
    other: object


TTL = 60.0
"""Seconds, of which a server ends a session that says nothing in a transaction after a quarter: longer than a busy machine holds up a process."""
ISOLATION = {"mariadb-repeatable-read": "REPEATABLE READ", "postgresql-repeatable-read": "REPEATABLE READ"}


def _sql_pair(url, isolation_level=None):
    engines = [open_engine(url, TTL), open_engine(url, TTL)]
    if isolation_level is not None:
        engines = [engine.execution_options(isolation_level=isolation_level) for engine in engines]
    stores = [SqlStore(engine, MetaData(), "test") for engine in engines]
    for store in stores:
        store.create()
    return Opened(*stores)


@pytest.fixture(
    params=in_turn(
        [
            "memory",
            "sqlite",
            "postgresql",
            "postgresql-repeatable-read",
            "mariadb",
            "mariadb-repeatable-read",
        ],
        always=["memory", "sqlite"],
    )
)
def opened(request, tmp_path):
    match request.param:
        case "memory":
            store = MemoryStore("test")
            yield Opened(store, store)
            return
        case "sqlite":
            pair = _sql_pair(f"sqlite:///{tmp_path}/store.db")
        case "mariadb" | "mariadb-repeatable-read" as kind:
            url = request.getfixturevalue("mariadb_url")
            _empty_tables(url)
            pair = _sql_pair(url, isolation_level=ISOLATION.get(kind))
        case kind:
            url = request.getfixturevalue("postgres_url")
            _empty_tables(url)
            pair = _sql_pair(url, isolation_level=ISOLATION.get(kind))
    yield pair
    pair.store.close()
    pair.other.close()


def _empty_tables(url):
    """A new store, as far as anybody can see: making tables is slow."""
    engine = create_engine(url)
    there = set(inspect(engine).get_table_names())
    with engine.begin() as conn:
        for table in Tables.on(MetaData()).all():
            if table.name in there:
                conn.execute(table.delete())
    engine.dispose()


def _drop_tables(url):
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("DROP SCHEMA public CASCADE"))
        conn.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture
def store(opened):
    return opened.store


def lead(store, fence=A):
    row = store.read_lease()
    assert store.swap_lease(row, Lease(fence.holder, fence.epoch, row.renewal + 1, 10_000))


def reconcile(store, *entries, now_us=NOW, fence=A, batch_id=1, owner=Owner.FILE):
    answer = store.reconcile(entries, now_us, fence, batch_id=batch_id, owner=owner)
    assert answer is not FENCED
    return answer


def cursors(store):
    loaded = store.load(None)
    return {known.entry.name: (known.rev, known.cursor_us) for known in loaded.entries}


def batch(batch_id, *dues, name="tick", rev=1, from_us=NOW, marks=NO_MARKS, skips=(), payload=None):
    payload = payload or {"task": "app.tick", "args": [1]}
    firings = tuple(regular_firing("test", name, due, payload, rev=rev, batch_id=batch_id) for due in dues)
    moves = (Move(name, rev, from_us, max(dues), max(dues) + MINUTE, len(dues)),) if dues else ()
    return Batch(batch_id, NOW + 5, firings, moves, skips, marks)


def test_the_lease_begins_with_nobody_and_the_epoch_zero(store):
    assert store.read_lease() == Lease("", 0, 0, 0)


def test_a_swap_needs_the_very_row_that_was_seen(store):
    seen = store.read_lease()

    assert store.swap_lease(seen, Lease("a", 1, 1, 10_000))

    assert store.read_lease() == Lease("a", 1, 1, 10_000)
    assert not store.swap_lease(seen, Lease("b", 1, 1, 10_000))
    assert not store.swap_lease(Lease("b", 1, 1, 10_000), Lease("b", 2, 2, 10_000))
    assert not store.swap_lease(Lease("a", 1, 0, 10_000), Lease("b", 2, 2, 10_000))
    assert store.read_lease() == Lease("a", 1, 1, 10_000)


def test_of_many_that_swap_the_same_row_one_wins(opened):
    seen = opened.store.read_lease()
    won = []

    def run(me):
        store = (opened.store, opened.other)[me % 2]
        try:
            won.append((me, store.swap_lease(seen, Lease(str(me), 1, 1, 10_000))))
        except StoreDown:  # REPEATABLE READ answers the loser with a serialisation failure
            won.append((me, False))

    threads = [threading.Thread(target=run, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [me for me, did in won if did]
    assert len(won) == 8
    assert [str(me) for me in winners] == [opened.store.read_lease().holder]


def test_a_new_entry_starts_now(store):
    lead(store)

    answer = reconcile(store, entry("b"), entry("a"))

    assert sorted(answer.changes) == [("a", EditKind.ADDED), ("b", EditKind.ADDED)]
    assert (answer.firings, answer.skips, answer.foreign) == ((), (), ())
    assert cursors(store) == {"a": (1, NOW), "b": (1, NOW)}


def test_an_entry_comes_back_as_it_was_given(store):
    lead(store)
    given = entry(
        "naïve “name” / 1",
        catch_up=CatchUp.ALL,
        grace_us=5,
        end_us=NOW * 2,
        what={"task": "é", "kwargs": {"a": None}},
    )

    reconcile(store, given)

    known = store.load(None).entries[0]
    assert known.entry == given
    assert known.entry.owner is Owner.FILE


def test_entries_are_told_one_by_one_when_somebody_listens(store):
    lead(store)
    reconcile(store, entry("a"), entry("b"))
    told = []

    loaded = store.load(None, told.append)

    assert sorted((known.name, known.entry, known.rev) for known in told) == [
        ("a", entry("a"), 1),
        ("b", entry("b"), 1),
    ]
    assert (loaded.entries, loaded.faults) == ((), ())
    assert loaded.revision == store.load(None).revision


def test_the_same_entries_again_change_nothing(store):
    lead(store)
    reconcile(store, entry())
    revision = store.load(None).revision

    assert reconcile(store, entry(), now_us=NOW + 1).changes == ()

    assert store.load(revision) is None


def test_load_tells_only_what_changed_since(store):
    lead(store)
    reconcile(store, entry("a"), entry("b"))
    revision = store.load(None).revision

    reconcile(store, entry("a", what={"task": "other"}), now_us=NOW + 1)

    changed = store.load(revision)
    assert changed.revision > revision
    assert {known.entry.name: known.removed for known in changed.entries} == {"a": False, "b": True}
    assert [known.entry.name for known in store.load(None).entries] == ["a"]


def test_the_names_of_an_owner_are_those_that_are_not_removed(store):
    lead(store)
    reconcile(store, entry("a"), entry("b"))
    store.reconcile([entry("c")], NOW, A, batch_id=2, owner=Owner.APP)
    reconcile(store, entry("b"), now_us=NOW + 1)

    assert list(store.names(Owner.FILE)) == ["b"]
    assert list(store.names(Owner.APP)) == ["c"]
    assert list(store.names(Owner.DB)) == []


def test_a_reconcile_among_some_leaves_the_others_alone_wanted_or_not(store):
    lead(store)
    reconcile(store, entry("a"), entry("b"), entry("c"))
    revision = store.load(None).revision

    new = [entry("a", what={"task": "x"}), entry("b", what={"task": "x"}), entry("d"), entry("e")]
    answer = store.reconcile(new, NOW + 1, A, batch_id=2, among={"b", "d", "nobody"})

    assert dict(answer.changes) == {"b": EditKind.REVISED, "d": EditKind.ADDED}
    assert {known.name for known in store.load(revision).entries} == {"b", "d"}
    answer = store.reconcile(new, NOW + 2, A, batch_id=3, among={"c"})
    assert answer.changes == (("c", EditKind.REMOVED),)
    assert store.reconcile(new, NOW + 3, A, batch_id=4, among=()).changes == ()
    assert dict(store.reconcile(new, NOW + 4, A, batch_id=5).changes) == {
        "a": EditKind.REVISED,
        "e": EditKind.ADDED,
    }


def test_another_line_of_the_file_is_no_revision(store):
    lead(store)
    reconcile(store, entry(source="schedules.yaml:3"))

    reconcile(store, entry(source="schedules.yaml:9"), now_us=NOW + 1)

    assert cursors(store) == {"tick": (1, NOW)}
    assert store.load(None).entries[0].entry.source == "schedules.yaml:9"


def test_an_edit_of_what_keeps_the_cursor(store):
    lead(store)
    reconcile(store, entry())

    answer = reconcile(store, entry(what={"task": "other"}), now_us=NOW + 10 * MINUTE)

    assert answer.changes == (("tick", EditKind.REVISED),)
    assert answer.firings == ()
    assert cursors(store) == {"tick": (2, NOW)}


def test_an_edit_of_when_decides_the_past_by_the_old_revision(store):
    lead(store)
    reconcile(store, entry(catch_up=CatchUp.ALL))
    later = NOW + 3 * MINUTE

    answer = reconcile(
        store, entry(seconds=7, catch_up=CatchUp.NONE, what={"task": "new"}), now_us=later, batch_id=9
    )

    dues = [(NOW // MINUTE + k) * MINUTE for k in (1, 2, 3)]
    assert [(f.due_us, f.rev, f.batch_id, f.payload["task"]) for f in answer.firings] == [
        (d, 1, 9, "app.tick") for d in dues
    ]
    assert cursors(store) == {"tick": (2, later)}
    assert store.load_open(A, 100).firings == answer.firings


def test_a_removed_entry_is_decided_up_to_now_and_replays_nothing_when_it_is_back(store):
    lead(store)
    reconcile(store, entry())
    first = (NOW // MINUTE + 1) * MINUTE

    answer = reconcile(store, now_us=first + 1, batch_id=2)
    assert [f.due_us for f in answer.firings] == [first]
    assert cursors(store) == {}
    again = reconcile(store, entry(), now_us=NOW + 60 * MINUTE, batch_id=3)

    assert again.changes == (("tick", EditKind.RESTORED),)
    assert (again.firings, again.skips) == ((), ())
    assert cursors(store) == {"tick": (2, NOW + 60 * MINUTE)}


def test_enabling_an_entry_fires_nothing(store):
    lead(store)
    reconcile(store, entry(enabled=False))

    answer = reconcile(store, entry(), now_us=NOW + 60 * MINUTE)

    assert (answer.firings, answer.skips) == ((), ())
    assert cursors(store) == {"tick": (2, NOW + 60 * MINUTE)}


def test_an_edit_never_moves_a_cursor_back(store):
    lead(store)
    reconcile(store, entry())

    reconcile(store, entry(seconds=7), now_us=NOW - 60 * MINUTE)

    assert cursors(store) == {"tick": (2, NOW)}


def test_an_entry_of_another_owner_is_left_alone(store):
    lead(store)
    reconcile(store, entry("db"), owner=Owner.DB)

    answer = reconcile(store, entry("db", seconds=1), entry("file"), now_us=NOW + 1)

    assert answer.foreign == ("db",)
    assert cursors(store) == {"db": (1, NOW), "file": (1, NOW + 1)}
    assert reconcile(store, now_us=NOW + 2).changes == (("file", EditKind.REMOVED),)


def test_editors_that_race_are_both_heard(opened):
    lead(opened.store)
    before = opened.store.load(None).revision
    barrier = threading.Barrier(2)

    def run(store, owner):
        barrier.wait()
        for k in range(5):
            while True:
                with contextlib.suppress(StoreDown):  # REPEATABLE READ: the loser tries again
                    reconcile(store, entry(owner.value, what={"task": str(k)}), owner=owner, batch_id=k)
                    break

    threads = [
        threading.Thread(target=run, args=pair)
        for pair in ((opened.store, Owner.FILE), (opened.other, Owner.DB))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    loaded = opened.store.load(None)
    assert loaded.revision == before + 10
    assert {known.entry.name: known.rev for known in loaded.entries} == {"file": 5, "db": 5}


def test_a_stale_leader_can_neither_reconcile_nor_decide_nor_load(opened):
    """I-FENCE, I-LOAD, I-EPOCH: holder and epoch must both be those of the row."""
    old, new = opened.store, opened.other
    lead(old)
    reconcile(old, entry())
    old.decide(batch(1, NOW + MINUTE), A)
    lead(new, B)

    assert old.reconcile([], NOW, A, batch_id=2) is FENCED
    assert old.decide(batch(2, NOW + 2 * MINUTE, from_us=NOW + MINUTE), A) is FENCED
    assert old.load_open(A, 10) is FENCED
    for wrong in (Fence("a", 2), Fence("b", 1), Fence("", 2), Fence("", 0)):
        assert old.load_open(wrong, 10) is FENCED

    assert cursors(new) == {"tick": (1, NOW + MINUTE)}
    assert [f.due_us for f in new.load_open(B, 10).firings] == [NOW + MINUTE]


def test_nobody_decides_while_the_lease_is_free(store):
    assert store.load_open(Fence("", 0), 10) is FENCED


def test_a_decision_records_firings_and_moves_the_cursor(store):
    lead(store)
    reconcile(store, entry())
    given = batch(1, NOW + MINUTE, NOW + 2 * MINUTE)

    answer = store.decide(given, A)

    assert answer == Decided(given.firings)
    assert cursors(store) == {"tick": (1, NOW + 2 * MINUTE)}
    assert store.load_open(A, 10) == Open(given.firings)


def test_a_batch_without_firings_may_still_skip(store):
    lead(store)
    reconcile(store, entry())
    skip = Skip("tick", NOW + MINUTE, NOW + 5 * MINUTE, None, SkipReason.CATCH_UP_NONE)

    answer = store.decide(Batch(1, NOW, (), (Move("tick", 1, NOW, NOW + 5 * MINUTE, None),), (skip,)), A)

    assert answer == Decided(())
    assert skips(store) == [skip]
    assert cursors(store) == {"tick": (1, NOW + 5 * MINUTE)}


def test_a_firing_that_is_in_the_ledger_is_not_decided_again(store):
    lead(store)
    reconcile(store, entry())
    store.decide(batch(1, NOW + MINUTE), A)
    store.mark(Marks(batches=(1,)))

    answer = store.decide(batch(2, NOW + MINUTE, NOW + 2 * MINUTE, from_us=NOW + MINUTE), A)

    assert [f.due_us for f in answer.fresh] == [NOW + 2 * MINUTE]
    assert [f.due_us for f in store.load_open(A, 10).firings] == [NOW + 2 * MINUTE]
    assert len(ledger(store)) == 2


@pytest.mark.parametrize(
    "wrong", [{"from_us": NOW + 1}, {"from_us": NOW - 1}, {"rev": 2}, {"name": "unknown"}]
)
def test_an_entry_that_has_changed_is_stale_and_the_rest_is_decided(store, wrong):
    lead(store)
    reconcile(store, entry(), entry("other"))
    good = batch(1, NOW + MINUTE, name="other")
    skip = Skip(wrong.get("name", "tick"), NOW, NOW, 1, SkipReason.LIMIT)
    bad = batch(1, NOW + MINUTE, **wrong, skips=(skip,))

    answer = store.decide(Batch(1, NOW, good.firings + bad.firings, good.moves + bad.moves, (skip,)), A)

    assert answer.fresh == good.firings
    expected = [] if "name" in wrong else [("tick", 1, NOW)]
    assert [(known.entry.name, known.rev, known.cursor_us) for known in answer.stale] == expected
    assert cursors(store) == {"tick": (1, NOW), "other": (1, NOW + MINUTE)}
    assert skips(store) == []


def test_a_removed_entry_is_stale(store):
    lead(store)
    reconcile(store, entry())
    reconcile(store, now_us=NOW)

    answer = store.decide(batch(2, NOW + MINUTE), A)

    assert answer.fresh == ()
    assert [known.removed for known in answer.stale] == [True]


def test_open_firings_come_oldest_first_and_in_whole_batches(store):
    lead(store)
    reconcile(store, entry())
    store.decide(batch(1, NOW + 3 * MINUTE, NOW + 4 * MINUTE), A)
    store.decide(batch(2, NOW + MINUTE, NOW + 9 * MINUTE, from_us=NOW + 4 * MINUTE), A)

    def minutes(limit):
        return [(f.due_us - NOW) // MINUTE for f in store.load_open(A, limit).firings]

    assert minutes(100) == [1, 3, 4, 9]
    assert minutes(1) == [1, 9]
    assert minutes(3) == [1, 3, 4, 9]


def test_what_is_loaded_has_the_payload_of_the_revision_that_decided_it(opened):
    lead(opened.store)
    reconcile(opened.store, entry())
    opened.store.decide(batch(1, NOW + MINUTE), A)
    reconcile(opened.store, entry(what={"task": "new"}), batch_id=2)
    reconcile(opened.store, batch_id=3)
    lead(opened.other, B)

    (firing,) = opened.other.load_open(B, 10).firings

    assert (firing.rev, firing.payload) == (1, {"task": "app.tick", "args": [1]})
    assert firing.task_id == batch(1, NOW + MINUTE).firings[0].task_id


def test_a_mark_closes_a_batch_or_single_firings_and_is_idempotent(store):
    lead(store)
    reconcile(store, entry())
    one = batch(1, NOW + MINUTE, NOW + 2 * MINUTE)
    two = batch(2, NOW + 3 * MINUTE, NOW + 4 * MINUTE, from_us=NOW + 2 * MINUTE)
    store.decide(one, A)
    store.decide(two, A)

    for _ in range(2):
        store.mark(Marks(batches=(1, 77), firings=(two.firings[0].ledger_key,), sent_us=NOW))
        assert store.load_open(A, 10) == Open(two.firings[1:])
    store.mark(Marks(firings=(two.firings[1].ledger_key, two.firings[1]._replace(entry="no").ledger_key)))

    assert store.load_open(A, 10) == Open()
    assert set(ledger(store).values()) == {FiringState.SENT}


def test_batches_that_are_sent_one_by_one_do_not_hide_open_ones(store):
    lead(store)
    reconcile(store, entry())
    from_us = NOW
    for k in range(1, 6):
        store.decide(batch(k, NOW + k * MINUTE, from_us=from_us), A)
        from_us = NOW + k * MINUTE
        if k < 5:
            store.mark(Marks(firings=(batch(k, NOW + k * MINUTE).firings[0].ledger_key,)))

    assert [f.batch_id for f in store.load_open(A, 1).firings] == [5]


def test_a_mark_is_a_fact_and_needs_no_fence(opened):
    lead(opened.store)
    reconcile(opened.store, entry())
    opened.store.decide(batch(1, NOW + MINUTE), A)
    lead(opened.other, B)

    opened.store.mark(Marks(batches=(1,)))

    assert opened.other.load_open(B, 10) == Open()


def test_marks_travel_with_the_next_decision_but_not_with_a_refused_one(opened):
    store = opened.store
    lead(store)
    reconcile(store, entry())
    store.decide(batch(1, NOW + MINUTE), A)
    second = batch(2, NOW + 2 * MINUTE, from_us=NOW + MINUTE, marks=Marks(batches=(1,), sent_us=NOW))

    assert store.decide(second, Fence("a", 9)) is FENCED
    assert [f.batch_id for f in store.load_open(A, 10).firings] == [1]
    store.decide(second, A)

    assert [f.batch_id for f in store.load_open(A, 10).firings] == [2]


def test_two_leaders_that_race_decide_an_instant_once(opened):
    lead(opened.store)
    reconcile(opened.store, entry())
    fresh, barrier = [], threading.Barrier(2)

    def run(store, batch_id):
        barrier.wait()
        with contextlib.suppress(StoreDown):  # REPEATABLE READ: refused, and tried again by the loop
            fresh.extend(store.decide(batch(batch_id, NOW + MINUTE), A).fresh)

    threads = [
        threading.Thread(target=run, args=(s, k)) for k, s in enumerate((opened.store, opened.other), 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(fresh) == len(ledger(opened.store)) == 1


# ---- changes of state ----

DECIDED, SENT, SKIPPED, SENDING = (
    FiringState.DECIDED,
    FiringState.SENT,
    FiringState.SKIPPED,
    FiringState.SENDING,
)
DOUBTFUL, FAILED, HELD = FiringState.DOUBTFUL, FiringState.FAILED, FiringState.HELD


def settle(store, firing, before, after, reason="", now_us=NOW, fence=A):
    return store.settle([Change(firing, before, after, reason)], now_us, fence)


def one_in(store, state, number=1):
    """A firing of `tick` that is in `state`, in batch `number`, beside one that is decided."""
    start = NOW + (number - 1) * 10 * MINUTE
    if number == 1:
        lead(store)
        reconcile(store, entry())
    given = batch(number, start + MINUTE, start + 10 * MINUTE, from_us=start)
    firing, other = given.firings
    if state is HELD:
        given = replace(given, firings=(other,), held=(firing,))
    store.decide(given, A)
    match state:
        case FiringState.SENT:
            store.mark(Marks(firings=(firing.ledger_key,)))
        case FiringState.SENDING:
            assert settle(store, firing, DECIDED, SENDING)
        case FiringState.SKIPPED | FiringState.FAILED:
            assert settle(store, firing, DECIDED, state, "limit")
        case FiringState.DOUBTFUL:
            assert settle(store, firing, DECIDED, SENDING)
            assert settle(store, firing, SENDING, DOUBTFUL)
    assert ledger(store)[firing.due_us, "tick"] is state
    return firing


def test_a_firing_changes_its_state_where_the_table_allows_it(store):
    for number, (before, after) in enumerate(sorted(TRANSITIONS), 1):
        firing = one_in(store, before, number)
        change = Change(firing, before, after, "limit")

        assert store.settle([change], NOW, A) == (change,)

        assert ledger(store)[firing.due_us, "tick"] is after


def test_a_firing_that_is_not_in_the_state_that_was_said_stays_as_it_is(store):
    for number, state in enumerate(FiringState, 1):
        firing = one_in(store, state, number)

        for said in {DECIDED, SENDING, HELD} - {state}:
            assert settle(store, firing, said, SKIPPED, "limit") == ()

        assert ledger(store)[firing.due_us, "tick"] is state


def test_of_many_changes_those_are_done_that_fit(store):
    lead(store)
    reconcile(store, entry())
    given = batch(1, *(NOW + k * MINUTE for k in range(1, 6)))
    store.decide(given, A)
    store.mark(Marks(firings=(given.firings[2].ledger_key,)))

    done = store.settle([Change(f, DECIDED, SKIPPED, "backlog") for f in given.firings], NOW, A)

    assert [change.firing.due_us for change in done] == [NOW + k * MINUTE for k in (1, 2, 4, 5)]
    assert Counter(ledger(store).values()) == {SKIPPED: 4, SENT: 1}


def test_a_stale_leader_settles_nothing(opened):
    firing = one_in(opened.store, DECIDED)
    lead(opened.other, B)

    assert opened.store.settle([Change(firing, DECIDED, SENDING)], NOW, A) is FENCED

    assert ledger(opened.other)[firing.due_us, "tick"] is DECIDED


def test_a_firing_of_a_batch_that_was_marked_is_sent_and_cannot_be_taken_back(store):
    firing = one_in(store, DECIDED)
    store.mark(Marks(batches=(1,)))

    assert settle(store, firing, DECIDED, SKIPPED, "backlog") == ()
    assert settle(store, firing, DECIDED, SENDING) == ()

    assert ledger(store)[firing.due_us, "tick"] is SENT


@pytest.mark.parametrize("state", [SENDING, HELD])
def test_the_mark_of_a_batch_says_nothing_about_those_of_its_firings_that_are_not_decided(store, state):
    firing = one_in(store, state)

    store.mark(Marks(batches=(1,)))

    assert ledger(store)[firing.due_us, "tick"] is state


def test_a_firing_that_was_sending_is_marked_by_itself(store):
    firing = one_in(store, SENDING)

    store.mark(Marks(batches=(1,), firings=(firing.ledger_key,)))

    assert set(ledger(store).values()) == {SENT}
    assert store.load_open(A, 10) == Open()


def test_what_was_sending_is_doubtful_for_whoever_loads_it_and_never_comes_again(opened):
    """I-AMO: nobody knows whether the broker has it, so nobody may send it again."""
    firing = one_in(opened.store, SENDING)
    lead(opened.other, B)

    found = opened.other.load_open(B, 10)

    assert found.doubtful == (firing,)
    assert firing not in found.firings
    assert ledger(opened.other)[firing.due_us, "tick"] is DOUBTFUL
    opened.store.mark(Marks(firings=(firing.ledger_key,)))
    assert ledger(opened.other)[firing.due_us, "tick"] is DOUBTFUL
    assert opened.other.load_open(B, 10).doubtful == ()


def test_held_firings_are_loaded_as_held_and_keep_their_batch_open(store):
    firing = one_in(store, HELD)
    store.mark(Marks(firings=(batch(1, NOW + 10 * MINUTE).firings[0].ledger_key,)))

    assert store.load_open(A, 10) == Open(held=(firing,))
    settle(store, firing, HELD, DECIDED)
    assert store.load_open(A, 10) == Open((firing,))
    store.mark(Marks(batches=(1,)))

    assert store.load_open(A, 10) == Open()
    assert set(ledger(store).values()) == {SENT}


def test_batches_that_the_caller_has_are_left_alone(store):
    firing = one_in(store, SENDING)
    store.decide(batch(2, NOW + 11 * MINUTE, from_us=NOW + 10 * MINUTE), A)

    found = store.load_open(A, 10, besides={1})

    assert [f.batch_id for f in found.firings] == [2]
    assert (found.doubtful, found.more) == ((), False)
    assert ledger(store)[firing.due_us, "tick"] is SENDING
    assert store.load_open(A, 10, besides=[1, 2]) == Open()


def test_a_load_says_whether_there_is_more(store):
    lead(store)
    reconcile(store, entry())
    for k in range(3):
        store.decide(batch(k + 1, NOW + (k + 1) * MINUTE, from_us=NOW + k * MINUTE), A)

    assert [store.load_open(A, limit).more for limit in (1, 2, 3, 4)] == [True, True, False, False]


def test_a_firing_keeps_what_it_cancels_its_hold_and_its_terms(opened):
    store = opened.store
    lead(store)
    careful = entry(
        jitter_us=30 * SECOND_US,
        delivery=Delivery.AT_MOST_ONCE,
        overlap=Overlap.CANCEL,
        late_after_us=5,
        what={"task": "app.tick", "options": {"expires": 30}},
    )
    reconcile(store, careful)
    given = firing_of("test", careful, NOW + 20 * MINUTE, rev=1, batch_id=1)
    given = given._replace(cancels="018bcfe5-687b-8f4c-9a87-9bc4593f9ef0")
    store.decide(Batch(1, NOW, (given,), (Move("tick", 1, NOW, given.due_us, None),)), A)
    lead(opened.other, B)

    assert opened.other.load_open(B, 10) == Open((given,))
    assert 0 < given.hold_us < 30 * SECOND_US
    assert (given.terms.once, given.terms.expires_us) == (True, 30 * SECOND_US)


def test_a_backfill_does_not_expire_and_is_not_late(opened):
    store = opened.store
    lead(store)
    strict = entry(late_after_us=5, catch_up_rate=1.0, what={"task": "t", "options": {"expires": 30}})
    reconcile(store, strict)
    regular = firing_of("test", strict, NOW + MINUTE, rev=1, batch_id=1)
    backfill = regular._replace(kind=FiringKind.BACKFILL, terms=terms_of(strict, FiringKind.BACKFILL))
    store.decide(Batch(1, NOW, (backfill,), (Move("tick", 1, NOW, NOW + MINUTE, None),)), A)

    (firing,) = opened.other.load_open(A, 10).firings

    assert (firing.terms.expires_us, firing.terms.rate, firing.terms.late_after_us) == (None, None, None)


def standing(store, name="tick"):
    (known,) = (known for known in store.load(None).entries if known.entry.name == name)
    return known.runs, known.latest_id, known.latest_us


def test_runs_are_counted_with_the_cursor_and_an_edit_keeps_the_count(store):
    lead(store)
    reconcile(store, entry())
    one = batch(1, NOW + MINUTE, NOW + 2 * MINUTE)
    store.decide(one, A)
    assert standing(store) == (2, "", 0)
    assert store.decide(one, A).stale[0].runs == 2

    reconcile(store, entry(what={"task": "new"}))
    reconcile(store, entry(seconds=7), now_us=NOW + 2 * MINUTE + 1)

    assert standing(store) == (2, "", 0)


def test_only_firings_that_are_new_to_the_ledger_count_as_runs(store):
    lead(store)
    reconcile(store, entry(), entry("other"))
    store.decide(batch(1, NOW + MINUTE), A)
    again = batch(2, NOW + MINUTE, NOW + 2 * MINUTE, from_us=NOW + MINUTE)
    other = batch(2, NOW + MINUTE, name="other")

    store.decide(replace(again, firings=again.firings + other.firings, moves=again.moves + other.moves), A)

    assert standing(store)[0] == 2
    assert standing(store, "other")[0] == 1


def test_what_an_old_revision_still_sends_counts_as_runs_and_ends_with_them(store):
    lead(store)
    reconcile(store, entry(catch_up=CatchUp.ALL, max_runs=2))

    answer = reconcile(store, entry(seconds=7, max_runs=3), now_us=NOW + 5 * MINUTE, batch_id=9)

    assert len(answer.firings) == 2
    assert standing(store)[0] == 2


def test_the_newest_run_is_kept_until_it_is_skipped_or_failed(store):
    lead(store)
    reconcile(store, entry())
    one = batch(1, NOW + MINUTE)
    run = one.firings[0]
    store.decide(replace(one, moves=(one.moves[0]._replace(latest_id=run.task_id),)), A)
    assert standing(store) == (1, run.task_id, NOW + 5)
    two = batch(2, NOW + 2 * MINUTE, from_us=NOW + MINUTE)
    moves = (two.moves[0]._replace(runs=0),)
    store.decide(replace(two, firings=(), held=two.firings, moves=moves), A)
    assert standing(store) == (1, run.task_id, NOW + 5)

    settle(store, two.firings[0], HELD, DECIDED, now_us=NOW + 9)
    assert standing(store) == (2, two.firings[0].task_id, NOW + 9)
    settle(store, run, DECIDED, SKIPPED, "expired")
    assert standing(store) == (2, two.firings[0].task_id, NOW + 9)
    settle(store, two.firings[0], DECIDED, FAILED, "too large")

    assert standing(store)[1] == ""


def test_a_held_firing_is_fresh_once(store):
    lead(store)
    reconcile(store, entry())
    one = batch(1, NOW + MINUTE)
    held = replace(one, firings=(), held=one.firings)
    assert store.decide(held, A) == Decided((), held=one.firings)

    later = one.firings[0]._replace(batch_id=2)
    moved = Batch(2, NOW, (), (Move("tick", 1, NOW + MINUTE, NOW + MINUTE, None),), held=(later,))

    assert store.decide(moved, A).held == ()


def test_a_skip_says_what_was_in_the_way(store):
    lead(store)
    reconcile(store, entry())
    skip = Skip("tick", NOW + MINUTE, NOW + MINUTE, 1, SkipReason.OVERLAP, "018bcfe5")

    store.decide(Batch(1, NOW, (), (Move("tick", 1, NOW, NOW + MINUTE, None),), (skip,)), A)

    assert skips(store) == [skip]


def spoil(store, name, text_):
    """Damage the definition of an entry behind the store's back."""
    if isinstance(store, MemoryStore):
        store._entries[name] = replace(store._entries[name], spec=text_)
        return
    with store._engine.begin() as conn:
        conn.execute(
            text("UPDATE bb_revision SET spec = :spec WHERE entry = :name"), {"spec": text_, "name": name}
        )


def test_an_entry_that_cannot_be_read_hurts_only_itself(opened):
    lead(opened.store)
    bad = [
        "{",
        "[]",
        '{"when": {"moon": "full"}, "what": {}}',
        '{"what": {}}',
        "null",
        '{"when": 1, "what": 2}',
    ]
    reconcile(opened.store, entry("good"), *(entry(f"bad {k}") for k in range(len(bad))))
    for k, text_ in enumerate(bad):
        spoil(opened.store, f"bad {k}", text_)

    loaded = opened.other.load(None)

    assert [known.entry.name for known in loaded.entries] == ["good"]
    assert sorted(fault.entry for fault in loaded.faults) == [f"bad {k}" for k in range(len(bad))]
    assert all(fault.reason for fault in loaded.faults)


def test_an_entry_that_cannot_be_read_is_healed_by_its_file_and_starts_now(opened):
    lead(opened.store)
    reconcile(opened.store, entry("good"), entry("bad"))
    spoil(opened.store, "bad", "{")

    answer = reconcile(opened.other, entry("good"), entry("bad"), now_us=NOW + 5 * MINUTE, batch_id=2)

    assert [name for name, _ in answer.changes] == ["bad"]
    assert answer.firings == ()
    loaded = opened.other.load(None)
    assert loaded.faults == ()
    assert cursors(opened.other)["bad"][1] == NOW + 5 * MINUTE


def test_a_decided_firing_whose_schedule_cannot_be_read_any_more_is_sent_all_the_same(opened):
    firing = one_in(opened.store, DECIDED)
    spoil(opened.store, "tick", '{"when": {"moon": "full"}, "what": {"task": "app.tick", "args": [1]}}')

    assert opened.other.load_open(A, 10).firings[0] == firing


def test_a_decided_firing_of_which_nothing_can_be_read_fails_and_says_so(opened):
    firing = one_in(opened.store, DECIDED)
    if isinstance(opened.store, MemoryStore):
        # it holds firings as they are: nothing to be read
        assert opened.store.load_open(A, 10).firings[0] == firing
        return
    spoil(opened.store, "tick", "{")

    found = opened.other.load_open(A, 10)

    assert found.firings == ()
    assert {f.task_id for f, _ in found.failed} >= {firing.task_id}
    assert all("cannot be read" in reason for _, reason in found.failed)
    assert set(ledger(opened.store).values()) == {FAILED}
    assert opened.other.load_open(A, 10) == Open()


def test_beats_that_open_a_new_store_at_once_all_get_it(postgres_url, tmp_path):
    for url in (f"sqlite:///{tmp_path}/new.db", postgres_url):
        if not url.startswith("sqlite"):
            _drop_tables(url)
        stores = [SqlStore(open_engine(url), MetaData(), "test") for _ in range(4)]
        faults = []

        def create(store, faults=faults):
            deadline = time.monotonic() + 60
            while True:
                try:
                    store.create()
                except (
                    StoreDown
                ) as fault:  # on a slow disk the lock is waited for in vain; a beat tries again then
                    if time.monotonic() < deadline:
                        continue
                    faults.append(fault)
                except Exception as fault:
                    faults.append(fault)
                return

        threads = [threading.Thread(target=create, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert faults == []
        assert {store.read_lease() for store in stores} == {Lease("", 0, 0, 0)}
        for store in stores:
            store.close()


def test_a_leader_frozen_inside_a_transaction_of_postgresql_blocks_for_a_quarter_of_the_ttl(postgres_url):
    _drop_tables(postgres_url)
    frozen = SqlStore(open_engine(postgres_url, 2.0), MetaData(), "test")
    candidate = SqlStore(open_engine(postgres_url, 2.0), MetaData(), "test")
    frozen.create()
    lead(frozen)
    transaction = frozen._transaction()
    conn = transaction.__enter__()
    assert frozen._holds(conn, A)

    begun = time.monotonic()
    with contextlib.suppress(StoreDown):
        lead(candidate, B)

    assert candidate.read_lease().epoch == 2
    assert time.monotonic() - begun < 2.0
    with pytest.raises(StoreDown):
        transaction.__exit__(None, None, None)
    assert frozen.load_open(A, 1) is FENCED
    frozen.close()
    candidate.close()


def test_a_leader_frozen_in_the_middle_of_a_pipeline_of_postgresql_blocks_for_no_longer(postgres_url, caplog):
    """PostgreSQL takes its session for a busy one: no timeout of its own ends it."""
    _drop_tables(postgres_url)
    frozen = SqlStore(open_engine(postgres_url, 2.0), MetaData(), "test")
    candidate = SqlStore(open_engine(postgres_url, 2.0), MetaData(), "test")
    frozen.create()
    lead(frozen)
    with contextlib.suppress(OperationalError), frozen._engine.connect() as conn:
        driver = conn.connection.driver_connection
        with driver.pipeline():
            driver.execute("SELECT * FROM bb_lease FOR UPDATE")
            driver.pgconn.send_flush_request()
            driver.pgconn.flush()
            begun = time.monotonic()

            def leads():
                with contextlib.suppress(StoreDown):
                    lead(candidate, B)
                return candidate.read_lease().epoch == B.epoch

            wait_until(leads, 10)
            assert time.monotonic() - begun < 3.0
            assert any("were silent" in record.getMessage() for record in caplog.records)
    frozen.close()
    candidate.close()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_the_fence_of_postgresql_is_no_old_snapshot(postgres_url, isolation):
    """The transaction has begun, and read, before the lease changes hands: a plain SELECT would still see the old row."""
    _drop_tables(postgres_url)
    engine = open_engine(postgres_url)
    stricter = engine.execution_options(isolation_level=isolation.upper())  # ours would not let it be
    old, new = (SqlStore(each, MetaData(), "test") for each in (stricter, open_engine(postgres_url)))
    old.create()
    lead(old)

    held = None
    with contextlib.suppress(StoreDown), old._transaction() as conn:
        assert conn.execute(text("SHOW transaction_isolation")).scalar() == isolation
        conn.execute(text("SELECT * FROM bb_lease")).all()
        lead(new, B)
        held = old._holds(conn, A)

    assert held is not True
    old.close()
    new.close()


def ledger(store):
    """(due, entry) -> effective state, read past the seam."""
    if isinstance(store, MemoryStore):
        return {key[:2]: state for key, (_, state) in store.ledger().items()}
    query = "SELECT f.due_us, f.entry, COALESCE(f.state, b.state) FROM bb_firing f JOIN bb_batch b USING (batch_id)"
    with store._engine.connect() as conn:
        return {(due_us, name): FiringState(state) for due_us, name, state in conn.execute(text(query))}


def skips(store):
    if isinstance(store, MemoryStore):
        return store.skips()
    query = "SELECT entry, from_us, to_us, count, reason, detail FROM bb_skip ORDER BY from_us"
    with store._engine.connect() as conn:
        return [Skip(*row[:4], SkipReason(row[4]), row[5] or "") for row in conn.execute(text(query))]
