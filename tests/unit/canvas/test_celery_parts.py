"""Parts of chords of Celery's clients: how they are read, what follows when they end, and how they travel on."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.commit import records
from backbeat.canvas.continuation import ChainRecord, Counted, Inline, JoinRecord
from backbeat.canvas.effect import CountPart, OpenChain, OpenJoin, Publish, Settle
from backbeat.canvas.errors import MessageError
from backbeat.canvas.flow import next_steps
from backbeat.canvas.json_text import json_value
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call, Chain
from backbeat.canvas.node_data import node_from_data
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Replaced, Retry, Revoked, Success
from backbeat.canvas.results.chord_books import leaves, part_of
from backbeat.canvas.stub import stub_of
from backbeat.canvas.wire import Wire, from_wire, to_wire

FAILURE = Failure(error=Error(type="ValueError", text="no"))


def sig(id_, **options):
    return {
        "task": "t",
        "args": [],
        "kwargs": {},
        "options": {"task_id": id_, **options},
        "subtask_type": None,
        "immutable": False,
    }


def composite(kind, tasks, **options):
    shape = {
        "task": f"celery.{kind}",
        "args": [],
        "options": options,
        "subtask_type": kind,
        "immutable": False,
    }
    return {**shape, "kwargs": {"tasks": tasks}}


BODY = sig("body")
PART = Counted("g", 2, json_value(BODY))


def message(**known):
    return Message(**{"id": "m", "task": "t", "queue": "q", "root_id": "root", **known})


def received(embed, **headers):
    wire = to_wire(message())
    body = json.dumps([[], {}, embed]).encode()
    return from_wire(Wire(wire.headers | headers, wire.properties, body), "q")


def counted(effects):
    return [(effect.chord, effect.id, effect.outcome) for effect in effects if isinstance(effect, CountPart)]


def test_a_part_is_read_and_written_as_celery_does():
    part = received({"chord": BODY}, group="g", group_index=2)

    assert part.then == PART
    wire = to_wire(part)
    assert json.loads(wire.body)[2]["chord"] == BODY
    assert (wire.headers["group"], wire.headers["group_index"]) == ("g", 2)


@pytest.mark.parametrize("body", ["no signature", {"task": 1}, sig("x", countdown="soon"), 7])
def test_a_body_that_is_no_signature_is_refused(body):
    with pytest.raises(MessageError):
        received({"chord": body}, group="g", group_index=0)


@pytest.mark.parametrize("outcome", [Success(value="1"), FAILURE])
def test_an_ending_is_counted(outcome):
    assert counted(next_steps(message(then=PART), outcome, {})) == [(PART, "m", outcome)]


@pytest.mark.parametrize("outcome", [Revoked(), Rejected(), Ignored()])
def test_every_other_ending_is_counted_as_a_failure(outcome):
    ((_, _, part),) = counted(next_steps(message(then=PART), outcome, {}))

    assert isinstance(part, Failure)


def test_a_retry_is_not_counted_and_stays_a_part():
    (effect,) = next_steps(message(then=PART), Retry(eta_us=1), {})

    assert effect.message.then == PART


def test_the_last_step_of_a_member_becomes_the_part():
    first = received({"chain": [sig("last", chord=BODY, group_id="g", group_index=2), sig("middle")]})
    (middle,) = next_steps(first, Success(value="1"), {})
    (last,) = next_steps(middle.message, Success(value="1"), {})

    assert middle.message.then == Inline((first.then.steps[1],))
    assert (last.message.id, last.message.then) == ("last", PART)


def test_a_member_whose_step_fails_is_counted_once_under_its_last_step():
    first = received({"chain": [sig("last", chord=BODY, group_id="g", group_index=2), sig("middle")]})

    effects = next_steps(first, FAILURE, {})

    assert [effect.id for effect in effects if isinstance(effect, Settle)] == ["middle", "last"]
    assert counted(effects) == [(PART, "last", FAILURE)]


def test_members_of_a_group_at_the_end_are_counted_each():
    members = [sig(f"m{index}", chord=BODY, group_id="g", group_index=index) for index in range(2)]
    first = received({"chain": [composite("group", members, task_id="inner")]})

    effects = next_steps(first, Success(value="1"), {})

    assert [effect.message.then for effect in effects] == [
        Counted("g", index, PART.body) for index in range(2)
    ]


def test_a_chord_inside_a_chain_is_joined_by_us_and_its_body_is_the_part():
    inner = sig("inner", chord=BODY, group_id="g", group_index=2)
    header = composite("group", [sig("a", chord=inner), sig("b", chord=inner)], task_id="h")
    step = {**composite("chord", []), "kwargs": {"header": header, "body": inner, "kwargs": {}}}
    first = received({"chain": [step]})

    effects = next_steps(first, Success(value="1"), {})

    opened = next(effect for effect in effects if isinstance(effect, OpenJoin))
    assert opened.size == 2
    assert not counted(effects)
    published = [effect.message for effect in effects if isinstance(effect, Publish)]
    assert all(message.then.join_id == "h" for message in published)


def test_what_stands_behind_a_body_is_its_next_step():
    node = node_from_data(sig("a", chain=[sig("c"), sig("b")]), json_value)

    assert isinstance(node, Chain)
    assert [step.id for step in node.steps] == ["a", "b", "c"]
    assert "chain" not in node.steps[0].options


def test_a_part_that_is_replaced_by_a_chain_or_a_group_stays_a_part():
    chained = json_value(composite("chain", [sig("x"), sig("y")]))
    grouped = json_value(composite("group", [sig("x"), sig("y")], task_id="gg"))

    (opened, _) = [
        e for e in next_steps(message(then=PART), Replaced(canvas=chained), {}) if not hasattr(e, "plan")
    ]
    assert isinstance(opened, OpenChain)
    assert opened.record.below == PART
    effects = next_steps(message(then=PART), Replaced(canvas=grouped), {})
    assert next(e for e in effects if isinstance(e, OpenChain)).record.below == PART


@pytest.mark.parametrize("below", [PART, Counted("g", None, PART.body)])
def test_records_keep_it(below):
    chain = ChainRecord(chain_id="c", steps=(Call(task="t", id="a"),), below=below, root_id="r")
    join = JoinRecord(join_id="j", then=below, root_id="r")

    assert records.chain_from_text(records.chain_to_text(chain)) == chain
    assert records.join_from_text(records.join_to_text(join)) == join


def test_a_part_whose_body_cannot_be_read_is_known_by_its_headers():
    stub = stub_of("m", {"task": "t", "id": "m", "group": "g", "group_index": 2}, "q")

    assert stub.then == Counted("g", 2, "")
    assert counted(next_steps(stub, FAILURE, {})) == [(stub.then, "m", FAILURE)]


def test_parts_are_read_as_celery_writes_them():
    error = {"exc_type": "KeyError", "exc_message": ["k"], "exc_module": "builtins"}

    assert part_of(0, json.dumps([1, "a", "SUCCESS", {"x": 1}])).outcome == Success(value='{"x":1}')
    assert part_of(1, json.dumps([1, "a", "FAILURE", error])).outcome.error.type == "KeyError"
    assert part_of(1, json.dumps([1, "a", "REVOKED", None])).outcome.error.type == "TaskError"
    assert list(leaves([[["a", None], None], [["g", None], [[["b", None], None]]]])) == ["a", "b"]
