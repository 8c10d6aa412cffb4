"""Requests of remote control: what travels, which workers they are for, and what is refused."""

from __future__ import annotations

import json
import string

import pytest
from backbeat.canvas.control import request_to
from backbeat.canvas.errors import ImproperlyConfigured, MessageError, SignatureError
from backbeat.canvas.remote.belief import headers_of, request_of_text
from backbeat.canvas.remote.request import ReplyTo, Request, request_of
from backbeat.canvas.signing import Keyring, keys_of
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(string.printable, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
REQUESTS = st.builds(
    Request,
    method=TEXT,
    arguments=st.dictionaries(TEXT, JSON, max_size=4),
    destination=st.none() | st.lists(TEXT, min_size=1, max_size=3),
    pattern=st.none() | TEXT,
    matcher=st.none() | st.sampled_from(["glob", "pcre"]),
)
KEYS = Keyring(keys_of({"one": "a secret of more than thirty-two characters"}))


@given(REQUESTS, st.booleans())
def test_a_request_is_read_as_it_was_written(request, wants_reply):
    sent = request
    if wants_reply:
        sent = Request(
            method=request.method,
            arguments=request.arguments,
            destination=request.destination,
            pattern=request.pattern,
            matcher=request.matcher,
            ticket="t",
            reply_to=ReplyTo("reply", "key"),
        )
    assert request_of(json.loads(json.dumps(sent.to_data()))) == sent


@pytest.mark.parametrize(
    ("known", "node", "is_for"),
    [
        ({}, "celery@one", True),
        ({"destination": ["celery@one", "celery@two"]}, "celery@two", True),
        ({"destination": ["celery@one"]}, "celery@two", False),
        ({"destination": []}, "celery@two", True),
        ({"pattern": "celery@*", "matcher": "glob"}, "celery@two", True),
        ({"pattern": "web@*", "matcher": "glob"}, "celery@two", False),
        ({"pattern": "celery@t[wx]o", "matcher": "pcre"}, "celery@two", True),
        ({"pattern": "t[wx]o", "matcher": "pcre"}, "celery@two", False),
        ({"pattern": "web@*"}, "celery@two", True),
    ],
)
def test_which_workers_a_request_is_for(known, node, is_for):
    assert Request(method="ping", **known).is_for(node) is is_for


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(MessageError, match=r"the pattern '\(' is no regular expression"):
        Request(method="ping", pattern="(", matcher="pcre").is_for("a@one")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "it is no request: None"),
        ([], "it is no request"),
        ({}, "it is no request"),
        ({"method": 1}, "it is no request"),
        ({"method": "ping", "arguments": [1]}, "the arguments of 'ping' are no map"),
        ({"method": "ping", "destination": 7}, "the destination of 'ping' is no list of names"),
        ({"method": "ping", "destination": [7]}, "the destination of 'ping' is no list of names"),
        ({"method": "ping", "pattern": 7}, "the pattern of 'ping' is no text"),
        ({"method": "ping", "ticket": []}, "the ticket of 'ping' is no text"),
        ({"method": "ping", "pattern": "a", "matcher": "soundex"}, "known are glob, pcre"),
        ({"method": "ping", "reply_to": "me"}, "there is nowhere to send an answer"),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(data, text):
    with pytest.raises(MessageError, match=text):
        request_of(data)


def test_what_is_not_json_is_refused():
    with pytest.raises(MessageError, match="it is not JSON"):
        request_of_text({}, b"\xff{", Keyring())


def test_one_name_is_as_good_as_a_list_of_one():
    assert request_of({"method": "ping", "destination": "a@one"}).destination == ["a@one"]


def test_a_request_counts_for_ever_if_it_does_not_say_until_when():
    assert not request_of({"method": "ping"}, 0).is_late(1e12)
    assert request_of({"method": "ping"}, 100.0).is_late(100.5)
    assert not request_of({"method": "ping"}, "soon").is_late(1e12)


def test_a_matcher_that_nobody_knows_is_refused_where_it_is_asked_for():
    with pytest.raises(
        ImproperlyConfigured, match="matcher 'soundex' is not known; choose one of glob, pcre"
    ):
        request_to("ping", {}, None, "a*", "soundex", wants_reply=False)
    assert request_to("ping", {}, None, "a*", wants_reply=False).matcher == "glob"


def signed(request):
    body = json.dumps(request.to_data()).encode()
    return headers_of(request, body, 7, KEYS), body


def test_a_signed_request_is_believed():
    request = Request(method="revoke", arguments={"task_id": "x"}, expires=99.0)
    assert request_of_text(*signed(request), KEYS) == request


@pytest.mark.parametrize("change", ["body", "expires", "signature", "unsigned"])
def test_a_request_that_was_changed_on_its_way_is_not_believed(change):
    headers, body = signed(Request(method="revoke", arguments={"task_id": "x"}, expires=99.0))
    match change:
        case "body":
            body = body.replace(b'"x"', b'"y"')
        case "expires":
            headers["expires"] = 1e12
        case "signature":
            headers["backbeat_signature"] = headers["backbeat_signature"][:-1] + "!"
        case "unsigned":
            del headers["backbeat_signature"]

    with pytest.raises(SignatureError):
        request_of_text(headers, body, KEYS)
