"""Inbox: what came is kept by id, the final word stands, and memory is bounded."""

from __future__ import annotations

import pytest
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import State
from backbeat.canvas.results.document import Document
from backbeat.canvas.results.inbox import Inbox

NOW = 1_000_000


def done(id_, value="1", **known):
    return Document(
        id=id_, state=State.SUCCESS, value=Json(value), date_done="2030-01-01T00:00:00+00:00", **known
    )


@pytest.fixture
def inbox():
    return Inbox(unread=3, read=2)


def test_what_did_not_come_is_pending(inbox):
    assert inbox.get("a") == Document(id="a")
    assert not inbox.has_ended("a")


def test_what_came_can_be_read_again(inbox):
    inbox.put(done("a"), NOW)

    assert inbox.has_ended("a")
    assert [inbox.get("a"), inbox.get("a")] == [done("a")] * 2


def test_a_later_state_replaces_an_earlier_one_and_nothing_replaces_the_final_one(inbox):
    seen = []
    for document in (
        Document(id="a", state=State.STARTED),
        Document(id="a", state=State.RETRY),
        done("a", "1"),
        done("a", "2"),
        Document(id="a", state=State.STARTED),
    ):
        inbox.put(document, NOW)
        seen.append((inbox.get("a").state, inbox.get("a").value))

    assert seen == [("STARTED", "null"), ("RETRY", "null"), *[("SUCCESS", "1")] * 3]
    assert len(inbox) == 1


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILURE, State.REVOKED])
def test_a_final_document_without_its_time_ended_when_it_came(inbox, state):
    inbox.put(Document(id="a", state=state), NOW)

    assert inbox.get("a").ready
    assert inbox.get("a").date_done == "1970-01-01T00:00:01+00:00"


def test_a_document_that_is_not_final_gets_no_time(inbox):
    inbox.put(Document(id="a", state=State.RETRY), NOW)

    assert not inbox.get("a").ready


def test_of_what_nobody_read_the_oldest_goes_first_and_is_told(inbox):
    told = [inbox.put(done(id_), NOW) for id_ in "abcd"]

    assert told == [None, None, None, done("a")]
    assert [inbox.has_ended(id_) for id_ in "abcd"] == [False, True, True, True]


def test_of_what_was_read_few_are_kept_silently(inbox):
    for number in range(50):
        assert inbox.put(done(str(number)), NOW) is None
        assert inbox.get(str(number)).ready

    assert len(inbox) == 2
    assert inbox.get("49").ready


def test_what_is_forgotten_is_not_known_read_or_not(inbox):
    inbox.put(done("a"), NOW)
    inbox.put(done("b"), NOW)
    inbox.get("b")
    for id_ in ("a", "b", "nobody"):
        inbox.forget(id_)

    assert len(inbox) == 0
    assert not inbox.has_ended("a")
