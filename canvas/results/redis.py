"""RedisResults: reads Celery's result documents from Redis, and hears of new ones by PUBLISH; a Results."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from ..errors import DecodeError, Unavailable
from ..outcome import State
from ..redis_client import ANSWER_SECONDS, Redis, RedisError, open_redis, unavailable
from .document import Document, from_text

SLICE = 500
"""Ids in one command."""
LOOK_SECONDS = 1.0
"""How often a waiter looks although nobody told it to: a connection that died silently tells nothing."""


class RedisResults:
    """Reads `celery-task-meta-<id>`; what is not there, but claimed, is STARTED. `prefix` as in RedisCommit.

    `runs` is a client for the database of the broker, where the claims are, if results have another one (RedisCommit's `result_db`).
    """

    def __init__(self, client: Redis | str, *, prefix: str = "", runs: Redis | None = None) -> None:
        self._is_own = isinstance(client, str)
        self._client = open_redis(client) if isinstance(client, str) else client
        self._runs = runs or self._client
        self._meta = f"{prefix}celery-task-meta-"
        self._run = f"{prefix}backbeat:run:"
        self._local = threading.local()

    def get(self, ids: Sequence[str]) -> list[Document]:
        documents: list[Document] = []
        for first in range(0, len(ids), SLICE):
            with unavailable():
                documents += self._get(ids[first : first + SLICE])
        return documents

    def wait(self, ids: Sequence[str], timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        pending = self._pending(set(ids))
        if not pending or timeout == 0:
            return not pending
        while True:
            began = time.monotonic()
            try:
                with unavailable():
                    return self._listen(pending, deadline)
            except BaseException as error:
                self._forget_listener()  # whatever it has subscribed to is not known
                # one lost connection is no reason to give up; a server that refuses at once is
                if not isinstance(error, Unavailable) or time.monotonic() - began < LOOK_SECONDS:
                    raise
            pending = self._pending(pending)

    def forget(self, ids: Sequence[str]) -> None:
        with unavailable():
            for first in range(0, len(ids), SLICE):
                self._client.delete(*[self._meta + id_ for id_ in ids[first : first + SLICE]])

    def close(self) -> None:
        self._forget_listener()
        if self._is_own:
            self._client.close()

    def _get(self, ids: Sequence[str]) -> list[Document]:
        texts: Any = self._client.mget([self._meta + id_ for id_ in ids])
        found = [
            None if text is None else _document_of(id_, text) for id_, text in zip(ids, texts, strict=True)
        ]
        missing = [id_ for id_, document in zip(ids, found, strict=True) if document is None]
        runs: dict[str, Any] = {}
        if missing:
            runs = dict(zip(missing, self._mget_runs(missing), strict=True))
        return [
            document or Document(id=id_, state=State.STARTED if _is_claimed(runs[id_]) else State.PENDING)
            for id_, document in zip(ids, found, strict=True)
        ]

    def _mget_runs(self, ids: Sequence[str]) -> Any:
        return self._runs.mget([self._run + id_ for id_ in ids])

    def _pending(self, ids: set[str]) -> set[str]:
        return {document.id for document in self.get(sorted(ids)) if not document.ready}

    # --- listening -----------------------------------------------------------------------------------------------------------

    def _listen(self, pending: set[str], deadline: float | None) -> bool:
        """Subscribe first and look then, so that nothing falls between."""
        listener = self._listener()
        channels = [self._meta + id_ for id_ in sorted(pending)]
        for first in range(0, len(channels), SLICE):
            listener.subscribe(*channels[first : first + SLICE])
        self._await_subscribed(listener, len(channels))
        pending = self._pending(pending)
        while pending:
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                break
            message = listener.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is None:
                pending = self._pending(pending)
            else:
                pending -= self._told(message, pending)
        listener.unsubscribe()
        return not pending

    def _told(self, message: Any, pending: set[str]) -> set[str]:
        """The id that this message tells is ready, if any."""
        id_ = message["channel"].decode().removeprefix(self._meta)
        return {id_} if id_ in pending and _document_of(id_, message["data"]).ready else set()

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
        return from_text(text)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DecodeError(f"the result of task {id_} is not a JSON document of Celery's: {error}") from error


def _is_claimed(run: bytes | None) -> bool:
    """True if the run's first line, `generation attempt lease_us lost worker`, names a worker (see store.lua)."""
    return run is not None and not run.split(b"\n", 1)[0].endswith(b" ")
