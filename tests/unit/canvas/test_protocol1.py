"""Messages of Celery's task protocol 1: what each field of the body becomes. What a real client sends is in tests/interop/test_both_ways.py."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.errors import MessageError
from backbeat.canvas.message import us_of_iso
from backbeat.canvas.wire import Wire, from_wire

PROPERTIES = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "reply_to": "replies",
    "priority": 3,
}
BODY = {
    "task": "shop.add",
    "id": "one",
    "args": [1, 2],
    "kwargs": {"z": 3},
    "group": None,
    "group_index": None,
    "retries": 0,
    "eta": None,
    "expires": None,
    "utc": True,
    "callbacks": None,
    "errbacks": None,
    "timelimit": [None, None],
    "taskset": None,
    "chord": None,
}


def signature(name, **options):
    return {
        "task": name,
        "args": [],
        "kwargs": {},
        "options": options,
        "subtask_type": None,
        "immutable": False,
    }


def message(headers=None, **fields):
    body = json.dumps(BODY | fields).encode()
    return from_wire(Wire(headers or {}, dict(PROPERTIES), body), "q")


def test_a_call_is_read():
    found = message({"tenant": "acme"})

    assert (found.task, found.id, found.root_id, found.parent_id) == ("shop.add", "one", "one", None)
    assert (found.args, json.loads(found.kwargs)) == ("[1,2]", {"z": 3})
    assert (found.queue, found.reply_to, found.priority, found.attempt) == ("q", "replies", 3, 0)
    assert found.headers == {"tenant": "acme"}


def test_times_limits_and_retries_are_read():
    found = message(
        eta="2030-01-02T03:04:05+01:00", expires="2031-01-01T00:00:00", retries=2, timelimit=[30, 20.5]
    )

    assert found.eta_us == us_of_iso("2030-01-02T02:04:05+00:00")
    assert found.expires_us == us_of_iso("2031-01-01T00:00:00+00:00")
    assert (found.attempt, found.time_limit, found.soft_time_limit) == (2, 30, 20.5)


def test_a_time_of_the_senders_own_zone_is_one_of_this_machines(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        found = message(eta="2030-01-02T03:04:05", expires="2030-01-02T03:04:05+00:00", utc=False)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert found.eta_us == us_of_iso("2030-01-02T01:04:05+00:00")
    assert found.expires_us == us_of_iso("2030-01-02T03:04:05+00:00")


def test_callbacks_error_callbacks_and_chords_are_read():
    found = message(callbacks=[signature("ok", task_id="a")], errbacks=[signature("bad")])
    part = message(taskset="g", group_index=1, chord=signature("body", task_id="b", chord_size=2))

    assert [node.task for node in found.link] == ["ok"]
    assert [node.task for node in found.link_error] == ["bad"]
    assert (part.group_id, part.group_index) == ("g", 1)
    assert part.then is not None


def test_old_clients_leave_fields_out():
    body = json.dumps({"task": "t", "id": "one", "args": [], "kwargs": {}}).encode()

    found = from_wire(Wire({}, dict(PROPERTIES), body), "q")

    assert (found.task, found.id, found.args, found.attempt) == ("t", "one", "[]", 0)


@pytest.mark.parametrize(
    "body",
    [
        b"[1, 2]",
        b"null",
        b'{"args": []}',
        b"{",
        b'{"task": 5, "id": "one"}',
        b'{"task": "t", "id": 5}',
        b'{"task": "t", "id": "one", "args": "text"}',
        b'{"task": "t", "id": "one", "kwargs": [1]}',
        b'{"task": "t", "id": "one", "eta": "soon"}',
        b'{"task": "t", "id": "one", "eta": "soon", "utc": false}',
        b'{"task": "t", "id": "one", "callbacks": 5}',
        b'{"task": "t", "id": "one", "timelimit": 5}',
    ],
)
def test_what_is_no_task_message_is_refused(body):
    with pytest.raises(MessageError):
        from_wire(Wire({}, dict(PROPERTIES), body), "q")


def test_a_message_that_names_its_id_is_not_of_protocol_1():
    with pytest.raises(MessageError) as caught:
        from_wire(Wire({"id": "one"}, dict(PROPERTIES), json.dumps(BODY).encode()), "q")

    assert caught.value.task_id == "one"
