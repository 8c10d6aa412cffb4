"""Which time limits hold for a run, which of them a pool keeps, and what a worker says that cannot keep them."""

from __future__ import annotations

import pytest
from backbeat.canvas.app import App
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.execute import time_limits_of
from backbeat.canvas.limit import LimitsKept, TimeLimits
from backbeat.canvas.message import Message
from backbeat.canvas.worker.wiring import refuse_limits

SOLO = LimitsKept(soft=True, hard=False)
NONE = LimitsKept(soft=False, hard=False)


@pytest.fixture
def app():
    app = App("limited", broker="memory://", set_as_current=False)

    @app.task(name="both", time_limit=20, soft_time_limit=10)
    def both():
        pass

    @app.task(name="hard", time_limit=5)
    def hard():
        pass

    @app.task(name="free")
    def free():
        pass

    return app


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"task": "both"}, (20, 10)),
        ({"task": "both", "time_limit": 3}, (3, 10)),
        ({"task": "both", "soft_time_limit": 2}, (20, 2)),
        ({"task": "both", "time_limit": 0, "soft_time_limit": 0}, (20, 10)),
        ({"task": "hard"}, (5, 7)),
        ({"task": "free"}, (8, 7)),
        ({"task": "unknown"}, (8, 7)),
        ({"task": "unknown", "time_limit": 3, "soft_time_limit": 2}, (3, 2)),
    ],
)
def test_a_message_s_limit_goes_before_its_task_s_and_that_before_the_worker_s(app, message, expected):
    limits = time_limits_of(Message(id="i", **message), app.tasks, TimeLimits(8, 7))

    assert (limits.hard, limits.soft) == expected


def test_no_limit_is_no_limit(app):
    assert time_limits_of(Message(id="i", task="free"), app.tasks, TimeLimits(0, None)) == TimeLimits()


def test_what_is_not_kept_is_named():
    assert NONE.missing(TimeLimits(1, 2)) == ["time_limit", "soft_time_limit"]
    assert SOLO.missing(TimeLimits(1, 2)) == ["time_limit"]
    assert SOLO.missing(TimeLimits(None, 2)) == []
    assert NONE.missing(TimeLimits(0, None)) == []


def test_a_worker_refuses_limits_that_its_pool_cannot_keep_naming_pool_tasks_and_settings(app):
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_limits(app, "solo", SOLO)
    assert str(refused.value) == (
        "pool solo cannot keep the time_limit of both, hard. Use -P processes or -P threads"
    )

    app.conf.task_time_limit = 60
    app.conf.task_soft_time_limit = 50
    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_limits(app, "solo", NONE)
    assert str(refused.value) == (
        "pool solo cannot keep the time_limit of both, hard, setting task_time_limit; "
        "the soft_time_limit of both, setting task_soft_time_limit. Use -P processes or -P threads"
    )


def test_a_worker_whose_pool_keeps_all_limits_starts(app):
    app.conf.task_time_limit = 60

    refuse_limits(app, "threads", LimitsKept(soft=True, hard=True))
