"""Layout: the exchanges and queues of remote control on a broker that kombu knows, which are Celery's (wire.md 4.5)."""

from __future__ import annotations

from typing import Any

from kombu.entity import Exchange, Queue
from kombu.pidbox import Mailbox as Pidbox
from msgspec import Struct

from ..config import Config


class Layout(Struct, frozen=True):
    """Of the settings `control_exchange`, `control_queue_ttl` and `control_queue_expires`; times are seconds."""

    namespace: str = "celery"
    ttl: float | None = 300.0
    expires: float | None = 10.0

    @property
    def requests(self) -> Any:
        """The exchange by which all workers are reached."""
        return self._pidbox().exchange

    @property
    def answers(self) -> Any:
        """The exchange by which who asked is reached."""
        return self._pidbox().reply_exchange

    def queue_of(self, node: str) -> Any:
        """That of a worker."""
        return self._pidbox().get_queue(node)

    def answers_for(self, asker: str) -> Any:
        """The queue of who asks, and is known by this key."""
        return Queue(  # type: ignore[no-untyped-call]  # kombu has no types
            f"{asker}.{self.answers.name}",
            exchange=self.answers,
            routing_key=asker,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=self.expires,
            message_ttl=self.ttl,
        )

    def _pidbox(self) -> Any:
        return Pidbox(  # type: ignore[no-untyped-call]  # kombu has no types
            self.namespace,
            type="fanout",
            queue_ttl=self.ttl,
            queue_expires=self.expires,
        )


def layout_of(conf: Config) -> Layout:
    """That of an app."""
    ttl, expires = conf.control_queue_ttl, conf.control_queue_expires
    return Layout(
        str(conf.control_exchange),
        None if ttl is None else float(ttl),
        None if expires is None else float(expires),
    )


def answers_exchange(name: str) -> Any:
    """The one that a request names; who asked has declared it so."""
    return Exchange(name, type="direct", durable=False, delivery_mode="transient")  # type: ignore[no-untyped-call]  # kombu has no types
