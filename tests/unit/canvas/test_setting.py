"""What values settings may have: what cannot be meant is refused where it is set."""

from __future__ import annotations

import os
import re
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from backbeat.canvas import App
from backbeat.canvas.config import _ONLY, Config
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.known_settings import DEFAULTS, OBEYED
from backbeat.canvas.setting import _READERS, check_limit_settings

from support.number_doubles import Whole

NAN, INF = float("nan"), float("inf")
SECONDS_FROM_0 = ["beat_cron_starting_deadline", "worker_grace_seconds"]
SECONDS_ABOVE_0 = ["task_time_limit", "task_soft_time_limit", "task_lease_seconds"]
COUNTS = [
    "result_max_bytes",
    "task_max_argument_bytes",
    "task_max_lost",
    "worker_concurrency",
    "worker_max_memory_per_child",
    "worker_max_tasks_per_child",
]
FLAGS = [
    "beat_sentry_monitors",
    "enable_utc",
    "result_extended",
    "security_accept_unsigned",
    "task_acks_late",
    "task_ignore_result",
    "task_traces",
    "task_track_started",
]


READ_BY_WHO_OBEYS = {
    "beat_schedule",
    "result_compression",
    "security_keys",
    "task_annotations",
    "task_queues",
    "task_routes",
}


def refused(name, value):
    with pytest.raises(ImproperlyConfigured, match=name) as error:
        Config({name: value})
    return str(error.value)


@pytest.mark.parametrize(
    "value", [NAN, INF, -INF, -1, 1e300, 10**400, True, "30", [30], Decimal("NaN"), timedelta(seconds=-1)]
)
@pytest.mark.parametrize("name", [*SECONDS_FROM_0, *SECONDS_ABOVE_0])
def test_what_is_no_number_of_seconds_is_refused(name, value):
    assert f"{name} must be seconds" in refused(name, value)


@pytest.mark.parametrize("name", SECONDS_ABOVE_0)
def test_a_limit_or_lease_of_nothing_is_refused(name):
    refused(name, 0)


@pytest.mark.parametrize("value", [NAN, INF, -1, 0, 1.5, 2.0, True, "4", 2**31])
@pytest.mark.parametrize("name", COUNTS)
def test_what_is_no_count_is_refused(name, value):
    assert f"{name} must be a whole number from 1 to " in refused(name, value)


@pytest.mark.parametrize("value", ["no", "false", "yes", "", 0, 1, None, NAN])
@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_true_or_false_and_never_a_text_that_would_count_as_true(name, value):
    assert f"{name} must be True or False, found {value!r}" in refused(name, value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("worker_concurrency", 1_000_000, "a whole number from 1 to 10,000, found 1000000"),
        ("task_lease_seconds", 0.01, "seconds from 0.1 to 86,400, found 0.01"),
        ("task_lease_seconds", 100_000, "seconds from 0.1 to 86,400"),
        ("task_lease_seconds", None, "must be seconds"),
        ("worker_grace_seconds", None, "must be seconds"),
        ("task_max_argument_bytes", 16 * 1024 * 1024 + 1, "to 16,777,216"),
        ("worker_prefetch_multiplier", -1, "a whole number from 0 to"),
        ("worker_prefetch_multiplier", NAN, "a whole number from 0 to"),
        ("task_default_queue", "", "a printable text of 1 to 255 bytes"),
        ("task_default_queue", "a\n", "a printable text"),
        ("task_default_queue", None, "a printable text"),
        ("imports", "", "each of imports must be a printable text"),
        ("include", {"a": 1}, "a list or a tuple"),
        ("accept_content", "json", "accept_content must be a list"),
        ("accept_content", {"json", "pickle"}, "is not supported by this version"),
        ("accept_content", (), "is not supported by this version"),
        ("database_table_names", {"tasks": "a"}, "must be a map such as {'task': 'celery_taskmeta'"),
        ("database_table_names", {"task": ""}, "must be a map such as {'task': 'celery_taskmeta'"),
        ("database_table_schemas", "mine", "must be a map with texts as keys"),
        ("database_pickled_rows", "no", "must be True or False"),
        ("database_url", 5, "must be a text such as"),
        ("broker_use_ssl", "no", "must be True, False, None, or a map such as"),
        ("broker_use_ssl", "yes", "must be True, False, None, or a map such as"),
        ("redis_backend_use_ssl", "", "must be True, False, None, or a map such as"),
        ("redis_backend_use_ssl", 1, "must be True, False, None, or a map such as"),
        ("include", ["tasks", ""], "each of include must be a printable text"),
        ("imports", 5, "a list or a tuple"),
        ("task_routes", 5, "a map such as {'tasks.*': 'queue'}, a function"),
        ("task_routes", [{"a": "q"}, 5], "task_routes[1] must be a map such as"),
        ("task_routes", [("a.*", "q", 3)], "task_routes must be a list of pairs"),
        ("task_routes", [("a.*", "")], "task_routes['a.*'] must be a printable text"),
        ("task_routes", "a b", "task_routes must be the path of a router, such as 'project.routers.route'"),
        (
            "task_routes",
            {re.compile("a.*"): {"queu": 1}},
            "task_routes['a.*']: apply_async() has no option 'queu'",
        ),
        ("task_queues", "a", "task_queues must be a list of queues or names"),
        ("task_queues", ["a", 5], "task_queues[1] must be a queue of kombu's or a name"),
        ("task_queues", ["a", "a"], "task_queues has queue 'a' twice"),
        ("task_queues", {"a": {"exchnge": "x"}}, "task_queues['a']: there is no option 'exchnge'"),
        ("task_queues", {"a": {"exchange_type": "x"}}, "exchange type 'x' is not supported by this version"),
        ("task_queues", {"a": {"max_priority": 300}}, "max_priority must be a whole number from 0 to 255"),
        ("task_queues", {"a": {"durable": "yes"}}, "durable must be True or False"),
        ("task_queues", {"bcast.a": None}, "write kombu.common.Broadcast('name')"),
        (
            "task_queues",
            {"a": {"exchange": "x"}, "b": {"exchange": "x", "exchange_type": "topic"}},
            "exchange 'x' is direct and topic: it has one type",
        ),
        ("task_default_queue_type", "fast", "must be 'classic' or 'quorum'"),
        ("task_default_exchange_type", "headers", "must be 'direct', 'topic' or 'fanout'"),
        ("task_routes", {"a.*": ""}, "task_routes['a.*'] must be a printable text"),
        ("task_routes", {"a.*": 5}, "task_routes['a.*'] must be a printable text"),
        ("task_routes", {5: "q"}, "a map with texts as keys, or compiled regular expressions"),
        ("task_routes", {"": "q"}, "task_routes has an empty pattern"),
        ("task_routes", {"a.*": {5: "q"}}, "task_routes['a.*'] must be a map with texts as keys"),
        ("task_routes", {"a.*": {"queue": ""}}, "task_routes['a.*']: queue must be a printable text"),
        ("task_routes", {"a.*": {"priority": "3"}}, "task_routes['a.*']: priority must be a whole number"),
        (
            "task_routes",
            {"b": "q", "a": {"queu": "q"}},
            "task_routes['a']: apply_async() has no option 'queu'; did you mean",
        ),
        ("task_routes", {"a": {"exchange": 5}}, "task_routes['a']: exchange must be a printable text"),
        ("task_routes", {"a": {"headers": {"x": NAN}}}, "task_routes['a']: headers cannot be written: 'x'"),
        (
            "task_routes",
            {"a": {"time_limit": 3, "soft_time_limit": 3}},
            "task_routes['a']: soft_time_limit must be below",
        ),
        ("broker_transport_options", "visibility_timeout=5", "a map with texts as keys"),
        ("timezone", 1, "timezone must be the name of a time zone, such as 'Europe/Berlin', or a tzinfo"),
        ("timezone", "", "timezone must be the name of a time zone"),
        ("worker_pool", None, "must be a text"),
        ("outbox_url", 5, "must be a text such as"),
    ],
)
def test_other_values_that_cannot_be_meant(name, value, text):
    assert text in refused(name, value)


@pytest.mark.parametrize("name", ["broker_url", "broker_write_url", "result_backend", "outbox_url"])
def test_an_error_about_urls_shows_none_as_they_may_have_passwords_in_them(name):
    value = {"redis://:canary@host": 1}

    assert "canary" not in refused(name, value)
    assert "a dict" in refused(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, None) for name in DEFAULTS if DEFAULTS[name] is None and name in OBEYED],
        ("beat_cron_starting_deadline", 0),
        ("broker_transport_options", {"global_keyprefix": "p"}),
        ("imports", ["a", "b"]),
        ("include", ()),
        ("outbox_url", "sqlite:///a.db"),
        ("outbox_url", ["sqlite:///a.db", "sqlite:///b.db"]),
        ("task_acks_late", False),
        ("task_lease_seconds", 0.5),
        ("task_queues", ["a", "b"]),
        (
            "task_queues",
            {"a": {"exchange": "media", "exchange_type": "topic", "routing_key": "media.#"}, "b": {}},
        ),
        ("task_routes", {"a.*": "q", "b": {"queue": "r", "priority": 3}}),
        ("task_routes", [("a.*", "q"), (re.compile("b"), {"exchange": "x", "routing_key": "k"})]),
        ("task_routes", ([("a.*", "q")], "project.routers.route", print)),
        ("task_time_limit", 0.5),
        ("timezone", UTC),
        ("timezone", "Europe/Berlin"),
        ("worker_concurrency", 1),
        ("worker_grace_seconds", 0),
        ("worker_prefetch_multiplier", 0),
    ],
)
def test_what_can_be_meant_is_taken(name, value):
    assert Config({name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("imports", "a.b", ("a.b",)),
        ("include", "a.b", ("a.b",)),
        ("imports", None, ()),
        ("include", None, ()),
        ("include", (name for name in ("a", "b")), ("a", "b")),
        ("accept_content", ("json",), ["json"]),
        ("accept_content", {"json"}, ["json"]),
        ("accept_content", ["application/json", "json"], ["json"]),
        ("task_time_limit", timedelta(minutes=1), 60.0),
        ("task_lease_seconds", timedelta(seconds=5), 5.0),
        ("worker_grace_seconds", timedelta(0), 0.0),
        ("task_soft_time_limit", Decimal("2.5"), 2.5),
        ("worker_concurrency", Whole(3), 3),
        ("result_expires", Whole(60), 60),
    ],
)
def test_what_says_the_same_in_another_way_is_taken_as_that(name, value, meant):
    found = Config({name: value})[name]

    assert (found, type(found)) == (meant, type(meant))


def test_modules_may_be_named_by_one_text():
    App("a", set_as_current=False, include="json", imports="decimal").import_modules()
    with pytest.raises(ImproperlyConfigured, match="there_is_none"):
        App("a", set_as_current=False, include="there_is_none").import_modules()


def test_tls_is_on_or_off_or_described():
    for name in ("broker_use_ssl", "redis_backend_use_ssl"):
        for value in (True, False, None, {"ca_certs": "ca.pem"}):
            assert Config({name: value})[name] == value


def test_defaults_are_values_that_can_be_set():
    for name, read in _READERS.items():
        read(name, DEFAULTS[name])


def test_an_app_refuses_them_too_and_keeps_what_it_had():
    app = App("a", set_as_current=False, task_lease_seconds=5)

    with pytest.raises(ImproperlyConfigured, match="task_lease_seconds"):
        app.conf.task_lease_seconds = NAN
    with pytest.raises(ImproperlyConfigured, match="include must be a list or a tuple"):
        App("b", set_as_current=False).conf.include = 5
    assert app.conf.task_lease_seconds == 5


@pytest.mark.parametrize(("hard", "soft"), [(10, 10), (10, 11), (0.5, 10)])
def test_a_soft_limit_that_is_not_below_the_hard_one_is_refused_where_they_are_used(hard, soft):
    app = App("a", broker="memory://", set_as_current=False)
    app.conf.task_time_limit, app.conf.task_soft_time_limit = hard, soft  # one after the other, in any order

    text = "task_soft_time_limit must be below task_time_limit"
    with pytest.raises(ImproperlyConfigured, match=text):
        check_limit_settings(app.conf)
    with pytest.raises(ImproperlyConfigured, match=text):
        app.prepare(app.signature("t"))


def test_one_limit_alone_or_two_that_agree_are_used():
    app = App("a", broker="memory://", set_as_current=False, task_soft_time_limit=9)
    assert app.prepare(app.signature("t")).options["soft_time_limit"] == 9

    app.conf.task_time_limit = 10
    assert app.prepare(app.signature("t")).options["time_limit"] == 10


def test_what_the_environment_gives_is_text_that_is_meant():
    """Nothing but URLs, the path of the keys and a secret comes from there, so there is no text that would have to be a number or a flag."""
    conf = Config()

    conf.read_environment(
        {f"BACKBEAT_{name.upper()}": "no number and no flag" for name in DEFAULTS} | {"PATH": os.defpath}
    )

    assert {name for name in DEFAULTS if conf.is_set(name)} == {
        "broker_url",
        "result_backend",
        "security_keys",
        "webhook_secret",
    }


def test_every_setting_that_is_obeyed_is_read_by_somebody():
    assert {*_READERS, *_ONLY, *READ_BY_WHO_OBEYS} == OBEYED


@pytest.mark.parametrize("value", [NAN, -1, 0.4, True, "60", 65_536])
def test_a_heartbeat_that_no_connection_can_have_is_refused(value):
    assert "broker_heartbeat must be a whole number from 0 to 65,535" in refused("broker_heartbeat", value)
