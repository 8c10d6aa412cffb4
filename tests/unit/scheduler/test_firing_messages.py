"""A firing that goes by a template is the message that it would be by the long way; what is kept for that is bounded."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, chain, group
from backbeat.canvas.codec import loads
from backbeat.canvas.envelope import pack
from backbeat.canvas.message import Message
from backbeat.canvas.own_tasks import START_TASK
from backbeat.canvas.template import Rendered
from backbeat.canvas.wire import from_wire, to_wire
from backbeat.scheduler.entry import Terms
from backbeat.scheduler.firing import FiringKind, regular_firing
from backbeat.scheduler.firing_messages import Bounds, FiringMessages
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

DUE_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00 UTC

texts = st.text(max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
options = st.fixed_dictionaries(
    {},
    optional={
        "queue": names | st.just("by-key"),
        "routing_key": st.just("by-key"),
        "priority": st.integers(0, 9),
        "expires": st.sampled_from([0, 60, 0.5, "2030-01-01T00:00:00+01:00"]),
        "eta": st.just("2030-01-01T00:00:00+00:00"),
        "countdown": st.floats(0, 1e6),
        "headers": st.dictionaries(names | st.sampled_from(["fire_time"]), plain, max_size=2),
        "time_limit": st.integers(1, 100),
        "soft_time_limit": st.floats(1, 100),
        "ignore_result": st.booleans(),
        "shadow": texts,
        "link": st.just([{"task": "jobs.after", "args": ["%s"]}]),
        "link_error": st.just([{"task": "jobs.failed", "immutable": True}]),
        "task_id": st.just("mine"),
    },
)


def signature(task="jobs.report", args=(), kwargs=None, known=None):
    return {
        "task": task,
        "args": list(args),
        "kwargs": dict(kwargs or {}),
        "options": dict(known or {}),
        "subtask_type": None,
        "immutable": False,
    }


def make_app():
    app = App("firing-messages", broker="memory://firing-messages", set_as_current=False)
    app.conf.task_routes = {"routed.*": {"queue": "special", "expires": "2031-01-01T00:00:00+00:00"}}

    @app.task(name="jobs.expiring", expires=30, queue="own", priority=4)
    def expiring():
        pass

    return app


@pytest.fixture
def app():
    return make_app()


def fired(payload, name="entry", due_us=DUE_US):
    return regular_firing("cluster", name, due_us, payload, rev=1, batch_id=1)


def message_of(item):
    return item.message() if isinstance(item, Rendered) else item


def made(messages, firing):
    (item,), refused = messages.of([firing])
    assert not refused
    return item


@given(
    st.sampled_from(["jobs.report", "jobs.expiring", "routed.x"]),
    st.lists(plain, max_size=3),
    st.lists(plain, max_size=3),
    st.dictionaries(texts, plain, max_size=3),
    options,
    names,
    st.integers(0, 10**15),
    st.booleans(),
    st.sampled_from([FiringKind.REGULAR, FiringKind.BACKFILL]),
)
@settings(max_examples=150, deadline=None)
def test_by_a_template_a_firing_is_what_it_is_by_the_long_way(
    task, first, args, kwargs, known, name, after_us, once, kind
):
    app = make_app()
    messages = FiringMessages(app)
    learned = [fired(signature(task, first, {}, known), f"other{n}", DUE_US + n) for n in range(2)]
    firing = fired(signature(task, args, kwargs, known), name, DUE_US + after_us)
    firing, *learned = (f._replace(terms=Terms(once=once), kind=kind) for f in (firing, *learned))
    messages.of(learned)

    (got, *_), refused = (answer or [None] for answer in messages.of([firing]))
    (slow, *_), too = (answer or [None] for answer in FiringMessages(app).of([firing]))

    assert refused == too
    if slow is None:
        return
    assert isinstance(slow, Message)
    assert message_of(got) == slow
    if isinstance(got, Rendered):
        assert got.envelope() == pack(to_wire(slow), slow.queue)


@pytest.mark.parametrize(
    "known", [{}, {"expires": 60}, {"queue": "q", "priority": 3, "headers": {"a": [1]}}], ids=str
)
def test_the_third_firing_of_a_kind_goes_by_a_template_whatever_its_arguments_are(app, known):
    messages = FiringMessages(app)
    firings = [
        fired(signature(args=[n], kwargs={"n": n}, known=known), f"entry{n}", DUE_US + n) for n in range(4)
    ]

    kinds = [type(made(messages, firing)) for firing in firings]

    assert kinds == [Message, Message, Rendered, Rendered]


@pytest.mark.parametrize(
    "known", [{"countdown": 5}, {"eta": "2030-01-01T00:00:00+00:00"}, {"headers": {"a": {1, 2}}}]
)
def test_what_the_broker_must_put_off_and_what_cannot_be_compared_goes_the_long_way(app, known):
    messages = FiringMessages(app)
    firings = [fired(signature(known=known), f"entry{n}") for n in range(4)]

    items, refused = messages.of(firings)

    assert not any(isinstance(item, Rendered) for item in items)
    assert len(items) + len(refused) == 4


def test_the_expiry_of_a_canvas_counts_from_its_fire_time_by_a_template_too(app):
    step = signature("jobs.a", known={"expires": 9})

    def canvas(**known):
        return signature("celery.chain", kwargs={"tasks": [step, step]}, known=known) | {
            "subtask_type": "chain"
        }

    messages = FiringMessages(app)
    minute, hour = canvas(expires=60), canvas(expires=3_600.5, queue="q")
    firings = [fired(canvas, due_us=DUE_US + n) for n in range(3) for canvas in (minute, hour)]
    late = [each._replace(kind=FiringKind.BACKFILL) for each in firings]

    items, refused = messages.of([*firings, *late])

    expiries = [60_000_000, 3_600_500_000] * 3
    assert not refused
    assert [isinstance(item, Rendered) for item in items] == [False] * 4 + [True] * 2 + [False] * 6
    sent = [message_of(item) for item in items]
    assert [message.expires_us for message in sent[:6]] == [
        firing.due_us + after_us for firing, after_us in zip(firings, expiries, strict=True)
    ]
    assert [(message.expires_us, message.expires_after) for message in sent[6:]] == [
        (None, 60.0),
        (None, 3_600.5),
    ] * 3


def test_a_task_of_whose_end_somebody_is_told_travels_as_a_canvas(app):
    payload = signature(args=[1], known={"on_done": [signature("jobs.told")], "expires": 60})
    messages = FiringMessages(app)

    sent = [message_of(made(messages, fired(payload, due_us=DUE_US + n))) for n in range(3)]

    assert {message.task for message in sent} == {"backbeat.start"}
    assert [message.expires_us for message in sent] == [DUE_US + 60_000_000 + n for n in range(3)]
    (canvas,) = json.loads(sent[2].args)
    assert [step["task"] for step in canvas["kwargs"]["tasks"]] == ["jobs.report", "backbeat.tap"]


@pytest.mark.parametrize("expires", [None, "2030-01-01T00:00:00+00:00"])
def test_a_canvas_without_a_length_of_time_has_no_expiry_of_its_own(app, expires):
    known = {} if expires is None else {"expires": expires}
    canvas = signature("celery.group", kwargs={"tasks": [signature()]}, known=known) | {
        "subtask_type": "group"
    }

    message = message_of(made(FiringMessages(app), fired(canvas)))

    assert (message.expires_us, message.expires_after) == (None, None)


def test_a_canvas_goes_by_a_template_too_and_is_written_once(app):
    step = app.signature
    canvas = json.loads(
        json.dumps(chain(step("jobs.a"), group(step("jobs.b", ["é%s"]), step("jobs.c")), step("jobs.d")))
    )
    messages = FiringMessages(app)
    firings = [fired(canvas, f"entry{n}", DUE_US + n) for n in range(3)]

    items = [made(messages, firing) for firing in firings]

    assert isinstance(items[2], Rendered)
    assert message_of(items[2]) == made(FiringMessages(app), firings[2])
    assert items[0].args is items[1].args is items[2].args
    changed = fired(json.loads(json.dumps(canvas).replace("jobs.d", "jobs.e")), "entry0")
    assert "jobs.e" in made(messages, changed).args


def test_arguments_of_kombus_types_are_written_as_the_codec_does(app):
    from datetime import date

    messages = FiringMessages(app)
    items = [made(messages, fired(signature(args=[date(2026, 1, n)]))) for n in (1, 2, 3)]

    assert isinstance(items[2], Rendered)
    assert '"2026-01-03"' in items[2].args


def test_a_map_that_looks_like_a_marked_value_arrives_as_that_map(app):
    messages = FiringMessages(app)
    value = {"__backbeat__": "set", "value": [1]}
    for number in range(2):
        messages.of([fired(signature(args=["plain"]), f"other{number}")])

    item = made(messages, fired(signature(args=[value])))

    assert loads(from_wire(to_wire(message_of(item)), "q").args) == [value]
    assert isinstance(made(messages, fired(signature(args=["plain"]))), Rendered)


def test_arguments_that_are_too_large_are_refused_though_their_kind_is_known(app):
    app.conf.task_max_argument_bytes = 100
    messages = FiringMessages(app)
    messages.of([fired(signature(args=[n])) for n in range(3)])
    large = fired(signature(args=["x" * 200]), "large")

    items, refused = messages.of([large, fired(signature(args=[9]))])

    assert [firing.entry for firing, _ in refused] == ["large"]
    assert "more than 100" in refused[0][1]
    assert isinstance(items[0], Rendered)


def test_what_is_kept_is_bounded_however_many_kinds_there_are(app):
    messages = FiringMessages(app, bounds=Bounds(templates_bytes=20_000, canvases_bytes=5_000, seen=50))

    for number in range(120):
        payload = signature(known={"headers": {"n": number}})
        canvas = {
            "task": "celery.chain",
            "kwargs": {"tasks": [payload, payload]},
            "options": {},
            "subtask_type": "chain",
        }
        for _ in range(3):
            messages.of([fired(payload), fired(canvas)])
        assert sum(template.bytes for template, _ in messages._templates.values() if template) <= 20_000
        assert sum(len(text) for _, text in messages._canvases.values()) <= 5_000
        assert len(messages._seen) <= 50


def test_sentrys_headers_come_only_when_they_are_asked_for(app):
    firing = fired(signature())
    assert made(FiringMessages(app), firing).headers.keys() == {"periodic_task_name", "fire_time"}

    app.conf.beat_sentry_monitors = True
    messages = FiringMessages(app)
    items = [made(messages, firing) for _ in range(3)]

    assert isinstance(items[2], Rendered)
    for item in items:
        headers = message_of(item).headers
        assert headers["sentry-monitor-slug"] == "entry"
        assert headers["sentry-monitor-check-in-id"] == firing.task_id.replace("-", "")
        assert float(headers["sentry-monitor-start-timestamp-s"]) == DUE_US / 1e6


def test_each_firing_begins_a_trace_of_its_own_where_opentelemetry_is_set_up(app, monkeypatch):
    messages = FiringMessages(app)
    assert "traceparent" not in made(messages, fired(signature())).headers  # nobody has set it up

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    items, _ = messages.of([fired(signature(args=[n]), f"entry{n}") for n in range(4)])

    assert isinstance(items[3], Rendered)
    parents = [message_of(item).headers["traceparent"] for item in items]
    spans = exporter.get_finished_spans()
    assert [parent.split("-")[1:3] for parent in parents] == [
        [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"] for span in spans
    ]
    assert [(span.name, span.kind.name, span.parent) for span in spans] == [
        (f"entry{n} publish", "PRODUCER", None) for n in range(4)
    ]
    assert len({span.context.trace_id for span in spans}) == 4

    app.conf.task_traces = False
    assert "traceparent" not in made(messages, fired(signature())).headers


def test_a_router_is_asked_for_each_firing(app):
    app.conf.task_routes = lambda name, args, kwargs, options, task=None: f"q{args[0]}"
    messages = FiringMessages(app)

    found = [made(messages, fired(signature(args=[n]), due_us=DUE_US + n)) for n in range(5)]

    assert [item.queue for item in found] == [f"q{n}" for n in range(5)]


def test_a_firing_that_goes_to_several_queues_is_one_message_that_starts_it(app):
    media = {"exchange": "media", "exchange_type": "topic"}
    app.conf.task_queues = {"video": {**media, "routing_key": "m.v"}, "all": {**media, "routing_key": "m.#"}}
    messages = FiringMessages(app)
    what = [signature(args=[n], known={"exchange": "media", "routing_key": "m.v"}) for n in range(4)]

    found = [message_of(made(messages, fired(each, due_us=DUE_US + n))) for n, each in enumerate(what)]

    assert {item.task for item in found} == {START_TASK}
    options = [loads(item.args)[0]["options"] for item in found]
    assert [(each["queue"], each["copies"]) for each in options] == [("video", ["all"])] * 4
    assert [loads(item.args)[0]["args"] for item in found] == [[n] for n in range(4)]
