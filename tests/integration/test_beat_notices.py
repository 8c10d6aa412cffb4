"""What the beat's loop makes known: each thing once, whatever happens to the loop, the broker or the store in between."""

from __future__ import annotations

import contextlib
import json

import pytest
from backbeat.canvas.ids import derive
from backbeat.scheduler.entry import SECOND_US, CatchUp
from backbeat.scheduler.published import MemoryOutlet, Published
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.registry_wiring import deliveries_of

from support.beat_world import Crash, entries, struck

HOOK = "https://h.example/x"
TOLD = {"webhook_url": HOOK, "ping_start": "https://p.example/start"}


class Picky(MemoryOutlet):
    """It takes nothing."""

    def publish(self, firings):
        return Published([], [(firing, "EncodeError: too large") for firing in firings])


def notices(world, event):
    return [
        kept.notice for kept in deliveries_of(world.store).listed(None, 10_000) if kept.notice.event == event
    ]


def strikes(make_world, known):
    seen = []
    world = make_world()
    world.wanted = entries(**known)
    world.run(world.beat(lambda name, when: seen.append((name, when))), 4)
    return struck(world.store, seen)


@pytest.mark.parametrize("fault", [Crash, StoreDown])
def test_every_sending_is_told_once_whatever_effect_is_struck(make_world, fault):
    known = {"count": 2, "seconds": (1, 2), **TOLD}
    for k, _ in strikes(make_world, known):
        world, left = make_world(), [k]
        world.wanted = entries(**known)

        def strike(*_, left=left):
            left[0] -= 1
            if left[0] == -1 or (left[0] < 0 and fault is Crash):
                raise fault("struck")

        with contextlib.suppress(Crash):
            world.run(world.beat(strike), 4)
        world.run(world.beat(), 4)

        sent = {firing.task_id for firing in world.outlet.sent}
        assert sorted(n.id for n in notices(world, "ping")) == sorted(derive(id_, "ping") for id_ in sent)


def test_what_waits_for_the_broker_is_told_as_late_while_it_waits_and_once(world):
    world.wanted = entries(1, seconds=(1,), late_after_us=5 * SECOND_US, **TOLD)
    beat = world.beat()
    world.run(beat, 2)
    world.outlet.up = False
    world.run(beat, 10)
    waiting = [json.loads(n.body) for n in notices(world, "late")]
    pings = len(notices(world, "ping"))
    world.outlet.up = True
    world.run(beat, 10)
    late = [json.loads(n.body) for n in notices(world, "late")]

    assert len(waiting) >= 4
    assert {each["sent"] for each in waiting} == {False}
    assert all(5 < each["lateness_seconds"] < 8 for each in waiting)
    assert pings == 2
    assert len(notices(world, "ping")) == len(world.outlet.sent)
    assert len(late) == len({each["fire_time"] for each in late})
    assert {each["fire_time"] for each in waiting} <= {each["fire_time"] for each in late}


def test_what_the_policies_pass_over_is_told_as_missed(world):
    world.wanted = entries(1, seconds=(1,), catch_up=CatchUp.NONE, grace_us=0, **TOLD)
    world.run(world.beat(), 2)
    world.clock.wait(30)
    world.run(world.beat(), 2)

    skips = [json.loads(n.body) for n in notices(world, "missed")]

    assert {each["reason"] for each in skips} == {"catch_up_none"}
    assert sum(each["count"] for each in skips) == sum(
        end == "catch_up_none" for end in world.account().values()
    )


def test_what_an_operator_wanted_is_not_told(world):
    world.wanted = entries(1, seconds=(1,), skip_us=(1_700_000_002 * SECOND_US,), **TOLD)
    world.run(world.beat(), 5)

    assert notices(world, "missed") == []


def test_what_the_broker_refuses_is_told_as_failed(world):
    world.wanted = entries(1, seconds=(1,), **TOLD)
    world.outlet = Picky()
    world.run(world.beat(), 3)

    assert [json.loads(n.body)["reason"] for n in notices(world, "failed")] == ["EncodeError: too large"] * 3
    assert notices(world, "ping") == []
