"""A row of bb_entry that somebody damaged stands for itself alone: the others are reloaded, listed and changed as before."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from backbeat.scheduler.entry import SECOND_US, Entry, Owner
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.schedules import Schedules
from backbeat.scheduler.store.base import FENCED, Fence, Lease
from backbeat.scheduler.store.wiring import open_store
from sqlalchemy import create_engine, text

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
