"""What only Amazon SQS has, over an emulator: its names, sizes, credentials and queues, long polling, and kombu's layout of messages."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time

import pytest
from backbeat.canvas import App
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.brokers.sqs import open_sqs
from backbeat.canvas.brokers.sqs_queue import SqsQueues
from backbeat.canvas.brokers.virtual import VirtualLine
from backbeat.canvas.commit.taken import decoded
from backbeat.canvas.errors import ImproperlyConfigured, Unavailable
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from kombu import Connection

from support.brokers import take_all, take_none
from support.sqs_server import own_sqs

SHORT = {"visibility_timeout": 2, "wait_time_seconds": 1}
KIB = 1024


@pytest.fixture
def queue():
    return f"q_{secrets.token_hex(4)}"


@pytest.fixture
def open_broker(sqs_server):
    opened = []

    def open_(*queues, url=sqs_server.url, **options):
        opened.append(open_sqs(url, queues=queues, transport_options=SHORT | options))
        return opened[-1]

    yield open_
    for broker in opened:
        broker.close()


def message(queue, number=0, size=0):
    text = "x" * size
    return Message(id=f"{queue}-{number}", task="t", args=Json(f'[{number},"{text}"]'), queue=queue)


def ids(deliveries):
    return [decoded(delivery).message.id for delivery in deliveries]


def test_who_waits_costs_one_request_for_each_time_that_sqs_waits_and_no_cpu(open_broker, sqs_server, queue):
    consumer = open_broker(queue)
    assert take_none(consumer) == []
    before, cpu = sqs_server.requests, time.process_time()

    consumer.wait(3.5)

    assert 1 <= sqs_server.requests - before <= 5
    assert time.process_time() - cpu < 0.5


def test_without_long_polling_it_is_asked_once_a_second_by_default_or_as_the_option_says(
    open_broker, sqs_server, queue
):
    consumer = open_broker(queue, wait_time_seconds=0, polling_interval=0.5)
    assert take_none(consumer) == []
    before = sqs_server.requests

    consumer.wait(3)

    assert 3 <= sqs_server.requests - before <= 7


def test_a_prefetch_is_kept_and_what_is_parked_does_not_count(sqs_server, queue):
    sender = open_sqs(sqs_server.url, transport_options=SHORT)
    sender.post([message(queue, n) for n in range(8)])
    consumer = open_sqs(sqs_server.url, queues=[queue], prefetch=3, transport_options=SHORT)

    held = take_all(consumer, 4, 1.5)
    assert len(held) == 3
    consumer.park(held[:2])
    more = take_all(consumer, 3, 1.5)
    assert len(more) == 2
    consumer.ack([*held, *more])
    assert len(take_all(consumer, 3)) == 3

    sender.close()
    consumer.close()


def test_a_server_that_is_away_is_unavailable_and_one_that_comes_back_empty_is_used():
    with own_sqs() as server:
        broker = open_sqs(server.url, queues=["mail"], transport_options=SHORT)
        broker.post([message("mail")])
        assert len(take_all(broker, 1)) == 1
        server.stop()

        started = time.monotonic()
        with pytest.raises(Unavailable, match="cannot be reached"):
            broker.post([message("mail", 1)])
        assert time.monotonic() - started < 15
        server.start()

        assert ids(_once_more(lambda: _sent_and_taken(broker, message("mail", 2)))) == ["mail-2"]
        broker.close()


def test_a_queue_that_is_deleted_while_it_is_polled_is_made_again(open_broker, sqs_server, queue):
    consumer, sender = open_broker(queue), open_broker()
    sender.post([message(queue)])
    consumer.ack(take_all(consumer, 1))
    client = sqs_server.client()
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=queue)["QueueUrl"])

    def send():
        assert sender.post([message(queue, 1)]).confirmed
        return take_all(consumer, 1)

    assert ids(_once_more(send)) == [f"{queue}-1"]


def _once_more(call):
    """Each of two connections may be found dead, and by its own thread a little later."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > deadline:
                raise


def _sent_and_taken(broker, sent):
    assert broker.post([sent]).confirmed
    return take_all(broker, 1)


WITHOUT_BOTO = """
import sys

sys.modules["boto3"] = sys.modules["botocore"] = None  # as if not installed
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured

try:
    App("shop", broker="sqs://", backend="redis://localhost/0").send_task("t")
except ImproperlyConfigured as error:
    print(error)
"""


def test_without_boto_the_error_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BOTO], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("sqs:// needs more packages (")
    assert done.stdout.rstrip().endswith("pip install 'backbeat[sqs]'")


# --- sizes -----------------------------------------------------------------------------------------------------------------------


def test_messages_up_to_a_mebibyte_as_sent_come_and_larger_ones_are_refused_with_the_reason(
    open_broker, queue
):
    broker = open_broker(queue)
    sizes = [100, 500 * KIB, 700 * KIB, 300 * KIB, 300 * KIB, 50]

    posted = broker.post([message(queue, n, size) for n, size in enumerate(sizes)])
    came = take_all(broker, 5)

    assert sorted(posted.confirmed) == sorted(f"{queue}-{n}" for n in (0, 1, 3, 4, 5))
    assert [*posted.returned] == [f"{queue}-2"]
    assert "which takes 1,048,576" in posted.unsendable[f"{queue}-2"]
    assert sorted(ids(came)) == sorted(posted.confirmed)


def test_a_queue_that_takes_less_refuses_only_what_is_too_large_for_it(open_broker, sqs_server, queue):
    sqs_server.client().create_queue(QueueName=queue, Attributes={"MaximumMessageSize": str(64 * KIB)})
    broker = open_broker(queue)

    posted = broker.post([message(queue, 0, 100), message(queue, 1, 100 * KIB), message(queue, 2, 100)])

    assert sorted(posted.confirmed) == [f"{queue}-0", f"{queue}-2"]
    assert "65536" in posted.unsendable[f"{queue}-1"]
    assert len(take_all(broker, 2)) == 2


# --- names and places ------------------------------------------------------------------------------------------------------------


def test_names_are_written_as_kombu_writes_them_and_deliveries_have_the_name_that_was_asked_for(
    open_broker, sqs_server, queue
):
    name = f"{queue}.high:now"
    broker = open_broker(name, queue_name_prefix="shop.")

    broker.post([message(name)])
    (delivery,) = take_all(broker, 1)

    assert delivery.queue == name
    assert f"shop-{queue}-high_now" in sqs_server.queues()


def test_a_name_that_sqs_cannot_have_is_refused_by_the_client_and_by_the_broker(open_broker, sqs_server):
    app = App("shop", broker=sqs_server.url, backend="memory://", set_as_current=False)
    task = app.task(lambda: None, name="t")

    with pytest.raises(ImproperlyConfigured, match="'büro' cannot be: SQS takes names"):
        task.apply_async(queue="büro")
    assert "at most 80" in open_broker().post([message("x" * 81)]).unsendable[f"{'x' * 81}-0"]
    app.close()


def test_what_waits_is_counted_and_a_queue_that_is_not_there_is_not_made(open_broker, sqs_server, queue):
    broker = open_broker()
    broker.post([message(queue, n) for n in range(3)])

    assert broker.counts([queue, f"{queue}-missing"]) == {queue: 3}
    assert f"{queue}-missing" not in sqs_server.queues()


def test_a_fifo_queue_keeps_the_order(open_broker, queue):
    name = f"{queue}.fifo"
    broker = open_broker(name)
    broker.post([message(name, n) for n in range(25)])

    came = []
    while len(came) < 25:
        taken = take_all(broker, 1)
        broker.ack(taken)
        came += ids(taken)

    assert came == [f"{name}-{n}" for n in range(25)]


def test_keys_come_from_the_environment_and_the_region_from_the_options(
    open_broker, sqs_server, queue, monkeypatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs_server.endpoint)
    broker = open_broker(queue, url="sqs://", region="eu-central-1")

    broker.post([message(queue)])

    assert ids(take_all(broker, 1)) == [f"{queue}-0"]
    assert queue in sqs_server.queues("eu-central-1")
    assert queue not in sqs_server.queues()


def test_predefined_queues_are_used_and_no_others(open_broker, sqs_server, queue):
    url = sqs_server.client().create_queue(QueueName=f"{queue}-there")["QueueUrl"]
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    broker = open_broker("mail.high", predefined_queues={"mail.high": {"url": url, **keys}})

    posted = broker.post([message("mail.high"), message("other")])

    assert ids(take_all(broker, 1)) == ["mail.high-0"]
    assert "not in predefined_queues" in posted.unsendable["other-0"]
    assert broker.announce("who", "me", 60) == "me"
    with pytest.raises(ImproperlyConfigured, match="queue 'other' is not in predefined_queues"):
        open_broker("other", predefined_queues={"mail.high": {"url": url}}).take(1)
    assert "mail-high" not in sqs_server.queues()


def test_what_kombu_sends_is_read_and_kombu_reads_what_is_sent(open_broker, sqs_server, queue):
    ours = open_broker(queue)
    theirs = KombuBroker(
        sqs_server.url,
        queues=[queue],
        open_line=VirtualLine,
        transport_options=SHORT | {"visibility_timeout": 30},
    )

    theirs.post([message(queue, 1)])
    taken = take_all(ours, 1)
    assert ids(taken) == [f"{queue}-1"]
    ours.ack(taken)
    ours.pause()
    ours.post([message(queue, 2)])

    assert ids(take_all(theirs, 1)) == [f"{queue}-2"]
    theirs.close()


def test_what_a_request_under_way_brings_after_a_pause_is_others_at_once(open_broker, queue):
    first, second = open_broker(queue, visibility_timeout=60, wait_time_seconds=5), open_broker(queue)
    assert take_none(first) == []  # it is polling now
    first.pause()

    second.post([message(queue)])

    started = time.monotonic()
    assert ids(take_all(second, 1)) == [f"{queue}-0"]
    assert time.monotonic() - started < 5


def test_the_threads_of_a_closed_broker_end(open_broker, queue):
    broker = open_broker(queue)
    take_none(broker)
    polling = [thread for thread in threading.enumerate() if thread.name == f"sqs {queue}"]
    assert polling

    broker.close()
    for thread in polling:
        thread.join(10)

    assert not any(thread.is_alive() for thread in polling)


def test_what_a_server_no_longer_lets_hold_is_said_and_stops_nobody(open_broker, sqs_server, queue, caplog):
    broker = open_broker(queue)
    broker.post([message(queue)])
    held = take_all(broker, 1)
    client = sqs_server.client()
    client.purge_queue(QueueUrl=client.get_queue_url(QueueName=queue)["QueueUrl"])

    broker.wait(1.5)
    broker.ack(held)
    broker.post([message(queue, 1)])

    assert "can be held no longer" in caplog.text
    assert ids(take_all(broker, 1)) == [f"{queue}-1"]


class Late:
    """A channel of kombu's to which another process is always just ahead: it makes each queue, with a visibility of its own."""

    def __init__(self, channel):
        self._channel = channel

    def __getattr__(self, name):
        return getattr(self._channel, name)

    def _new_queue(self, name):
        self._channel._create_queue(name, {"VisibilityTimeout": "77"})
        return self._channel._create_queue(name, {"VisibilityTimeout": "2"})


def test_a_queue_that_another_process_makes_just_then_is_used(sqs_server, queue):
    with Connection(sqs_server.url, transport_options=dict(SHORT)) as connection:
        queues = SqsQueues(Late(connection.channel()), create=True)

        assert queues[queue].url.endswith(f"/{queue}")
