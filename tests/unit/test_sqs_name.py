"""What queues are called on Amazon SQS, and which cannot be: over kombu's own function, as Celery's clients use that."""

from __future__ import annotations

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.places import check_queue
from backbeat.canvas.remote.wiring import check_carries
from backbeat.canvas.sqs_name import is_plain, predefined_name, queue_fault, sqs_name
from backbeat.canvas.worker.wiring import WorkerOptions, queues_of
from kombu.transport.SQS import Channel

NAMES = ["celery", "a.b", "a-b_c", "mail:high", "x.fifo", "a.b.fifo", "w@host.dq2", "~!#$%^&*()+=", ".fifo"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_written_as_kombu_writes_it(name):
    assert sqs_name(name) == Channel.entity_name(None, name)
    assert sqs_name(name, "shop.") == Channel.entity_name(None, f"shop.{name}")


@pytest.mark.parametrize("name", ["celery", "a.b:c", "x" * 80, f"{'x' * 75}.fifo", "x.fifo"])
def test_a_name_that_can_be_has_no_fault(name):
    assert queue_fault(name, {}) is None


@pytest.mark.parametrize("name", ["büro", "", "a b", "x" * 81, f"{'x' * 76}.fifo", "a\n", ".fifo"])
def test_a_name_that_cannot_be_is_told_with_what_can(name):
    assert "at most 80 letters (a to z), digits, - and _" in queue_fault(name, {})


def test_a_prefix_counts():
    assert queue_fault("x" * 76, {"queue_name_prefix": "shop-"}) is not None


@pytest.mark.parametrize("name", ["büro", "a b", "x" * 81, "a:b"])
def test_what_some_broker_may_not_take_is_not_plain(name):
    assert not is_plain(name)
    assert is_plain("a.b-c_d")


def conf(**settings):
    return App("shop", broker="sqs://", set_as_current=False, **settings).conf


def test_the_queue_of_a_call_is_checked_on_sqs_and_only_there():
    with pytest.raises(ImproperlyConfigured, match="'büro' cannot be"):
        check_queue(conf(), "büro")
    check_queue(App("shop", broker="redis://", set_as_current=False).conf, "büro")


def test_where_queues_are_predefined_these_may_have_any_name_and_others_are_refused():
    options = {"predefined_queues": {"büro.eins": {"url": "u"}, "a-b": {"url": "u"}}}
    check_queue(conf(broker_transport_options=options), "büro.eins")
    check_queue(conf(broker_transport_options=options), "a.b")

    assert predefined_name("büro.eins", options) == "büro.eins"
    assert predefined_name("a.b", options) == "a-b"
    with pytest.raises(
        ImproperlyConfigured, match="queue 'celery' is not in predefined_queues of broker_trans"
    ):
        check_queue(conf(broker_transport_options=options), "celery")


def test_a_worker_needs_the_queue_for_joins_and_starts_among_those_that_are_predefined():
    app = App("shop", broker="sqs://", set_as_current=False)
    app.conf.broker_transport_options = {"predefined_queues": {"celery": {"url": "u"}}}

    with pytest.raises(ImproperlyConfigured, match="queue 'backbeat' is not in predefined_queues"):
        queues_of(app, WorkerOptions())


def test_results_cannot_come_back_as_messages_over_sqs():
    app = App("shop", broker="sqs://", backend="rpc://", set_as_current=False)

    with pytest.raises(ImproperlyConfigured, match=r"rpc:// is not for sqs://.*redis://"):
        app.results  # noqa: B018 - opened here


@pytest.mark.parametrize("what", ["remote control", "events"])
def test_what_is_for_all_is_not_carried(what):
    with pytest.raises(ImproperlyConfigured, match=f"^sqs:// carries no {what}: redis://"):
        check_carries(conf(), what)
