"""The retry policy of a task: after which exceptions, after how long; and which options are refused where the task is defined."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import Ignore, ImproperlyConfigured, MaxRetriesExceededError, Reject, Retry
from backbeat.canvas.retry_call import RetryCall, retry_call
from backbeat.canvas.retrying import Retrying
from backbeat.canvas.task_option_types import TaskOptionTypes
from backbeat.canvas.task_options import OPTION_NAMES

app = App("proj", broker="memory://", set_as_current=False)


def policy(**options):
    return app.task(name="t", **options)(lambda: None).retrying


class Shouting(KeyError):
    pass


# --- after which exceptions ----------------------------------------------------------------------------------------------------

#     for                  but not for      what is raised               wanted
WANTED = [
    ((), (), ValueError(), False),
    ((KeyError,), (), KeyError(), True),
    ((KeyError,), (), Shouting(), True),
    ((KeyError,), (), ValueError(), False),
    ((OSError, ValueError), (), ValueError(), True),
    ((KeyError,), (Shouting,), Shouting(), False),
    ((KeyError,), (Shouting,), KeyError(), True),
    ((Shouting,), (KeyError,), Shouting(), False),
    ((Exception,), (), KeyError(), True),
    ((Exception,), (), Retry(), False),
    ((Exception,), (), Ignore(), False),
    ((Exception,), (), Reject(), False),
    ((Exception,), (), MaxRetriesExceededError(), False),
    ((Retry, Ignore, Reject), (), Reject(), False),
    ((Exception,), (), SystemExit(1), False),
    ((Exception,), (), KeyboardInterrupt(), False),
]


@pytest.mark.parametrize(("for_", "not_for", "raised", "wanted"), WANTED)
def test_which_exceptions_ask_for_another_run(for_, not_for, raised, wanted):
    assert policy(autoretry_for=for_, dont_autoretry_for=not_for).wants(raised) is wanted


# --- after how long ------------------------------------------------------------------------------------------------------------

#     option                   attempt -> seconds, without jitter
BACKOFF = [
    (True, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]),
    (3, [3, 6, 12, 24]),
    (0.5, [0.5, 1, 2]),
    (timedelta(minutes=1), [60, 120, 240, 480, 600]),
    (1_000, [600]),
]


@pytest.mark.parametrize(("option", "delays"), BACKOFF)
def test_delays_double_up_to_the_longest(option, delays):
    chosen = policy(retry_backoff=option, retry_jitter=False)

    assert [chosen.backoff(attempt, 0.25) for attempt in range(len(delays))] == delays


@pytest.mark.parametrize("option", [False, 0, 0.0])
def test_without_backoff_there_is_no_delay_of_its_own(option):
    assert policy(retry_backoff=option).backoff(5, 1.0) is None


def test_jitter_is_on_and_draws_from_nothing_to_the_whole_delay():
    chosen = policy(retry_backoff=10, retry_backoff_max=30)

    assert [chosen.backoff(1, draw) for draw in (0.0, 0.25, 0.999)] == [0, 5, 20 * 0.999]
    assert chosen.backoff(4, 0.5) == 15


def test_a_task_that_is_retried_without_end_has_a_delay_at_any_attempt():
    chosen = policy(retry_backoff=1e9, retry_jitter=False, max_retries=None)

    assert chosen.max_retries is None
    assert {chosen.backoff(attempt, 0.5) for attempt in (900, 1_100, 2**31)} == {600}


def test_the_policy_of_a_task_that_says_nothing():
    assert policy() == Retrying()
    assert Retrying() == Retrying(
        max_retries=3, delay_seconds=180, longest_seconds=600, jitter=True, backoff_seconds=None
    )


# --- what is refused where it is written -----------------------------------------------------------------------------------------

REFUSED = {
    "backoff is a text": ({"retry_backoff": "x"}, "retry_backoff must be True, False, or the seconds .* 'x'"),
    "backoff is nothing": ({"retry_backoff": None}, "retry_backoff must be .* None"),
    "backoff is negative": ({"retry_backoff": -1}, "retry_backoff must be seconds from 0 to a century.* -1"),
    "backoff is not finite": ({"retry_backoff": float("inf")}, "retry_backoff must be seconds"),
    "longest is negative": ({"retry_backoff_max": -1}, "retry_backoff_max must be seconds .* -1"),
    "longest is a flag": ({"retry_backoff_max": True}, "retry_backoff_max must be seconds .* True"),
    "jitter is a number": ({"retry_jitter": 0.5}, "retry_jitter must be True or False, found 0.5"),
    "delay is negative": ({"default_retry_delay": -3}, "default_retry_delay must be seconds .* -3"),
    "delay is a text": ({"default_retry_delay": "3"}, "default_retry_delay must be seconds .* '3'"),
    "limit is negative": ({"max_retries": -1}, "max_retries must be a whole number from 0 on, or None .* -1"),
    "limit is a fraction": ({"max_retries": 1.5}, "max_retries must be a whole number .* 1.5"),
    "limit is a flag": ({"max_retries": True}, "max_retries must be a whole number .* True"),
    "one class": ({"autoretry_for": KeyError}, r"autoretry_for must be a tuple: write .*=\(KeyError,\)"),
    "no class": ({"autoretry_for": ("KeyError",)}, "autoretry_for must hold subclasses of .* 'KeyError'"),
    "no exception": ({"autoretry_for": (int,)}, "autoretry_for must hold subclasses of .* <class 'int'>"),
    "an instance": ({"throws": (KeyError(),)}, r"throws must hold subclasses of .* KeyError\(\)"),
    "more than an exception": (
        {"autoretry_for": (BaseException,)},
        "autoretry_for must hold subclasses of Exception",
    ),
    "a text": ({"dont_autoretry_for": "KeyError"}, "dont_autoretry_for must be a tuple .* 'KeyError'"),
    "kwargs is no map": ({"retry_kwargs": [5]}, r"retry_kwargs: must be a map, found \[5\]"),
    "kwargs with a typo": ({"retry_kwargs": {"max_retry": 5}}, "retry_kwargs: .* did you mean 'max_retries'"),
    "kwargs: no number": ({"retry_kwargs": {"countdown": "2"}}, "retry_kwargs: countdown must be seconds"),
    "kwargs: negative": ({"retry_kwargs": {"countdown": -2}}, "retry_kwargs: countdown must not be negative"),
    "kwargs: limit": ({"retry_kwargs": {"max_retries": -5}}, "retry_kwargs: max_retries must be a whole"),
    "kwargs: naive": ({"retry_kwargs": {"eta": datetime(2026, 1, 1)}}, "retry_kwargs: eta .* no time zone"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_option_is_refused_where_the_task_is_defined(options, text):
    with pytest.raises(ImproperlyConfigured, match=f"^task proj.tasks.f: {text}"):
        app.task(name="proj.tasks.f", **options)(lambda: None)
    assert "proj.tasks.f" not in app.tasks


def test_durations_may_be_timedeltas_and_exceptions_a_list():
    chosen = policy(
        autoretry_for=[KeyError],
        default_retry_delay=timedelta(seconds=5),
        retry_backoff_max=timedelta(hours=1),
    )

    assert (chosen.retry_for, chosen.delay_seconds, chosen.longest_seconds) == ((KeyError,), 5, 3_600)


def test_type_checkers_know_every_option():
    assert set(TaskOptionTypes.__annotations__) | {"bind"} == OPTION_NAMES | {"base"}


# --- what one retry may ask for --------------------------------------------------------------------------------------------------


def test_what_a_retry_may_ask_for():
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    assert retry_call({}) == RetryCall()
    assert retry_call({"args": [1], "kwargs": {"a": 2}, "countdown": 3, "max_retries": 4}) == RetryCall(
        args=(1,), kwargs={"a": 2}, when=3.0, max_retries=4
    )
    assert retry_call({"eta": moment, "countdown": 3}).when == moment
    assert retry_call({"eta": "2026-01-02"}).when == moment
    assert retry_call(
        {"queue": "slow", "priority": 3, "expires": 60, "headers": {"a": 1}, "time_limit": 5, "shadow": "s"}
    ).options == {
        "queue": "slow",
        "priority": 3,
        "expires": 60.0,
        "headers": {"a": 1},
        "time_limit": 5,
        "shadow": "s",
    }
    assert retry_call({"routing_key": "slow", "exchange": ""}).options == {"queue": "slow"}


def test_how_a_message_is_sent_is_passed_over_as_in_apply_async():
    assert (
        retry_call({"serializer": "json", "retry_policy": {"max_retries": 1}, "queue": None}) == RetryCall()
    )


@pytest.mark.parametrize(
    "name", ["link", "link_error", "task_id", "root_id", "group_id", "chord", "reply_to"]
)
def test_its_identity_and_its_place_in_a_canvas_stay(name):
    with pytest.raises(TypeError, match=f"a retry cannot have '{name}'.* It takes args, kwargs, eta, "):
        retry_call({name: "x"})


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"queue": 5}, ImproperlyConfigured),
        ({"priority": 300}, ImproperlyConfigured),
        ({"time_limit": "5"}, ImproperlyConfigured),
        ({"soft_time_limit": 0}, ImproperlyConfigured),
        ({"shadow": 1}, ImproperlyConfigured),
        ({"max_retries": "5"}, ImproperlyConfigured),
        ({"expires": "soon"}, ImproperlyConfigured),
        ({"args": "abc"}, TypeError),
        ({"args": 5}, TypeError),
        ({"kwargs": [1]}, TypeError),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_asked(given, error):
    (name,) = given
    with pytest.raises(error, match=name):
        retry_call(given)
