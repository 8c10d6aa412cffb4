"""Recorded bytes: what a Celery 5.7 client wrote is read, and what we write stays what it was (the wire has a version of its own).

tests/data/celery-5.7.0.json was recorded from a real client on Redis; tests/data/wire-1.json holds envelopes of our own, wire-2.json those that
say in a header, too, what follows them, wire-3.json those that say there which steps and error callbacks they carry, wire-4.json those
without blanks, and with members that wait for no other. Where our bytes change on purpose, the new ones are recorded beside the old, and the
old must still be read.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from backbeat.canvas.continuation import Counted, Inline, Member, Step
from backbeat.canvas.envelope import pack, unpack
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call
from backbeat.canvas.wire import from_wire, to_wire

DATA = Path(__file__).parents[1] / "data"
CELERY = json.loads((DATA / "celery-5.7.0.json").read_text())["envelopes"]
OLD = json.loads((DATA / "wire-1.json").read_text())
SECOND = {**OLD, **json.loads((DATA / "wire-2.json").read_text())}
THIRD = {**SECOND, **json.loads((DATA / "wire-3.json").read_text())}
OWN = json.loads((DATA / "wire-4.json").read_text())

MESSAGES = {
    "call": Message(
        id="a1",
        task="t.add",
        args=Json("[1, 2]"),
        kwargs=Json('{"scale": 3}'),
        root_id="a1",
        origin="gen1@host",
        queue="celery",
    ),
    "all fields": Message(
        id="a2",
        task="t.add",
        args=Json('[{"__type__": "decimal", "__value__": "1.5"}]'),
        root_id="r",
        parent_id="p",
        link=(Call(task="t.link", args=Json("[7]")),),
        link_error=(Call(task="t.errback"),),
        attempt=2,
        generation=1,
        group_id="g",
        group_index=3,
        eta_us=1_900_000_000_000_000,
        expires_us=1_900_000_100_000_001,
        queue="slow",
        priority=4,
        ignore_result=True,
        time_limit=60,
        soft_time_limit=50,
        shadow="s",
        reply_to="q",
        origin="gen1@host",
        headers={"tenant": "acme"},
        errback={"id": "f"},
    ),
    "step": Message(id="a3", task="t", root_id="r", then=Step("chain-1", 4), queue="celery"),
    "member": Message(
        id="a4",
        task="t",
        root_id="r",
        then=Member("join-1", 2),
        group_id="join-1",
        group_index=2,
        queue="celery",
    ),
    "hasty": Message(id="a7", task="t", root_id="r", then=Member("join-1", 2, hasty=True), queue="celery"),
    "inline": Message(
        id="a5",
        task="t",
        root_id="r",
        then=Inline((Call(task="u", id="a6", options={"queue": "celery"}),), Member("join-1", 0)),
        queue="celery",
    ),
}


def celery_message(name, index=0):
    return from_wire(unpack(CELERY[name][index]), "celery")


@pytest.mark.parametrize("name", MESSAGES)
def test_what_we_write_is_byte_for_byte_what_was_recorded(name):
    message = MESSAGES[name]

    assert pack(to_wire(message), message.queue) == OWN[name]


@pytest.mark.parametrize("recorded", [OLD, SECOND, THIRD, OWN], ids=["old", "second", "third", "own"])
@pytest.mark.parametrize("name", MESSAGES)
def test_what_we_wrote_once_is_still_read(name, recorded):
    if name not in recorded:
        assert recorded is not OWN
        return
    message = MESSAGES[name]
    found = from_wire(unpack(recorded[name]), message.queue)

    for field in Message.__slots__:
        ours, theirs = getattr(message, field), getattr(found, field)
        if field in ("args", "kwargs"):
            ours, theirs = json.loads(ours), json.loads(theirs)
        if field == "priority":
            ours = ours or 0
        assert theirs == ours, field


def test_a_call_of_celery():
    message = celery_message("call")

    assert (message.id, message.task) == ("11111111-0000-4000-8000-000000000001", "recorded.add")
    assert (json.loads(message.args), json.loads(message.kwargs)) == ([1, 2], {"scale": 3})
    assert (message.root_id, message.parent_id, message.then) == (message.id, None, None)
    assert message.origin == "gen4711@host"


def test_a_chain_of_celery_is_in_the_order_of_its_steps():
    message = celery_message("chain")

    assert isinstance(message.then, Inline)
    assert [step.task for step in message.then.steps] == ["recorded.double", "recorded.report"]
    assert all(isinstance(step, Call) and step.id for step in message.then.steps)
    assert json.loads(message.then.steps[1].args) == ["x"]


def test_callbacks_of_celery():
    message = celery_message("callbacks")

    assert [link.task for link in message.link] == ["recorded.notify"]
    assert [link.task for link in message.link_error] == ["recorded.alert"]


def test_options_of_celery():
    message = celery_message("options")

    assert (message.eta_us, message.expires_us) == (1_925_089_445_000_000, 1_927_756_800_000_000)
    assert (message.time_limit, message.soft_time_limit, message.ignore_result) == (60, 50, True)
    assert message.headers["tenant"] == "acme"


def test_types_of_celery_pass_through_untouched():
    (moment, raw) = json.loads(celery_message("typed").args)

    assert moment == {"__type__": "datetime", "__value__": "2026-01-02T00:00:00+00:00"}
    assert raw == {"__type__": "bytes", "__value__": "ab"}


def test_a_group_of_celery():
    first, second = celery_message("group", 0), celery_message("group", 1)

    assert first.group_id == second.group_id is not None
    assert {first.group_index, second.group_index} == {0, 1}


def test_a_part_of_a_chord_of_celery():
    part = celery_message("chord")

    assert isinstance(part.then, Counted)
    assert (part.then.group_id, part.then.index) == (part.group_id, part.group_index)
    assert json.loads(part.then.body)["options"]["task_id"]
