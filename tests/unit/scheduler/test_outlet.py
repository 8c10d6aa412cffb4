"""A firing becomes one message: the task itself, or a canvas in the arguments of backbeat.start."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain, group
from backbeat.canvas.brokers.base import Posted
from backbeat.canvas.errors import Unavailable
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.own_tasks import START_TASK
from backbeat.canvas.template import Rendered
from backbeat.scheduler.entry import Terms
from backbeat.scheduler.firing import regular_firing
from backbeat.scheduler.outlet import BrokerOutlet
from backbeat.scheduler.relay import OutletDown

DUE_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00 UTC


class ListBroker:
    """Keeps what is published; confirms all but those whose task is named in `refused`."""

    def __init__(self, refused=()):
        self.sent = []
        self.refused = refused
        self.announced = {}

    def announce(self, name, value, seconds):
        return self.announced.setdefault(name, value)

    def post(self, items, *, once=False):
        messages = [item.message() if isinstance(item, Rendered) else item for item in items]
        self.sent += messages
        return Posted([message.id for message in messages if message.task not in self.refused])


class DeadBroker:
    def announce(self, name, value, seconds):
        return value

    def post(self, items, *, once=False):
        raise Unavailable("no broker here")


def firing_of(signature, name="entry"):
    return regular_firing("cluster", name, DUE_US, json.loads(json.dumps(signature)), rev=1, batch_id=1)


def outlet_of(broker, app, store_id="store-1", cluster="cluster", **known):
    return BrokerOutlet(broker, app, cluster=cluster, store_id=store_id, **known)


@pytest.fixture
def app():
    return App("outlet", broker="memory://outlet", set_as_current=False)


def test_a_task_is_sent_as_itself_under_the_firings_id(app):
    broker = ListBroker()
    firing = firing_of(app.signature("jobs.report", [1], {"deep": True}))

    published = outlet_of(broker, app).publish([firing])

    (message,) = broker.sent
    assert published.confirmed == [firing]
    assert (message.id, message.task, message.args, message.kwargs) == (
        firing.task_id,
        "jobs.report",
        "[1]",
        '{"deep":true}',
    )
    assert message.root_id == firing.task_id
    assert message.headers == {"periodic_task_name": "entry", "fire_time": "2026-01-01T00:00:00+00:00"}
    assert message.origin.startswith("gen")
    assert "@" in message.origin


def test_expiry_counts_from_the_fire_time_and_not_from_the_sending(app):
    broker = ListBroker()
    signature = app.signature("jobs.report").set(expires=600)

    outlet_of(broker, app).publish([firing_of(signature)])

    (message,) = broker.sent
    assert message.expires_us == DUE_US + 600_000_000


def test_queue_and_headers_of_the_options_are_kept(app):
    broker = ListBroker()
    signature = app.signature("jobs.report").set(queue="reports", headers={"tenant": "acme"}, priority=3)

    outlet_of(broker, app).publish([firing_of(signature)])

    (message,) = broker.sent
    assert (message.queue, message.priority) == ("reports", 3)
    assert message.headers["tenant"] == "acme"
    assert message.headers["periodic_task_name"] == "entry"


def test_a_canvas_travels_whole_in_one_message(app):
    broker = ListBroker()
    step = app.signature
    signature = chain(step("jobs.a"), group(step("jobs.b"), step("jobs.c")), step("jobs.d"))
    firing = firing_of(signature)

    outlet_of(broker, app).publish([firing])

    (message,) = broker.sent
    assert (message.task, message.queue, message.id) == (START_TASK, CONTROL_QUEUE, firing.task_id)
    (sent,) = json.loads(message.args)
    tasks = sent["kwargs"]["tasks"]
    assert [task["task"] for task in tasks] == ["jobs.a", "celery.group", "jobs.d"]
    assert message.headers["fire_time"] == "2026-01-01T00:00:00+00:00"


def test_only_what_the_broker_confirmed_is_confirmed(app):
    broker = ListBroker(refused=["jobs.b"])
    firings = [firing_of(app.signature(f"jobs.{name}"), name) for name in "abc"]

    published = outlet_of(broker, app).publish(firings)

    assert [firing.entry for firing in published.confirmed] == ["a", "c"]


def test_what_cannot_become_a_message_is_refused_with_the_reason_and_holds_up_nobody(app):
    broker = ListBroker()
    app.conf.task_max_argument_bytes = 100
    good = firing_of(app.signature("jobs.a"), "good")
    large = firing_of(app.signature("jobs.b", ["x" * 200]), "large")
    senseless = firing_of({"task": "jobs.c", "options": {"priority": "high"}}, "senseless")

    published = outlet_of(broker, app).publish([large, good, senseless])

    assert published.confirmed == [good]
    assert [(firing.entry, reason.split(":")[0]) for firing, reason in published.refused] == [
        ("large", "EncodeError"),
        ("senseless", "ImproperlyConfigured"),
    ]
    assert [message.task for message in broker.sent] == ["jobs.a"]


def test_a_firing_that_may_go_out_once_only_says_so_in_a_header(app):
    broker = ListBroker()
    firing = firing_of(app.signature("jobs.a"))._replace(terms=Terms(once=True))

    outlet_of(broker, app).publish([firing])

    assert broker.sent[0].headers["delivery"] == "at_most_once"


def test_a_broker_that_is_away_is_an_outlet_that_is_down(app):
    with pytest.raises(OutletDown, match="no broker here"):
        outlet_of(DeadBroker(), app).publish([firing_of(app.signature("jobs.a"))])


def test_to_reach_the_broker_asks_it_each_time_and_sends_nothing(app):
    broker = Counting()
    outlet = outlet_of(broker, app)

    outlet.reach()
    outlet.reach()

    assert (broker.asked, broker.sent) == (2, [])
    broker.away = True
    with pytest.raises(OutletDown, match="no broker here"):
        outlet.reach()


def test_a_beat_with_another_store_refuses_to_send_and_says_what_to_do(app):
    broker = ListBroker()
    firing = firing_of(app.signature("jobs.a"))
    outlet_of(broker, app).publish([firing])

    with pytest.raises(OutletDown, match="one --store"):
        outlet_of(broker, app, store_id="store-2").publish([firing])

    outlet_of(broker, app, store_id="store-2", cluster="other").publish([firing])
    assert len(broker.sent) == 2


class Counting(ListBroker):
    """Counts announcements, and fails those that it is told to."""

    def __init__(self):
        super().__init__()
        self.asked = 0
        self.away = False

    def announce(self, name, value, seconds):
        self.asked += 1
        if self.away:
            raise Unavailable("no broker here")
        return super().announce(name, value, seconds)


def test_who_has_sent_announces_itself_again_though_nothing_is_due(app):
    broker, now = Counting(), [0.0]
    outlet = outlet_of(broker, app, monotonic=lambda: now[0])

    outlet.stay()
    assert broker.asked == 0  # nothing was sent yet
    outlet.publish([firing_of(app.signature("jobs.a"))])
    outlet.stay()
    assert broker.asked == 1
    now[0] += 16
    outlet.stay()
    outlet.stay()
    assert broker.asked == 2


def test_a_broker_that_is_away_is_not_asked_in_each_second(app):
    broker, now = Counting(), [0.0]
    outlet = outlet_of(broker, app, monotonic=lambda: now[0])
    outlet.publish([firing_of(app.signature("jobs.a"))])
    broker.away = True

    now[0] += 16
    outlet.stay()
    outlet.stay()

    assert broker.asked == 2
    with pytest.raises(OutletDown):  # but nothing is sent unannounced
        outlet.publish([firing_of(app.signature("jobs.a"))])
