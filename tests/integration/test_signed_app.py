"""An app with keys, from its settings to the queue: whatever it sends is signed, and a worker without the key takes none of it."""

from __future__ import annotations

from contextlib import closing

import pytest
from backbeat.canvas import App, chord
from backbeat.canvas.wiring import open_commit
from sqlalchemy import create_engine

QUEUES = ["celery", "backbeat"]


@pytest.fixture
def app(tmp_path):
    app = App(
        "signed",
        broker=f"sqlite:///{tmp_path}/queue.db",
        set_as_current=False,
        security_keys={"main": "0123456789abcdef"},
    )
    app.task(name="one")(lambda: 1)
    app.task(name="count")(len)
    with app:
        yield app


def taken(app, count, **settings):
    """What a worker with other settings takes."""
    for name, value in settings.items():
        app.conf[name] = value
    with closing(open_commit(app.conf, worker="w", queues=QUEUES)) as commit:
        return commit.exchange([], take=count).taken


def send(app):
    one = app.signature("one")
    chord([one, one])(app.signature("count"))


def test_what_an_app_sends_is_taken_with_its_key_only(app):
    send(app)
    send(app)

    assert [item.message.task for item in taken(app, 2)] == ["one"] * 2
    strangers = taken(app, 2, security_keys={"main": "another 123456789"})
    assert [(item.message, item.forged) for item in strangers] == [(None, True)] * 2


def test_what_is_sent_in_a_transaction_is_signed_too(app):
    engine = create_engine(app.conf.broker_url)
    with app.transaction(engine):
        send(app)
    engine.dispose()

    assert [item.message.task for item in taken(app, 2)] == ["one"] * 2


def test_a_fleet_takes_unsigned_messages_while_keys_are_introduced(app):
    app.conf.security_keys = None
    send(app)

    found = taken(app, 2, security_keys={"main": "0123456789abcdef"}, security_accept_unsigned=True)

    assert [item.message.task for item in found] == ["one"] * 2
