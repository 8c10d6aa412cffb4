"""What is read in one go is what the long way reads; and most messages are."""

from __future__ import annotations

import base64
import json

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.effect import Publish
from backbeat.canvas.envelope import pack, unpack
from backbeat.canvas.errors import MessageError
from backbeat.canvas.flow import start
from backbeat.canvas.node import root_of
from backbeat.canvas.usual import message_in, usual_message, usual_of_wire
from backbeat.canvas.wire import Wire, from_wire, to_wire
from hypothesis import given
from hypothesis import strategies as st

app = App("usual", broker="memory://", set_as_current=False)
work = app.task(name="work")(lambda *_args: None)


def texts_of(canvas, **options) -> list[str]:
    """The messages that set a canvas going."""
    node = app.prepare(canvas, options=options)
    effects = start(node, root_of(node))
    return [pack(to_wire(e.message), e.message.queue) for e in effects if isinstance(e, Publish)]


USUAL = {
    "a call": texts_of(work.s(1, "ü\0", {"k": [None, 1.5]})),
    "a call with an eta, an expiry and a priority": texts_of(
        work.s(), eta="2030-01-01T00:00:00+00:00", expires="2030-01-01T00:00:00", priority=3
    ),
    "members of a group": texts_of(group(work.s(1), work.s(2))),
    "members of a chord": texts_of(chord([work.s(1), work.s(2)], work.s())),
    "a step of a chain": texts_of(chain(work.s(1), work.s(2))),
    "a call that is of a trace": texts_of(
        work.s(), headers={"traceparent": "00-0a-0b-01", "tracestate": "a=b", "baggage": "k=v"}
    ),
    "a call with callbacks": texts_of(work.s(1), link=work.s(2), link_error=work.s(3)),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_is_usual_is_read_in_one_go_and_as_the_long_way_reads_it(name):
    for text in USUAL[name]:
        found = usual_message(text, "celery")
        assert found is not None
        assert found == from_wire(unpack(text), "celery") == message_in(text, "celery")
        wire = unpack(text)
        assert found == usual_of_wire(wire, "celery")
        assert found == message_in((wire.headers, wire.properties, wire.body), "celery")


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["x" * 300, "\ud800", "\0", "2030-01-01", "base64", "backbeat.broadcast.x", 1.0, -1, 2**31]
    ),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(0, 3), max_size=2),
)


@st.composite
def changed(draw) -> str:
    """A message of which one thing is another than it should be, is missing, or is there as well."""
    text = draw(st.sampled_from([each for texts in USUAL.values() for each in texts]))
    envelope = json.loads(text)
    body = json.loads(base64.b64decode(envelope["body"]))
    where = draw(st.sampled_from([envelope, envelope["headers"], envelope["properties"], body, body[2]]))
    names = list(where) if isinstance(where, dict) else list(range(len(where)))
    name = draw(st.sampled_from(names))
    match draw(st.sampled_from(["put", "drop", "add"])):
        case "put":
            where[name] = draw(odd)
        case "drop":
            where.pop(name)
        case _ if isinstance(where, dict):
            where[draw(st.sampled_from([*HEADERS, "own"]))] = draw(odd)
        case _:
            where.append(draw(odd))
    if where is not envelope or name != "body":
        envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(envelope)


HEADERS = (
    "backbeat_exchange backbeat_signature backbeat_guards backbeat_errback backbeat_paced backbeat_copy_of compression "
    "backbeat_first_attempt backbeat_max_retries backbeat_then traceparent tracestate baggage"
).split()


@given(changed(), st.sampled_from(["celery", "backbeat.broadcast.x", "q\0", "q" * 256]))
def test_a_message_that_is_wrong_somewhere_is_never_read_as_another_one(text, queue):
    found = usual_message(text, queue)
    if found is not None:
        assert found == from_wire(unpack(text), queue)


@given(changed(), st.sampled_from(["celery", "backbeat.broadcast.x", "q\0", "q" * 256]))
def test_nor_is_one_in_parts(text, queue):
    try:
        wire = unpack(text)
    except MessageError:
        return
    found = usual_of_wire(wire, queue)
    if found is not None:
        assert found == from_wire(wire, queue)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", USUAL["a call"][0][:-1], USUAL["a call"][0] + "x"])
def test_what_is_no_message_is_refused_by_the_long_way(text):
    assert usual_message(text, "celery") is None
    with pytest.raises(MessageError):
        message_in(text, "celery")


@pytest.mark.parametrize("wire", [Wire({}, {}, b""), Wire({"id": "a"}, {"content_type": None}, b"[]")])
def test_parts_that_are_no_message_are_refused_by_the_long_way(wire):
    assert usual_of_wire(wire, "celery") is None
    with pytest.raises(MessageError):
        message_in((wire.headers, wire.properties, wire.body), "celery")
