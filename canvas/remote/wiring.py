"""Wiring of remote control and events: which broker carries them, and how. Only of brokers that can tell something to all who listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..errors import ImproperlyConfigured
from ..places import broker_url
from ..url_text import without_password

if TYPE_CHECKING:
    from kombu.clocks import LamportClock

    from ..events.base import EventSink, EventSource
    from .base import Mailbox, Office

CARRIERS = ("redis", "rediss", "amqp", "amqps", "pyamqp")
"""Schemes of brokers that kombu reaches and that know exchanges for all."""


def carries(conf: Config) -> bool:
    """Whether the broker carries what is for all who listen."""
    return broker_url(conf).partition(":")[0].lower() in CARRIERS


def open_mailbox(conf: Config, node: str, clock: LamportClock) -> Mailbox | None:
    """Of the worker `node`; None where the broker carries none."""
    from ..wiring import keyring_of
    from .kombu import KombuMailbox
    from .layout import layout_of

    if not carries(conf):
        return None
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
    from .kombu import KombuOffice
    from .layout import layout_of

    check_carries(conf, "remote control")
    options = conf.broker_transport_options or None
    return KombuOffice(broker_url(conf), layout_of(conf), transport_options=options, keyring=keyring_of(conf))


def open_event_sink(conf: Config) -> EventSink | None:
    """Where events are told; None where the broker carries none."""
    from ..events.kombu import KombuEventSink, event_layout_of

    if not carries(conf):
        return None
    url = broker_url(conf)
    return KombuEventSink(url, event_layout_of(conf, url), conf.broker_transport_options or None)


def open_event_source(conf: Config) -> EventSource:
    """Where events are heard. Raises ImproperlyConfigured where the broker carries none."""
    from ..events.kombu import KombuEventSource, event_layout_of

    check_carries(conf, "events")
    url = broker_url(conf)
    return KombuEventSource(url, event_layout_of(conf, url), conf.broker_transport_options or None)


def check_carries(conf: Config, what: str) -> None:
    """Raises ImproperlyConfigured that says which brokers do."""
    if not carries(conf):
        raise ImproperlyConfigured(
            f"{without_password(broker_url(conf))} carries no {what}: redis:// and amqp:// do"
        )
