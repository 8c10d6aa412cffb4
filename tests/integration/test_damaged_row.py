"""A row of bb_entry that somebody damaged stands for itself alone: the others are reloaded, listed and changed as before."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.firing import firing_of
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.schedules import Schedules
from backbeat.scheduler.store.base import FENCED, Batch, Fence, Lease, Move
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.wiring import open_store
from sqlalchemy import create_engine, text

from support import servers

NOW = 1_790_000_000 * SECOND_US
FENCE = Fence("me", 1)


def entry(name, seconds=60):
    return Entry(name=name, when=Interval(every=timedelta(seconds=seconds)), what={"task": "t"})


@pytest.mark.parametrize("damage", ["override = 'no JSON'", "override = '[{}]'", "owner = 'nobody'"])
def test_a_damaged_row_does_not_keep_the_others_from_being_reloaded(tmp_path, damage):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(open_store(url, cluster="test")) as store:
        store.swap_lease(Lease("", 0, 0, 0), Lease("me", 1, 1, 10_000))
        store.reconcile([entry("bad"), entry("good")], NOW, FENCE, batch_id=1)
        engine = create_engine(url)
        with engine.begin() as conn:
            conn.execute(text(f"UPDATE bb_entry SET {damage} WHERE name = 'bad'"))
        engine.dispose()

        answer = store.reconcile([entry("bad"), entry("good", 30)], NOW, FENCE, batch_id=2, owner=Owner.FILE)

        assert answer is not FENCED
        assert [name for name, _ in answer.changes] == ["good"]
    with Schedules(url, cluster="test") as schedules:
        assert [each.name for each in schedules.list()] == ["bad", "good"]


# --- rows of the ledger ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
    else:
        with servers.own_database(request.param) as found:
            yield found


@pytest.fixture
def open_firings(url):
    """A store in which `bad` and `good` have each a firing that is decided and not sent, and a way to damage it."""
    engine = open_engine(url)

    def damage(statement):
        with engine.begin() as conn:
            conn.execute(text(statement))

    with closing(open_store(url, cluster="test")) as store:
        store.swap_lease(Lease("", 0, 0, 0), Lease("me", 1, 1, 10_000))
        entries = [entry("bad"), entry("good")]
        store.reconcile(entries, NOW, FENCE, batch_id=1)
        for batch_id, each in enumerate(entries, 2):
            due_us = NOW + 60 * SECOND_US
            firing = firing_of("test", each, due_us, rev=1, batch_id=batch_id)
            store.decide(
                Batch(batch_id, due_us, (firing,), (Move(each.name, 1, NOW, due_us, due_us * 2),)), FENCE
            )
        yield store, damage
    engine.dispose()


def test_a_firing_whose_revision_is_gone_fails_and_is_told(open_firings):
    store, damage = open_firings
    damage("DELETE FROM bb_revision WHERE entry = 'bad'")

    found = store.load_open(FENCE, 100)

    assert [firing.entry for firing in found.firings] == ["good"]
    assert [(firing.entry, "cannot be read" in reason) for firing, reason in found.failed] == [("bad", True)]
    assert store.load_open(FENCE, 100).failed == ()


def test_an_entry_whose_revision_is_gone_is_quarantined_and_comes_back_with_the_next_reload(open_firings):
    store, damage = open_firings
    damage("DELETE FROM bb_revision WHERE entry = 'bad'")

    loaded = store.load(None)
    assert [known.name for known in loaded.entries] == ["good"]
    assert [fault.entry for fault in loaded.faults] == ["bad"]

    store.reconcile([entry("bad"), entry("good")], NOW, FENCE, batch_id=9)
    assert {known.name for known in store.load(None).entries} == {"bad", "good"}


def test_a_firing_of_an_unknown_kind_stays_open_and_holds_up_no_other(open_firings, caplog):
    store, damage = open_firings
    damage("UPDATE bb_firing SET kind = 'odd' WHERE entry = 'bad'")

    for _ in range(2):
        found = store.load_open(FENCE, 100)
        assert [firing.entry for firing in found.firings] == ["good"]
        assert "unknown kind 'odd'" in caplog.text
        caplog.clear()


def test_operators_are_told_of_an_entry_whose_revision_is_gone_and_its_owner_can_remove_it(
    url, open_firings, caplog
):
    store, damage = open_firings
    damage("DELETE FROM bb_revision WHERE entry = 'bad'")

    with Schedules(url, cluster="test") as schedules:
        assert [each.name for each in schedules.list()] == ["good"]
        assert "Entry bad cannot be read" in caplog.text
        caplog.clear()
        store.reconcile([entry("good")], NOW, FENCE, batch_id=9)
        assert [each.name for each in schedules.list()] == ["good"]
        assert "bad" not in caplog.text
