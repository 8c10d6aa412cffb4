"""Hostile: messages that no worker can run, as whoever can reach a queue can put them there; each is wrong in one way, and named after it."""

from __future__ import annotations

import base64
import json
import pickle
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .stacks import Stack

QUEUE = "celery"
MEGABYTE = 1_000_000
UNWRITABLE = ("half a character", "zero byte")
"""What cannot be written as AMQP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """`what` is wrong with it. `envelope`: the text as it lies in a queue of SQL or Redis, where it is no message that has headers and a body."""

    what: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    envelope: str | None = None
    envelope_id: str | None = None

    @property
    def id(self) -> str | None:
        """The task that it can be told to be; None where nothing tells."""
        id_ = self.envelope_id if self.envelope is not None else self.headers.get("id")
        return id_ if isinstance(id_, str) and len(id_) < 255 and "\0" not in id_ else None

    def fits(self, stack: Stack) -> bool:
        """Whether it can come by the broker of a stack."""
        if not stack.broker.startswith("amqp"):
            return True
        return self.envelope is None and not any(words in self.what for words in UNWRITABLE)

    def send(self, stack: Stack) -> None:
        """Put it into the queue."""
        if stack.broker.startswith("amqp"):
            properties = {"content_type": "application/json", **self.properties}
            stack.publish_raw(QUEUE, dict(self.headers), properties, self.body)
        else:
            text = envelope_of(self.headers, self.properties, self.body)
            stack.inject(QUEUE, text if self.envelope is None else self.envelope)


def hostiles_for(stack: Stack, marker: Path, task: str) -> list[Hostile]:
    """All that can come by a stack's broker. They name `task`, which is a good one, and would make the file `marker` if they were unpickled."""
    found = [*_messages(marker, task), *_envelopes(task)]
    return [hostile for hostile in found if hostile.fits(stack)]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self._path,)


def _headers(task: str, id_: str, /, **changes: Any) -> dict[str, Any]:
    """Headers as a good client sends them, but for the changes; one that is ... is left out."""
    good = {
        "lang": "py",
        "task": task,
        "id": id_,
        "root_id": id_,
        "eta": None,
        "timelimit": [None, None],
        "retries": 0,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def body_of(args: Any = (1, 2), embed: Any = None) -> bytes:
    return json.dumps([list(args), {}, embed or {}]).encode()


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _messages(marker: Path, task: str) -> Iterator[Hostile]:
    """Those that any broker carries."""
    made: dict[str, tuple[dict[str, Any], dict[str, str], bytes]] = {
        "no id": ({"id": ...}, {}, body_of()),
        "no headers": (dict.fromkeys(_headers(task, ""), ...), {}, body_of()),
        "number as id": ({"id": 7}, {}, body_of()),
        "list as id": ({"id": ["a"]}, {}, body_of()),
        "id of 300 characters": ({"id": "i" * 300}, {}, body_of()),
        "zero byte in the id": ({"id": "a\0b"}, {}, body_of()),
        "list as task": ({"task": [task]}, {}, body_of()),
        "no task": ({"task": ...}, {}, body_of()),
        "word as timelimit": ({"timelimit": "soon"}, {}, body_of()),
        "words in timelimit": ({"timelimit": ["soon", "late"]}, {}, body_of()),
        "eta that is none": ({"eta": "tomorrow"}, {}, body_of()),
        "expires that is none": ({"expires": {"in": 5}}, {}, body_of()),
        "word as retries": ({"retries": "many"}, {}, body_of()),
        "list as root_id": ({"root_id": [1]}, {}, body_of()),
        "list as group": ({"group": [1]}, {}, body_of()),
        "word as group_index": ({"group_index": "first"}, {}, body_of()),
        "map as body": ({}, {}, b"{}"),
        "empty body": ({}, {}, b""),
        "body of two": ({}, {}, b"[[], {}]"),
        "body that is no JSON": ({}, {}, b"garbage"),
        "body that is no UTF-8": ({}, {}, b"\xff\xfe[[],{},{}]"),
        "word as embed": ({}, {}, b'[[], {}, "x"]'),
        "numbers as callbacks": ({}, {}, body_of(embed={"callbacks": [1, 2]})),
        "numbers as chain": ({}, {}, body_of(embed={"chain": [1, 2]})),
        "word as chord": ({}, {}, body_of(embed={"chord": "x"})),
        "10 MB of garbage": ({}, {}, b"x" * (10 * MEGABYTE)),
        "17 MB body": ({}, {}, b'[["' + b"x" * (17 * MEGABYTE) + b'"], {}, {}]'),
        "body that nests 100,000 deep": ({}, {}, b"[" + nested(100_000) + b", {}, {}]"),
        "pickle": (
            {},
            {"content_type": "application/x-python-serialize"},
            pickle.dumps([Bomb(marker), {}, {}]),
        ),
        "pickle that says it is JSON": ({}, {}, pickle.dumps([Bomb(marker), {}, {}])),
        "unknown content type": ({}, {"content_type": "application/x-nothing"}, body_of()),
        "unknown content encoding": ({}, {"content_encoding": "rot-13"}, body_of()),
        "number as eta": ({"eta": 12}, {}, body_of()),
        "map as task": ({"task": {"name": task}}, {}, body_of()),
        "negative retries": ({"retries": -1}, {}, body_of()),
        "yaml": ({}, {"content_type": "application/x-yaml"}, b"!!python/object/apply:os.abort []"),
        "unknown task": ({"task": "no.such.task"}, {}, body_of()),
        "zero byte in the task": ({"task": "no\0thing"}, {}, body_of()),
        "half a character in the task": ({"task": "no\ud800thing"}, {}, body_of()),
        "unknown type in the arguments": ({}, {}, body_of([{"__type__": "secret", "__value__": 1}, 2])),
        "join without an id": ({"task": "backbeat.join"}, {}, body_of([])),
        "start of a number": ({"task": "backbeat.start"}, {}, body_of([7])),
        "start of a list": ({"task": "backbeat.start"}, {}, body_of([[1, 2]])),
        "next of nothing": ({"task": "backbeat.next"}, {}, body_of([1, None])),
        "failed of numbers": ({"task": "backbeat.failed"}, {}, body_of([1, 2])),
    }
    for what, (changes, properties, body) in made.items():
        yield Hostile(
            what=what, headers=_headers(task, str(uuid.uuid4()), **changes), properties=properties, body=body
        )


def envelope_of(headers: Any, properties: Mapping[str, str], body: bytes, /, **changes: Any) -> str:
    """The text in which SQL and Redis queues hold a message."""
    text = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": properties.get("content_encoding", "utf-8"),
        "content-type": properties.get("content_type", "application/json"),
        "headers": None if headers is None else dict(headers),
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
        },
    }
    return json.dumps({**text, **changes})


def _envelopes(task: str) -> Iterator[Hostile]:
    """Texts where envelopes should be."""
    number, other, third = (str(uuid.uuid4()) for _ in range(3))
    made: dict[str, tuple[str, str | None]] = {
        "list as envelope": ("[]", None),
        "null as envelope": ("null", None),
        "number as envelope": ("12", None),
        "garbage as envelope": ("garbage", None),
        "empty text": ("", None),
        "envelope that nests 100,000 deep": (nested(100_000).decode(), None),
        "envelope of 35 MB": ("x" * (35 * MEGABYTE), None),
        "envelope without headers": (envelope_of(None, {}, body_of()), None),
        "envelope with a list as properties": (
            envelope_of(_headers(task, number), {}, body_of(), properties=[]),
            number,
        ),
        "body that is not base64": (envelope_of(_headers(task, other), {}, b"", body="%%%"), other),
        "envelope with a list as body": (envelope_of(_headers(task, third), {}, b"", body=[1]), third),
    }
    for what, (text, id_) in made.items():
        yield Hostile(what=what, envelope=text, envelope_id=id_)
