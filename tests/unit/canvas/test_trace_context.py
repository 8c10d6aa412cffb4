"""What a message leads to is of its trace: by rules that know headers only."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.commit.records import join_from_text, join_to_text
from backbeat.canvas.continuation import Counted, Inline, JoinRecord, Member
from backbeat.canvas.effect import CountPart, OpenJoin, Part, Publish
from backbeat.canvas.embed import embed_of
from backbeat.canvas.flow import joined, next_steps, not_started, start
from backbeat.canvas.json_text import json_value
from backbeat.canvas.message import Message, message_of
from backbeat.canvas.node import Call, Chain, Group, Tap, freeze, root_of
from backbeat.canvas.outcome import Error, Failure, Replaced, Retry, Success
from backbeat.canvas.start import Start, start_from_text, start_to_text
from backbeat.canvas.trace_context import LONGEST, in_trace, moved, trace_of

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
OTHER = {"traceparent": "00-1af7651916cd43dd8448eb211c80319c-17ad6b7169203331-01"}
BROKE = Failure(error=Error(type="ValueError", text="no", node="t1"))


def message(**known):
    return Message(id="t1", task="t", root_id="root", headers={"own": 1, **TRACE}, **known)


def traces(effects):
    """Of each message that is sent."""
    return [trace_of(effect.message.headers) for effect in effects if isinstance(effect, Publish)]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, {}),
        ({"own": 1, **TRACE}, TRACE),
        ({"tracestate": "a=b", "baggage": "k=v"}, {}),
        ({"traceparent": 1}, {}),
        ({**OTHER, "tracestate": None, "baggage": "k=v"}, {**OTHER, "baggage": "k=v"}),
        ({**OTHER, "baggage": "x" * (LONGEST + 1)}, OTHER),
        ({"traceparent": "x" * (LONGEST + 1)}, {}),
    ],
)
def test_a_trace_is_what_the_headers_say_in_short_texts(headers, found):
    assert trace_of(headers) == found


def test_a_message_that_names_a_trace_itself_stays_in_it():
    own = Call(task="t", id="i", options={"headers": OTHER})

    assert in_trace({"own": 1}, TRACE) == {"own": 1, **TRACE}
    assert message_of(own, args="[]", then=None, root_id="", parent_id=None, trace=TRACE).headers == OTHER


def test_what_is_moved_keeps_nothing_of_the_trace_that_it_was_in():
    assert moved({"own": 1, **TRACE}, OTHER) == {"own": 1, **OTHER}


CANVAS = Group(members=(Call(task="a"), Chain(steps=(Call(task="b"), Call(task="c")))))


@pytest.mark.parametrize("node", [Call(task="a"), Chain(steps=(Call(task="a"), Call(task="b"))), CANVAS])
def test_all_that_starts_a_canvas_is_of_its_trace(node):
    node = freeze(node, "i")

    effects = start(node, root_of(node), trace=TRACE)

    assert traces(effects) == [TRACE] * len(traces(effects)) != []


def test_what_follows_a_message_is_of_its_trace():
    links, steps = (Call(task="l"),), (Call(task="s", id="s"),)

    ended = next_steps(message(then=Inline(steps), link=links), Success(value="1"), {})
    broke = next_steps(message(link_error=links), BROKE, {})
    replaced = next_steps(
        message(), Replaced(canvas=json_value({"task": "r", "args": [], "options": {"task_id": "r"}})), {}
    )

    assert traces(ended) == [TRACE] * 2
    assert traces(broke) == [TRACE]
    assert traces(replaced) == [TRACE]


def test_the_next_attempt_has_the_headers_of_the_one_before():
    (again,) = next_steps(message(), Retry(eta_us=1), {})

    assert again.message.headers == {"own": 1, **TRACE}


def test_a_join_keeps_the_trace_of_what_opened_it_for_what_follows():
    steps = (Group(members=(Call(task="a"),)), Call(task="body", link_error=(Call(task="told"),)))
    node = freeze(Chain(steps=steps), "i")
    effects = start(node, root_of(node), inline_limit=16_000, trace=TRACE)
    (opened,) = (effect.record for effect in effects if isinstance(effect, OpenJoin))
    read = join_from_text(join_to_text(opened))
    chains = {
        e.record.chain_id: e.record for e in effects if hasattr(e, "record") and not isinstance(e, OpenJoin)
    }

    body = joined(read, [Part(0, "a", Success(value="1"))], chains)
    told = joined(read, [Part(0, "a", BROKE)], chains)

    assert read.trace == TRACE
    assert traces(body) == traces(told) == [TRACE]


def test_a_join_that_is_of_no_trace_is_stored_as_ever():
    assert "trace" not in json.loads(join_to_text(JoinRecord(join_id="j", then=None, root_id="r")))


def test_of_a_canvas_that_never_starts_who_is_told_is_of_its_trace():
    tap = Tap(of="t", hooks={"on_failure": (Call(task="told"),)})
    node = freeze(Chain(steps=(Call(task="a", link_error=(Call(task="e"),)), tap)), "i")

    assert traces(not_started(node, "i", BROKE, TRACE)) == [TRACE] * 2


def test_the_last_part_of_a_chord_of_celerys_gives_the_body_its_trace():
    (part,) = next_steps(message(then=Counted("g", 0, "{}")), Success(value="1"), {})

    assert isinstance(part, CountPart)
    assert part.trace == TRACE


def test_what_a_celery_worker_forwards_to_us_is_of_the_trace():
    (forward,) = embed_of(message(then=Member("join", 0)))["chain"]

    assert forward["options"]["headers"] == TRACE


def test_a_canvas_that_waits_in_an_outbox_is_of_the_same_trace_when_it_is_read_again():
    begun = Start(freeze(Call(task="a"), "i"), "i", None, TRACE)

    assert start_from_text(start_to_text(begun)) == begun
