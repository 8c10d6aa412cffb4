"""The contract of Deliveries, and of what Store records for it: over memory, SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import CatchUp, Delivery, Entry
from backbeat.scheduler.firing import FiringState, firing_of
from backbeat.scheduler.notice import Notice, sent_notices, skip_notices
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.skip import Skip, SkipReason
from backbeat.scheduler.store.base import Batch, Change, Fence, Lease, Marks, Move
from backbeat.scheduler.store.deliveries import KeptNotice, NoticeState
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_wiring import deliveries_of
from backbeat.scheduler.store.sql import SqlStore
from sqlalchemy import MetaData

from support import servers

NOW, SECOND, MINUTE = 1_700_000_040_000_000, 1_000_000, 60_000_000
A = Fence("a", 1)
URL = "https://hooks.example.org/x"


@pytest.fixture(params=["memory", "sqlite", "postgres", "mariadb"])
def store(request, tmp_path):
    with contextlib.ExitStack() as lent:
        if request.param == "memory":
            made = MemoryStore("test")
        else:
            url = f"sqlite:///{tmp_path}/store.db"
            if request.param != "sqlite":
                url = lent.enter_context(servers.own_database(request.param))
            made = SqlStore(open_engine(url), MetaData(), "test")
            made.create()
        lent.callback(made.close)
        yield made


@pytest.fixture(autouse=True)
def _leads(store):
    row = store.read_lease()
    assert store.swap_lease(row, Lease(A.holder, A.epoch, row.renewal + 1, 10_000))


@pytest.fixture
def deliveries(store):
    return deliveries_of(store)


def entry(name="tick", **known):
    known.setdefault("webhook_url", URL)
    return Entry(name=name, when=Interval(every=timedelta(minutes=1)), what={"task": "app.tick"}, **known)


def firing(each, minute=1, batch_id=1):
    return firing_of("test", each, NOW + minute * MINUTE, rev=1, batch_id=batch_id)


def decided(store, each, *, minute=1, batch_id=1, **known):
    """A batch of one firing."""
    due = firing(each, minute, batch_id)
    move = Move(each.name, 1, NOW, due.due_us, due.due_us + MINUTE)
    answer = store.decide(Batch(batch_id, due.due_us, (due,), (move,), **known), A)
    assert answer.fresh == (due,)
    return due


def told(deliveries):
    """(event, entry, what the payload says of the reason) of all notices."""
    found = [kept.notice for kept in deliveries.listed(None, 100)]
    return sorted((n.event, n.entry, json.loads(n.body).get("reason") if n.body else None) for n in found)


def notice(number, url=URL, at_us=NOW):
    return Notice(id=f"id-{number}", event="late", entry="tick", url=url, body="{}", at_us=at_us + number)


def put(store, *notices):
    store.mark(Marks(notices=notices))


# --- what Store records -------------------------------------------------------------------------------------------------------


def test_a_skip_is_recorded_with_what_it_makes_known(store, deliveries):
    each = entry()
    store.reconcile([each], NOW, A, batch_id=9)
    skip = Skip("tick", NOW + MINUTE, NOW + 3 * MINUTE, 3, SkipReason.WINDOW)
    notices = tuple(skip_notices("test", [skip], each.terms.tells, NOW + 4 * MINUTE))
    batch = Batch(1, NOW, (), (Move("tick", 1, NOW, NOW + 3 * MINUTE, None),), (skip,), notices=notices)

    assert deliveries.listed(None, 10) == []
    store.decide(batch, A)
    store.decide(batch, A)  # its answer was lost

    (kept,) = deliveries.listed(None, 10)
    payload = json.loads(kept.notice.body)
    assert kept == KeptNotice(notice=notices[0], next_us=NOW + 4 * MINUTE)
    assert (payload["event"], payload["schedule"], payload["count"], payload["reason"]) == (
        "missed",
        "tick",
        3,
        "window",
    )


def test_nothing_is_told_of_an_entry_that_was_edited_meanwhile(store, deliveries):
    each = entry()
    store.reconcile([each], NOW, A, batch_id=9)
    skip = Skip("tick", NOW + MINUTE, NOW + MINUTE, 1, SkipReason.WINDOW)
    notices = tuple(skip_notices("test", [skip], each.terms.tells, NOW))

    answer = store.decide(
        Batch(1, NOW, (), (Move("tick", 7, NOW, NOW + MINUTE, None),), (skip,), notices=notices), A
    )

    assert [known.name for known in answer.stale] == ["tick"]
    assert told(deliveries) == []


def test_what_was_sent_is_recorded_with_its_mark_and_once(store, deliveries):
    each = entry(ping_start="https://ping.example/start", grace_us=5 * SECOND)
    store.reconcile([each], NOW, A, batch_id=9)
    due = decided(store, each)
    notices = sent_notices(due, due.due_us + 6 * SECOND)

    store.mark(Marks(batches=(1,), sent_us=NOW, notices=notices))
    store.mark(Marks(batches=(1,), sent_us=NOW, notices=notices))

    assert told(deliveries) == [("late", "tick", None), ("ping", "tick", None)]


@pytest.mark.parametrize(
    ("after", "reason", "event"),
    [
        (FiringState.FAILED, "EncodeError: no", ("failed", "tick", "EncodeError: no")),
        (FiringState.SKIPPED, "expired", ("missed", "tick", "expired")),
    ],
)
def test_a_firing_that_ends_is_recorded_with_what_it_makes_known(store, deliveries, after, reason, event):
    each = entry()
    store.reconcile([each], NOW, A, batch_id=9)
    change = Change(decided(store, each), FiringState.DECIDED, after, reason)

    assert store.settle([change], NOW + 2 * MINUTE, A) == (change,)
    assert store.settle([change], NOW + 3 * MINUTE, A) == ()

    assert told(deliveries) == [event]


def test_a_firing_that_is_found_doubtful_is_told(store, deliveries):
    each = entry(delivery=Delivery.AT_MOST_ONCE)
    store.reconcile([each], NOW, A, batch_id=9)
    due = decided(store, each)
    store.settle([Change(due, FiringState.DECIDED, FiringState.SENDING)], NOW, A)

    assert store.load_open(A, 10).doubtful == (due,)

    ((event, name, reason),) = told(deliveries)
    assert (event, name) == ("failed", "tick")
    assert "nobody knows" in reason


def test_an_edit_tells_what_the_old_revision_skips(store, deliveries):
    old = entry(catch_up=CatchUp.NONE, grace_us=0)
    store.reconcile([old], NOW, A, batch_id=9)

    store.reconcile([], NOW + 5 * MINUTE + 30 * SECOND, A, batch_id=10)

    assert {event for event, *_ in told(deliveries)} == {"missed"}


def test_an_entry_that_names_nobody_costs_nothing(store, deliveries):
    each = entry(webhook_url="")
    store.reconcile([each], NOW, A, batch_id=9)
    store.settle([Change(decided(store, each), FiringState.DECIDED, FiringState.FAILED, "x")], NOW, A)

    assert told(deliveries) == []


# --- deliveries ---------------------------------------------------------------------------------------------------------------


def test_those_that_are_due_come_oldest_first(store, deliveries):
    put(store, notice(3), notice(1), notice(2), notice(9, at_us=NOW + MINUTE))

    assert [kept.notice.id for kept in deliveries.due(NOW + 10, 10)] == ["id-1", "id-2", "id-3"]
    assert [kept.notice.id for kept in deliveries.due(NOW + 10, 2)] == ["id-1", "id-2"]
    assert deliveries.due(NOW, 10) == []


def test_who_is_busy_is_passed_over(store, deliveries):
    put(store, notice(1), notice(2, url="https://other.example/"))

    assert [kept.notice.id for kept in deliveries.due(NOW + 10, 1, [URL])] == ["id-2"]
    assert deliveries.due(NOW + 10, 10, [URL, "https://other.example/"]) == []


def test_what_was_tried_waits_for_its_next_time_or_is_over(store, deliveries):
    put(store, notice(1), notice(2), notice(3))
    first, second, third = deliveries.due(NOW + 10, 10)

    deliveries.tried(replace(first, tries=1, next_us=NOW + MINUTE, error="status 500"))
    deliveries.tried(replace(second, tries=1, state=NoticeState.DELIVERED))
    deliveries.tried(replace(third, tries=2, state=NoticeState.FAILED, error="refused"))
    deliveries.tried(replace(second, tries=9, state=NoticeState.FAILED))  # it is over: this comes too late

    assert deliveries.due(NOW + 10, 10) == []
    (again,) = deliveries.due(NOW + MINUTE, 10)
    assert (again.tries, again.error) == (1, "status 500")
    assert [k.notice.id for k in deliveries.listed(None, 10)] == ["id-3", "id-2", "id-1"]
    assert [k.notice.id for k in deliveries.listed(None, 1)] == ["id-3"]
    assert [(k.notice.id, k.tries) for k in deliveries.listed(NoticeState.DELIVERED, 10)] == [("id-2", 1)]
    assert [(k.notice.id, k.error) for k in deliveries.listed(NoticeState.FAILED, 10)] == [
        ("id-3", "refused")
    ]


def test_what_is_replayed_is_as_if_it_were_new(store, deliveries):
    put(store, *map(notice, range(4)))
    states = (NoticeState.FAILED, NoticeState.DELIVERED, NoticeState.FAILED)
    for kept, state in zip(deliveries.due(NOW + 10, 3), states, strict=True):
        deliveries.tried(replace(kept, tries=5, state=state, error="x"))

    assert deliveries.replay(["id-1", "no such"], NOW + MINUTE) == ["id-1"]
    assert deliveries.replay(None, NOW + MINUTE) == ["id-0", "id-2"]

    found = {kept.notice.id: kept for kept in deliveries.due(NOW + MINUTE, 10)}
    assert set(found) == {"id-0", "id-1", "id-2", "id-3"}
    assert (found["id-0"].tries, found["id-0"].next_us, found["id-0"].error) == (0, NOW + MINUTE, "")


def test_what_is_over_and_old_is_forgotten(store, deliveries):
    put(store, *map(notice, range(5)))
    states = (NoticeState.DELIVERED, NoticeState.FAILED, NoticeState.DELIVERED, NoticeState.FAILED)
    for kept, state in zip(deliveries.due(NOW + 10, 4), states, strict=True):
        deliveries.tried(replace(kept, tries=1, state=state))

    assert deliveries.forget(NOW + 2, NOW + 2) == 2
    assert deliveries.forget(NOW + MINUTE, NOW) == 1

    assert [kept.notice.id for kept in deliveries.listed(None, 10)] == ["id-4", "id-3"]
