"""RedisCommit: broker, results and canvas in one Redis: every exchange is one script, so one step (decisions K1).

Queues, held messages and results lie as Celery's clients and workers expect them, so they can share them; runs,
chains, joins and timers lie under `backbeat:`. A message that is held stands in kombu's `unacked` and in our own index of leases,
by the server's clock; what a killed worker held comes back after its lease, or at once when its process is known to be gone.

This file, with the library's name, is reached by its package; it imports the library through redis_client.py only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..continuation import JoinRecord
from ..errors import BackbeatError
from ..hesitation import Hesitation
from ..incarnation import is_gone, name_of
from ..message import CONTROL_QUEUE
from ..progress import Progress
from ..redis_client import Line, Redis, Script, open_redis, script, unavailable, warn_if_evicting
from ..redis_watch import Watch
from ..results.document import to_text
from ..series import Series
from ..signing import NO_KEYS, Keyring
from ..template import Rendered
from . import records, redis_audience, redis_dead, redis_put, redis_records
from .base import Loaded
from .dead_letter import KeptLetter
from .exchange_script import CHORD, REVOKING, parts_for, script_of
from .limits import DEFAULT_LIMITS, REVOKED_KEEP_US, Limits
from .looking import Waiting, waiting_of
from .overlap import nothing
from .redis_batch import REVOKED, RedisBatch, claim_row, exchange_of, revocation
from .redis_claims import decided
from .redis_clock import ServerClock, monotonic_us
from .redis_keys import RedisKeys
from .redis_publish import publishing
from .role import OUTBOX, Role
from .taken import Taken
from .transition import Exchange, Transition

_HOLDING = partial(script, "store.lua", "runs.lua", "revoked.lua", "unique.lua", "limits.lua", "holding.lua")
REVOKED_AT_ONCE = 1_000
"""Ids that are revoked in one script."""
LONGEST_PAUSE_SECONDS = 0.016
"""How long messages are left to others at most; a look takes a tenth of a millisecond."""


class RedisCommit:
    """One worker's or client's view of a Redis; a Commit.

    `prefix` is in front of every key (kombu's `global_keyprefix`). `result_db` is the number of the database for result documents,
    if it is not the client's: broker and results are one store whatever their numbers.
    """

    at_once = 64
    """A script keeps all that others ask of the server waiting: so many take it 4 ms."""

    def __init__(
        self,
        client: Redis | str,
        *,
        worker: str = "",
        queues: Sequence[str] = (),
        limits: Limits = DEFAULT_LIMITS,
        role: Role = Role.WHOLE,
        prefix: str = "",
        result_db: int | None = None,
        keyring: Keyring = NO_KEYS,
    ) -> None:
        self._is_own = isinstance(client, str)
        self._client = open_redis(client) if isinstance(client, str) else client
        self._line = Line(self._client)
        self._worker = worker
        # a tag is holder#serial#list, and the holder ends with the first line of a run
        self._holder = worker.replace("#", "_").replace("\n", "_")
        self._queues = [OUTBOX] if role is Role.STORE else list(queues)
        self._limits = limits
        self._role = role
        self._keys = RedisKeys(prefix)
        self._result_db = result_db
        self._keyring = keyring
        self._series = Series(keyring)
        self._watch: Watch | None = None
        self._clock = ServerClock()
        self._hesitation = Hesitation(LONGEST_PAUSE_SECONDS)

    def exchange(
        self, transitions: Sequence[Transition], *, take: int = 0, claim: Sequence[Taken] = ()
    ) -> Exchange:
        return decided(self._exchange(transitions, take, claim), self._claim)

    def exchange_beside(
        self, transitions: Sequence[Transition], take: int, meanwhile: Callable[[], object]
    ) -> Exchange:
        return decided(self._exchange(transitions, take, meanwhile=meanwhile), self._claim)

    def _exchange(
        self,
        transitions: Sequence[Transition],
        take: int = 0,
        claim: Sequence[Taken] = (),
        gone: Sequence[str] = (),
        meanwhile: Callable[[], object] = nothing,
    ) -> Exchange:
        """`gone`: workers whose processes are over, so that their claims are dead."""
        if not transitions and not claim and not (take and self._queues):
            meanwhile()
            return Exchange([])
        self._meet()
        script_, arguments = self._asking(transitions, take, claim, gone)
        if take:
            # no queue comes first for ever: one that is always full would starve the others. A call that takes nothing is no turn
            self._queues = [*self._queues[1:], *self._queues[:1]]
        asked_us = monotonic_us()
        end = script_.begin(self._line, *arguments)
        begun_us = monotonic_us()
        try:
            meanwhile()
        finally:
            away_us = monotonic_us() - begun_us
            reply = end()  # also if that went wrong: the next answer would be taken for this one
        self._clock.heard(reply[0], asked_us, away_us)
        done = exchange_of(reply, len(transitions), claim, self._keyring)
        if take:
            self._hesitation.took(len(done.taken))
        return done

    @contextmanager
    def overlapping(self) -> Iterator[Callable[[Sequence[Transition]], object]]:
        self._meet()
        under_way: list[Callable[[], Any]] = []

        def bring(transitions: Sequence[Transition]) -> None:
            script_, arguments = self._asking(transitions)
            while under_way:
                under_way.pop()()
            under_way.append(script_.begin(self._line, *arguments))

        try:
            yield bring
            while under_way:
                under_way.pop()()
        finally:
            for end in under_way:  # what went wrong says more
                with suppress(BackbeatError):
                    end()

    def _asking(
        self,
        transitions: Sequence[Transition],
        take: int = 0,
        claim: Sequence[Taken] = (),
        gone: Sequence[str] = (),
    ) -> tuple[Script, list[Any]]:
        """The script to be run, and its arguments."""
        batch = RedisBatch(
            name_of(self._worker),
            self._clock.now_us(),
            self._role,
            self._limits,
            self._keyring,
            self._series,
        )
        if transitions and not take and not claim:
            arguments = publishing(transitions, batch, self._keys)
            if arguments is not None:
                return script("publish.lua"), arguments
        parts = parts_for(transitions, takes=take > 0)
        argument = {
            "transitions": [batch.transition(transition) for transition in transitions],
            "role": self._role.value,
            "outbox_lease_us": self._limits.outbox_lease_us,
            "result_db": self._result_db_number,
            **(self._claiming(take, claim, gone) if take or claim else {}),
            **({"chord": {"own_db": self._own_db, **self._limits.chords.argument}} if CHORD in parts else {}),
            **(REVOKED if REVOKING in parts else {}),
            **self._common(),
        }
        exchange = script_of(parts)
        return exchange, [exchange.encoded(argument), *batch.blobs]

    def _claiming(self, take: int, claim: Sequence[Taken], gone: Sequence[str]) -> dict[str, Any]:
        """What the script needs to know to claim, and to take."""
        return {
            "claim": [claim_row(item.message) for item in claim if item.message is not None],
            "take": take,
            "queues": self._queues,
            "lowest_first": self._limits.lowest_first,
            "is_signed": self._keyring.signs,
            "gone": gone,
            "max_lost": self._limits.max_lost,
        }

    def _claim(self, wanted: Sequence[Taken], gone: Sequence[str]) -> Sequence[Taken]:
        return self._exchange([], claim=wanted, gone=gone).claimed

    def put(self, items: Sequence[Rendered]) -> Collection[str]:
        if not items:
            self._ask()
            return ()
        self._meet()
        with unavailable():
            return redis_put.put_messages(self._client, self._keys, items)

    def load(
        self, chains: Collection[str] = (), joins: Collection[str] = (), plans: Collection[str] = ()
    ) -> Loaded:
        with unavailable():
            return redis_records.load(self._client, self._keys, chains, joins, plans)

    def renew(self, held: Sequence[Taken]) -> None:
        if held:
            self._hold("renew", held)

    def release(self, held: Sequence[Taken], *, lost: bool = False) -> None:
        if held:
            self._hold("release", held, lost=int(lost))

    def pause(self) -> None:
        """Nothing is sent ahead: what is taken is given out."""

    def sweep(self) -> list[JoinRecord]:
        with unavailable():
            holders: Any = self._client.zrange(self._keys.own("holders"), 0, -1)
        gone = [holder.decode() for holder in holders if is_gone(holder.decode())]
        more = True
        while more:
            more, found = self._do("sweep", gone=gone, revoked_keep_us=REVOKED_KEEP_US, **REVOKED)
        return [records.join_from_text(text) for text in found]

    def wait(self, timeout: float, wakers: Sequence[int] = ()) -> None:
        self._meet()
        if self._watch is None:
            lists = [name for queue in self._queues for name in self._keys.lists(queue)]
            self._watch = Watch(self._client, lists, self._keys.own("timers"), self._keys.own("timers-head"))
        self._watch.wait(timeout, wakers, self._clock.now_us, self._hesitation)

    def revoke(self, ids: Sequence[str], signum: int | None = None) -> None:
        self._meet()
        for first in range(0, len(ids), REVOKED_AT_ONCE):
            some = ids[first : first + REVOKED_AT_ONCE]
            self._do(
                "revoke",
                signum=signum or 0,
                result_db=self._result_db_number,
                **REVOKED,
                **revocation(some, self._clock.now_us()),
            )

    def terminations(self, ids: Collection[str]) -> Mapping[str, int]:
        if not ids:
            return {}
        wanted = sorted(ids)
        with unavailable():
            signums: Any = self._client.hmget(self._keys.own("signums"), wanted)
        return {id_: int(signum) for id_, signum in zip(wanted, signums, strict=True) if signum is not None}

    def seconds_to_timer(self) -> float | None:
        self._meet()
        with unavailable():
            first: Any = self._client.zrange(self._keys.own("timers"), 0, 0, withscores=True)
        return (int(first[0][1]) - self._clock.now_us()) / 1_000_000 if first else None

    def serve(self, queues: Sequence[str]) -> None:
        self._queues = [OUTBOX] if self._role is Role.STORE else list(queues)
        if self._watch is not None:  # it watches the former ones
            self._watch.close()
            self._watch = None

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        pipeline = self._client.pipeline(transaction=False)
        for queue in queues:
            for name in self._keys.lists(queue):
                pipeline.llen(name)
        with unavailable():
            lengths: Any = pipeline.execute() if queues else []
        each = len(self._keys.lists(""))
        return {queue: sum(lengths[index * each : (index + 1) * each]) for index, queue in enumerate(queues)}

    def scheduled(self, limit: int) -> Sequence[Waiting]:
        with unavailable():
            found: Any = self._client.zrange(self._keys.own("timers"), 0, limit - 1, withscores=True)
            members = [member for member, _ in found]
            texts: Any = self._client.hmget(self._keys.own("timer-texts"), members) if members else []
        pairs = zip(found, texts, strict=True)
        waiting = ((int(due), text.decode()) for (_, due), text in pairs if text is not None)
        return waiting_of(waiting, self._keyring)

    def revoked(self, limit: int) -> Sequence[str]:
        with unavailable():
            ids: Any = self._client.zrange(self._keys.own("revoked"), 0, limit - 1, desc=True)
        return [id_.decode() for id_ in ids]

    def dead_letters(self, limit: int, before: str = "") -> Sequence[KeptLetter]:
        with unavailable():
            return redis_dead.newest(self._client, self._keys, limit, before)

    def dead_letter(self, key: str) -> KeptLetter | None:
        with unavailable():
            return redis_dead.find(self._client, self._keys, key)

    def drop_dead(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        with unavailable():
            return redis_dead.drop(self._client, self._keys, keys)

    def tell(self, words: Sequence[Progress]) -> None:
        self._meet()
        now, worker, extended = self._clock.now_us(), name_of(self._worker), self._limits.extended
        texts = [to_text(word.document(now_us=now, worker=worker, extended=extended)) for word in words]
        script("store.lua", "telling.lua")(
            self._client,
            {
                "ids": [word.id for word in words],
                "documents": texts,
                "result_db": self._result_db_number,
                **self._common(),
            },
        )

    def announce(self, name: str, value: str, seconds: float) -> str:
        key, milliseconds = self._keys.own("announced:" + name), max(1, round(seconds * 1000))
        with unavailable():
            if self._client.set(key, value, nx=True, px=milliseconds):
                return value
            kept: Any = self._client.get(key)
            if kept is None or kept.decode() == value:
                self._client.set(key, value, px=milliseconds)
                return value
            return str(kept.decode())

    def present(self, broadcast: str, queue: str, seconds: float) -> None:
        self._meet()
        with unavailable():
            now_us = self._clock.now_us()
            redis_audience.present(self._client, self._keys, broadcast, queue, now_us, seconds)

    def audience(self, broadcast: str) -> Sequence[str]:
        self._meet()
        with unavailable():
            return redis_audience.audience(self._client, self._keys, broadcast, self._clock.now_us())

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._line.close()
        if self._is_own:
            self._client.close()

    # --- the server ----------------------------------------------------------------------------------------------------------

    @property
    def _result_db_number(self) -> int:
        return -1 if self._result_db is None else self._result_db

    @property
    def _own_db(self) -> int:
        return int(self._client.connection_pool.connection_kwargs.get("db") or 0)

    def _meet(self) -> None:
        """What has to be known of the server before the first exchange."""
        if not self._clock.is_known:
            self._ask()

    def _ask(self) -> None:
        warn_if_evicting(self._client)
        self._clock.ask(self._client)

    # --- scripts -------------------------------------------------------------------------------------------------------------

    def _common(self) -> dict[str, Any]:
        return {
            "prefix": self._keys.prefix,
            "control_queue": CONTROL_QUEUE,
            "holder": self._holder,
            "lease_us": self._limits.lease_us,
            "keep_seconds": math.ceil(self._limits.keep_seconds),
            "known_seconds": math.ceil(self._limits.known_seconds),
        }

    def _do(self, verb: str, **fields: Any) -> Any:
        return _HOLDING()(self._client, {"verb": verb, **self._common(), **fields})

    def _hold(self, verb: str, held: Sequence[Taken], **fields: Any) -> None:
        tags = [item.delivery.tag for item in held]
        ids = [item.message.id for item in held if item.message is not None]
        self._do(verb, tags=tags, ids=ids, **fields)
