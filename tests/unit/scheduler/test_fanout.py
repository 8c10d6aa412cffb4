"""One beat, several listeners, none of which can hurt another."""

from __future__ import annotations

import inspect
import logging

import pytest
from backbeat.scheduler.fanout import REPEAT_SECONDS, Fanout
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.leader import Term
from backbeat.scheduler.listener import Listener, SilentListener
from backbeat.scheduler.skip import Skip, SkipReason

FIRING = regular_firing("c", "a", 1_000_000, {"task": "t"}, rev=1, batch_id=1)
CALLS = {
    "fired": ((FIRING, 5), {}),
    "late": ((FIRING, 5), {}),
    "failed": ((FIRING, "too large"), {}),
    "doubtful": ((FIRING,), {}),
    "skipped": ((Skip("a", 1, 2, 2, SkipReason.LIMIT),), {}),
    "quarantined": (("a", "no"), {}),
    "clock_stepped": ((-3.0,), {}),
    "leading": ((Term("h", 1, 2.0),), {}),
    "standby": ((), {}),
    "reloaded": ((3,), {}),
    "reload_refused": ((["no"],), {}),
    "passed": ((), {"leads": True}),
}


def hearing_everything(heard):
    """A listener whose class overrides every method, and notes what it hears."""

    def method(name):
        return lambda _self, *args, **named: heard.append((name, args, named))

    return type("Hearing", (SilentListener,), {name: method(name) for name in CALLS})()


def raising():
    def method(_self, *_args, **_named):
        raise RuntimeError("mine")

    return type("Raising", (SilentListener,), dict.fromkeys(CALLS, method))()


def test_it_has_every_event_of_a_listener():
    events = {
        name for name, _ in inspect.getmembers(Listener, inspect.isfunction) if not name.startswith("_")
    }

    assert events == set(CALLS)


@pytest.mark.parametrize("event", CALLS)
def test_every_listener_hears_every_event_as_it_was_said(event):
    heard = []
    args, named = CALLS[event]

    getattr(Fanout([hearing_everything(heard), hearing_everything(heard)]), event)(*args, **named)

    assert heard == [(event, args, named)] * 2


def test_a_firing_is_one_call_where_one_listener_counts_them():
    heard = []
    hearing = hearing_everything(heard)

    fanout = Fanout([SilentListener(), hearing])
    fanout.fired(FIRING, 5)

    assert heard == [("fired", (FIRING, 5), {})]
    assert fanout.fired == hearing.fired


@pytest.mark.parametrize("event", CALLS)
def test_a_listener_that_raises_keeps_nothing_from_the_others(event):
    heard = []
    args, named = CALLS[event]

    getattr(Fanout([raising(), hearing_everything(heard)]), event)(*args, **named)

    assert [name for name, _, _ in heard] == [event]


def test_what_a_listener_raises_is_written_once_a_minute(caplog):
    seconds = [0.0]
    fanout = Fanout([raising(), hearing_everything([])], monotonic=lambda: seconds[0])

    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            fanout.fired(FIRING, 1)
        fanout.standby()
        seconds[0] += REPEAT_SECONDS
        fanout.fired(FIRING, 1)

    assert [record.args[0] for record in caplog.records] == [
        "Raising.fired",
        "Raising.standby",
        "Raising.fired",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_who_is_silent_about_an_event_is_not_called_for_it():
    class Half(SilentListener):
        def standby(self):
            pass

    fanout = Fanout([SilentListener(), Half()])

    assert (len(fanout._hearing["fired"]), len(fanout._hearing["standby"])) == (0, 1)
