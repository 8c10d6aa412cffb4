"""The bytes of messages: what we write we read back, what Celery writes we read, and nothing that comes from outside breaks us."""

from __future__ import annotations

import base64
import json

import pytest
from backbeat.canvas.codec import dumps
from backbeat.canvas.continuation import Inline, Member, Step
from backbeat.canvas.envelope import pack, unpack
from backbeat.canvas.errors import MessageError
from backbeat.canvas.message import MAX_BYTES, Message
from backbeat.canvas.node import Call, Chain, Group
from backbeat.canvas.own_tasks import FAILED_TASK, NEXT_TASK
from backbeat.canvas.wire import Wire, from_wire, to_wire
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

# --- there and back ------------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
ids = st.uuids().map(str)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
compact = lambda value: json.dumps(value, separators=(",", ":"))  # noqa: E731 - a strategy's map
args_texts = st.lists(plain, max_size=3).map(compact)
kwargs_texts = st.dictionaries(texts, plain, max_size=3).map(compact)
options = st.fixed_dictionaries(
    {},
    optional={
        "queue": texts,
        "countdown": st.floats(0, 1e6),
        "expires": st.just("2030-01-01T00:00:00+00:00"),
        "priority": st.integers(0, 9),
        "headers": st.dictionaries(texts, plain, max_size=2),
    },
)
plain_calls = st.builds(
    Call,
    task=texts,
    id=ids,
    args=args_texts,
    kwargs=kwargs_texts,
    immutable=st.booleans(),
    options=options,
)
nodes = st.recursive(
    plain_calls,
    lambda inner: (
        st.lists(inner.filter(lambda n: not isinstance(n, Chain)), min_size=2, max_size=3).map(
            lambda steps: Chain(steps=tuple(steps))
        )
        | st.builds(
            lambda members, id_: Group(members=tuple(members), id=id_),
            st.lists(inner.filter(lambda n: not isinstance(n, Group)), max_size=3),
            ids,
        )
    ),
    max_leaves=5,
)
calls = st.builds(
    lambda call, link, errors: replace(call, link=tuple(link), link_error=tuple(errors)),
    plain_calls,
    st.lists(nodes, max_size=2),
    st.lists(nodes, max_size=2),
)
positions = st.builds(Step, ids, st.integers(0, 99)) | st.builds(Member, ids, st.integers(0, 99))
continuations = (
    st.none()
    | positions
    | st.builds(
        lambda steps, below: Inline(tuple(steps), below),
        st.lists(calls, min_size=1, max_size=3),
        st.none() | positions,
    )
)
microseconds = st.none() | st.integers(-(10**15), 10**17)
messages = st.builds(
    Message,
    id=ids,
    task=texts,
    args=args_texts,
    kwargs=kwargs_texts,
    root_id=ids,
    parent_id=st.none() | ids,
    then=continuations,
    link=st.lists(nodes, max_size=2).map(tuple),
    link_error=st.lists(nodes, max_size=2).map(tuple),
    attempt=st.integers(0, 99),
    replaced_task_nesting=st.integers(0, 9),
    generation=st.integers(0, 99),
    group_id=st.none() | ids,
    group_index=st.none() | st.integers(0, 10_000),
    eta_us=microseconds,
    expires_us=microseconds,
    queue=texts,
    priority=st.integers(0, 9),
    ignore_result=st.booleans(),
    time_limit=st.none() | st.floats(0, 1e6),
    soft_time_limit=st.none() | st.integers(0, 100),
    shadow=st.none() | texts,
    reply_to=st.just("") | texts,
    origin=texts,
    headers=st.dictionaries(texts.map(lambda name: f"x-{name}"), plain, max_size=3),
    errback=st.none() | st.fixed_dictionaries({"id": ids, "exc_type": texts}),
)


@given(messages)
def test_a_message_comes_back_as_it_was(message):
    assert from_wire(unpack(pack(to_wire(message), message.queue)), message.queue) == message


def test_marked_arguments_are_plain_for_celery_and_come_back_as_they_were():
    args, kwargs = compact(json.loads(dumps([(1, {2})]))), compact(json.loads(dumps({"a": (b"x",)})))
    marked = message(args=args, kwargs=kwargs)

    wire = to_wire(marked)

    seen = json.loads(wire.body)
    assert seen[:2] == [[[1, [2]]], {"a": [{"__type__": "bytes", "__value__": "x"}]}]
    assert (wire.headers["argsrepr"], wire.headers["kwargsrepr"]) == tuple(map(compact, seen[:2]))
    again = from_wire(wire, marked.queue)
    assert (again.args, again.kwargs) == (args, kwargs)
    assert to_wire(again) == wire


@given(messages)
def test_what_comes_back_is_written_the_same_again(message):
    wire = to_wire(message)

    again = to_wire(from_wire(wire, message.queue))

    assert again == wire


# --- as Celery writes and reads ------------------------------------------------------------------------------------------------


def message(**known):
    return Message(**{"id": "t1", "task": "proj.add", "root_id": "r", **known})


def test_the_headers_and_properties_of_protocol_2():
    wire = to_wire(
        message(
            args="[1,2]",
            eta_us=1_750_000_000_000_000,
            time_limit=30,
            soft_time_limit=20.0,
            origin="gen1@host",
            headers={"mine": 1},
        )
    )

    assert wire.headers == {
        "lang": "py",
        "task": "proj.add",
        "id": "t1",
        "shadow": None,
        "eta": "2025-06-15T15:06:40+00:00",
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [30, 20.0],
        "root_id": "r",
        "parent_id": None,
        "argsrepr": "[1,2]",
        "kwargsrepr": "{}",
        "origin": "gen1@host",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
        "mine": 1,
    }
    assert wire.properties == {
        "correlation_id": "t1",
        "reply_to": "",
        "delivery_mode": 2,
        "priority": 0,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    assert json.loads(wire.body) == [
        [1, 2],
        {},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]


def test_own_headers_cannot_replace_those_of_the_protocol():
    assert to_wire(message(headers={"task": "evil", "id": "evil"})).headers["task"] == "proj.add"


def test_the_envelope_of_kombus_virtual_transports():
    envelope = json.loads(pack(to_wire(message()), "q"))

    assert sorted(envelope) == ["body", "content-encoding", "content-type", "headers", "properties"]
    assert json.loads(base64.b64decode(envelope["body"]))[0] == []
    assert envelope["properties"]["delivery_info"] == {"exchange": "", "routing_key": "q"}
    assert envelope["properties"]["body_encoding"] == "base64"


def test_what_follows_travels_as_signatures_that_a_celery_worker_forwards():
    steps = (Call(task="b", id="b"), Call(task="c", id="c"))
    embed = json.loads(to_wire(message(then=Inline(steps, Member("j", 2)))).body)[2]

    last, second, first = embed["chain"]
    assert [first["task"], second["task"]] == [
        "b",
        "c",
    ]  # the chain is reversed: the worker takes from its end
    assert (last["task"], last["args"]) == (NEXT_TASK, ["member:j:2"])
    (errback,) = embed["errbacks"]
    assert (errback["task"], errback["args"]) == (FAILED_TASK, ["member:j:2"])
    assert {s["options"]["queue"] for s in (last, errback)} == {"backbeat"}


def test_long_arguments_are_cut_in_their_repr():
    headers = to_wire(message(args=json.dumps(["x" * 5_000]))).headers

    assert len(headers["argsrepr"]) == 1024
    assert headers["argsrepr"].endswith("...")


def celery_wire(body=None, *, properties=None, **headers):
    """A message of another implementation: what it must have, and `headers`."""
    return Wire(
        {"task": "proj.add", "id": "t1", **headers},
        {"content_type": "application/json", "content_encoding": "utf-8", **(properties or {})},
        json.dumps([[1], {}, {}] if body is None else body).encode(),
    )


def test_a_minimal_message_is_enough():
    assert from_wire(celery_wire(), "q") == Message(
        id="t1", task="proj.add", args="[1]", root_id="t1", queue="q"
    )
    assert from_wire(celery_wire([[], {}, None]), "q").args == "[]"


def test_celerys_embedded_signatures_become_steps_and_callbacks():
    def sig(task):
        return {"task": task, "args": [], "kwargs": {}, "options": {}, "subtask_type": None}

    embed = {"callbacks": [sig("l")], "errbacks": [sig("e")], "chain": [sig("c"), sig("b")], "chord": None}

    found = from_wire(celery_wire([[], {}, embed]), "q")

    assert [step.task for step in found.then.steps] == ["b", "c"]
    assert ([n.task for n in found.link], [n.task for n in found.link_error]) == (["l"], ["e"])


def test_times_may_have_any_offset_or_none():
    found = from_wire(celery_wire(eta="2026-01-02T03:00:00+03:00", expires="2026-01-02T00:00:00"), "q")

    assert found.eta_us == found.expires_us


# --- hostile -------------------------------------------------------------------------------------------------------------------

NOT_ENVELOPES = {
    "empty": "",
    "no json": "hello",
    "bytes": b"\x80\x04\x95",
    "list": "[]",
    "null": "null",
    "number": "5",
    "text": '"x"',
    "empty map": "{}",
    "no headers": '{"properties": {}, "body": ""}',
    "headers a list": '{"headers": [], "properties": {}, "body": ""}',
    "headers null": '{"headers": null, "properties": {}, "body": ""}',
    "properties text": '{"headers": {}, "properties": "x", "body": ""}',
    "nested": "[" * 100_000,
    "nested maps": '{"a":' * 100_000,
    "long number": "1" * 10_000,
}


@pytest.mark.parametrize("text", NOT_ENVELOPES.values(), ids=NOT_ENVELOPES)
def test_what_is_no_envelope_is_a_message_error_without_an_id(text):
    with pytest.raises(MessageError) as caught:
        from_wire(unpack(text), "q")
    assert caught.value.task_id is None


def envelope(**changes):
    good = json.loads(pack(celery_wire(properties={"correlation_id": "t1"}), "q"))
    return json.dumps(good | changes)


BODIES = {
    "not base64": "@@@@",
    "missing": None,
    "number": 5,
    "list": [1],
    "base64 of no json": base64.b64encode(b"hello").decode(),
    "base64 of no utf-8": base64.b64encode(b'["\xff"]').decode(),
    "base64 of pickle": base64.b64encode(b"\x80\x04\x95").decode(),
    "non-ascii": "é",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_decoded_keeps_the_id_and_the_headers_that_say_what_depends_on_it(body):
    with pytest.raises(MessageError) as caught:
        from_wire(unpack(envelope(body=body)), "q")
    assert caught.value.task_id == "t1"
    assert caught.value.headers["task"] == "proj.add"


@pytest.mark.parametrize("id_", [None, 5, ["t1"], {}, True, "", "x" * 256, "a\x00b", "\ud800"])
def test_an_id_that_is_no_id_is_none(id_):
    with pytest.raises(MessageError, match="no id") as caught:
        from_wire(celery_wire(id=id_), "q")
    assert caught.value.task_id is None


HEADERS = {
    "task a list": {"task": ["proj.add"]},
    "task null": {"task": None},
    "task empty": {"task": ""},
    "task with a NUL": {"task": "a\x00b"},
    "retries text": {"retries": "often"},
    "retries a list": {"retries": [1]},
    "retries infinite": {"retries": float("inf")},
    "retries huge": {"retries": 10**30},
    "timelimit text": {"timelimit": "ab"},
    "timelimit a number": {"timelimit": 5},
    "timelimit of one": {"timelimit": [1]},
    "timelimit of three": {"timelimit": [1, 2, 3]},
    "timelimit of texts": {"timelimit": ["1", None]},
    "timelimit a map": {"timelimit": {"a": 1, "b": 2}},
    "timelimit of booleans": {"timelimit": [True, None]},
    "timelimit not a number": {"timelimit": [float("nan"), None]},
    "eta text": {"eta": "tomorrow"},
    "eta a number": {"eta": 5},
    "eta empty": {"eta": ""},
    "eta beyond the calendar": {"eta": "9999-12-31T23:59:59-10:00"},
    "eta before the calendar": {"eta": "0001-01-01T00:00:00+10:00"},
    "expires text": {"expires": "never"},
    "expires a list": {"expires": []},
    "root_id a map": {"root_id": {"a": 1}},
    "root_id a list": {"root_id": ["r"]},
    "root_id a surrogate": {"root_id": "\ud800"},
    "parent_id a list": {"parent_id": ["p"]},
    "group a map": {"group": {"a": 1}},
    "group_index text": {"group_index": "first"},
    "shadow a list": {"shadow": ["x"]},
    "generation text": {"backbeat_generation": "x"},
    "retries below zero": {"retries": -1},
    "time limit below zero": {"timelimit": [-5, None]},
    "soft time limit below zero": {"timelimit": [None, -0.5]},
    "generation below zero": {"backbeat_generation": -1},
    "first attempt text": {"backbeat_first_attempt": "x"},
    "first attempt below zero": {"backbeat_first_attempt": -1},
    "first attempt after this one": {"retries": 1, "backbeat_first_attempt": 2},
    "nesting text": {"replaced_task_nesting": "x"},
    "nesting below zero": {"replaced_task_nesting": -1},
    "errback a list": {"backbeat_errback": [1]},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_a_header_of_a_wrong_type_is_a_message_error_with_the_id(headers):
    with pytest.raises(MessageError) as caught:
        from_wire(celery_wire(**headers), "q")
    assert caught.value.task_id == "t1"


PROPERTIES = {
    "pickle": {"content_type": "application/x-python-serialize"},
    "yaml": {"content_type": "application/x-yaml"},
    "no type": {"content_type": None},
    "type a list": {"content_type": ["application/json"]},
    "unknown encoding": {"content_encoding": "rot-13"},
    "encoding a list": {"content_encoding": ["utf-8"]},
    "priority text": {"priority": "high"},
    "reply_to a list": {"reply_to": ["q"]},
}


@pytest.mark.parametrize("properties", PROPERTIES.values(), ids=PROPERTIES)
def test_a_property_of_a_wrong_type_is_a_message_error_with_the_id(properties):
    with pytest.raises(MessageError) as caught:
        from_wire(celery_wire(properties=properties), "q")
    assert caught.value.task_id == "t1"


WRONG_BODIES = {
    "map": {},
    "null": None,
    "text": "x",
    "empty": [],
    "one": [[]],
    "two": [[], {}],
    "four": [[], {}, {}, {}],
    "args a map": [{}, {}, {}],
    "args null": [None, {}, {}],
    "kwargs a list": [[], [], {}],
    "kwargs null": [[], None, {}],
    "embed a list": [[], {}, [1]],
    "embed text": [[], {}, "x"],
    "marked arguments a map": [[], {}, {"backbeat_arguments": {}}],
    "marked arguments null": [[], {}, {"backbeat_arguments": None}],
    "marked arguments one": [[], {}, {"backbeat_arguments": [[]]}],
    "marked args a map": [[], {}, {"backbeat_arguments": [{}, {}]}],
    "marked kwargs a list": [[], {}, {"backbeat_arguments": [[], []]}],
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_body_of_a_wrong_shape_is_a_message_error_with_the_id(body):
    with pytest.raises(MessageError) as caught:
        from_wire(replace(celery_wire(), body=json.dumps(body).encode()), "q")
    assert caught.value.task_id == "t1"


def sig(task="x", **options):
    return {"task": task, "args": [], "kwargs": {}, "options": options, "subtask_type": None}


def composite(kind, **kwargs):
    return {"task": f"celery.{kind}", "kwargs": kwargs, "subtask_type": kind}


WRONG_SIGNATURES = {
    "a number": 5,
    "null": None,
    "a text": "x",
    "a list": [],
    "no task": {},
    "task null": {"task": None},
    "task a NUL": {"task": "\x00"},
    "args a number": {"task": "x", "args": 5},
    "kwargs a list": {"task": "x", "kwargs": [1]},
    "options a text": {"task": "x", "options": "abc"},
    "countdown text": sig(countdown="soon"),
    "countdown huge": sig(countdown=1e300),
    "eta text": sig(eta="soon"),
    "eta a number": sig(eta=5),
    "eta beyond the calendar": sig(eta="9999-12-31T23:59:59-10:00"),
    "expires a list": sig(expires=[1]),
    "expires huge": sig(expires=1e300),
    "queue a map": sig(queue={"name": "q"}),
    "queue a NUL": sig(queue="a\x00"),
    "priority text": sig(priority="high"),
    "headers a list": sig(headers=[1]),
    "retries text": sig(retries="x"),
    "time_limit text": sig(time_limit="x"),
    "task_id a list": sig(task_id=["x"]),
    "task_id a surrogate": sig(task_id="\ud800"),
    "link a number": sig(link=5),
    "wrong inside a link": sig(link=[sig(countdown="soon")]),
    "errback a list": sig(errback=[1]),
    "chain of none": composite("chain", tasks=[]),
    "chain of a number": composite("chain", tasks=5),
    "group of a text": composite("group", tasks=["x"]),
    "wrong inside a group": composite("group", tasks=[sig(queue=5)]),
    "chord without a body": composite("chord", header=[sig()], body=None),
}


@pytest.mark.parametrize("field", ["callbacks", "errbacks", "chain"])
@pytest.mark.parametrize("wrong", WRONG_SIGNATURES.values(), ids=WRONG_SIGNATURES)
def test_an_embedded_signature_that_could_not_be_sent_is_a_message_error(field, wrong):
    with pytest.raises(MessageError) as caught:
        from_wire(celery_wire([[], {}, {field: [wrong]}]), "q")
    assert caught.value.task_id == "t1"


@pytest.mark.parametrize("field", ["callbacks", "errbacks", "chain"])
@pytest.mark.parametrize("value", [5, "text", {"a": 1}, True], ids=repr)
def test_embedded_signatures_that_are_no_list_are_a_message_error(field, value):
    with pytest.raises(MessageError) as caught:
        from_wire(celery_wire([[], {}, {field: value}]), "q")
    assert caught.value.task_id == "t1"


@pytest.mark.parametrize("ref", [5, None, "", "step:x", "step:x:y", "other:x:1", ["step:x:1"]], ids=repr)
def test_a_continuation_that_says_nothing_is_a_message_error(ref):
    forward = {**sig(NEXT_TASK), "args": [ref]}

    with pytest.raises(MessageError) as caught:
        from_wire(celery_wire([[], {}, {"chain": [forward]}]), "q")
    assert caught.value.task_id == "t1"


def test_a_chord_without_a_group_is_counted_by_nobody():
    assert from_wire(celery_wire([[], {}, {"chord": sig()}]), "q").then is None


def test_a_part_of_a_chord_with_a_next_step_is_refused():
    wire = replace(
        celery_wire([[], {}, {"chord": sig(), "chain": [sig()]}]),
        headers=celery_wire().headers | {"group": "g"},
    )

    with pytest.raises(MessageError, match="next step") as caught:
        from_wire(wire, "q")
    assert caught.value.task_id == "t1"


@pytest.mark.parametrize("body", ["[" * 100_000, '[[],{},{"callbacks":' + "[" * 100_000])
def test_a_body_nested_beyond_reason_is_a_message_error(body):
    with pytest.raises(MessageError) as caught:
        from_wire(replace(celery_wire(), body=body.encode()), "q")
    assert caught.value.task_id == "t1"


def test_signatures_nested_beyond_reason_are_a_message_error():
    text = json.dumps(sig())
    for _ in range(1_500):
        text = f'{{"task":"x","options":{{"link":[{text}]}}}}'

    with pytest.raises(MessageError) as caught:
        from_wire(replace(celery_wire(), body=f'[[],{{}},{{"callbacks":[{text}]}}]'.encode()), "q")
    assert caught.value.task_id == "t1"


def test_k19_ten_megabytes_are_read_and_what_is_above_sixteen_is_refused():
    ten = "x" * (10 * 1024 * 1024)
    found = from_wire(
        unpack(pack(celery_wire([[ten], {}, {}], properties={"correlation_id": "t1"}), "q")), "q"
    )
    assert len(found.args) == len(ten) + 4

    body = json.dumps([["x" * MAX_BYTES], {}, {}]).encode()
    wire = replace(celery_wire(properties={"correlation_id": "t1"}), body=body)
    with pytest.raises(MessageError, match="more than 16777216") as caught:
        from_wire(unpack(pack(wire, "q")), "q")
    assert caught.value.task_id == "t1"


def test_an_envelope_of_more_than_twice_that_is_not_even_parsed():
    with pytest.raises(MessageError, match="more than") as caught:
        unpack("x" * (2 * MAX_BYTES + 1))
    assert caught.value.task_id is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NAMES = "task id eta expires group group_index retries timelimit root_id parent_id shadow origin".split()


@given(st.dictionaries(st.sampled_from(NAMES), json_values), json_values, json_values)
def test_whatever_comes_is_a_message_that_can_be_sent_on_or_a_message_error(headers, args, embed):
    known = {"callbacks": [embed], "errbacks": embed, "chain": [embed]}
    for body in ([args, {}, known], [[args], {}, {}]):
        try:
            found = from_wire(celery_wire(body, **headers), "q")
        except MessageError:
            continue
        again = from_wire(unpack(pack(to_wire(found), "q")), "q")
        assert again.id == found.id


def test_a_compressed_body_is_refused_and_not_unpacked():
    wire = to_wire(message())
    wire.headers["compression"] = "application/x-gzip"

    with pytest.raises(MessageError, match="compressed"):
        from_wire(replace(wire, body=b"x\x9c"), "celery")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "us-ascii", None])
def test_the_encodings_of_json_clients_are_read(encoding):
    assert from_wire(celery_wire(properties={"content_encoding": encoding}), "q").id == "t1"


def test_a_user_s_header_named_like_one_of_ours_does_not_go_out():
    headers = {"backbeat_generation": 7, "backbeat_guards": "x", "mine": 1}

    wire = to_wire(Message(id="a", task="t", headers=headers))

    assert wire.headers["mine"] == 1
    assert not wire.headers.keys() & {"backbeat_generation", "backbeat_guards"}
