"""Settings of results: what they may be, and what is refused with a reason."""

from __future__ import annotations

import bz2
import lzma
import zlib
from datetime import timedelta

import pytest
from backbeat.canvas import App
from backbeat.canvas.celery_place import CeleryPlace
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.errors import DecodeError, ImproperlyConfigured
from backbeat.canvas.places import celery_place, is_one_store, kind_of, store_url
from backbeat.canvas.results.compression import (
    MAGIC,
    TEXT_MAGIC,
    compressed,
    compressed_text,
    plain,
    plain_text,
)
from backbeat.canvas.wiring import limits_of, open_client


def limits(**settings):
    return limits_of(App("x", broker="memory://", set_as_current=False, **settings).conf)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(60, 60), (0.5, 0.5), (timedelta(minutes=2), 120), (0, 0), (None, 0), (timedelta(0), 0)],
)
def test_results_expire_after_seconds_or_a_timedelta_and_none_is_for_ever(value, seconds):
    assert limits(result_expires=value).keep_seconds == seconds


def test_results_are_kept_for_a_day_by_default():
    assert limits().keep_seconds == 86_400


@pytest.mark.parametrize(
    "value",
    [-1, -0.5, timedelta(seconds=-1), "60", True, [], float("inf"), float("nan"), timedelta(days=40_000)],
)
def test_other_expiries_are_refused_where_they_are_set(value):
    with pytest.raises(
        ImproperlyConfigured, match=r"^result_expires must be seconds from 0 to a century, .* found "
    ):
        App("x", broker="memory://", set_as_current=False, result_expires=value)


@pytest.mark.parametrize(("keep", "known"), [(60, 3_600), (86_400, 86_400), (0, 0)])
def test_what_has_ended_is_known_for_an_hour_at_least(keep, known):
    assert limits(result_expires=keep).known_seconds == known


@pytest.mark.parametrize("name", ["gzip", "zlib", "bzip2", "bz2", "lzma", "xz"])
def test_compression_is_named_as_in_celery(name):
    assert limits(result_compression=name).compression == name
    assert plain(compressed("a" * 1_000, name)) == b"a" * 1_000
    text = "ü\ud800" * 1_000
    assert plain_text(compressed_text(text, name)) == text
    assert len(compressed_text(text, name)) < 300


def test_another_compression_is_refused_with_those_that_are_known():
    with pytest.raises(ImproperlyConfigured, match="'snappy' is not known; known are gzip, "):
        limits(result_compression="snappy")


def test_k7_a_lease_is_ten_seconds_if_nothing_else_is_said():
    assert limits().lease_seconds == Limits().lease_seconds == 10.0


def test_compression_where_it_is_not_obeyed_is_said():
    app = App("x", broker="memory://results", set_as_current=False, result_compression="gzip")

    with pytest.warns(
        UserWarning, match="result_compression is obeyed where results are in Redis or in a database"
    ):
        open_client(app.conf)


def test_what_does_not_get_shorter_is_not_compressed():
    assert compressed("abc", "gzip") is None
    assert compressed_text("abc", "gzip") == plain_text("abc") == "abc"


@pytest.mark.parametrize(
    "stored", [TEXT_MAGIC + "x", TEXT_MAGIC + "AAA\xff", compressed_text("a" * 1_000, "xz")[:-8]]
)
def test_a_compressed_text_that_is_damaged_says_so(stored):
    with pytest.raises(DecodeError, match="cannot be read"):
        plain_text(stored)


def test_what_is_not_compressed_is_read_as_it_is():
    assert plain(b'{"status": 1}') == b'{"status": 1}'


@pytest.mark.parametrize("rest", [b"", b"\xff\x00x", b"application/x-bz2\x00x", b"application/x-gzip\x00"])
def test_damage_is_a_decode_error(rest):
    with pytest.raises(DecodeError, match="cannot be read"):
        plain(MAGIC + rest)


def test_extended_results_can_be_switched_off():
    assert limits().extended
    assert not limits(result_extended=False).extended


@pytest.mark.parametrize(
    ("mime", "pack"), [("x-gzip", zlib.compress), ("x-bz2", bz2.compress), ("x-lzma", lzma.compress)]
)
def test_a_few_bytes_that_hold_gigabytes_are_not_unpacked(mime, pack):
    head = MAGIC + f"application/{mime}".encode() + b"\0"

    assert plain(head + pack(b"0" * 1_000_000), 1_000_000) == b"0" * 1_000_000
    with pytest.raises(DecodeError, match="more than 1000000 bytes"):
        plain(head + pack(b"0" * 1_000_001), 1_000_000)
    with pytest.raises(DecodeError, match="cut off"):
        plain(head + pack(b"0" * 1_000)[:-1])


def conf(**settings):
    return App("x", set_as_current=False, **{"broker": "redis://localhost/0", **settings}).conf


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"backend": "postgresql://h/db"}, None),
        ({"backend": "sqlite:///db+x"}, None),
        ({"backend": "redis://h"}, None),
        ({"backend": "rpc://"}, None),
        ({}, None),
        ({"backend": "db+postgresql://h/db"}, CeleryPlace()),
        ({"backend": "db+sqlite:///file"}, CeleryPlace()),
        ({"backend": "database", "database_url": "postgresql://h/db"}, CeleryPlace()),
        (
            {
                "backend": "db+mysql://h/db",
                "database_table_names": {"task": "mine"},
                "database_table_schemas": {"group": "own"},
                "database_pickled_rows": True,
            },
            CeleryPlace(task="mine", group_schema="own", pickled=True),
        ),
    ],
)
def test_a_url_of_celerys_database_backend_asks_for_its_tables(settings, place):
    assert celery_place(conf(**settings)) == place


def test_the_word_for_the_database_backend_leads_to_the_database_of_its_url():
    named = conf(backend="database", database_url="sqlite:///results.db")

    assert store_url(named) == "db+sqlite:///results.db"
    with pytest.raises(ImproperlyConfigured, match="needs the setting database_url"):
        store_url(conf(backend="db"))


def test_messages_and_celerys_tables_in_one_database_are_one_store():
    one = conf(broker="sqlite:///one.db", backend="db+sqlite:///one.db")

    assert kind_of(one.result_backend) is kind_of(one.broker_url)
    assert is_one_store(one, store_url(one))
