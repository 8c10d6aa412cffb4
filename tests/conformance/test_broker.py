"""The contract of canvas.brokers.base.Broker, over every implementation: memory, SQLite, PostgreSQL, Redis, RabbitMQ, Amazon SQS (an emulator).

MariaDB differs from PostgreSQL in what test_commit.py tries already, and in how it loses connections: that is tried here.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backbeat.canvas.commit.taken import decoded
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.priority import step_of
from backbeat.canvas.queue_table import QueueTable
from backbeat.canvas.template import Rendered, template_of

from support import servers
from support.brokers import BrokerKind, take_all, take_none
from support.processes import wait_until
from support.stacks import IS_WHOLE
from support.thorough import in_turn

SQS = ["sqs"] if IS_WHOLE else []
"""The emulator is slow; tests/integration/test_sqs_broker.py and tests/acceptance/canvas/test_sqs_worker.py are always there."""
KINDS = ["memory", "sqlite", "postgres", "redis", "rabbitmq", *SQS]
WITH_SERVER = ["postgres", "redis", "rabbitmq"]
ACROSS_PROCESSES = ["sqlite", *WITH_SERVER, *SQS]


def make(kind, request) -> BrokerKind:
    match kind:
        case "memory":
            return BrokerKind(kind)
        case "sqlite":
            return BrokerKind(kind, request.getfixturevalue("sqlite_url"))
        case "postgres" | "mariadb":
            url = request.getfixturevalue(f"{kind}_url")
            return BrokerKind(kind, url, cut=lambda: servers.cut_database(url))
        case "redis":
            url, prefix = request.getfixturevalue("redis_prefixed")
            return BrokerKind(kind, url, prefix, cut=lambda: servers.cut_redis(url, prefix))
        case "sqs":
            return BrokerKind(kind, request.getfixturevalue("sqs_server").url)
    url = request.getfixturevalue("amqp_url")
    return BrokerKind(kind, url, cut=lambda: servers.cut_vhost(url))


@pytest.fixture
def broker_kind(request):
    opened = make(getattr(request, "param", None), request)
    yield opened
    opened.close()


every = pytest.mark.parametrize(
    "broker_kind", in_turn(KINDS, always=["memory", "sqlite", "redis", "rabbitmq"]), indirect=True
)
with_priorities = pytest.mark.parametrize(
    "broker_kind", [kind for kind in KINDS if kind != "sqs"], indirect=True
)
"""Amazon SQS has none."""


@pytest.fixture
def queue():
    return f"q_{secrets.token_hex(4)}"


def messages(queue, count, **known):
    return [
        Message(id=f"{queue}-{n}", task="t", args=Json(f"[{n}]"), queue=queue, **known) for n in range(count)
    ]


def ids(deliveries):
    return sorted(taken.message.id for taken in map(decoded, deliveries))


@every
def test_what_is_published_is_confirmed_and_comes_as_it_was(broker_kind, queue):
    (sent,) = messages(queue, 1, headers={"x": [1, {"y": None}]}, priority=3, reply_to="r", root_id="root")

    publisher, consumer = broker_kind.open(), broker_kind.open(queue)
    assert [*publisher.post([sent]).confirmed] == [sent.id]
    (delivery,) = take_all(consumer, 1)

    assert delivery.queue == queue
    got = decoded(delivery).message
    assert (got.id, got.task, got.args, got.root_id, got.reply_to, got.priority, got.headers) == (
        sent.id,
        "t",
        "[0]",
        "root",
        "r",
        3,
        {"x": [1, {"y": None}]},
    )
    assert delivery.raw


def ranked(queue, priorities, *, is_rendered=False):
    """A message of each priority, and one without."""
    found = [Message(id=f"{queue}-none", task="t", queue=queue)]
    for number, priority in enumerate(priorities):
        message = Message(
            id=f"{queue}-{number}", task="t", root_id=f"{queue}-{number}", queue=queue, priority=priority
        )
        template = template_of(message) if is_rendered else None
        found.append(
            message if template is None else Rendered(template, message.id, Json("[]"), Json("{}"), ())
        )
    return found


@pytest.mark.parametrize("is_rendered", [False, True])
@with_priorities
def test_the_highest_priority_comes_first_and_of_one_step_what_was_sent_first(
    broker_kind, queue, is_rendered
):
    table = QueueTable(missing_arguments={"x-max-priority": 9})
    priorities = [0, 5, 9, 3, 1, 7, 2, 9, 6, 4, 8, 0]
    broker_kind.open(table=table).post(ranked(queue, priorities, is_rendered=is_rendered))

    consumer = broker_kind.open(queue, table=table)
    deliveries = take_all(consumer, 13)
    taken = [decoded(delivery).message for delivery in deliveries]
    consumer.ack(deliveries)

    assert {message.queue for message in taken} == {queue}
    steps = [step_of(message.priority) for message in taken]
    assert steps == sorted(steps, reverse=True)
    nines = [message.id for message in taken if message.priority == 9]
    assert nines == [f"{queue}-2", f"{queue}-7"]


@with_priorities
def test_priorities_are_obeyed_by_every_take_of_a_few(broker_kind, queue):
    table = QueueTable(missing_arguments={"x-max-priority": 9})
    broker_kind.open(table=table).post(ranked(queue, [0, 3, 6, 9]))

    consumer, came = broker_kind.open(queue, table=table), []
    for _ in range(5):
        came += take_all(consumer, 1)

    assert [decoded(delivery).message.priority or 0 for delivery in came] == [9, 6, 3, 0, 0]


@every
def test_what_has_a_priority_and_is_handed_back_or_late_comes_by_its_priority_again(broker_kind, queue):
    table = QueueTable(missing_arguments={"x-max-priority": 9})
    consumer = broker_kind.open(queue, table=table)
    consumer.post(ranked(queue, [9]))
    held = take_all(consumer, 2)
    consumer.release(held)

    again = take_all(consumer, 2)

    assert sorted(decoded(delivery).message.priority or 0 for delivery in again) == [0, 9]
    assert {delivery.queue for delivery in again} == {queue}


@every
def test_who_is_present_gets_what_is_broadcast_until_its_time_is_over(broker_kind, queue):
    broker, other = broker_kind.open(), broker_kind.open("bcast.b")
    broker.present(queue, "bcast.a", 30.0)
    broker.present(queue, "bcast.b", 30.0)
    broker.present(f"{queue}-other", "bcast.c", 30.0)
    if broker_kind.kind in {"rabbitmq", "sqs"}:  # its exchanges know; on SQS workers refuse broadcasts
        assert broker.audience(queue) is None
        return

    assert sorted(other.audience(queue)) == ["bcast.a", "bcast.b"]
    broker.post([*messages("bcast.b", 2, priority=9), *messages("bcast.b", 1)])
    broker.present(queue, "bcast.b", 0)
    assert other.audience(queue) == ["bcast.a"]
    assert not take_none(other)  # nobody is there to take it
    broker.present(queue, "bcast.b", 30.0)
    assert sorted(other.audience(queue)) == ["bcast.a", "bcast.b"]


@pytest.mark.parametrize("broker_kind", ["memory", "sqlite", "postgres", "redis"], indirect=True)
def test_who_says_nothing_is_absent_after_its_time_and_what_still_comes_to_it_is_deleted(broker_kind, queue):
    broker, late = broker_kind.open(), broker_kind.open("bcast.gone")
    broker.present(queue, "bcast.gone", 0.05)
    wait_until(lambda: broker.audience(queue) == [], 10.0)
    broker.post(messages("bcast.gone", 1))

    broker.present(queue, "bcast.here", 30.0)

    assert broker.audience(queue) == ["bcast.here"]
    assert not take_none(late)


def rendered(queue, numbers, **known):
    (sample,) = messages(queue, 1, headers={"name": "", "kept": [1]}, **known)
    template = template_of(sample, ("name",))
    return [
        Rendered(template, f"{queue}-{n}", Json(f'[{n},"\u2603%s"]'), Json('{"k":1}'), (f"entry \u2603 {n}",))
        for n in numbers
    ]


@every
def test_rendered_messages_come_as_others_do_and_among_them(broker_kind, queue):
    consumer = broker_kind.open(queue)
    items = [
        *rendered(queue, range(70)),
        *messages(queue, 71)[70:],
        *rendered(queue, range(71, 74), priority=6, reply_to="r"),
    ]

    posted = consumer.post(items)
    deliveries = take_all(consumer, 74)
    consumer.ack(deliveries)

    assert (sorted(posted.confirmed), list(posted.returned)) == (sorted(item.id for item in items), [])
    got = {taken.message.id: taken.message for taken in map(decoded, deliveries)}
    assert len(got) == 74
    for item in items:
        message = item.message() if isinstance(item, Rendered) else item
        come = got[item.id]
        for name in ("task", "kwargs", "headers", "root_id", "reply_to", "queue"):
            assert getattr(come, name) == (
                getattr(message, name) or (item.id if name == "root_id" else getattr(message, name))
            )
        assert json.loads(come.args) == json.loads(message.args)
        assert (come.priority or 0) == (message.priority or 0)
    assert take_none(consumer) == []


@every
def test_rendered_messages_go_each_to_its_queue(broker_kind, queue):
    consumer = broker_kind.open(f"{queue}a", f"{queue}b")
    items = [item for n in range(5) for name in "ab" for item in rendered(f"{queue}{name}", [n])]

    assert len(consumer.post(items).confirmed) == 10
    deliveries = take_all(consumer, 10)

    assert sorted((delivery.queue, decoded(delivery).message.id) for delivery in deliveries) == sorted(
        (item.queue, item.id) for item in items
    )


@every
def test_a_large_rendered_message_comes_whole(broker_kind, queue):
    consumer = broker_kind.open(queue)
    (small,) = rendered(queue, [1])
    large = small._replace(args=Json(json.dumps(["x" * 300_000])), id="large")

    assert sorted(consumer.post([small, large, small._replace(id="after")]).confirmed) == sorted(
        [small.id, "large", "after"]
    )
    sizes = {taken.message.id: len(taken.message.args) for taken in map(decoded, take_all(consumer, 3))}

    assert sizes["large"] == len(large.args)


@every
def test_to_post_nothing_asks_for_a_connection_and_sends_nothing(broker_kind, queue):
    consumer = broker_kind.open(queue)

    assert list(consumer.post(()).confirmed) == []
    assert take_none(consumer) == []


@every
def test_nothing_is_published_and_nothing_taken(broker_kind, queue):
    broker = broker_kind.open(queue)

    assert not broker.post([]).confirmed
    assert broker.take(10) == []
    broker.ack([])
    broker.release([])
    broker.renew([])


@every
def test_the_raw_text_of_a_delivery_is_the_whole_message(broker_kind, queue):
    broker_kind.open().post(messages(queue, 1))
    (delivery,) = take_all(broker_kind.open(queue), 1)

    text = Delivery(delivery.tag, delivery.queue, None, delivery.raw)
    assert decoded(text).message == decoded(delivery).message


@every
def test_what_is_acknowledged_does_not_come_back(broker_kind, queue):
    consumer = broker_kind.open(queue)
    consumer.post(messages(queue, 3))
    consumer.ack(take_all(consumer, 3))
    consumer.close()

    assert take_none(broker_kind.open(queue), broker_kind.lease_seconds * 2) == []


@every
def test_what_is_not_acknowledged_comes_back_after_its_holder_is_closed(broker_kind, queue):
    first = broker_kind.open(queue)
    first.post(messages(queue, 5))
    deliveries = take_all(first, 5)
    first.ack([deliveries[0], deliveries[3]])
    first.close()

    back = take_all(broker_kind.open(queue), 3)

    assert ids(back) == ids(deliveries[n] for n in (1, 2, 4))


@every
def test_a_message_is_held_for_one_consumer(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first, second = broker_kind.open(queue), broker_kind.open(queue)
    first.post(messages(queue, 2))

    held = take_all(first, 2, 5)
    held += take_all(second, 2 - len(held), 5)

    assert len(held) == 2
    assert take_none(first) == take_none(second) == []


@every
def test_what_is_released_comes_back_at_once(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first = broker_kind.open(queue)
    first.post(messages(queue, 3))
    deliveries = take_all(first, 3)
    first.release(deliveries[:2])

    back = take_all(first, 2)

    assert ids(back) == ids(deliveries[:2])


@every
def test_after_a_pause_what_was_sent_ahead_is_others_and_what_was_taken_stays_held(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first, second = broker_kind.open(queue), broker_kind.open(queue)
    first.post(messages(queue, 10))
    held = take_all(first, 1)

    first.pause()
    others = take_all(second, 9)
    second.ack(others)

    assert ids([*held, *others]) == sorted(f"{queue}-{n}" for n in range(10))
    assert take_none(second) == []
    first.ack(held)
    first.close()
    assert take_none(second) == []


@every
def test_who_has_paused_gets_nothing_sent_ahead_until_it_takes_again(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first, second = broker_kind.open(queue), broker_kind.open(queue)
    first.post(messages(queue, 1))
    first.ack(take_all(first, 1))

    for _ in range(3):
        first.pause()
    first.post(messages(queue, 5))
    first.wait(0.05)
    first.renew([])
    first.pause()
    assert first.take(0) == []
    others = take_all(second, 5)
    second.release(others)
    second.pause()
    back = take_all(first, 5)

    assert len(others) == 5
    assert ids(back) == ids(others)


@every
def test_to_pause_before_anything_was_taken_is_no_fault(broker_kind, queue):
    broker = broker_kind.open(queue)
    broker.pause()
    broker.post(messages(queue, 2))

    assert len(take_all(broker, 2)) == 2


@every
def test_what_comes_while_somebody_pauses_is_lost_to_nobody(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first, publisher = broker_kind.open(queue), broker_kind.open()
    count = broker_kind.many(2_000)
    sent = messages(queue, count)
    sending = threading.Thread(target=lambda: [publisher.post(sent[n : n + 50]) for n in range(0, count, 50)])
    done = []

    sending.start()
    while sending.is_alive():
        taken = first.take(3)
        first.ack(taken)
        done += taken
        first.pause()
    sending.join()
    first.pause()
    second = broker_kind.open(queue)
    while len(done) < count and (others := take_all(second, min(500, count - len(done)))):
        second.ack(others)
        done += others

    assert ids(done) == sorted(message.id for message in sent)


@every
def test_what_is_parked_is_held_as_all_else(broker_kind, queue):
    broker_kind.lease_seconds = 60
    first, second = broker_kind.open(queue), broker_kind.open(queue)
    first.post(messages(queue, 6))
    parked = take_all(first, 6)

    first.park(parked)
    first.park([])
    first.pause()
    assert take_none(second) == []
    first.ack(parked[:2])
    first.release(parked[2:4])
    first.park(parked[2:4])
    back = take_all(second, 2)

    assert ids(back) == ids(parked[2:4])
    assert take_none(second) == []


@every
def test_what_is_posted_with_an_eta_waits_where_timers_are_kept_but_at_once_never_does(broker_kind, queue):
    broker_kind.lease_seconds = 60
    broker = broker_kind.open(queue)
    due = time.time_ns() // 1000 + 1_500_000
    first, second = messages(queue, 2, eta_us=due)
    broker.post([first])
    assert [*broker.post([second], at_once=True).confirmed] == [second.id]

    early = ids(take_all(broker, 1 if broker.keeps_timers else 2, 1.0))
    assert time.time_ns() // 1000 < due
    assert take_none(broker) == []
    assert early == ([second.id] if broker.keeps_timers else [first.id, second.id])
    if broker.keeps_timers:
        assert ids(take_all(broker, 1)) == [first.id]
        assert time.time_ns() // 1000 >= due - 50_000  # its clock is the server's


@every
def test_what_is_renewed_is_held_for_longer_than_its_lease(broker_kind, queue):
    broker_kind.lease_seconds = 1.0
    first, second = broker_kind.open(queue), broker_kind.open(queue)
    first.post(messages(queue, 1))
    held = take_all(first, 1)
    stolen = []

    until = time.monotonic() + 1.6
    while time.monotonic() < until:
        first.renew(held)
        stolen += take_none(second, 0.05)

    assert stolen == []
    assert take_none(first) == []  # nor did it come a second time to who holds it


@every
def test_acknowledging_what_is_no_longer_held_does_nothing(broker_kind, queue):
    consumer = broker_kind.open(queue)
    consumer.post(messages(queue, 2))
    one, two = take_all(consumer, 2)
    consumer.ack([one])
    consumer.ack([one])
    consumer.release([one, two])
    consumer.release([two])
    consumer.ack([two])

    assert ids(take_all(consumer, 1)) == ids([two])


@every
def test_k15_some_are_acknowledged_out_of_order(broker_kind, queue):
    first = broker_kind.open(queue)
    first.post(messages(queue, 20))
    deliveries = take_all(first, 20)
    first.ack(deliveries[10:])
    first.ack(deliveries[3:5])
    first.ack(deliveries[0:2])
    first.close()

    assert ids(take_all(broker_kind.open(queue), 6)) == ids([deliveries[2], *deliveries[5:10]])


@every
def test_a_thousand_messages_in_one_batch_come_each_once(broker_kind, queue):
    broker_kind.lease_seconds = 60
    sent = messages(queue, broker_kind.many(1_000))
    consumer = broker_kind.open(queue)

    assert {*consumer.post(sent).confirmed} == {message.id for message in sent}
    deliveries = take_all(consumer, len(sent))
    consumer.ack(deliveries)

    assert ids(deliveries) == sorted(message.id for message in sent)
    assert take_none(consumer) == []


@every
def test_several_queues_are_consumed_and_others_are_not(broker_kind, queue):
    consumer = broker_kind.open(f"{queue}a", f"{queue}b")
    for name in "abc":
        consumer.post(messages(f"{queue}{name}", 2))

    deliveries = take_all(consumer, 4)

    assert sorted(delivery.queue for delivery in deliveries) == [f"{queue}a"] * 2 + [f"{queue}b"] * 2
    assert take_none(consumer) == []


@every
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"headers": 1}',
        '{"headers": {}, "properties": {}, "body": 3}',
        "null",
        "\x00",
        "[" * 5_000,
    ],
)
def test_what_is_not_a_message_is_delivered_with_the_reason_and_stops_nobody(broker_kind, queue, text):
    if text == "\x00" and broker_kind.kind == "postgres":
        pytest.skip("PostgreSQL refuses it")
    if text in {"", "\x00"} and broker_kind.kind == "sqs":
        pytest.skip("SQS refuses it")
    consumer = broker_kind.open(queue)
    consumer.take(1)  # the queue exists
    broker_kind.inject(queue, text)
    consumer.post(messages(queue, 1))

    deliveries = take_all(consumer, 2)
    taken = [decoded(delivery) for delivery in deliveries]

    assert sorted(bool(item.message) for item in taken) == [False, True]
    assert all(item.reason for item in taken if item.message is None)
    consumer.ack(deliveries)
    assert take_none(consumer) == []


@every
def test_wait_ends_when_a_message_comes(broker_kind, queue):
    consumer, publisher = broker_kind.open(queue), broker_kind.open()
    consumer.take(1)
    sending = threading.Timer(0.1, publisher.post, [messages(queue, 1)])
    sending.start()
    deadline = time.monotonic() + 20
    while not (taken := consumer.take(1)) and time.monotonic() < deadline:
        consumer.wait(20)
    sending.join()

    assert ids(taken) == [f"{queue}-0"]


@pytest.mark.parametrize("broker_kind", [*KINDS, "mariadb"], indirect=True)
def test_wait_ends_when_a_waker_can_be_read_also_one_that_select_could_not_watch(broker_kind, queue):
    consumer = broker_kind.open(queue)
    low, writer = os.pipe()
    reader = fcntl.fcntl(low, fcntl.F_DUPFD, 1_100)
    os.close(low)
    try:
        os.write(writer, b"x")
        started = time.monotonic()
        consumer.wait(30, [reader])
    finally:
        os.close(reader)
        os.close(writer)

    assert time.monotonic() - started < 20


@every
def test_wait_ends_when_the_time_is_over(broker_kind, queue):
    consumer = broker_kind.open(queue)
    consumer.wait(0.05)
    consumer.wait(0)


@every
def test_closing_twice_is_closing_once(broker_kind, queue):
    broker = broker_kind.open(queue)
    broker.post(messages(queue, 1))
    broker.close()
    broker.close()


@pytest.mark.parametrize("broker_kind", [*WITH_SERVER, "mariadb"], indirect=True)
def test_after_the_server_closed_all_connections_the_next_call_but_one_works(broker_kind, queue):
    broker = broker_kind.open(queue)
    assert len(broker.post(messages(queue, 4)).confirmed) == 4
    held = take_all(broker, 4)
    broker.ack(held[:1])
    broker_kind.cut()

    later = messages(queue, 6)[4:]
    confirmed = retried(lambda: broker.post(later)).confirmed
    back = retried(lambda: take_all(broker, 5))
    broker.ack(held)  # of a connection that is gone: passed over, or the same messages by the same holder

    assert {*confirmed} == {message.id for message in later}
    assert {decoded(delivery).message.id for delivery in back} == {f"{queue}-{n}" for n in range(1, 6)}


def retried(call):
    """Two chances for each connection that may be found dead."""
    for _ in range(4):
        try:
            return call()
        except Unavailable:
            pass
    return call()


@pytest.mark.parametrize("broker_kind", ACROSS_PROCESSES, indirect=True)
def test_what_a_killed_process_held_comes_back_whole(broker_kind, queue):
    broker = broker_kind.open(queue)
    broker.post(messages(queue, 10))
    arguments = [broker_kind.kind, broker_kind.address, broker_kind.prefix, queue, "10"]
    if broker_kind.kind == "rabbitmq":
        broker.close()  # the consumer of this process took none yet, so the other gets all
    holder = subprocess.Popen(
        [sys.executable, "-m", "support.brokers", *arguments],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline().split() == ["held", "10"]
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()

    assert ids(take_all(broker_kind.open(queue), 10)) == sorted(f"{queue}-{n}" for n in range(10))


@every
def test_what_one_announces_stands_until_it_expires(broker_kind, queue):
    first, second = broker_kind.open(), broker_kind.open()

    assert first.announce(queue, "one", 60) == "one"
    assert second.announce(queue, "two", 60) == "one"
    assert first.announce(queue, "one", 0.3) == "one"
    assert second.announce(f"{queue}-other", "two", 60) == "two"

    deadline = time.monotonic() + 10
    while second.announce(queue, "two", 60) != "two":
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    assert first.announce(queue, "one", 60) == "two"


@pytest.mark.parametrize("broker_kind", ["sqlite", "mariadb", *WITH_SERVER], indirect=True)
def test_of_those_who_announce_in_the_same_moment_one_stands_for_all(broker_kind, queue):
    brokers = [broker_kind.open(worker=f"w{n}") for n in range(4)]

    for attempt in range(5):
        barrier, name = threading.Barrier(len(brokers)), f"{queue}-{attempt}"

        def announce(number, barrier=barrier, name=name):
            barrier.wait()
            return brokers[number].announce(name, f"value {number}", 60)

        with ThreadPoolExecutor(len(brokers)) as pool:
            standing = list(pool.map(announce, range(len(brokers))))

        assert len(set(standing)) == 1
        assert {broker.announce(name, "late", 60) for broker in brokers} == set(standing)
