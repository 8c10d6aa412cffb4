"""What `simulate` says of a day is what a beat then writes, byte for byte: on days on which clocks change, with all that moves a sending.

The beat is the real one over a real store; its clock is virtual and goes from one instant to the next. The lines of the ledger are made of
its rows, of its skip records, and of the instant at which each message went out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas.holder import Holder, LocalProcesses
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.blackout import CronWindow, DailyWindow, DaysWindow, SpanWindow
from backbeat.scheduler.cli.simulate import ledger_line
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.clock_change import Dst
from backbeat.scheduler.clock_guard import ClockGuard
from backbeat.scheduler.entry import SECOND_US, Entry
from backbeat.scheduler.exclusion import Except, OnExcept
from backbeat.scheduler.instants import AnyOf, Clocked, Interval
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.months import Months
from backbeat.scheduler.preview import Occurrence, occurrences
from backbeat.scheduler.published import MemoryOutlet
from backbeat.scheduler.rrule import RRule
from backbeat.scheduler.schedule import Crontab
from backbeat.scheduler.solar import Solar
from backbeat.scheduler.store.wiring import open_store

from simulation.books import MemoryBooks, SqlBooks

CLUSTER = "preview"
HOUR_US = 3_600 * SECOND_US
SQLITE_DAYS = ("autumn in Berlin", "half an hour at Lord Howe")
DAYS = {
    "spring in Berlin": ("2026-03-29", "Europe/Berlin"),
    "autumn in Berlin": ("2026-10-25", "Europe/Berlin"),
    "half an hour at Lord Howe": ("2026-04-05", "Australia/Lord_Howe"),
    "midnight in Santiago": ("2026-09-06", "America/Santiago"),
    "two hours at Troll": ("2026-10-25", "Antarctica/Troll"),
}


@pytest.fixture(autouse=True)
def _quiet(quiet):
    """A clock that goes from instant to instant looks like a machine that is suspended all the time."""


class TimedOutlet(MemoryOutlet):
    """Notes when each message goes out."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self.sent_us = {}

    def publish(self, firings):
        for firing in firings:
            assert firing.ledger_key not in self.sent_us
            self.sent_us[firing.ledger_key] = self._clock.now_us()
        return super().publish(firings)


def entries(zone, from_us):
    def cron(expression, fields=5, dst=Dst.ONCE, **more):
        return Crontab(expression=expression, timezone=zone, dst=dst, fields=fields, **more)

    quarters = cron("*/15 * * * *")
    found = {
        "once": {"when": cron("30 0-3 * * *")},
        "skip": {"when": cron("15,30 0-3 * * *", dst=Dst.SKIP)},
        "twice": {"when": cron("15,30 0-3 * * *", dst=Dst.TWICE)},
        "wild": {"when": cron("*/10 * * * *")},
        "hashed": {"when": cron("H H(0-3) * * *", hash_key="hashed")},
        "seconds": {"when": cron("*/7 0-4 2 * * *", fields=6)},
        "hours": {"when": Interval(every=timedelta(minutes=50), anchor_us=7 * SECOND_US)},
        "month": {"when": Months(months=1, anchor="2020-01-29T02:30", timezone=zone)},
        "union": {"when": AnyOf(schedules=(cron("5 1-4 * * *"), Interval(every=timedelta(minutes=45))))},
        "jitter": {"when": quarters, "jitter_us": 300 * SECOND_US},
        "spread": {"when": quarters, "spread_us": 200 * SECOND_US},
        "period": {"when": quarters, "spread_us": None, "jitter_us": 60 * SECOND_US},
        "limited": {"when": quarters, "max_runs": 7},
        "off": {"when": quarters, "enabled": False},
        "bounded": {"when": quarters, "start_us": from_us + 3 * HOUR_US, "end_us": from_us + 5 * HOUR_US},
    }
    window = DailyWindow(start="01:20", end="03:40", timezone=zone)
    day = DaysWindow(
        days=(f"{datetime.fromtimestamp(from_us / SECOND_US + 86_400, UTC):%Y-%m-%d}",), timezone=zone
    )
    found["rule"] = {
        "when": RRule(rule="FREQ=HOURLY;BYMINUTE=10,40", start="2020-01-01T00:10", timezone=zone)
    }
    found["sun"] = {
        "when": AnyOf(
            schedules=tuple(
                Solar(event=event, latitude=52.5, longitude=13.4)
                for event in ("sunrise", "solar_noon", "sunset")
            )
        )
    }
    found["at"] = {
        "when": Clocked(times_us=(from_us - HOUR_US, from_us + HOUR_US, from_us + 2 * HOUR_US + 7))
    }
    found["cron window"] = {"when": Except(when=quarters, out=(CronWindow(crontab=cron("0-29 2-3 * * *")),))}
    span = SpanWindow(from_us=from_us + HOUR_US, to_us=from_us + 2 * HOUR_US)
    found["span"] = {"when": Except(when=quarters, out=(span,), on_except=OnExcept.DEFER)}
    found["without"] = {"when": Except(when=quarters, out=(window,))}
    found["deferred"] = {"when": Except(when=quarters, out=(window,), on_except=OnExcept.DEFER)}
    found["holiday"] = {"when": Except(when=quarters, out=(day,))}
    fires = [from_us]
    for _ in range(12):
        fires.append(quarters.next_after(fires[-1]))
    found["passed"] = {"when": quarters, "skip_us": (fires[3], fires[4], fires[9])}
    found["last of few"] = {"when": quarters, "skip_us": (fires[2],), "max_runs": 3, "jitter_us": SECOND_US}
    return [Entry(name=name, what={"task": f"app.{name}"}, **given) for name, given in found.items()]


def play(store, wanted, from_us, to_us):
    """Let a beat live through it; when each message went out."""
    clock = FakeClock(from_us)
    outlet = TimedOutlet(clock)
    guard = ClockGuard(clock)
    me = Holder(host="h", host_id="", pid=1, started=1, nonce="n")
    given = [wanted]
    beat = Beat(
        store,
        outlet,
        guard,
        Elector(store, guard, me, LocalProcesses(), fit=guard.fit),
        cluster=CLUSTER,
        entries_source=lambda: given.pop() if given else None,
        begins=guard.begin,
    )
    while True:
        pause = beat.step()
        if pause > 0 and beat.unsent == 0:
            # nothing is due: from instant to instant, and not from poll to poll
            waits = [beat._relay.retry_in()]
            if beat.next_us is not None:
                waits.append((beat.next_us - clock.now_us()) / SECOND_US)
            pause = max(pause, min((each for each in waits if each is not None), default=1e9))
        if clock.now_us() + round(pause * SECOND_US) > to_us:
            break
        clock.advance(pause)
    beat.retire()
    return outlet.sent_us


def lines_of(books, sent_us, to_us):
    """The ledger up to an instant, as lines."""
    found = [
        Occurrence(entry=key.entry, fire_us=key.due_us, send_us=sent_us[key], task_id=row.task_id)
        for key, row in books.rows().items()
        if key.due_us <= to_us
    ]
    for skip in [skip for skip in books.skips() if skip.from_us <= to_us]:
        assert skip.count == 1
        gone = {"send_us": 0, "task_id": "", "skipped": skip.reason.value}
        found.append(Occurrence(entry=skip.entry, fire_us=skip.from_us, **gone))
    return [ledger_line(each) for each in sorted(found, key=lambda each: (each.fire_us, each.entry))]


@pytest.mark.parametrize(
    ("kind", "day"), [*(("memory", day) for day in DAYS), *(("sqlite", day) for day in SQLITE_DAYS)]
)
def test_what_simulate_says_is_what_the_ledger_then_holds(kind, day, tmp_path):
    date, zone = DAYS[day]
    from_us = round(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * SECOND_US - 14 * HOUR_US
    to_us = from_us + 33 * HOUR_US
    wanted = entries(zone, from_us)
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/backbeat.db"}[kind]
    store = open_store(url, cluster=CLUSTER)

    # what was decided and waits for its jitter at the end is sent within the quarter of an hour that follows
    said = list(occurrences(wanted, from_us, to_us, cluster=CLUSTER))
    sent_us = play(store, wanted, from_us, to_us + HOUR_US)
    written = lines_of(MemoryBooks(store) if kind == "memory" else SqlBooks(store), sent_us, to_us)
    store.close()

    assert len(said) > 1_000
    assert [ledger_line(each) for each in said] == written
    assert {each.skipped for each in said} == {"", "operator"}
