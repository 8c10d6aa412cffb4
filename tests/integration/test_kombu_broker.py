"""What only RabbitMQ does, and what only kombu's other transports do; the contract itself is in conformance/test_broker.py."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import secrets
import socket
import time

import pytest
from amqp import spec
from backbeat.canvas.brokers.inlet import MOST_RETURNS
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.commit.taken import decoded
from backbeat.canvas.config import Config
from backbeat.canvas.envelope import unpack
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.readable import readable
from backbeat.canvas.template import Rendered, template_of
from backbeat.canvas.wire import to_wire
from backbeat.canvas.wiring import open_broker
from kombu import Connection, Consumer, Exchange, Queue

from support import servers
from support.brokers import take_all, take_none
from support.processes import wait_until


@pytest.fixture
def queue(amqp_url):
    return f"q_{secrets.token_hex(4)}"


@pytest.fixture
def broker(amqp_url, queue):
    opened = KombuBroker(amqp_url, queues=[queue], prefetch=100)
    yield opened
    opened.close()


@pytest.fixture
def channel(amqp_url):
    with Connection(amqp_url) as connection, connection.channel() as opened:
        yield opened


def task(queue, name="m", **known):
    return Message(id=f"{name}-{queue}", task="t", args=Json("[1]"), queue=queue, **known)


def got(channel, queue, seconds=10.0):
    return wait_until(lambda: channel.basic_get(queue, no_ack=True), seconds)


# --- the wire --------------------------------------------------------------------------------------------------------------------


def test_k12_a_message_is_celerys_protocol_2_persistent_and_never_expires_by_itself(broker, channel, queue):
    sent = task(
        queue, expires_us=2_000_000_000_000_000, priority=4, reply_to="r", headers={"periodic_task_name": "n"}
    )
    broker.post([sent])

    message = got(channel, queue)
    wire = to_wire(sent)

    assert message.body in (wire.body, wire.body.decode())
    assert message.headers == wire.headers
    assert message.properties["delivery_mode"] == 2
    assert message.properties["correlation_id"] == sent.id
    assert message.properties["content_type"] == "application/json"
    assert message.properties["content_encoding"] == "utf-8"
    assert (message.properties["priority"], message.properties["reply_to"]) == (4, "r")
    assert "expiration" not in message.properties


def test_a_celery_worker_can_declare_and_bind_the_same_queue(broker, channel, queue):
    broker.post([task(queue)])

    declared = Queue(queue, Exchange(queue, type="direct"), routing_key=queue)(channel)
    declared.declare()
    channel.basic_publish(channel.prepare_message(b"x"), exchange=queue, routing_key=queue)

    assert len(take_all(broker, 2)) == 2


def test_a_queue_that_celery_declared_otherwise_is_used_as_it_is(broker, channel, queue):
    arguments = {"x-max-priority": 5}
    Queue(queue, Exchange(queue, type="direct"), routing_key=queue, queue_arguments=arguments)(
        channel
    ).declare()

    assert len(broker.post([task(queue)]).confirmed) == 1
    assert len(take_all(broker, 1)) == 1


def test_what_kombu_consumers_read_is_what_was_sent(broker, amqp_url, queue):
    broker.post([task(queue)])
    seen = []

    with Connection(amqp_url) as connection, connection.channel() as channel:
        declared = Queue(queue, Exchange(queue, type="direct"), routing_key=queue)
        with Consumer(
            channel, [declared], callbacks=[lambda body, message: seen.append((body, message.ack()))]
        ):
            connection.drain_events(timeout=10)

    assert seen[0][0][:2] == [[1], {}]


# --- confirms --------------------------------------------------------------------------------------------------------------------


def test_k26_what_no_queue_takes_is_not_among_the_confirmed_and_the_next_time_it_is(broker, channel, queue):
    kept, gone = f"{queue}kept", f"{queue}gone"
    assert len(broker.post([task(kept), task(gone)]).confirmed) == 2
    channel.queue_delete(gone)

    confirmed = broker.post([task(kept, "1"), task(gone, "2"), task(kept, "3")]).confirmed
    again = broker.post([task(gone, "2")]).confirmed

    assert sorted(confirmed) == [f"1-{kept}", f"3-{kept}"]
    assert len(again) == 1


def test_what_came_back_or_was_refused_is_told_from_what_is_in_doubt(broker, channel, queue):
    full, gone = f"{queue}full", f"{queue}gone"
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(full, durable=True, auto_delete=False, arguments=arguments)
    template = {name: template_of(task(name)) for name in (queue, full, gone)}
    broker.post([Rendered(template[name], name, Json("[]"), Json("{}"), ()) for name in (full, gone)])
    channel.queue_delete(gone)

    posted = broker.post(
        [Rendered(template[name], f"2{name}", Json("[]"), Json("{}"), ()) for name in (full, queue, gone)],
        once=True,
    )

    assert list(posted.confirmed) == [f"2{queue}"]
    assert sorted(posted.returned) == sorted([f"2{full}", f"2{gone}"])


def test_while_the_server_blocks_publishers_nothing_is_written_and_it_is_said(broker, queue):
    broker.post(())
    # what py-amqp calls; a real alarm would stop every user of the server
    broker._publishing._block("low on memory")

    posted = broker.post([task(queue)])
    with pytest.raises(Unavailable, match="short of memory or disk"):
        broker.post(())

    assert (list(posted.confirmed), list(posted.returned)) == ([], [f"m-{queue}"])
    assert take_none(broker) == []


def test_k26_a_missing_queue_is_an_error_where_none_may_be_made(amqp_url, queue):
    broker = KombuBroker(amqp_url, create_queues=False)

    assert not broker.post([task(queue)]).confirmed
    broker.close()


def test_a_full_queue_refuses_and_the_refused_are_not_confirmed(broker, channel, queue):
    channel.queue_declare(
        queue, durable=True, auto_delete=False, arguments={"x-max-length": 3, "x-overflow": "reject-publish"}
    )

    confirmed = [broker.post([task(queue, str(number))]).confirmed for number in range(5)]

    assert [len(one) for one in confirmed] == [1, 1, 1, 0, 0]


def test_what_cannot_be_written_as_amqp_does_not_stop_the_others(broker, queue):
    bad = [
        task(queue, "priority", priority=1_000),
        task(queue, "header", headers={"x" * 300: 1}),
        task("q" * 300, "queue"),
    ]

    confirmed = broker.post([task(queue, "a"), *bad, task(queue, "b")]).confirmed

    assert sorted(confirmed) == [f"a-{queue}", f"b-{queue}"]
    assert len(broker.post([task(queue, "c")]).confirmed) == 1


def test_a_queue_that_may_not_be_declared_does_not_stop_the_others(broker, queue):
    allowed = task(queue)

    confirmed = broker.post([task("amq.forbidden"), allowed]).confirmed

    assert [*confirmed] == [allowed.id]


def test_a_publisher_that_was_cut_off_while_idle_needs_no_second_try(broker, amqp_url, queue):
    broker.post([task(queue)])
    servers.cut_vhost(amqp_url)
    assert readable([broker._publishing.fileno()], 10)  # the server's farewell has come

    assert len(broker.post([task(queue, "again")]).confirmed) == 1


# --- what strangers send ---------------------------------------------------------------------------------------------------------


def test_headers_of_every_amqp_type_become_json(broker, channel, queue):
    sent = task(queue)
    wire = to_wire(sent)
    strange = {
        "when": dt.datetime(2026, 1, 2, 3, 4, 5),
        "amount": decimal.Decimal("1.5"),
        "raw": b"\xff\xfe",
        "deep": {"list": [1, None, {"when": dt.datetime(2026, 1, 2)}]},
        "big": 2**40,
        "float": 1.5,
        "none": None,
    }
    broker.post([task(queue, "first")])
    channel.basic_publish(
        channel.prepare_message(
            wire.body,
            content_type="application/json",
            content_encoding="utf-8",
            headers={**wire.headers, **strange},
            properties={"timestamp": 1_700_000_000, "app_id": "x"},
        ),
        routing_key=queue,
    )
    deliveries = take_all(broker, 2)

    message = next(taken.message for taken in map(decoded, deliveries) if taken.message.id == sent.id)
    raw = next(unpack(each.raw) for each in deliveries if sent.id in each.raw)

    assert message.headers["when"] == "2026-01-02T03:04:05+00:00"
    assert message.headers["amount"] == "1.5"
    assert message.headers["deep"]["list"][2]["when"].startswith("2026-01-02")
    assert message.headers["big"] == 2**40
    assert raw.headers["when"] == message.headers["when"]
    json.dumps(message.headers)


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"content_type": "application/x-python-serialize", "headers": {"task": "t", "id": "x"}},
        {"content_type": "application/json", "headers": {"task": 3, "id": ["x"]}},
        {"headers": {"id": "x" * 256, "task": "t"}},
        {"headers": {"": ""}},
    ],
)
def test_what_is_no_task_message_is_delivered_with_the_reason(broker, channel, queue, known):
    broker.take(1)
    channel.basic_publish(channel.prepare_message(b"\xff\x00nonsense", **known), routing_key=queue)

    (delivery,) = take_all(broker, 1)
    taken = decoded(delivery)
    broker.ack([delivery])

    assert taken.message is None
    assert taken.reason
    assert unpack(delivery.raw).body == b"\xff\x00nonsense"


@pytest.mark.parametrize(
    "properties",
    [
        b"\x80\x00\x02\xff\xfe",  # a content type that is not UTF-8
        b"\x20\x00\x00\x00\x00\x0b\x01kT" + b"\xff" * 8,  # a date that no calendar has
    ],
)
def test_properties_that_cannot_be_read_do_not_stop_anybody(broker, channel, queue, properties):
    broker.take(1)
    content = channel.prepare_message(b"body")
    content._serialize_properties = lambda: properties
    channel.send_method(spec.Basic.Publish, "Bssbb", (0, "", queue, False, False), content)
    broker.post([task(queue)])

    deliveries = take_all(broker, 2)
    broker.ack(deliveries)

    assert sorted(decoded(each).message is None for each in deliveries) == [False, True]
    assert take_none(broker) == []


# --- connections -----------------------------------------------------------------------------------------------------------------


def test_a_queue_that_is_deleted_while_it_is_consumed_is_made_and_consumed_again(broker, channel, queue):
    broker.post([task(queue)])
    (held,) = take_all(broker, 1)
    broker.ack([held])
    channel.queue_delete(queue)
    with pytest.raises(Unavailable):
        take_all(broker, 1, 5)

    broker.take(1)
    broker.post([task(queue, "next"), task(queue, "next")])
    broker.post([task(queue, "next")])

    assert take_all(broker, 1)


def test_k15_acknowledgements_of_a_batch_leave_in_one_write(broker, amqp_url, queue):
    names = [f"m{n}" for n in range(10)]
    broker.post([task(queue, name) for name in names])
    held = take_all(broker, len(names))
    connection = broker._inlet.line._amqp
    before = connection.bytes_sent

    broker.ack([held[n] for n in (0, 1, 3, 5, 8)])

    assert connection.bytes_sent == before + 1  # py-amqp counts writes
    broker.close()
    second = KombuBroker(amqp_url, queues=[queue])
    left = [decoded(delivery).message.id for delivery in take_all(second, 5)]
    assert left == [f"m{n}-{queue}" for n in (2, 4, 6, 7, 9)]
    assert not take_none(second)
    second.close()


def test_tags_of_a_dead_connection_are_passed_over(broker, amqp_url, queue):
    broker.post([task(queue)])
    old = take_all(broker, 1)
    servers.cut_vhost(amqp_url)
    with pytest.raises(Unavailable):
        take_all(broker, 1, 5)
    new = take_all(broker, 1)
    broker.ack(old)
    broker.release(old)
    broker.close()

    again = KombuBroker(amqp_url, queues=[queue])
    try:
        assert decoded(new[0]).message.id == decoded(take_all(again, 1)[0]).message.id
    finally:
        again.close()


def test_heartbeats_are_kept_by_waiting_and_an_idle_publisher_lives(amqp_url, queue):
    broker = KombuBroker(amqp_url, queues=[queue], heartbeat_seconds=1)
    broker.post([task(queue)])
    broker.ack(take_all(broker, 1))
    connections = broker._publishing, broker._inlet.line

    until = time.monotonic() + 4
    while time.monotonic() < until:
        broker.wait(until - time.monotonic())

    assert len(broker.post([task(queue, "later")]).confirmed) == 1
    assert len(take_all(broker, 1)) == 1
    assert (broker._publishing, broker._inlet.line) == connections
    broker.close()


@pytest.mark.parametrize(
    ("setting", "query", "negotiated"), [(3, "", 3), (0, "", 0), (120, "?heartbeat=2", 2)]
)
def test_the_heartbeat_is_that_of_the_setting_and_that_of_the_url_before_it(
    amqp_url, setting, query, negotiated
):
    broker = open_broker(Config({"broker_url": f"{amqp_url}{query}", "broker_heartbeat": setting}))
    try:
        broker.post([])
        assert broker._publishing._amqp.heartbeat == negotiated
    finally:
        broker.close()


def refused(url, password):
    broker = KombuBroker(url)
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        broker.post([task("q")])
    assert time.monotonic() - started < 6
    assert password not in str(caught.value)
    broker.close()
    return str(caught.value)


def test_a_wrong_password_is_told_at_once_and_not_shown(amqp_url):
    url = amqp_url.replace("guest:guest", "guest:s3cret-s3cret")

    text = refused(url, "s3cret-s3cret")

    assert "ACCESS_REFUSED" in text
    assert "guest:**@127.0.0.1" in text


def test_a_missing_vhost_and_a_missing_server_are_told(amqp_url):
    assert "NOT_ALLOWED" in refused(amqp_url + "nowhere", "guest:guest")
    assert "refused" in refused("amqp://guest:s3cret@127.0.0.1:1//", "s3cret")


def test_a_server_that_does_not_answer_is_given_up_after_four_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in refused(f"amqp://guest:s3cret@127.0.0.1:{silent.getsockname()[1]}//", "s3cret")


def test_the_second_of_two_servers_is_used_when_the_first_is_down(amqp_url, queue):
    broker = KombuBroker(f"amqp://guest:guest@127.0.0.1:1//;{amqp_url}", queues=[queue])

    assert len(broker.post([task(queue)]).confirmed) == 1
    assert len(take_all(broker, 1)) == 1
    broker.close()


def test_an_unknown_kind_of_url_is_refused_with_a_reason():
    with pytest.raises(ImproperlyConfigured):
        KombuBroker("gopher://somewhere")


# --- other transports ------------------------------------------------------------------------------------------------------------


def test_a_transport_of_kombus_that_is_not_amqp_carries_messages_too(tmp_path):
    queue = f"q_{secrets.token_hex(4)}"
    options = {
        "data_folder_in": str(tmp_path),
        "data_folder_out": str(tmp_path),
        "control_folder": str(tmp_path / "c"),
    }
    for url, known in (("memory://", {}), ("filesystem://", {"transport_options": options})):
        broker = KombuBroker(url, queues=[queue], **known)
        assert len(broker.post([task(queue, str(n)) for n in range(5)]).confirmed) == 5
        one, two, *others = take_all(broker, 5)
        broker.ack(others)
        broker.release([one])
        (again,) = take_all(broker, 1)
        broker.ack([two, again])

        assert decoded(again).message == decoded(one).message
        assert decoded(two).message.args == "[1]"
        assert take_none(broker) == []
        broker.close()


def test_a_consumer_that_the_server_has_forgotten_is_noticed(broker, channel, queue, monkeypatch):
    monkeypatch.setattr("backbeat.canvas.brokers.inlet.CHECK_SECONDS", 0.05)
    broker.post([task(queue, "first")])
    first = take_all(broker, 1)
    broker.ack(first)
    line = broker._inlet.line
    (tag,) = line._channel.callbacks
    line._channel.basic_cancel(tag)
    broker.post([task(queue, "second")])

    with pytest.raises(Unavailable, match="has no consumer of queue"):
        broker.wait(10.0)
    assert [each.wire.headers["id"] for each in take_all(broker, 1)] == [f"second-{queue}"]


# --- what is sent ahead -----------------------------------------------------------------------------------------------------------


def opened_on(url, tmp_path, queue, **known):
    if url.startswith("filesystem"):
        paths = ("data_folder_in", "data_folder_out", "control_folder")
        known["transport_options"] = dict.fromkeys(paths, str(tmp_path))
    return KombuBroker(url, queues=[queue], **known)


@pytest.fixture(params=["amqp", "memory", "filesystem"])
def pair(request, tmp_path):
    """Two brokers of one queue, which are sent four messages ahead; and the queue."""
    queue = f"q_{secrets.token_hex(4)}"
    url = request.getfixturevalue("amqp_url") if request.param == "amqp" else f"{request.param}://"
    brokers = [opened_on(url, tmp_path, queue, prefetch=4) for _ in range(2)]
    yield *brokers, queue
    for each in brokers:
        each.close()


def test_parked_messages_do_not_keep_others_from_coming(pair):
    broker, _, queue = pair
    broker.post([task(queue, str(n)) for n in range(41)])
    parked = []
    for _ in range(40):
        parked += (taken := take_all(broker, 1, 10))
        broker.park(taken)

    (last,) = take_all(broker, 1, 10)
    broker.ack([last])
    broker.ack(parked[:20])
    broker.release(parked[20:])
    broker.park(parked[20:])
    back = []
    while taken := take_all(broker, 1, 1):
        broker.ack(taken)
        back += taken

    assert sorted(decoded(each).message.id for each in back) == sorted(
        decoded(each).message.id for each in parked[20:]
    )


def test_without_being_parked_they_do(pair):
    broker, _, queue = pair
    broker.post([task(queue, str(n)) for n in range(6)])

    assert len(take_all(broker, 5, 0.5)) == 4


@pytest.mark.parametrize("transport", ["amqp", "memory"])
def test_where_nothing_limits_what_is_sent_ahead_parking_sets_no_limit(transport, queue, request, tmp_path):
    url = request.getfixturevalue("amqp_url") if transport == "amqp" else f"{transport}://"
    broker = opened_on(url, tmp_path, queue, prefetch=0)
    try:
        broker.post([task(queue, str(n)) for n in range(2)])
        parked = take_all(broker, 2, 10)
        consumers = list(broker._inlet.line._channel.callbacks) if transport == "amqp" else []
        broker.park(parked)
        broker.post([task(queue, f"later{n}") for n in range(6)])

        assert len(take_all(broker, 6, 10)) == 6
        if transport == "amqp":
            assert list(broker._inlet.line._channel.callbacks) == consumers
    finally:
        broker.close()


def test_what_was_sent_ahead_goes_to_another_on_every_transport(pair):
    first, second, queue = pair
    first.post([task(queue, str(n)) for n in range(4)])
    held = take_all(first, 1)

    first.pause()
    first.post([task(queue, "later")])
    others = take_all(second, 4, 10)
    second.ack(others)
    first.ack(held)

    assert len({decoded(each).message.id for each in [*held, *others]}) == 5
    assert take_none(first) == take_none(second) == []


def test_heartbeats_are_kept_while_nothing_is_wanted_and_the_consumer_is_not_missed(
    amqp_url, queue, monkeypatch
):
    monkeypatch.setattr("backbeat.canvas.brokers.inlet.CHECK_SECONDS", 0.05)
    broker = KombuBroker(amqp_url, queues=[queue], heartbeat_seconds=1)
    broker.post([task(queue)])
    (held,) = take_all(broker, 1)
    connections = broker._publishing, broker._inlet.line

    until = time.monotonic() + 4
    while time.monotonic() < until:
        broker.pause()
        broker.wait(0.1)

    broker.post([task(queue, "later")])
    (later,) = take_all(broker, 1)
    broker.ack([held, later])
    assert (broker._publishing, broker._inlet.line) == connections
    assert take_none(broker) == []
    broker.close()


def test_a_connection_that_is_lost_while_nothing_is_wanted_is_told_and_made_again(broker, amqp_url, queue):
    broker.post([task(queue, str(n)) for n in range(3)])
    held = take_all(broker, 1)
    broker.pause()
    servers.cut_vhost(amqp_url)

    deadline = time.monotonic() + 10

    def is_told():
        try:
            broker.pause()
        except Unavailable:
            return True
        return False

    while not is_told():
        assert time.monotonic() < deadline
    broker.pause()
    broker.renew(held)

    assert len(take_all(broker, 3)) == 3


def test_a_message_that_its_queue_would_drop_when_it_is_handed_back_too_often_is_kept(amqp_url, channel):
    queue = f"q_{secrets.token_hex(4)}"
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": MOST_RETURNS + 2}
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
    broker = KombuBroker(amqp_url, queues=[queue], prefetch=8)
    broker.post([task(queue, str(n)) for n in range(8)])
    run = []

    for _ in range(MOST_RETURNS * 2):
        taken = broker.take(1)
        if taken and taken[0].wire.headers.get("x-delivery-count", 0) >= MOST_RETURNS:
            broker.ack(taken)
            run += taken
        else:
            broker.release(taken)  # as when its task was not started
        broker.wait(1)
        broker.pause()
    while taken := take_all(broker, 1, 1):
        broker.ack(taken)
        run += taken
    broker.close()

    assert sorted(decoded(each).message.id for each in run) == sorted(f"{n}-{queue}" for n in range(8))
