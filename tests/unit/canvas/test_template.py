"""A rendered message is byte for byte what encoding it for itself gives, on lists and tables as on AMQP."""

from __future__ import annotations

import json

import pytest
from amqp.basic_message import Message as Content
from backbeat.canvas.brokers.frames import content_of, frames_of
from backbeat.canvas.continuation import Step
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message, sent_at
from backbeat.canvas.node import Call
from backbeat.canvas.signing import NO_KEYS, Key, Keyring
from backbeat.canvas.template import _EXPIRES_US, LARGEST, Rendered, template_of
from backbeat.canvas.wire import to_wire
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

NAMES = ("periodic_task_name", "fire_time")
FRAME_MAX = 4_096

texts = st.text(max_size=30)
odd_texts = st.sampled_from(["%s", "%(id)s", "%%", '"', "\\", "\0", "é", "\N{PILE OF POO}", ""]) | texts
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
short_keys = st.text(st.characters(codec="ascii"), min_size=1, max_size=20)
args_texts = st.lists(plain, max_size=3).map(lambda value: Json(json.dumps(value, separators=(",", ":"))))
kwargs_texts = st.dictionaries(texts, plain, max_size=3).map(lambda value: Json(json.dumps(value)))
long_args = st.integers(1_000, 1_050).map(lambda size: Json(json.dumps(["x" * size])))
messages = st.builds(
    Message,
    id=st.uuids().map(str),
    task=odd_texts.filter(bool),
    args=args_texts,
    kwargs=kwargs_texts,
    queue=st.sampled_from(["celery", "q%s", "q-é"]),
    priority=st.none() | st.integers(0, 9),
    ignore_result=st.booleans(),
    time_limit=st.none() | st.floats(0, 1e6),
    shadow=st.none() | texts,
    reply_to=st.text(st.characters(codec="ascii"), max_size=20),
    origin=odd_texts,
    expires_us=st.none() | st.integers(0, 2**52),
    headers=st.dictionaries(short_keys | st.sampled_from(NAMES), plain, max_size=3),
    link=st.just(()) | st.builds(lambda task: (Call(task=task, id="l"),), odd_texts.filter(bool)),
)


@given(
    messages,
    st.uuids(),
    args_texts | long_args,
    kwargs_texts | long_args,
    odd_texts,
    odd_texts,
    st.booleans(),
    st.sampled_from([NO_KEYS, Keyring([Key(id="k", secret=b"s" * 32)])]),
)
@settings(max_examples=200, deadline=None)
def test_what_is_rendered_is_what_is_encoded(message, id_, args, kwargs, name, fire_time, dated, keyring):
    template = template_of(message, NAMES, dated=dated, keyring=keyring)
    if template is None:  # its text has one of the marks that stand for what changes
        assert "\\u0001" in NO_KEYS.text(message)
        return
    expires_us = 1_234_567_890 if dated else None

    rendered = Rendered(template, str(id_), args, kwargs, (name, fire_time), expires_us)

    expected = replace(
        message,
        id=str(id_),
        root_id=str(id_),
        args=args,
        kwargs=kwargs,
        headers={**message.headers, "periodic_task_name": name, "fire_time": fire_time},
        expires_us=expires_us if dated else message.expires_us,
    )
    assert rendered.message() == expected
    assert rendered.envelope() == keyring.text(expected)
    assert (rendered.queue, rendered.priority) == (message.queue, message.priority)
    frames = frames_of(template, 1, FRAME_MAX)
    if frames is not None:
        _assert_frames(frames.of(rendered), keyring.wire(expected))


def _assert_frames(written, expected):
    """What py-amqp reads in the frames is what it would have read in its own."""
    content, body, size = Content(), b"", None
    while written:
        kind, length = written[0], int.from_bytes(written[3:7], "big")
        payload, written = written[7 : 7 + length], written[8 + length :]
        assert length + 8 <= FRAME_MAX
        if kind == 2:
            size = int.from_bytes(payload[4:12], "big")
            content._load_properties(60, payload, 12)
        elif kind == 3:
            body += payload
    own = content_of(expected)
    again = Content()
    again._load_properties(60, own._serialize_properties(), 0)
    assert (content.properties, body, size) == (again.properties, own.body, len(own.body))


@given(messages)
@settings(max_examples=50, deadline=None)
def test_nearly_every_message_has_frames_too(message):
    """Only what py-amqp cannot write has none."""
    try:
        content_of(
            to_wire(replace(message, headers={**message.headers, **dict.fromkeys(NAMES, "")}))
        )._serialize_properties()
    except Exception:
        return
    assert frames_of(template_of(message, NAMES), 1, FRAME_MAX) is not None


@pytest.mark.parametrize(
    "known",
    [
        {"countdown": 1.0},
        {"eta_us": 5},
        {"expires_after": 1.0},
        {"then": Step("c", 1)},
        {"root_id": "another"},
        {"origin": "x" * LARGEST},
    ],
    ids=str,
)
def test_what_depends_on_more_than_its_blanks_has_no_template(known):
    assert template_of(Message(id="i", task="t", **known)) is None


def test_a_text_that_looks_like_a_blank_costs_the_template_and_not_the_message():
    marked = template_of(Message(id="i", task="t"), dated=True).marks()

    assert template_of(Message(id="i", task="t", origin=marked["id"])) is None
    assert template_of(Message(id="i", task="t", origin=marked["expires"]), dated=True) is None
    assert sent_at(Message(id="i", task="t", expires_us=_EXPIRES_US), 0)


def test_headers_that_do_not_fit_into_a_frame_are_refused_before_anything_is_written():
    message = Message(id="i", task="t", headers={"name": ""})
    template = template_of(message, ("name",))
    frames = frames_of(template, 1, FRAME_MAX)

    with pytest.raises(ValueError, match="more than 4,088"):
        frames.of(Rendered(template, "i", Json("[]"), Json("{}"), ("x" * FRAME_MAX,)))
