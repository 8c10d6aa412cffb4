"""Signatures: what is covered, who may send what, and that nothing of a forged message is believed."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import pytest
from amqp.basic_message import Message as Content
from backbeat.canvas import own_tasks
from backbeat.canvas.brokers.foreign import wire_of
from backbeat.canvas.brokers.frames import content_of
from backbeat.canvas.commit.dead_letter import DeadLetter, KeptLetter
from backbeat.canvas.commit.taken import decoded
from backbeat.canvas.config import Config
from backbeat.canvas.continuation import Inline, Member
from backbeat.canvas.dead import read, requeue
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.envelope import pack, unpack
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, MessageError
from backbeat.canvas.message import CONTROL_QUEUE, Message, guard_of
from backbeat.canvas.node import Call, Chain, Group
from backbeat.canvas.node_data import node_to_data
from backbeat.canvas.outcome import Revoked
from backbeat.canvas.replacing import VALUE_TASK
from backbeat.canvas.signing import NO_KEYS, Key, Keyring, keys_of, with_signature
from backbeat.canvas.wire import SIGNATURE, Wire, to_wire
from backbeat.canvas.wiring import keyring_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from support.eager import Fleet

SECRET, OTHER = b"0123456789abcdef" * 2, b"fedcba9876543210" * 2
OLD, NEW = Key(id="old", secret=SECRET), Key(id="new", secret=OTHER)
RING = Keyring([OLD])
CANVAS = Path(__file__).parents[3] / "canvas"

MESSAGE = Message(
    id="i",
    task="shop.pay",
    args='[1,{"a":null}]',
    kwargs='{"k":1.5}',
    root_id="r",
    parent_id="p",
    then=Inline((Call(task="shop.thank", id="t"),), Member("join", 3)),
    link=(Call(task="shop.note", id="l"),),
    link_error=(Call(task="shop.worry", id="e"),),
    attempt=2,
    generation=1,
    group_id="g",
    group_index=4,
    eta_us=5_000_000,
    expires_us=9_000_000,
    queue="celery",
    priority=3,
    time_limit=10.0,
    soft_time_limit=5.0,
    shadow="s",
    reply_to="back",
    origin="gen1@host",
    headers={"tenant": "a", "nested": {"b": [1, 2.5, None, True]}},
    errback={"id": "x"},
)


def opened(wire, queue="celery", keyring=RING):
    return decoded(Delivery("1", queue, None, pack(wire, queue)), keyring)


def refusal(wire, queue="celery", keyring=RING):
    taken = opened(wire, queue, keyring)
    assert (taken.message, taken.task_id, taken.forged) == (None, None, True)
    return taken.reason


def through_amqp(wire):
    """What a consumer of RabbitMQ gets."""
    content = Content()
    content._load_properties(60, content_of(wire)._serialize_properties(), 0)
    content.body = wire.body
    return wire_of(content)


# --- what is covered -------------------------------------------------------------------------------------------------------------


def test_a_signed_message_is_what_it_was():
    wire = RING.wire(MESSAGE)

    assert opened(wire).message == MESSAGE
    assert opened(through_amqp(wire)).message == MESSAGE
    assert decoded(Delivery("1", "celery", wire), RING).message == MESSAGE


def test_a_signature_is_not_handed_on_to_what_follows():
    assert SIGNATURE not in opened(RING.wire(MESSAGE)).message.headers


CHANGES = {
    "task": "delete_all",
    "id": "another",
    "root_id": "another",
    "parent_id": "another",
    "eta": None,
    "expires": None,
    "retries": 0,
    "backbeat_generation": 7,
    "group": "another",
    "group_index": 5,
    "timelimit": [None, None],
    "ignore_result": True,
    "tenant": "b",
    "backbeat_errback": {"id": "y"},
    "backbeat_guards": "celery",
    "backbeat_max_retries": 99,
    "new": 1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_i_sig_no_header_can_be_changed(name):
    wire = RING.wire(MESSAGE)
    wire.headers[name] = CHANGES[name]

    assert "does not fit" in refusal(wire)


@pytest.mark.parametrize("name", sorted(set(to_wire(MESSAGE).headers)))
def test_i_sig_no_header_can_be_left_out(name):
    wire = RING.wire(MESSAGE)
    del wire.headers[name]

    assert "does not fit" in refusal(wire)


@pytest.mark.parametrize("name", ["reply_to", "content_type", "content_encoding"])
def test_i_sig_no_property_that_means_something_can_be_changed(name):
    wire = RING.wire(MESSAGE)
    wire.properties[name] = "other"

    assert "does not fit" in refusal(wire)


def test_i_sig_neither_arguments_nor_what_follows_can_be_changed():
    wire = RING.wire(MESSAGE)
    for old, new in ((b'"k":1.5', b'"k":2.5'), (b"shop.thank", b"shop.steal"), (b"join:3", b"join:2")):
        assert old in wire.body
        assert "does not fit" in refusal(replace(wire, body=wire.body.replace(old, new)))


def test_i_sig_a_message_is_good_in_its_own_queue_only():
    assert "another queue" in refusal(RING.wire(MESSAGE), queue="root")


def test_bytes_cannot_move_between_headers_and_body():
    """Each field has its length in front."""
    ring, wire = Keyring([OLD]), to_wire(MESSAGE)
    head = ring.head(wire, "celery")

    assert ring.signature(head + "a", b"b") != ring.signature(head, b"ab")


def test_what_brokers_add_on_the_way_does_no_harm():
    wire = RING.wire(MESSAGE)
    wire.headers.update({"x-death": [{"count": 1}], "x-delivery-count": 2, "redelivered": True})
    wire.properties["priority"] = 0

    assert opened(wire).message is not None


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=20), plain, max_size=3))
@settings(max_examples=100, deadline=None)
def test_whatever_travels_as_json_or_amqp_can_be_verified(headers):
    message = Message(id="i", task="t", headers=headers)
    wire = RING.wire(message)

    assert opened(wire).message is not None
    assert opened(through_amqp(wire)).message is not None


def test_names_that_json_makes_texts_of_can_be_verified():
    wire = RING.wire(Message(id="i", task="t", headers={"sizes": {10: "a", 9: "b"}}))

    assert opened(wire).message.headers == {"sizes": {"10": "a", "9": "b"}}


# --- keys ------------------------------------------------------------------------------------------------------------------------


def test_without_keys_nothing_is_signed_and_everything_is_taken():
    assert NO_KEYS.wire(MESSAGE) == to_wire(MESSAGE)
    assert opened(to_wire(MESSAGE), keyring=NO_KEYS).message == MESSAGE
    assert opened(RING.wire(MESSAGE), keyring=NO_KEYS).message == MESSAGE


def test_with_keys_an_unsigned_message_is_refused_unless_that_is_allowed():
    lenient = Keyring([OLD], accept_unsigned=True)
    forged = RING.wire(MESSAGE)
    forged.headers["task"] = "delete_all"

    assert "not signed" in refusal(to_wire(MESSAGE))
    assert opened(to_wire(MESSAGE), keyring=lenient).message == MESSAGE
    assert "does not fit" in refusal(forged, keyring=lenient)


def test_keys_can_be_replaced_without_a_pause():
    before, between, after = Keyring([OLD, NEW]), Keyring([NEW, OLD]), Keyring([NEW])

    assert opened(before.wire(MESSAGE), keyring=between).message is not None
    assert opened(between.wire(MESSAGE), keyring=before).message is not None
    assert opened(between.wire(MESSAGE), keyring=after).message is not None
    assert "not known here: 'old'" in refusal(before.wire(MESSAGE), keyring=after)


def test_a_key_of_the_same_name_and_another_secret_is_no_key():
    assert "does not fit" in refusal(Keyring([dataclasses.replace(OLD, secret=OTHER)]).wire(MESSAGE))


@pytest.mark.parametrize(
    "signature", ["", "1:old", "1:old:", "1:old:00", "2:old:00", ":::", "é:é:é", 7, None, ["1"], {}]
)
def test_what_is_no_signature_is_refused(signature):
    wire = RING.wire(MESSAGE)
    wire.headers[SIGNATURE] = signature

    refusal(wire)


def test_the_version_is_part_of_what_fits():
    wire = RING.wire(MESSAGE)
    wire.headers[SIGNATURE] = "9" + wire.headers[SIGNATURE][1:]

    assert "does not fit" in refusal(wire)


def test_neither_secret_nor_mac_is_ever_shown():
    wire = RING.wire(MESSAGE)
    mac = wire.headers[SIGNATURE].rsplit(":", 1)[1]
    wire.headers["task"] = "delete_all"
    shown = refusal(wire) + repr(RING) + repr(OLD) + repr(vars(RING))

    assert mac not in shown
    assert SECRET.decode() not in shown


# --- rights ----------------------------------------------------------------------------------------------------------------------

SHOP = Key(id="shop", secret=SECRET, tasks=("shop.*",), queues=("celery", "mail.*"))
FORGED_BY_SHOP = Keyring([dataclasses.replace(SHOP, tasks=("*",), queues=("*",))])
"""What somebody may do who has the shop's secret, and a program without its limits."""


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({"task": "bank.pay"}, "task 'bank.pay'"),
        ({"queue": "root"}, "queue 'root'"),
        ({"link": (Call(task="bank.pay", id="l"),)}, "task 'bank.pay'"),
        ({"link_error": (Call(task="bank.pay", id="l"),)}, "task 'bank.pay'"),
        ({"link": (Call(task="shop.a", id="l", link=(Call(task="bank.pay", id="m"),)),)}, "task 'bank.pay'"),
        ({"link": (Call(task="shop.a", id="l", options={"queue": "root"}),)}, "queue 'root'"),
        (
            {"then": Inline((Chain(steps=(Call(task="shop.a", id="a"), Call(task="bank.pay", id="b"))),))},
            "bank",
        ),
        ({"task": own_tasks.NEXT_TASK, "queue": CONTROL_QUEUE}, "task 'backbeat.next'"),
    ],
)
def test_a_key_reaches_its_own_tasks_and_queues_only(changes, objection):
    message = replace(MESSAGE, **changes)

    assert objection in refusal(FORGED_BY_SHOP.wire(message), message.queue, Keyring([SHOP]))
    with pytest.raises(EncodeError, match=r"key 'shop' may not send"):
        Keyring([SHOP]).wire(message)


@pytest.mark.parametrize("name", ["shop.alarm", "bank.pay"])
def test_an_errback_of_a_message_whose_body_cannot_be_read_is_judged_too(name):
    message = replace(MESSAGE, queue="mail.fast", link_error=(Call(task=name, id="l"),))
    wire = replace(to_wire(message), body=b"no")
    signed = with_signature(wire, FORGED_BY_SHOP.signature(FORGED_BY_SHOP.head(wire, "mail.fast"), b"no"))

    taken = opened(signed, "mail.fast", Keyring([SHOP]))

    assert taken.forged == (name == "bank.pay")
    assert (taken.stub is None) == taken.forged


def test_a_key_with_limits_sends_what_it_may_and_joins_starts_and_values():
    ring = Keyring([SHOP])
    canvas = Group(id="g", members=(Call(task="shop.a", id="a"), Call(task="shop.b", id="b")))
    start = own_tasks.START_TASK
    allowed = [
        MESSAGE,
        replace(MESSAGE, queue="mail.fast"),
        own_tasks.join_message("j"),
        Message(id="v", task=VALUE_TASK, args="[1]", queue=CONTROL_QUEUE),
        Message(id="s", task=start, args=json.dumps([node_to_data(canvas, json.loads)]), queue=CONTROL_QUEUE),
    ]

    for message in allowed:
        assert opened(ring.wire(message), message.queue, ring).message is not None


def test_what_a_start_would_start_is_judged_too():
    bank = Chain(steps=(Call(task="shop.a", id="a"), Call(task="bank.pay", id="b")))
    for args, objection in (
        (json.dumps([node_to_data(bank, json.loads)]), "bank.pay"),
        ("[7]", "cannot be read"),
        ("{", "not a task message"),
    ):
        message = Message(id="s", task=own_tasks.START_TASK, args=args, queue=CONTROL_QUEUE)
        taken = opened(FORGED_BY_SHOP.wire(message), CONTROL_QUEUE, Keyring([SHOP]))
        assert taken.message is None
        assert objection in taken.reason


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({}, "no keys"),
        ("not a map", "is a map"),
        ({"a:b": "x" * 32}, "letters"),
        ({7: "x" * 32}, "letters"),
        ({"a": "canary"}, "at least 16"),
        ({"a": None}, "at least 16"),
        ({"a": {"tasks": ["*"]}}, "at least 16"),
        ({"a": {"secret": "canary" * 9, "tasks": "shop.*"}}, "tasks of key 'a'"),
        ({"a": {"secret": "canary" * 9, "queues": [7]}}, "queues of key 'a'"),
        ({"a": {"secret": "canary" * 9, "sekret": "canary"}}, "nothing else"),
    ],
)
def test_a_setting_that_is_no_keys_is_refused_without_showing_any(setting, text):
    with pytest.raises(ImproperlyConfigured, match=text) as refused:
        keys_of(setting)

    assert "canary" not in str(refused.value)


def test_settings_give_a_keyring():
    conf = Config({"security_keys": {"new": OTHER, "old": {"secret": SECRET.decode(), "tasks": ["shop.*"]}}})

    assert opened(keyring_of(conf).wire(MESSAGE), keyring=Keyring([NEW])).message == MESSAGE
    assert opened(RING.wire(MESSAGE), keyring=keyring_of(conf)).message == MESSAGE
    assert keyring_of(Config()) is NO_KEYS
    assert not Keyring().signs


# --- what is done with a forged one ----------------------------------------------------------------------------------------------


def test_a_forged_message_is_kept_and_the_task_that_it_names_is_not_touched():
    fleet = Fleet()
    fleet.app.task(name="shop.pay")(lambda: "paid")
    worker = fleet.open("worker", "celery", keyring=RING)
    performer = fleet.performer(worker)
    fleet.put("celery", NO_KEYS.text(Message(id="mine", task="shop.pay", attempt=99)))
    fleet.put("celery", "no envelope")

    for taken in performer.commit([], take=2):
        performer.commit([performer.route(taken)])

    letters = [kept.letter for kept in worker.dead_letters(10)]
    assert sorted(letter.reason.split(":")[0] for letter in letters) == [
        "it is not to be believed",
        "not an envelope",
    ]
    assert [letter.task_id for letter in letters] == [None, None]
    assert performer.forgeries == 2
    assert not fleet.store.state.runs
    assert not fleet.store.state.documents


def test_a_signed_message_that_is_no_task_message_settles_its_id_as_ever():
    wire = RING.wire(Message(id="mine", task="shop.pay", args="[1"))
    taken = opened(wire)

    assert (taken.task_id, taken.forged) == ("mine", False)


def test_a_replayed_message_is_answered_by_its_stored_outcome():
    fleet = Fleet()
    worker = fleet.open("worker", "celery", keyring=RING)
    performer = fleet.performer(worker)
    text = RING.text(Message(id="once", task="shop.pay"))
    fleet.put("celery", text)
    (taken,) = performer.commit([], take=1)
    performer.commit([performer.finished(taken, taken.message, Revoked(reason="tried"))])

    fleet.put("celery", text)
    (again,) = performer.commit([], take=1)

    assert performer.route(again).outcome == Revoked(reason="tried")


def test_a_forged_dead_letter_is_not_signed_by_sending_it_again():
    forged = read(_letter(to_wire(MESSAGE), "celery"), RING)
    moved = read(_letter(RING.wire(MESSAGE), "root"), RING)
    own = read(_letter(RING.wire(MESSAGE), "celery"), RING)
    guard = read(_letter(RING.wire(replace(guard_of(MESSAGE, 1.0), countdown=None)), "celery"), RING)

    assert forged.message is not None
    assert (own.forged, guard.forged) == ("", "")
    for reading in (forged, moved):
        with pytest.raises(MessageError, match="not to be believed"):
            requeue(None, reading)


def _letter(wire: Wire, queue: str) -> KeptLetter:
    return KeptLetter("1", 0, DeadLetter("why", pack(wire, queue), None, queue))


def test_an_envelope_without_properties_is_forged():
    assert unpack(RING.text(MESSAGE)).headers[SIGNATURE]
    taken = decoded(Delivery("1", "celery", None, '{"headers": {"id": "mine"}}'), RING)

    assert (taken.task_id, taken.forged) == (None, True)


def test_nobody_sends_or_reads_a_message_past_the_keys():
    """`to_wire` gives an unsigned message: only signing.py and what stands on it may call it."""
    allowed = {
        "to_wire": {"signing.py", "template.py", "series.py"},
        "from_wire": {"taken.py", "usual.py", "dead.py"},
        "message_in": {"child.py"},
        "usual_message": {"taken.py"},
        "usual_of_wire": {"taken.py"},
    }
    found = {name: set() for name in allowed}
    for path in CANVAS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(("wire", "usual")):
                for alias in node.names:
                    found.get(alias.name, set()).add(path.name)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "decoded":
                assert len(node.args) == 2, f"{path.name}:{node.lineno}: decoded(delivery, keyring)"

    assert found == allowed
