"""Wiring: from URLs to implementations; the only place of canvas that chooses one. Imports are lazy: a program pays for what it uses.

| broker                            | result backend        | Commit                                   |
| --------------------------------- | --------------------- | ---------------------------------------- |
| memory, sqlite, postgresql, mysql | the same, or not given| one store                                |
| redis                             | the same, or not given| one store, one script                    |
| any                               | another store         | split                                    |
| amqp, other kombu                 | not given             | stateless: messages only (decisions K17) |
| amqp, redis, kombu but SQS         | rpc                   | stateless, results come back as messages |
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from . import flow
from .address import Foreign
from .brokers.base import Broker
from .commit.base import Commit, DeadLetterCommit
from .commit.chord_times import times_of
from .commit.limits import Limits
from .commit.role import Role
from .commit.transition import Transition
from .commit.wiring import engine_of, memory_store_of, open_store
from .config import Config
from .effect import Effect, OpenChain, OpenJoin, planned
from .errors import ImproperlyConfigured
from .expansion import expanded
from .places import (
    Kind,
    broker_prefix,
    broker_url,
    celery_place,
    is_one_store,
    is_sqs,
    kind_of,
    result_db,
    result_prefix,
    store_url,
    uses_rpc,
)
from .queue_table import queue_table
from .results.base import Results
from .results.compression import method_of
from .signing import NO_KEYS, Keyring
from .start import Start
from .transaction import OutboxRelay, TransactionSender
from .url_text import without_password

if TYPE_CHECKING:
    from .eager import Eager, EagerApp


def open_commit(
    conf: Config,
    *,
    worker: str = "",
    queues: Sequence[str] = (),
    prefetch: int | Callable[[], int] | None = None,
) -> Commit:
    """A worker's Commit. `prefetch`: how many messages of a queue a broker may send ahead; None leaves it to the broker's class."""
    broker, store = broker_url(conf), store_url(conf)
    limits, keyring = limits_of(conf), keyring_of(conf)
    if limits.compression and (store is None or kind_of(store) is Kind.MEMORY):
        text = "result_compression is obeyed where results are in Redis or in a database"
        warnings.warn(text, UserWarning, stacklevel=2)
    if store is None:
        return _open_stateless(conf, broker, worker, queues, limits)
    if is_one_store(conf, store):
        return open_store(
            broker,
            worker=worker,
            queues=queues,
            limits=limits,
            prefix=broker_prefix(conf),
            db_of_results=result_db(broker, store),
            keyring=keyring,
        )
    from .commit.split import SplitCommit

    own = open_store(
        store, worker=worker, limits=limits, role=Role.STORE, prefix=result_prefix(conf), keyring=keyring
    )
    carrier = _open_broker(conf, broker, worker, queues, limits, prefetch)
    return SplitCommit(carrier, own, limits, keyring=keyring)


def open_client(conf: Config) -> Commit:
    """A client's Commit: it sends, and takes nothing."""
    from .incarnation import incarnation

    return open_commit(conf, worker=incarnation("client"))


def open_dead_letters(conf: Config) -> DeadLetterCommit:
    """Where dead letters are kept, and may be sent again. Raises ImproperlyConfigured where there is no store."""
    commit = open_client(conf)
    if not isinstance(commit, DeadLetterCommit):
        commit.close()
        raise ImproperlyConfigured(
            "without a result backend dead letters are only logged. Write App(backend='redis://...') or postgresql://."
        )
    return commit


def open_eager(app: EagerApp, client: Callable[[], AbstractContextManager[Commit]]) -> Eager:
    """What runs canvases of `app` here and now; with `task_store_eager_result` what ended is stored by `client`.

    Raises ImproperlyConfigured if that is to be stored and there is no result backend.
    """
    from .eager import Eager

    conf = app.conf
    if not conf.task_store_eager_result:
        return Eager(app, lambda: app.results, lambda: app.backend, result_bytes=int(conf.result_max_bytes))
    if store_url(conf) is None:
        raise ImproperlyConfigured(
            "task_store_eager_result needs a result backend: write App(backend='redis://...') or postgresql://."
        )

    def keep(endings: Sequence[Transition]) -> None:
        with client() as opened:
            opened.exchange(endings)

    return Eager(
        app, lambda: app.results, lambda: app.backend, result_bytes=int(conf.result_max_bytes), keep=keep
    )


def open_broker(conf: Config) -> Broker:
    """Only the broker, for who sends single messages and keeps no canvas (the beat)."""
    from .incarnation import incarnation

    return _open_broker(conf, broker_url(conf), incarnation("sender"), (), limits_of(conf))


def open_results(conf: Config) -> Results:
    """Where results are read. Raises ImproperlyConfigured if there is no result backend."""
    url = store_url(conf)
    if url is None and uses_rpc(conf):
        from .results.rpc import RpcResults

        options = conf.broker_transport_options
        return RpcResults(broker_url(conf), transport_options=options, expires_seconds=expires_seconds(conf))
    if url is None:
        raise ImproperlyConfigured(
            "no result backend is configured. Write App(backend='redis://...') or postgresql://."
        )
    broker, is_one = broker_url(conf), is_one_store(conf, url)
    is_whole = is_one and not conf.outbox_url  # else a task may wait where no store knows of it
    match kind_of(url):
        case Kind.MEMORY:
            from .commit.memory_results import MemoryResults

            return MemoryResults(memory_store_of(url), is_whole=is_whole)
        case Kind.SQL:
            from .results.sql import SqlResults

            keep, packing = expires_seconds(conf), method_of(conf.result_compression)
            return SqlResults(
                engine_of(url),
                is_whole=is_whole,
                keep_seconds=keep,
                compression=packing,
                celery=celery_place(conf),
            )
        case _:
            from .results.redis import RedisResults

            runs = broker if is_one and result_db(broker, url) is not None else None
            return RedisResults(
                url,
                prefix=result_prefix(conf),
                runs=runs,
                is_whole=is_whole,
                keep_seconds=expires_seconds(conf),
                compression=method_of(conf.result_compression),
            )


def bound_elsewhere(conf: Config, foreign: Foreign) -> Sequence[str]:
    """The queues that others have bound to an exchange that `task_queues` does not have; none where nobody could tell."""
    url = broker_url(conf)
    if kind_of(url) is not Kind.REDIS:
        return ()
    from .brokers.bindings import bound_queues

    client = _redis_of(url, os.getpid())
    return bound_queues(client, broker_prefix(conf), foreign.exchange, foreign.routing_key)


@cache
def _redis_of(url: str, pid: int) -> Any:  # noqa: ARG001 - a fork must not use its parent's connections
    from .redis_client import open_redis

    return open_redis(url)


def reply_queue(results: Results, id_: str) -> str:
    """The queue for the reply to task `id_`, which is sent next. `results` are those of an app that `uses_rpc`."""
    from .results.rpc import RpcResults

    assert isinstance(results, RpcResults)
    return results.open(id_)


def open_session_sender(
    conf: Config, set_going: Callable[[Sequence[Start]], None], send_stored: Callable[[], None]
) -> TransactionSender:
    """What sends in users' transactions; `set_going` sends canvases now, `send_stored` what lies in the store's own outbox."""
    from .clock import SystemClock
    from .commit.session import SessionSender
    from .sql.place import Place

    store = store_url(conf)
    return SessionSender(
        place=Place(engine_of(store)) if store is not None and kind_of(store) is Kind.SQL else None,
        role=Role.WHOLE if store is not None and is_one_store(conf, store) else Role.STORE,
        limits=limits_of(conf),
        table=str(conf.outbox_table),
        is_relayed=bool(conf.outbox_url),
        set_going=set_going,
        send_stored=send_stored,
        now_us=SystemClock().now_us,
        keyring=keyring_of(conf),
    )


def send_stored(commit: Commit) -> None:
    """Send what lies in the outbox of a split commit's store."""
    from .commit.split import SplitCommit

    assert isinstance(commit, SplitCommit)
    commit.send_stored()


def open_relays(conf: Config, sender: TransactionSender) -> list[OutboxRelay]:
    """A relay for each database that the setting `outbox_url` names. Raises ImproperlyConfigured."""
    from .sql.outbox import open_outbox_engine

    urls = [conf.outbox_url] if isinstance(conf.outbox_url, str) else list(conf.outbox_url or ())
    return [sender.relay(open_outbox_engine(url)) for url in urls]


def canvas_start(conf: Config, start: Start) -> list[Effect]:
    """The effects that set it going with what there is: without a store steps travel inline, and chords are refused."""
    node, root_id, parent_id, trace = start.node, start.root_id, start.parent_id, start.trace
    if conf.canvas_wire == "celery":
        return _expanded(conf, start)
    if store_url(conf) is not None:
        # the plan comes last: where a sender dies between slices, what is there is what its join says
        effects = flow.start(node, root_id, parent_id=parent_id, trace=trace)
        return [*effects, *planned(node, root_id, parent_id)]
    effects = flow.start(node, root_id, parent_id=parent_id, inline_limit=16_000_000, trace=trace)
    if any(isinstance(effect, OpenJoin | OpenChain) for effect in effects):
        raise ImproperlyConfigured(
            "a chord, or a group inside a chain, needs a result backend: write App(backend='redis://...') or postgresql://."
        )
    return effects


def _expanded(conf: Config, start: Start) -> list[Effect]:
    """The same for a fleet of Celery's workers alone. Raises ImproperlyConfigured for what they could not get, or not run."""
    broker, store = broker_url(conf), store_url(conf)
    if kind_of(broker) not in (Kind.REDIS, Kind.KOMBU):
        raise ImproperlyConfigured(
            f'canvas_wire = "celery" is for a broker that Celery\'s workers share, redis:// or amqp://; {without_password(broker)} is '
            'none: leave canvas_wire at "auto"'
        )
    counts = store is not None and kind_of(store) is Kind.REDIS
    return expanded(start.node, start.root_id, start.parent_id, counts=counts, trace=start.trace)


def keyring_of(conf: Config) -> Keyring:
    """The keys that messages are signed with. Raises ImproperlyConfigured for a file or a map that cannot be keys."""
    conf.read_environment()
    setting = conf.security_keys
    if setting is None:
        return NO_KEYS
    from .key_file import read_keys
    from .signing import keys_of

    known = read_keys(setting) if isinstance(setting, str | os.PathLike) else setting
    return Keyring(keys_of(known), accept_unsigned=bool(conf.security_accept_unsigned))


def limits_of(conf: Config) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        lease_seconds=float(conf.task_lease_seconds),
        max_lost=int(conf.task_max_lost),
        keep_seconds=expires_seconds(conf),
        extended=bool(conf.result_extended),
        compression=method_of(conf.result_compression),
        chords=times_of(conf, expires_seconds(conf)),
        celery=celery_place(conf),
        lowest_first=conf.task_priority_order == "lowest",
    )


def expires_seconds(conf: Config) -> float:
    """How long results are kept, in seconds; 0 is for ever, as which None counts, too."""
    value = conf.result_expires
    return value.total_seconds() if isinstance(value, timedelta) else float(value or 0)


def _open_stateless(conf: Config, broker: str, worker: str, queues: Sequence[str], limits: Limits) -> Commit:
    from .commit.stateless import StatelessCommit

    # no `prefetch`: where nothing is stored a message is done in so short a time that the next ones should be there by then
    carrier, keyring = _open_broker(conf, broker, worker, queues, limits), keyring_of(conf)
    if not uses_rpc(conf):
        return StatelessCommit(carrier, is_worker=bool(queues), keyring=keyring)
    from .results.replies import KombuReplies

    return StatelessCommit(
        carrier,
        replies=KombuReplies(broker, transport_options=conf.broker_transport_options),
        worker=worker,
        limits=limits,
        is_worker=bool(queues),
        tracks_started=bool(conf.task_track_started),
        keyring=keyring,
    )


def _open_broker(
    conf: Config,
    url: str,
    worker: str,
    queues: Sequence[str],
    limits: Limits,
    prefetch: int | Callable[[], int] | None = None,
) -> Broker:
    if kind_of(url) is Kind.KOMBU:
        from .brokers.kombu import PREFETCH, KombuBroker

        ahead = PREFETCH if prefetch is None else prefetch
        options = conf.broker_transport_options or None
        if is_sqs(url):
            return _sqs()(
                url, queues=queues, prefetch=ahead, transport_options=options, keyring=keyring_of(conf)
            )
        return KombuBroker(
            url,
            queues=queues,
            prefetch=ahead,
            heartbeat_seconds=float(conf.broker_heartbeat or 0),
            transport_options=options,
            keyring=keyring_of(conf),
            table=queue_table(conf),
        )
    from .commit.store_broker import StoreBroker

    own = open_store(
        url,
        worker=worker,
        queues=queues,
        limits=limits,
        role=Role.BROKER,
        prefix=broker_prefix(conf),
        keyring=keyring_of(conf),
    )
    return StoreBroker(own)


def _sqs() -> Callable[..., Broker]:
    try:
        from .brokers.sqs import open_sqs
    except ImportError as error:
        raise ImproperlyConfigured(
            f"sqs:// needs more packages ({error}): pip install 'backbeat[sqs]'"
        ) from None
    return open_sqs
