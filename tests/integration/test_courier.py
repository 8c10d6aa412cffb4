"""The courier of a beat, with a real receiver: away, slow, saying no; and the alarm that nobody leads."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing

import pytest
from backbeat.canvas.webhook import verify
from backbeat.canvas.webhook.allowed import read_allowed
from backbeat.canvas.webhook.policy import Policy
from backbeat.canvas.webhook.post import Delivered, Refused, Undelivered, ping, post
from backbeat.scheduler.alarm import ABSENT_SECONDS, Alarm
from backbeat.scheduler.courier import EACH, Courier
from backbeat.scheduler.notice import Notice
from backbeat.scheduler.store.base import Marks, StoreDown
from backbeat.scheduler.store.deliveries import NoticeState
from backbeat.scheduler.store.memory import MemoryStore
from backbeat.scheduler.store.registry_wiring import deliveries_of

from support.processes import wait_until
from support.receiver import Receiver

SECRET = "a secret of webhooks"
POLICY = Policy(SECRET, read_allowed(["127.0.0.0/8"]), timeout_seconds=5.0)


def deliver(notice):
    if notice.event == "ping":
        return ping(notice.url, POLICY)
    return post(notice.id, notice.url, notice.body, POLICY)


def now_us():
    return time.time_ns() // 1000


@pytest.fixture
def receiver():
    with closing(Receiver()) as opened:
        yield opened


@pytest.fixture
def store():
    return MemoryStore("test")


@pytest.fixture
def start(store):
    """Starts a courier over the store; all are closed at the end."""
    started = []

    def start_courier(by=deliver, **known):
        known.setdefault("leads", lambda: True)
        deliveries = known.pop("deliveries", None) or deliveries_of(store)
        courier = Courier(deliveries, by, now_us=now_us, period_seconds=0.02, **known)
        started.append(courier)
        courier.start()
        return courier

    yield start_courier
    for courier in started:
        courier.close()


def put(store, *notices):
    store.mark(Marks(notices=notices))


def notice(number, url, event="late"):
    body = "" if event == "ping" else json.dumps({"number": number})
    return Notice(id=f"id-{number}", event=event, entry="tick", url=url, body=body, at_us=now_us())


def states(store):
    return {kept.notice.id: kept.state for kept in deliveries_of(store).listed(None, 1_000)}


def all_are(store, state):
    return lambda: set(states(store).values()) == {state}


def test_what_is_to_be_told_is_told_signed_with_its_id(store, start, receiver):
    start()
    put(store, notice(1, receiver.url()), notice(2, receiver.url("/ping"), "ping"))

    received = {one.path: one for one in receiver.wait_for(2)}

    assert verify(received["/hook"].body, received["/hook"].headers, SECRET) == {"number": 1}
    assert received["/hook"].headers["webhook-id"] == "id-1"
    assert received["/ping"].method == "GET"
    wait_until(all_are(store, NoticeState.DELIVERED))


def test_a_receiver_that_was_away_hears_of_everything(store, start, receiver):
    receiver.close()
    start()
    put(store, *[notice(number, receiver.url()) for number in range(10)])
    wait_until(lambda: all(kept.tries for kept in deliveries_of(store).listed(None, 100)))
    waiting = deliveries_of(store).listed(NoticeState.WAITING, 100)
    receiver.open()

    receiver.wait_for(10)

    assert {kept.error for kept in waiting} == {f"http://127.0.0.1:{receiver.port}: connection refused"}
    wait_until(all_are(store, NoticeState.DELIVERED))
    assert {one.payload["number"] for one in receiver.received} == set(range(10))


def test_what_is_refused_fails_at_once_and_is_delivered_after_a_replay(store, start, receiver):
    answers = [Refused("not allowed")]

    def by(notice):
        return answers.pop() if answers else deliver(notice)

    start(by)
    put(store, notice(1, receiver.url()))
    wait_until(all_are(store, NoticeState.FAILED))
    (failed,) = deliveries_of(store).listed(None, 10)

    assert deliveries_of(store).replay(None, now_us()) == ["id-1"]
    receiver.wait_for(1)

    assert (failed.error, failed.tries) == ("not allowed", 1)


def test_it_is_given_up_after_a_day_of_tries(store, start):
    tried = []

    class Hasty:
        """The store, in which pauses are over at once."""

        def __getattr__(self, name):
            return getattr(deliveries_of(store), name)

        def due(self, _, *more):
            return deliveries_of(store).due(now_us() + 10**12, *more)

    def by(notice):
        tried.append(notice.id)
        return Undelivered("no")

    start(by, deliveries=Hasty())
    put(store, notice(1, "https://h.example/"))

    wait_until(all_are(store, NoticeState.FAILED))
    assert len(tried) == 152


def test_a_receiver_that_hangs_holds_up_nobody_else(store, start, receiver):
    gate = threading.Event()
    with closing(Receiver()) as slow:
        slow.answer = lambda _: 200 if gate.wait(60) else 500
        start()
        put(store, *[notice(number, slow.url()) for number in range(20)])
        slow.wait_for(EACH)
        put(store, *[notice(number, receiver.url()) for number in range(20, 40)])

        receiver.wait_for(20)

        assert len(slow.received) == EACH
        gate.set()
        wait_until(all_are(store, NoticeState.DELIVERED))


def test_who_does_not_lead_delivers_nothing_and_who_leads_again_does(store, start, receiver):
    leads, looks = [False], []
    start(leads=lambda: leads[0], alarm=lambda: looks.append(1))
    put(store, notice(1, receiver.url()))
    wait_until(lambda: len(looks) > 5)
    before = list(receiver.received)
    leads[0] = True

    receiver.wait_for(1)

    assert before == []


def test_what_is_under_way_when_a_courier_dies_comes_again_with_the_same_id(store, start, receiver):
    def dies(notice):
        deliver(notice)
        raise SystemExit  # before it could note it

    first = start(dies)
    put(store, notice(1, receiver.url()))
    receiver.wait_for(1)
    first.close()
    start()

    one, other, *_ = receiver.wait_for(2)

    assert one.headers["webhook-id"] == other.headers["webhook-id"] == "id-1"
    wait_until(all_are(store, NoticeState.DELIVERED))


def test_a_store_that_is_down_ends_no_courier(store, start, receiver):
    faults = [StoreDown("no answer")] * 3

    class Failing:
        def __getattr__(self, name):
            if faults:
                raise faults.pop()
            return getattr(deliveries_of(store), name)

    put(store, notice(1, receiver.url()))
    start(deliveries=Failing())

    receiver.wait_for(1)
    assert faults == []


def test_a_beat_that_ends_at_once_delivers_what_is_due(store, receiver):
    put(store, *[notice(number, receiver.url()) for number in range(30)])
    with closing(Courier(deliveries_of(store), deliver, leads=lambda: False, now_us=now_us)) as courier:
        courier.drain(30.0)

    assert len(receiver.received) == 30
    assert set(states(store).values()) == {NoticeState.DELIVERED}


# --- the alarm ----------------------------------------------------------------------------------------------------------------


class Signs:
    lease_at = None


class Watched:
    """An alarm whose time is told it, and what it tells."""

    def __init__(self, answers=()):
        self.now, self.signs, self.told, self._answers = 1_000.0, Signs(), [], list(answers)
        self.alarm = Alarm(
            self.signs,
            self._deliver,
            url="https://h.example/alarm",
            cluster="shop",
            who="host:1",
            monotonic=lambda: self.now,
        )

    def _deliver(self, notice):
        answer = self._answers.pop(0) if self._answers else Delivered(200)
        self.told.append(notice)
        return answer

    def look(self, after):
        self.now += after
        self.alarm.look()
        if self.alarm._thread is not None:
            self.alarm._thread.join(60)
        return len(self.told)


def test_it_is_told_once_that_nobody_leads_and_within_half_a_minute():
    watched = Watched()

    assert [watched.look(ABSENT_SECONDS - 1), watched.look(2), watched.look(100)] == [0, 1, 1]

    (one,) = watched.told
    payload = json.loads(one.body)
    assert ABSENT_SECONDS <= 25
    assert (one.event, one.url, payload["cluster"], payload["beat"]) == (
        "no_leader",
        "https://h.example/alarm",
        "shop",
        "host:1",
    )


def test_nothing_is_told_while_somebody_leads_and_again_when_nobody_does_again():
    watched = Watched()
    for _ in range(100):
        watched.signs.lease_at = watched.now
        assert watched.look(5) == 0

    assert watched.look(ABSENT_SECONDS) == 1
    watched.signs.lease_at = watched.now
    assert watched.look(5) == 1
    assert watched.look(ABSENT_SECONDS) == 2
    assert watched.told[0].id != watched.told[1].id


def test_an_alarm_that_was_not_heard_is_told_again_and_a_refused_one_is_not():
    watched = Watched([Undelivered("no"), Undelivered("no")])
    assert [watched.look(30), watched.look(0.1), watched.look(3), watched.look(6), watched.look(600)] == [
        1,
        1,
        2,
        3,
        3,
    ]
    assert len({each.id for each in watched.told}) == 1

    refused = Watched([Refused("no")])
    assert [refused.look(30), refused.look(600)] == [1, 1]
