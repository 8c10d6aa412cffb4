"""Messages that no worker can run, put into the queue by whoever can reach it: refused, written down, and the worker lives on."""

from __future__ import annotations

import base64
import json
import pickle
import re
import signal
import time
import uuid
from pathlib import Path

import pytest

from support.processes import wait_until
from support.stacks import STACKS, open_stack

ADD = "support.acceptance_tasks.add"
QUEUE = "celery"
MEGABYTE = 1_000_000


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


def headers_of(id_, **changes):
    """Headers as a good client sends them, but for the changes; one that is ... is left out."""
    good = {
        "lang": "py",
        "task": ADD,
        "id": id_,
        "root_id": id_,
        "eta": None,
        "timelimit": [None, None],
        "retries": 0,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def body_of(args=(1, 2), kwargs=None, embed=None):
    return json.dumps([list(args), kwargs or {}, embed or {}]).encode()


def nested(depth):
    return b"[" * depth + b"]" * depth


def hostile_messages(marker):
    """Headers, properties and body of each, by what is wrong with it. The id is in the headers, where it can be used."""
    made = {
        "no id": ({"id": ...}, {}, body_of()),
        "no headers": (dict.fromkeys(headers_of(""), ...), {}, body_of()),
        "number as id": ({"id": 7}, {}, body_of()),
        "list as id": ({"id": ["a"]}, {}, body_of()),
        "id of 300 characters": ({"id": "i" * 300}, {}, body_of()),
        "zero byte in the id": ({"id": "a\0b"}, {}, body_of()),
        "list as task": ({"task": [ADD]}, {}, body_of()),
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
        "map as task": ({"task": {"name": ADD}}, {}, body_of()),
        "negative retries": ({"retries": -1}, {}, body_of()),
        "yaml": ({}, {"content_type": "application/x-yaml"}, b"!!python/object/apply:os.abort []"),
        "unknown task": ({"task": "support.acceptance_tasks.nothing"}, {}, body_of()),
        "zero byte in the task": ({"task": "no\0thing"}, {}, body_of()),
        "half a character in the task": ({"task": "no\ud800thing"}, {}, body_of()),
        "unknown type in the arguments": ({}, {}, body_of([{"__type__": "secret", "__value__": 1}, 2])),
        "join without an id": ({"task": "backbeat.join"}, {}, body_of([])),
        "start of a number": ({"task": "backbeat.start"}, {}, body_of([7])),
        "start of a list": ({"task": "backbeat.start"}, {}, body_of([[1, 2]])),
        "next of nothing": ({"task": "backbeat.next"}, {}, body_of([1, None])),
        "failed of numbers": ({"task": "backbeat.failed"}, {}, body_of([1, 2])),
    }
    return {
        what: (headers_of(str(uuid.uuid4()), **changes), *rest) for what, (changes, *rest) in made.items()
    }


def envelope(headers, properties, body, /, **changes):
    """The text in which SQL and Redis queues hold a message."""
    text = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": properties.get("content_encoding", "utf-8"),
        "content-type": properties.get("content_type", "application/json"),
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
        },
    }
    return json.dumps({**text, **changes})


def hostile_envelopes():
    """Texts where envelopes should be; the id that can be read, or None."""
    id_ = str(uuid.uuid4())
    return {
        "list as envelope": ("[]", None),
        "null as envelope": ("null", None),
        "number as envelope": ("12", None),
        "garbage as envelope": ("garbage", None),
        "empty text": ("", None),
        "envelope that nests 100,000 deep": (nested(100_000).decode(), None),
        "envelope of 35 MB": ("x" * (35 * MEGABYTE), None),
        "envelope without headers": (envelope(None, {}, body_of()), None),
        "envelope with a list as properties": (
            envelope(headers_of("p1"), {}, body_of(), properties=[]),
            "p1",
        ),
        "body that is not base64": (envelope(headers_of(id_), {}, b"", body="%%%"), id_),
        "envelope with a list as body": (envelope(headers_of("b1"), {}, b"", body=[1]), "b1"),
    }


@pytest.fixture(params=STACKS)
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        yield opened


def send_all(stack, marker):
    """Send what is hostile, and after each a good message; returns by its name the id of each that can be told by one, and the good ones."""
    ids, good = {}, {}
    for what, (headers, properties, body) in hostile_messages(marker).items():
        id_ = headers.get("id")
        if stack.broker.startswith("amqp"):
            if "half a character" in what or "zero byte" in what:
                continue  # cannot be written as AMQP
            stack.publish_raw(QUEUE, headers, {"content_type": "application/json", **properties}, body)
        else:
            stack.inject(QUEUE, envelope(headers, properties, body))
        ids[what] = id_ if isinstance(id_, str) and len(id_) < 255 and "\0" not in id_ else None
        good[what] = stack.app.send_task(ADD, [20, 22])
    if not stack.broker.startswith("amqp"):
        for what, (text, id_) in hostile_envelopes().items():
            stack.inject(QUEUE, text)
            ids[what] = id_
            good[what] = stack.app.send_task(ADD, [20, 22])
    return ids, good


@pytest.mark.timeout(300)
def test_hostile_messages_do_not_stop_a_worker(stack, programs, tmp_path, figure):
    marker = tmp_path / "the-pickle-was-loaded"
    worker = programs.start(*stack.options, "worker", "-c", 1)
    worker.wait_for("ready$")
    begun = time.monotonic()

    ids, good = send_all(stack, marker)

    def answer():
        return all(handle.ready() for handle in good.values()) and len(stack.dead_letters()) >= len(ids)

    wait_until(answer, 120, what=lambda: missing(stack, ids, worker))
    seconds = time.monotonic() - begun
    assert {what: handle.get(timeout=0) for what, handle in good.items()} == dict.fromkeys(ids, 42)
    assert not marker.exists()
    letters = stack.dead_letters()
    assert len(letters) == len(ids)
    assert sorted(str(letter["task_id"]) for letter in letters) == sorted(map(str, ids.values()))
    assert all(letter["reason"] for letter in letters)
    for what, id_ in ids.items():
        if id_ is not None:
            assert stack.app.AsyncResult(id_).state == "FAILURE", what
    unknown = stack.app.AsyncResult(ids["unknown task"]).get(timeout=0, propagate=False)
    assert type(unknown).__name__ == "NotRegistered"
    errors = [line for _, line in worker.lines if "ERROR" in line]
    assert len(errors) == len(ids), "\n".join(errors)
    assert all(len(line) < 2_000 for line in errors)
    others = [line for _, line in worker.lines if re.search("Traceback|WARNING|^  File", line)]
    assert others == []
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    figure(
        f"{stack.name}: {len(ids)} hostile messages, {len(letters)} dead letters, {len(errors)} error lines in {seconds:.1f} s"
    )


def missing(stack, ids, worker):
    letters = stack.dead_letters()
    known = {letter["task_id"] for letter in letters}
    lacking = [what for what, id_ in ids.items() if id_ is not None and id_ not in known]
    return f"{len(letters)} dead letters of {len(ids)}; none for {lacking}\n{worker.text[-8000:]}"
