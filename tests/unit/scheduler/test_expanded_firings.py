"""Canvases of schedules for a fleet of Celery's workers alone: under which ids they are sent, and what is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.commit.memory import MemoryCommit
from backbeat.canvas.commit.memory_store import MemoryStore
from backbeat.scheduler.expanded_firings import ExpandedFirings
from backbeat.scheduler.firing import Terms, regular_firing
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

DUE_US = 1_800_000_000_000_000


@pytest.fixture
def app():
    return App("a", broker="redis://nowhere/", set_as_current=False, canvas_wire="celery")


@pytest.fixture
def commit():
    return MemoryCommit(MemoryStore(), worker="w", queues=["q"])


@pytest.fixture
def firings(app, commit):
    return ExpandedFirings(app, lambda _conf: nullcontext(commit))


def fired(canvas, *, once=False):
    return regular_firing(
        "test", "it", DUE_US, json.loads(json.dumps(canvas)), rev=1, batch_id=1, terms=Terms(once=once)
    )


def t(app, *args):
    return app.signature("t", args).set(queue="q")


def taken(commit):
    return [item.message for item in commit.exchange([], take=100).taken]


def test_only_canvases_are_taken_and_only_for_a_fleet_of_celerys_alone(app, firings):
    assert firings.takes(fired(chain(t(app), t(app))))
    assert not firings.takes(fired(t(app)))

    app.conf.canvas_wire = "auto"
    assert not firings.takes(fired(chain(t(app), t(app))))


def test_what_ends_last_has_the_id_of_the_firing(app, firings, commit):
    firing = fired(chain(t(app, 1), t(app, 2)))

    assert firings.start([firing]) == ([firing], [])

    (message,) = taken(commit)
    assert message.then.steps[-1].id == firing.task_id
    assert message.headers["periodic_task_name"] == "it"


def test_a_group_ends_with_a_task_that_returns_its_list(app, firings, commit):
    firing = fired(group(t(app, 1), t(app, 2)))

    firings.start([firing])

    first, second = taken(commit)
    assert json.loads(first.then.body)["task"] == "celery.accumulate"
    assert json.loads(second.then.body)["options"]["task_id"] == firing.task_id


def test_a_firing_that_is_sent_again_sends_the_same_tasks(app, firings, commit):
    firing = fired(chord([t(app, 1), chain(t(app, 2), t(app, 3))], t(app)))

    firings.start([firing])
    once = {message.id for message in taken(commit)}
    firings.start([firing])

    assert {message.id for message in taken(commit)} == once


def test_b7_at_most_once_is_refused_for_groups_and_chords(app, firings, commit):
    canvases = [group(t(app), t(app)), chord([t(app)], t(app))]
    asked = [fired(canvas, once=True) for canvas in canvases]

    started, refused = firings.start(asked)

    assert started == []
    assert [firing for firing, _ in refused] == asked
    assert all("at_most_once" in reason for _, reason in refused)
    assert taken(commit) == []


def test_a_chain_is_one_message_and_may_be_sent_at_most_once(app, firings):
    firing = fired(chain(t(app), t(app)), once=True)

    assert firings.start([firing]) == ([firing], [])


def test_the_messages_of_a_firing_are_of_the_trace_that_it_begins(app, firings, commit, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())

    firings.start([fired(group(t(app, 1), t(app, 2))), fired(chain(t(app, 3), t(app, 4)))])

    one, two, three = (message.headers["traceparent"].split("-")[1] for message in taken(commit))
    assert one == two != three
