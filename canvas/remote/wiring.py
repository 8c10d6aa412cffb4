"""Wiring of remote control and events: which broker carries them, and how: kombu on Redis and RabbitMQ, a table in a database.

A worker pays for the library that it uses: for each of them some megabytes and a tenth of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..errors import ImproperlyConfigured
from ..places import Kind, broker_url, kind_of
from ..url_text import without_password

if TYPE_CHECKING:
    from kombu.clocks import LamportClock

    from ..events.base import EventSink, EventSource
    from ..sql.notices import Notices
    from .base import Mailbox, Office

CARRIERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")
"""Schemes of brokers that kombu reaches and that know exchanges for all."""


def carries(conf: Config) -> bool:
    """Whether the broker carries what is for all who listen."""
    url = broker_url(conf)
    return url.partition(":")[0].lower() in CARRIERS or kind_of(url) is Kind.SQL


def open_mailbox(conf: Config, node: str, clock: LamportClock) -> Mailbox | None:
    """Of the worker `node`; None where the broker carries none."""
    from ..wiring import keyring_of

    if not carries(conf):
        return None
    if kind_of(broker_url(conf)) is Kind.SQL:
        from .sql import SqlMailbox

        return SqlMailbox(_notices(conf), str(conf.control_exchange), keyring=keyring_of(conf))
    from .kombu import KombuMailbox
    from .layout import layout_of

    options = conf.broker_transport_options or None
    return KombuMailbox(
        broker_url(conf),
        node,
        layout_of(conf),
        transport_options=options,
        clock=clock,
        keyring=keyring_of(conf),
    )


def open_office(conf: Config) -> Office:
    """Of who asks. Raises ImproperlyConfigured where the broker carries no questions."""
    from ..wiring import keyring_of

    check_carries(conf, "remote control")
    if kind_of(broker_url(conf)) is Kind.SQL:
        from .sql import SqlOffice

        return SqlOffice(_notices(conf), str(conf.control_exchange), keyring=keyring_of(conf))
    from .kombu import KombuOffice
    from .layout import layout_of

    options = conf.broker_transport_options or None
    return KombuOffice(broker_url(conf), layout_of(conf), transport_options=options, keyring=keyring_of(conf))


def open_event_sink(conf: Config) -> EventSink | None:
    """Where events are told; None where the broker carries none."""
    if not carries(conf):
        return None
    url = broker_url(conf)
    if kind_of(url) is Kind.SQL:
        from ..events.sql import SqlEventSink

        return SqlEventSink(_notices(conf), str(conf.event_exchange))
    from ..events.kombu import KombuEventSink, event_layout_of

    return KombuEventSink(url, event_layout_of(conf, url), conf.broker_transport_options or None)


def open_event_source(conf: Config, name: str | None = None) -> EventSource:
    """Where events are heard; with a `name`, which one listener has at a time, also those of before, if the broker keeps them.

    Raises ImproperlyConfigured where the broker carries none.
    """
    check_carries(conf, "events")
    url = broker_url(conf)
    if kind_of(url) is Kind.SQL:
        from ..events.sql import SqlEventSource

        return SqlEventSource(_notices(conf), str(conf.event_exchange))
    from ..events.kombu import KombuEventSource, event_layout_of

    return KombuEventSource(url, event_layout_of(conf, url), conf.broker_transport_options or None, name)


def check_carries(conf: Config, what: str) -> None:
    """Raises ImproperlyConfigured that says which brokers do."""
    if not carries(conf):
        raise ImproperlyConfigured(
            f"{without_password(broker_url(conf))} carries no {what}: redis://, amqp:// and databases do"
        )


def _notices(conf: Config) -> Notices:
    from ..commit.wiring import engine_of
    from ..sql.notices import Notices

    return Notices(engine_of(broker_url(conf)))
