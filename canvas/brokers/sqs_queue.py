"""SqsQueues: the queues of one connection to Amazon SQS: what they are called there, their addresses, and the clients that reach them.

kombu's channel knows the credentials, the region, predefined queues and roles, and makes boto's clients; all that is asked of it here.
Several threads use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore has no types
from kombu.transport.SQS.exceptions import DoesNotExistQueueException

from ..errors import ImproperlyConfigured
from ..sqs_name import predefined_name, queue_fault

AT_ONCE = 10
"""So many entries SQS takes in one request."""
VISIBILITY_SECONDS = 60
"""How long a message stays with who received it, where the option `visibility_timeout` says nothing: what is held is renewed."""
LONGEST_VISIBILITY_SECONDS = 43_200
WAIT_SECONDS = 10
"""How long SQS waits for a message before it answers that there is none."""
LONGEST_WAIT_SECONDS = 20
_TAKEN = ("QueueNameExists", "QueueAlreadyExists")


class SqsQueue:
    """One queue. `calls` makes the client afresh where a role's credentials may be over."""

    def __init__(self, queues: SqsQueues, name: str, known_as: str, url: str) -> None:
        self.name = name
        self.url = url
        self.is_fifo = url.endswith(".fifo")
        self._queues = queues
        self._known_as = known_as

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One request of boto's. Raises ClientError, BotoCoreError and OSError."""
        answer: dict[str, Any] = getattr(self._queues.client(self._known_as), method)(
            QueueUrl=self.url, **arguments
        )
        return answer

    def call_for(self, method: str, handles: Sequence[str], **each: Any) -> dict[str, str]:
        """A batch request for messages by their receipt handles; those that were refused, and why."""
        refused: dict[str, str] = {}
        for start in range(0, len(handles), AT_ONCE):
            some = handles[start : start + AT_ONCE]
            entries = [{"Id": str(n), "ReceiptHandle": handle, **each} for n, handle in enumerate(some)]
            for failed in self.call(method, Entries=entries).get("Failed", ()):
                refused[some[int(failed["Id"])]] = f"{failed.get('Code')}: {failed.get('Message')}"
        return refused


class SqsQueues:
    """Over kombu's `channel`. Queues that are not there are made if `create`."""

    def __init__(self, channel: Any, *, create: bool) -> None:
        self._channel = channel
        self._create = create
        self._lock = Lock()
        self._known: dict[str, SqsQueue] = {}
        self._clients: dict[str, Any] = {}
        self.is_base64 = bool(channel.sqs_base64_encoding)

    def __getitem__(self, name: str) -> SqsQueue:
        """Raises ImproperlyConfigured for a queue that cannot be, or may not be made."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._found(name, create=self._create)
        return known

    def get(self, name: str) -> SqsQueue | None:
        """The same, and None for a queue that is not there: none is made."""
        try:
            return self._known.get(name) or self._found(name, create=False)
        except (ImproperlyConfigured, DoesNotExistQueueException):
            return None

    def client(self, known_as: str) -> Any:
        """boto's client for a queue."""
        # kombu makes it when it is first needed, and again when a role's credentials are over
        with self._lock:
            client = self._channel.sqs(queue=known_as)
            self._clients[known_as] = client
        return client

    def close(self) -> None:
        """Close the connections that nobody uses now. Who calls still is served all the same."""
        with self._lock:
            for client in self._clients.values():
                client.close()

    def _found(self, name: str, *, create: bool) -> SqsQueue:
        options = self._channel.transport_options
        if (fault := queue_fault(name, options)) is not None:
            raise ImproperlyConfigured(fault)
        if (key := predefined_name(name, options)) is not None:
            return SqsQueue(self, name, key, options["predefined_queues"][key]["url"])
        with self._lock:
            url = self._made(name) if create else self._channel._resolve_queue_url(name)
            return SqsQueue(self, name, self._channel.canonical_queue_name(name), url)

    def _made(self, name: str) -> str:
        """The address of a queue that is there by now."""
        try:
            url: str = self._channel._new_queue(name)  # kombu has no other way to them
        except ClientError as error:
            if code_of(error) not in _TAKEN:
                raise
            url = self._channel._resolve_queue_url(
                name
            )  # another process made it just then, with a visibility of its own
        return url


def visibility_of(options: Mapping[str, Any]) -> int:
    """Seconds, as the option says. Raises ImproperlyConfigured for what SQS does not take."""
    value = options.get("visibility_timeout")
    if value is None or value == "":
        return VISIBILITY_SECONDS
    return math.ceil(_number("visibility_timeout", value, 1, LONGEST_VISIBILITY_SECONDS))


def wait_of(options: Mapping[str, Any]) -> int:
    """How long SQS waits for a message, in seconds."""
    return int(
        _number("wait_time_seconds", options.get("wait_time_seconds", WAIT_SECONDS), 0, LONGEST_WAIT_SECONDS)
    )


def pause_of(options: Mapping[str, Any]) -> float:
    """How long nothing is asked after nothing was there, in seconds: a second by default if SQS does not wait."""
    default = 0 if wait_of(options) else 1
    value = options.get("polling_interval")
    return _number("polling_interval", default if value is None else value, 0, 3_600)


def _number(name: str, value: Any, least: float, most: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= most:
        raise ImproperlyConfigured(
            f"broker_transport_options: {name} is {value!r}; write a number from {least} to {most}"
        )
    return number


@contextmanager
def told() -> Iterator[None]:
    """What SQS refuses is no error of a connection to botocore and kombu; to us it is one: another request may be allowed."""
    try:
        yield
    except ClientError as error:
        raise ConnectionError(
            f"SQS says {code_of(error)}: {error.response['Error'].get('Message', '')}"
        ) from error


def code_of(error: ClientError) -> str:
    """SQS's word for what is wrong, in its short form."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]
