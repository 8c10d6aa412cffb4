"""Remote control where the broker is a database: questions and answers are notices in a table (sql/notices.py), in the words of the other brokers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from ..signing import NO_KEYS, Keyring
from ..sql.notices import Notices
from .arriving import request_or_none
from .base import Answer
from .belief import headers_of, request_of_text
from .request import ReplyTo, Request

ANSWER_SECONDS = 60.0
FOR_EVER_SECONDS = 300.0
"""How long an order lies there that says of itself that it counts for ever: as long as in a queue of Celery's."""


class SqlMailbox:
    """A Mailbox."""

    def __init__(self, notices: Notices, namespace: str, *, keyring: Keyring = NO_KEYS) -> None:
        self._notices = notices
        self._reader = notices.reader(_requests(namespace))
        self._keyring = keyring

    def take(self, seconds: float) -> list[Request]:
        texts = self._reader.take(seconds)
        found = [request_or_none(partial(self._read, text)) for text in texts]
        return [request for request in found if request is not None]

    def reply(self, request: Request, payload: Any) -> None:
        if request.reply_to is not None:
            text = json.dumps({"ticket": request.ticket, "answer": payload}, default=str)
            self._notices.tell(_answers(request.reply_to.routing_key), [text], ANSWER_SECONDS)

    def close(self) -> None:
        self._reader.close()

    def _read(self, text: str) -> Request:
        data = json.loads(text)
        return request_of_text(data["headers"], data["body"].encode(), self._keyring)


class SqlOffice:
    """An Office."""

    def __init__(self, notices: Notices, namespace: str, *, keyring: Keyring = NO_KEYS) -> None:
        self._notices = notices
        self._namespace = namespace
        self._key = str(uuid4())
        self._reader = notices.reader(_answers(self._key))
        self._keyring = keyring

    def send(self, request: Request, *, seconds: float) -> Request:
        self._reader.begin()
        reply_to = ReplyTo("", self._key) if request.ticket else None
        request = replace(request, reply_to=reply_to, expires=time.time() + seconds if seconds else 0.0)
        body = json.dumps(request.to_data(), default=str)
        headers = headers_of(request, body.encode(), 0, self._keyring)
        text = json.dumps({"headers": headers, "body": body})
        self._notices.tell(_requests(self._namespace), [text], seconds or FOR_EVER_SECONDS)
        return request

    def answers(self, request: Request, seconds: float) -> Sequence[Answer]:
        found: list[Answer] = []
        for text in self._reader.take(seconds):
            data = json.loads(text)
            if data.get("ticket") == request.ticket and isinstance(data.get("answer"), dict):
                found += data["answer"].items()
        return found

    def close(self) -> None:
        self._reader.close()


def _requests(namespace: str) -> str:
    return f"{namespace}.pidbox"


def _answers(key: str) -> str:
    return f"reply.{key}"
