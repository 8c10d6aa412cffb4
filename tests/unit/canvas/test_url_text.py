"""Passwords are not shown, however odd the URL, and errors do not quote them."""

from __future__ import annotations

import traceback

import pytest
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.config import Config
from backbeat.canvas.errors import BackbeatError, ImproperlyConfigured
from backbeat.canvas.places import kind_of, store_url
from backbeat.canvas.redis_client import open_redis
from backbeat.canvas.sql.engine import open_engine
from backbeat.canvas.url_text import error_text, without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (None, "none"),
        ("", "none"),
        ("memory://", "memory://"),
        ("sqlite:////var/lib/a@b.db", "sqlite:////var/lib/a@b.db"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("amqp://guest@h//", "amqp://guest@h//"),
        ("amqp://u:p@h:5672//", "amqp://u:**@h:5672//"),
        ("redis://:p@h/0", "redis://:**@h/0"),
        ("amqp://u:p@a//;amqp://u:q@b//", "amqp://u:**@a//;amqp://u:**@b//"),
        ("redis://h/0?password=p&db=1", "redis://h/0?password=**&db=1"),
        (
            "postgresql://h/db?sslpassword=p&sslmode=require",
            "postgresql://h/db?sslpassword=**&sslmode=require",
        ),
        ("db+postgresql://u:p/w@h/db", "db+postgresql://u:**@h/db"),
        ("redis://u:p@w@h/0", "redis://u:**@h/0"),
        ("redis://u:p?w#@h/0", "redis://u:**@h/0"),
        ("amqp://u:p;w@h//", "amqp://u:**@h//"),
        ("u:p@h", "u:**@h"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


def test_an_error_is_shown_unless_it_quotes_a_secret():
    url = "redis://u:canary/x@h"

    assert error_text(ValueError("port could not be read: 'canary'"), url) == "ValueError"
    assert error_text(ValueError("there is no host"), url) == "there is no host"


ODD = [
    "redis://u:canary@h:port/0",
    "redis://u:canary/1@h/0",
    "redis://u:canary@h/zero",
    "redis://u:canary@h/0?socket_timeout=soon",
    "redis://u:canary@[h/0",
    "redis://u:canary@/0",
    "rediss://u:canary@h/0?ssl_cert_reqs=perhaps",
    "postgresql://u:canary@h:port/db",
    "postgresql://u:canary/1@h:x/db",
    "amqp://u:canary@h:port//",
    "amqp://u:canary/1@h//",
    "amqp://u:canary@h//?x=1",
    "amqps://u:canary@h//?ssl_cert_reqs=perhaps",
    "amqps://u:canary@[h//",
    "http://u:canary@h",
]


REFUSED = [(use, url) for use in (open_redis, open_engine, KombuBroker) for url in ODD]
for used_later in ("redis://u:canary@h/zero", "redis://u:canary@/0"):
    REFUSED.remove((KombuBroker, used_later))  # kombu reads these when it connects
REFUSED.append((kind_of, "http://u:canary@h"))


@pytest.mark.parametrize(("use", "url"), REFUSED)
def test_no_error_about_a_url_shows_its_password(url, use):
    with pytest.raises(BackbeatError) as caught:
        use(url)

    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_what_cannot_hold_results_is_said_without_its_password():
    conf = Config({"broker_url": "amqp://u:canary@h//", "result_backend": "amqp://u:canary@h//"})

    with pytest.raises(ImproperlyConfigured, match=r"amqp://u:\*\*@h// cannot hold results"):
        store_url(conf)
    assert "canary" not in repr(conf) + str(conf)
