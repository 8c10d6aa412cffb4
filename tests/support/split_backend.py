"""SplitBackend: one broker and another store under test, where a worker may die between every step of a commit."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from amqp.exceptions import NotFound
from backbeat.canvas.brokers.base import Broker, Posted
from backbeat.canvas.brokers.kombu import KombuBroker
from backbeat.canvas.brokers.sqs import open_sqs
from backbeat.canvas.commit.base import Commit
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.split import SplitCommit
from backbeat.canvas.commit.store_broker import StoreBroker
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Exchange, Transition
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.message import Message
from backbeat.canvas.results.base import Results
from kombu import Connection

from support.backends import PATIENT, MemoryBackend, calm
from support.flow_world import QUEUES, Backend

BrokerFactory = Callable[..., Broker]


def memory_broker(backend: MemoryBackend) -> BrokerFactory:
    """Brokers over a store in memory, for `SplitBackend`."""

    def open_broker(worker: str, queues: Sequence[str], **signing: Any) -> Broker:
        commit = backend.open(worker, role=Role.BROKER, limits=PATIENT, queues=queues, **signing)
        return StoreBroker(commit, sweep_seconds=0.0)

    return open_broker


def amqp_broker(url: str) -> BrokerFactory:
    """Brokers over a vhost of RabbitMQ, for `SplitBackend`."""

    def open_broker(worker: str, queues: Sequence[str], **signing: Any) -> Broker:
        return KombuBroker(url, queues=queues, prefetch=8, **signing)

    return open_broker


def sqs_broker(url: str) -> BrokerFactory:
    """Brokers over an emulator of Amazon SQS, for `SplitBackend`."""

    def open_broker(worker: str, queues: Sequence[str], **signing: Any) -> Broker:
        options = {"visibility_timeout": 5, "wait_time_seconds": 1}
        return open_sqs(url, queues=queues, prefetch=8, transport_options=options, **signing)

    return open_broker


class CrashingBroker:
    """A Broker whose owner may die before and after each call, and half-way through a publish."""

    def __init__(self, inner: Broker, crash: Callable[[str], None]) -> None:
        self._inner = inner
        self._crash = crash

    def post(self, items: Sequence[Message], *, at_once: bool = False) -> Posted:
        self._crash("before publish")
        half = random.Random(len(items)).randint(0, len(items))
        confirmed = [*self._inner.post(items[:half], at_once=at_once).confirmed] if half else []
        self._crash("within publish")
        confirmed += self._inner.post(items[half:], at_once=at_once).confirmed if items[half:] else []
        self._crash("after publish")
        return Posted(confirmed)

    def take(self, limit: int) -> list[Delivery]:
        self._crash("before take")
        taken = self._inner.take(limit)
        if taken:
            self._crash("after take")
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._crash("before ack")
        self._inner.ack(deliveries)
        self._crash("after ack")

    def release(self, deliveries: Sequence[Delivery]) -> None:
        self._inner.release(deliveries)

    def renew(self, deliveries: Sequence[Delivery]) -> None:
        self._inner.renew(deliveries)

    def serve(self, queues: Sequence[str]) -> None:
        self._inner.serve(queues)

    def counts(self, queues: Sequence[str]) -> Any:
        return self._inner.counts(queues)

    def pause(self) -> None:
        self._inner.pause()

    def park(self, deliveries: Sequence[Delivery]) -> None:
        self._inner.park(deliveries)

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._inner.wait(timeout, wakers)

    def close(self) -> None:
        self._inner.close()


class CrashingStore:
    """A store whose owner may die before and after each exchange."""

    def __init__(self, inner: Commit, crash: Callable[[str], None]) -> None:
        self._inner = inner
        self._crash = crash

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        self._crash("before the store")
        exchange = self._inner.exchange(transitions, take=take, claim=claim)
        self._crash("after the store")
        return exchange

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class SplitBackend:
    """A broker and a store. `store` must be a backend whose `open` takes a role, limits and queues."""

    def __init__(
        self,
        open_broker: BrokerFactory,
        store: Backend,
        *,
        amqp_url: str = "",
        forget: Callable[[], object] = list,
    ) -> None:
        self._forget = forget
        self._open_broker = open_broker
        self._store = store
        self._amqp_url = amqp_url
        self.patience_seconds = store.patience_seconds

    def open(
        self,
        worker: str,
        crash: Callable[[str], None] = calm,
        *,
        limits: Limits | None = None,
        queues: Sequence[str] = QUEUES,
        **signing: Any,
    ) -> Commit:
        known = {} if limits is None else {"limits": limits}
        store = self._store.open(worker, role=Role.STORE, **known, **signing)
        broker = self._open_broker(worker, queues, **signing)
        return SplitCommit(CrashingBroker(broker, crash), CrashingStore(store, crash), **signing)  # type: ignore[arg-type]

    def results(self) -> Results:
        return self._store.results(is_whole=False)

    def now_us(self) -> int:
        return self._store.now_us()

    def pass_lease(self) -> None:
        self._store.pass_lease()

    @property
    def clock(self) -> object:
        """The clock that can be moved, where there is one."""
        return getattr(self._store, "clock", None)

    def clear(self) -> None:
        self._store.clear()
        self._forget()
        if self._amqp_url:
            with Connection(self._amqp_url) as connection:
                # not purged: what a consumer held that has just gone may come back after that
                for queue in QUEUES:
                    with suppress(NotFound), connection.channel() as channel:
                        channel.queue_delete(queue)

    def close(self) -> None:
        self._store.close()
