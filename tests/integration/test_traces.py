"""Traces of what a client sends and a worker runs, over real stores, in this process: spans come to an exporter in memory."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.clock import SystemClock
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.message import CONTROL_QUEUE
from backbeat.canvas.perform import Performer
from backbeat.canvas.pools.child import run_job
from backbeat.canvas.pools.solo import SoloPool
from backbeat.canvas.signals import before_task_publish
from backbeat.canvas.wiring import open_commit
from backbeat.canvas.worker.listener import LogListener
from backbeat.canvas.worker.worker import Worker
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.processes import wait_until
from support.worker_thread import WorkerThread

FOREIGN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(params=["sqlite", "redis"])
def app(request):
    url = request.getfixturevalue(f"{request.param}_url")
    options = {} if request.param == "sqlite" else {"prefix": request.getfixturevalue("redis_prefix")}
    app = App("traced", broker=url, backend=url, set_as_current=False)
    if options:
        app.conf.broker_transport_options = {"global_keyprefix": options["prefix"]}
        app.conf.result_backend_transport_options = {"global_keyprefix": options["prefix"]}
    _add_tasks(app)
    with closing(app):
        yield app


def _add_tasks(app):
    @app.task(name="add")
    def add(x, y=1):
        return x + y

    @app.task(name="total")
    def total(values):
        return sum(values)

    @app.task(name="fail")
    def fail(*args):
        raise ValueError("no paper")

    @app.task(name="again", bind=True, default_retry_delay=0)
    def again(self):
        if self.request.retries < 2:
            raise self.retry(exc=ConnectionError("not yet"))
        return self.request.retries

    @app.task(name="replaced", bind=True)
    def replaced(self):
        raise self.replace(app.signature("add", [1]))

    @app.task(name="sends", bind=True)
    def sends(self):
        return app.signature("headers").delay().id

    @app.task(name="headers", bind=True)
    def headers(self):
        return dict(self.request.headers)

    @app.task(name="bag")
    def bag():
        return baggage.get_baggage("tenant")


@pytest.fixture
def spans(monkeypatch):
    """What was recorded: this process has a provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
def work(app):
    """Starts a worker of `app`, which runs tasks in a thread of this process."""
    opened = []

    def start(*, traces=True):
        commit = open_commit(app.conf, worker="w1", queues=["celery", CONTROL_QUEUE])
        performer = Performer(commit, app.results, now_us=SystemClock().now_us)
        pool = SoloPool(lambda job, limit: run_job(job, app.tasks, "celery@test", limit, traces=traces))
        limits = Limits(lease_seconds=10)
        opened.append(
            WorkerThread(Worker(commit, performer, pool, LogListener(), limits, runs_tasks_in_loop=True))
        )
        opened[-1].thread.start()

    yield start
    for worker in opened:
        worker.close()


def edges(exporter):
    """Of which span each is the child; all are of one trace."""
    found = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in found}) == 1
    names = {span.context.span_id: span.name for span in found}
    return Counter((span.name, span.parent and names[span.parent.span_id]) for span in found)


def await_spans(exporter, count):
    return wait_until(
        lambda: len(found := exporter.get_finished_spans()) >= count and found,
        what=lambda: [span.name for span in exporter.get_finished_spans()],
    )


def test_each_step_of_a_chain_and_each_callback_is_the_child_of_the_run_that_it_follows(app, work, spans):
    work()
    sig = app.signature
    first = sig("add", [1])
    first.link(sig("add", [10]))
    last = sig("fail").on_error(sig("add", [1], immutable=True))

    with trace.get_tracer("own").start_as_current_span("request"):
        chain(first, sig("add"), last).delay()
    await_spans(spans, 7)

    assert edges(spans) == Counter(
        {
            ("request", None): 1,
            ("celery.chain publish", "request"): 1,
            ("add process", "celery.chain publish"): 1,
            ("add process", "add process"): 2,
            ("fail process", "add process"): 1,
            ("add process", "fail process"): 1,
        }
    )


@pytest.mark.parametrize("kind", ["chord", "behind a task", "in a chord"])
def test_a_body_is_the_child_of_what_sent_its_group_whatever_part_was_the_last(app, work, spans, kind):
    work()
    sig = app.signature
    whole = chord([sig("add", [1]), chain(sig("add", [2]), sig("again", immutable=True))], sig("total"))
    if kind == "behind a task":
        whole = chain(
            sig("headers"),
            group(sig("add", [1], immutable=True), sig("add", [2], immutable=True)),
            sig("total"),
        )
    elif kind == "in a chord":
        whole = chord(
            [chord([sig("add", [1]), sig("add", [2])], sig("total")), sig("add", [3])], sig("total")
        )

    whole.delay().get(timeout=30)

    found = edges(await_ended(spans, "total process", 2 if kind == "in a chord" else 1))
    above = "headers process" if kind == "behind a task" else "celery.chord publish"
    assert {parent for (name, parent) in found if name == "total process"} == {above}
    assert found[("add process", above)] >= 2


def await_ended(exporter, name, count):
    wait_until(lambda: [span.name for span in exporter.get_finished_spans()].count(name) == count)
    return exporter


def test_attempts_are_children_of_the_same_span_and_each_tells_of_its_retry(app, work, spans):
    work()

    assert app.signature("again").delay().get(timeout=30) == 2

    found = await_spans(spans, 4)
    assert edges(spans) == {("again publish", None): 1, ("again process", "again publish"): 3}
    runs = [span for span in found if span.name == "again process"]
    assert [(run.attributes["backbeat.state"], [event.name for event in run.events]) for run in runs] == [
        ("RETRY", ["retry"]),
        ("RETRY", ["retry"]),
        ("SUCCESS", []),
    ]
    assert runs[0].events[0].attributes["exception.message"] == "not yet"
    assert {run.status.status_code.name for run in runs} == {"UNSET"}


def test_what_replaces_a_task_is_the_child_of_its_run(app, work, spans):
    work()

    assert app.signature("replaced").delay().get(timeout=30) == 2

    await_spans(spans, 3)
    assert edges(spans) == {
        ("replaced publish", None): 1,
        ("replaced process", "replaced publish"): 1,
        ("add process", "replaced process"): 1,
    }


def test_a_run_says_what_ran_and_what_it_raised(app, work, spans):
    work()

    handle = app.signature("fail").delay()
    handle.get(timeout=30, propagate=False)

    sent, run = await_spans(spans, 2)
    assert (sent.kind.name, run.kind.name) == ("PRODUCER", "CONSUMER")
    assert sent.attributes["messaging.message.id"] == run.attributes["messaging.message.id"] == handle.id
    assert dict(run.attributes) == {
        "messaging.system": "backbeat",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "celery",
        "messaging.message.id": handle.id,
        "messaging.message.conversation_id": handle.id,
        "backbeat.task": "fail",
        "backbeat.retries": 0,
        "backbeat.root_id": handle.id,
        "backbeat.state": "FAILURE",
        "error.type": "ValueError",
    }
    assert (run.status.status_code.name, run.status.description) == ("ERROR", "ValueError: no paper")
    (event,) = run.events
    assert event.name == "exception"
    assert "no paper" in event.attributes["exception.stacktrace"]


def test_a_task_that_is_not_known_ends_in_a_span_that_says_so(app, work, spans):
    work()

    app.send_task("unknown").get(timeout=30, propagate=False)

    _, run = await_spans(spans, 2)
    assert run.attributes["error.type"] == "NotRegistered"
    assert [event.attributes["exception.type"] for event in run.events] == ["celery.exceptions.NotRegistered"]


def test_baggage_of_the_sender_is_there_while_its_task_runs(app, work, spans):
    work()
    token = context.attach(baggage.set_baggage("tenant", "t1"))
    try:
        handle = app.signature("bag").delay()
    finally:
        context.detach(token)

    assert handle.get(timeout=30) == "t1"


@pytest.mark.parametrize("value", [7, ["x"], "nonsense", {"a": 1}, "00-zz"])
def test_a_header_that_names_no_trace_begins_one(app, work, spans, value):
    work()

    handle = app.signature("add", [1]).apply_async(headers={"traceparent": value})

    assert handle.get(timeout=30) == 2
    _, run = await_spans(spans, 2)
    assert run.parent is None


def test_a_worker_without_a_provider_passes_the_trace_on_to_what_follows_and_to_what_is_sent_inside(
    app, work
):
    work()
    sig = app.signature
    known = {"traceparent": FOREIGN, "tracestate": "a=b"}
    steps = chain(sig("add", [1]).set(headers=known), sig("headers", immutable=True)).delay()
    members = chord([sig("add", [1]).set(headers=known)], sig("headers", immutable=True)).delay()
    inside = sig("sends").apply_async(headers=known)

    assert steps.get(timeout=30) == known
    assert members.get(timeout=30) == {}  # what sent the chord itself was of no trace
    assert app.AsyncResult(inside.get(timeout=30)).get(timeout=30) == known


def test_without_a_provider_no_message_has_a_header_of_a_trace(app, work):
    work()

    assert app.signature("headers").delay().get(timeout=30) == {}


def test_with_task_traces_off_nothing_is_recorded_nor_written(app, work, spans):
    app.conf.task_traces = False
    work(traces=False)

    with trace.get_tracer("own").start_as_current_span("request"):
        assert app.signature("headers").delay().get(timeout=30) == {}

    assert [span.name for span in spans.get_finished_spans()] == ["request"]


def test_receivers_of_before_task_publish_see_the_trace(app, spans):
    seen = []

    def note(headers=None, **_):
        seen.append(headers.get("traceparent"))

    before_task_publish.connect(note)
    try:
        app.signature("add", [1]).delay()
    finally:
        before_task_publish.disconnect(note)

    (span,) = spans.get_finished_spans()
    assert [text.split("-")[1:3] for text in seen] == [
        [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    ]


def test_two_calls_are_two_traces(app, work, spans):
    work()

    for handle in [app.signature("add", [1]).delay() for _ in range(2)]:
        handle.get(timeout=30)

    found = await_spans(spans, 4)
    assert sorted(Counter(span.context.trace_id for span in found).values()) == [2, 2]


def test_a_group_whose_members_come_from_a_generator_is_of_one_trace(app, work, spans):
    work()

    chord((app.signature("add", [n]) for n in range(5)), app.signature("total")).delay().get(timeout=30)

    await_spans(spans, 7)
    found = edges(spans)
    assert found[("add process", "celery.chord publish")] == 5
    assert found[("total process", "celery.chord publish")] == 1
