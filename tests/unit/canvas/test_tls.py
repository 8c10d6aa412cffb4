"""What is asked for of TLS: certificates are verified unless somebody says otherwise, and that is said once."""

from __future__ import annotations

import logging
import ssl

import pytest
from backbeat.canvas.config import Config
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.places import broker_url, store_url
from backbeat.canvas.redis_client import open_redis
from backbeat.canvas.sql.engine import warn_unless_verified
from backbeat.canvas.tls import Tls, warn_unverified, with_tls
from sqlalchemy.engine import make_url


@pytest.fixture(autouse=True)
def _nothing_was_said():
    warn_unverified.cache_clear()


@pytest.mark.parametrize(
    ("url", "setting", "plain", "tls"),
    [
        ("amqp://h", None, "amqp://h", None),
        ("amqp://h", False, "amqp://h", None),
        ("amqp://h", True, "amqps://h", Tls()),
        ("amqps://u:p@h//", None, "amqps://u:p@h//", Tls()),
        ("pyamqp://h/v?heartbeat=1", {"ca_certs": "f"}, "amqps://h/v?heartbeat=1", Tls(ca_certs="f")),
        (
            "amqps://h?ssl_ca_certs=f",
            {"ca_certs": "g", "keyfile": "k"},
            "amqps://h",
            Tls(ca_certs="f", keyfile="k"),
        ),
        ("amqps://a;amqps://b", None, "amqps://a;amqps://b", Tls()),
        ("amqp://a;amqp://b", {"ssl_cert_reqs": ssl.CERT_NONE}, "amqps://a;amqps://b", Tls(cert_reqs="none")),
        ("redis://h/1", {"ssl_cert_reqs": "CERT_OPTIONAL"}, "rediss://h/1", Tls(cert_reqs="optional")),
        ("rediss://h?ssl_check_hostname=false&db=3", None, "rediss://h?db=3", Tls(check_hostname=False)),
        ("rediss://h?ssl_min_version=771", None, "rediss://h?ssl_min_version=771", Tls()),
        (
            "redis+socket:///run/r.sock?virtual_host=1",
            None,
            "redis+socket:///run/r.sock?virtual_host=1",
            None,
        ),
    ],
)
def test_url_and_setting_say_how(url, setting, plain, tls):
    assert with_tls(url, setting) == (plain, tls)


@pytest.mark.parametrize(
    ("url", "setting", "text"),
    [
        ("amqps://h?ssl_cert_reqs=maybe", None, "required, optional or none"),
        ("amqps://h?ssl_verify=no", None, "ssl_verify"),
        ("amqp://h", {"cert_req": 1}, "ssl_cert_req,"),
    ],
)
def test_words_that_nobody_knows_are_refused(url, setting, text):
    with pytest.raises(ImproperlyConfigured, match=text):
        with_tls(url, setting)


def test_amqp_verifies_certificate_and_name():
    assert Tls().amqp("h")["cert_reqs"] is ssl.CERT_REQUIRED
    assert Tls().amqp("h")["server_hostname"] == "h"
    assert Tls(server_hostname="other").amqp("h")["server_hostname"] == "other"
    assert "server_hostname" not in Tls(cert_reqs="none").amqp("h")
    assert Tls().amqp("h")["tls_minimum_version"] is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("url", "mode", "name"),
    [
        ("rediss://h", "required", True),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", "none", False),
        ("rediss://h?ssl_check_hostname=false", "required", False),
    ],
)
def test_redis_verifies_certificate_and_name(url, mode, name):
    known = open_redis(url).connection_pool.connection_kwargs

    assert (known["ssl_cert_reqs"], known["ssl_check_hostname"]) == (mode, name)


def test_the_settings_of_celery_are_obeyed():
    conf = Config(
        {
            "broker_url": "redis://h/1",
            "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca"},
            "result_backend": "redis://h/2",
            "redis_backend_use_ssl": True,
        }
    )
    broker, store = open_redis(broker_url(conf)), open_redis(store_url(conf))

    assert broker.connection_pool.connection_kwargs["ssl_ca_certs"] == "/ca"
    assert store.connection_pool.connection_kwargs["ssl_cert_reqs"] == "required"
    # what children are told is an URL, and they have the setting, too
    conf.broker_url = broker_url(conf)
    assert broker_url(conf) == conf.broker_url


def test_a_connection_that_is_not_verified_is_told_once(caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            open_redis("rediss://u:canary@h:1?ssl_cert_reqs=none&password=canary")
            open_redis("rediss://h:1")
            open_redis("redis://h:1")
            for url in (
                "postgresql://u:canary@pg/db?sslmode=require",
                "postgresql://u:canary@ok/db?sslmode=verify-full",
                "postgresql://u:canary@ok/db",
                "mysql://u:canary@my/db?ssl_key=f",
                "mysql://u:canary@ok/db?ssl_ca=f",
                "mysql://u:canary@ok/db",
            ):
                warn_unless_verified(make_url(url))

    places = [record.args[0] for record in caplog.records]
    assert places == [
        "rediss://u:**@h:1?ssl_cert_reqs=none&password=**",
        "the database pg",
        "the database my",
    ]
    assert {record.action for record in caplog.records} == {"tls_unverified"}


@pytest.mark.parametrize(("url", "expected"), [("amqp://", "amqps://"), ("redis:///0", "rediss:///0")])
def test_a_url_without_a_host_keeps_its_slashes(url, expected):
    assert with_tls(url, True)[0] == expected
