"""RedisResults: reads Celery's result documents from Redis, and hears of new ones by PUBLISH; a Results."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from ..errors import DecodeError, Unavailable
from ..outcome import GOING_ON
from ..redis_client import ANSWER_SECONDS, Redis, RedisError, open_redis, unavailable
from .base import Trace, trace_of
from .chord_books import ChordBooks, part_of
from .compression import plain
from .document import Document, from_text
from .groups import SavedGroups
from .redis_groups import RedisGroups
from .redis_search import shares_with_kombu, waiting_among
from .started import started

HEARD = 8
"""Of many results that are waited for, so many are listened to at once: each costs two messages, and a look at 500 costs one."""
SLICE = 500
"""Ids in one command."""
PARTS_SLICE = 5_000
"""Parts of a chord in one command."""
LOOK_SECONDS = 1.0
"""How often a waiter looks although nobody told it to: a connection that died silently tells nothing."""


_SUCCESS, _DONE = b'{"status": "SUCCESS", ', b', "date_done": "'


class RedisResults:
    """Reads `celery-task-meta-<id>`; what is not there, but claimed, is STARTED. `prefix` as in RedisCommit.

    `runs` is the database of the broker, where the claims are, if results have another one (RedisCommit's `result_db`). `is_whole`: the
    messages are there, too. How long saved groups are kept is as in Limits. What is given as a URL is closed with this object.
    """

    def __init__(
        self,
        client: Redis | str,
        *,
        prefix: str = "",
        runs: Redis | str | None = None,
        is_whole: bool = True,
        keep_seconds: float = 86_400.0,
        compression: str | None = None,
    ) -> None:
        self._own: list[Redis] = []
        self._client = self._opened(client)
        self._runs = self._client if runs is None else self._opened(runs)
        self._is_whole = is_whole
        self._prefix = prefix
        self._meta = f"{prefix}celery-task-meta-"
        self._run = f"{prefix}backbeat:run:"
        self._local = threading.local()
        self.groups: SavedGroups = RedisGroups(
            self._client,
            prefix=prefix,
            keep_seconds=keep_seconds,
            compression=compression,
        )

    def get(self, ids: Sequence[str]) -> list[Document]:
        documents: list[Document] = []
        for first in range(0, len(ids), SLICE):
            with unavailable():
                documents += self._get(ids[first : first + SLICE])
        return documents

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        wanted = list(dict.fromkeys(ids))
        slices = (wanted[first : first + SLICE] for first in range(0, len(wanted), SLICE))
        return all(self._wait_for(some, deadline) for some in slices)

    def forget(self, ids: Sequence[str]) -> None:
        with unavailable():
            for first in range(0, len(ids), SLICE):
                self._client.delete(*[self._meta + id_ for id_ in ids[first : first + SLICE]])

    def trace(self, ids: Sequence[str]) -> list[Trace]:
        with unavailable():
            traces = self._traces(ids)
            doubtful = [id_ for id_, trace in zip(ids, traces, strict=True) if trace is Trace.NEVER]
            if not doubtful or not self._is_whole:
                return traces
            if shares_with_kombu(self._runs, self._prefix):
                elsewhere = set(doubtful)  # a Celery worker that runs a task leaves no trace before it ends
            else:
                elsewhere = waiting_among(self._runs, self._prefix, doubtful)
            # once more: what was sent or taken in the meantime has left its trace first
            return [
                Trace.SENT if id_ in elsewhere else t for id_, t in zip(ids, self._traces(ids), strict=True)
            ]

    def chord(self, group_id: str) -> ChordBooks:
        base = f"{self._prefix}celery-taskset-meta-{group_id}"
        with unavailable():
            pipeline: Any = self._client.pipeline(transaction=False)
            pipeline.get(base + ".c").pttl(base + ".c").exists(base + ".s").type(base + ".j").get(base)
            claim, claim_ms, is_open, kind, header = pipeline.execute()
            ordered = kind != b"list"
            read: Any = self._client.zrange if ordered else self._client.lrange
            members: list[bytes] = []
            while found := read(base + ".j", len(members), len(members) + PARTS_SLICE - 1):
                members += found
        try:
            parts = [part_of(index, text) for index, text in enumerate(members)]
            trees = json.loads(plain(header))["result"][1] if header else None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DecodeError(
                f"what is counted of chord {group_id} is not JSON of Celery's: {error}"
            ) from error
        return ChordBooks(
            claim=claim.decode() if claim else "",
            claim_seconds=max(0, claim_ms) / 1000,
            is_open=bool(is_open),
            parts=parts,
            header=trees,
        )

    def close(self) -> None:
        self._forget_listener()
        for client in self._own:
            client.close()

    def _opened(self, client: Redis | str) -> Redis:
        if isinstance(client, str):
            client = open_redis(client)
            self._own.append(client)
        return client

    def _get(self, ids: Sequence[str]) -> list[Document]:
        texts: Any = self._client.mget([self._meta + id_ for id_ in ids])
        found = [
            None if text is None else _document_of(id_, text) for id_, text in zip(ids, texts, strict=True)
        ]
        missing = [id_ for id_, document in zip(ids, found, strict=True) if document is None]
        runs: dict[str, Any] = {}
        if missing:
            runs = dict(zip(missing, self._mget_runs(missing), strict=True))
        return [document or _undocumented(id_, runs[id_]) for id_, document in zip(ids, found, strict=True)]

    def _mget_runs(self, ids: Sequence[str]) -> Any:
        return self._runs.mget([self._run + id_ for id_ in ids])

    def _traces(self, ids: Sequence[str]) -> list[Trace]:
        """Runs first: the document comes in the same step as the end of its run."""
        traces: list[Trace] = []
        for first in range(0, len(ids), SLICE):
            some = ids[first : first + SLICE]
            runs = self._mget_runs(some)
            texts: Any = self._client.mget([self._meta + id_ for id_ in some])
            traces += [
                trace_of(id_, has_document=text is not None, is_open=_is_open(run), is_whole=self._is_whole)
                for id_, run, text in zip(some, runs, texts, strict=True)
            ]
        return traces

    def _pending(self, ids: Sequence[str]) -> list[str]:
        with unavailable():
            texts: Any = self._client.mget([self._meta + id_ for id_ in ids])
        return [id_ for id_, text in zip(ids, texts, strict=True) if text is None or not _is_ready(id_, text)]

    # --- listening -----------------------------------------------------------------------------------------------------------

    def _wait_for(self, ids: Sequence[str], deadline: float | None) -> bool:
        """The last ones are listened to, as they mostly end last; then all are looked at, and what is left is listened to."""
        pending = self._pending(ids)
        while pending:
            began = time.monotonic()
            if deadline is not None and began >= deadline:
                return False
            try:
                with unavailable():
                    self._listen(pending[-HEARD:], deadline)
            except BaseException as error:
                self._forget_listener()  # whatever it has subscribed to is not known
                # one lost connection is no reason to give up; a server that refuses at once is
                if not isinstance(error, Unavailable) or time.monotonic() - began < LOOK_SECONDS:
                    raise
            pending = self._pending(pending)
        return True

    def _listen(self, ids: Sequence[str], deadline: float | None) -> None:
        """Until they are ready, or the deadline. Subscribe first and look then, so that nothing falls between."""
        listener = self._listener()
        listener.subscribe(*[self._meta + id_ for id_ in ids])
        self._await_subscribed(listener, len(ids))
        pending = set(self._pending(ids))
        while pending:
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                break
            message = listener.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is None:
                pending = set(self._pending([*pending]))
            else:
                pending -= self._told(message, pending)
        listener.unsubscribe()

    def _told(self, message: Any, pending: set[str]) -> set[str]:
        """The id that this message tells is ready, if any."""
        id_ = message["channel"].decode().removeprefix(self._meta)
        return {id_} if id_ in pending and _is_ready(id_, message["data"]) else set()

    def _await_subscribed(self, listener: Any, count: int) -> None:
        """Until the server has confirmed; answers to an earlier unsubscribe and messages on the way are passed over."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while count:
            message = listener.get_message(timeout=LOOK_SECONDS)
            if message is not None and message["type"] == "subscribe":
                count -= 1
            elif time.monotonic() > deadline:
                raise Unavailable("Redis cannot be reached: it does not confirm a subscription")

    def _listener(self) -> Any:
        """One connection for each thread, kept for the next wait; a forked child makes its own."""
        if getattr(self._local, "pid", None) != os.getpid():
            client: Any = self._client
            self._local.listener, self._local.pid = client.pubsub(), os.getpid()
        return self._local.listener

    def _forget_listener(self) -> None:
        listener = getattr(self._local, "listener", None)
        if listener is not None:
            del self._local.listener, self._local.pid
            with contextlib.suppress(RedisError, OSError):
                listener.close()


def _document_of(id_: str, text: bytes) -> Document:
    try:
        return from_text(plain(text))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DecodeError(f"the result of task {id_} is not a JSON document of Celery's: {error}") from error


def _is_ready(id_: str, text: bytes) -> bool:
    """As `Document.ready`; what nearly all say is told without reading them."""
    return (text.startswith(_SUCCESS) and _DONE in text) or _document_of(id_, text).ready


def _is_open(run: bytes | None) -> bool | None:
    """As `RunRecord.is_open`; None where there is no run."""
    if run is None:
        return None
    outcome = run.split(b"\n", 1)[1]
    return not outcome or json.loads(outcome)["kind"] in GOING_ON


def _undocumented(id_: str, run: bytes | None) -> Document:
    """Of a run's first line, `generation attempt lease_us lost[e][@started_us] worker` (see runs.lua); without a worker it waits."""
    if run is None:
        return Document(id=id_)
    *_, lost, worker = run.split(b"\n", 1)[0].split(b" ", 4)
    started_us = int(lost.partition(b"@")[2] or 0)
    return started(id_, worker.decode(), started_us) if worker else Document(id=id_)
