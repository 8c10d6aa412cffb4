"""The message of a call: its options, also in the forms in which other programs write them."""

from __future__ import annotations

import pytest
from backbeat.canvas.message import checked, message_of
from backbeat.canvas.node import Call


def of(**options):
    call = Call(task="t", id="i", options=options)
    return message_of(call, args=call.args, then=None, root_id="r", parent_id=None)


@pytest.mark.parametrize("nothing", [None, "", 0, False, [], {}])
def test_options_that_are_empty_in_any_form_are_none(nothing):
    names = ("queue", "reply_to", "origin", "headers", "first_attempt", "replaced_task_nesting", "retries")

    assert checked(of(**dict.fromkeys(names, nothing))) == of()
    assert of(ignore_result=nothing) == of()


def test_numbers_that_are_zero_are_numbers():
    names = ("countdown", "priority", "time_limit", "soft_time_limit", "max_retries", "group_index")

    found = of(**dict.fromkeys(names, 0), expires=0)

    assert [getattr(found, name) for name in names] == [0] * len(names)
    assert found.expires_after == 0


def test_a_time_is_a_time_and_a_number_counts_from_the_moment_of_sending():
    found = of(eta="2026-01-01T00:00:00", expires="2026-01-01T00:00:01")

    assert (found.eta_us, found.expires_us, found.expires_after) == (
        1_767_225_600_000_000,
        1_767_225_601_000_000,
        None,
    )
    assert of(expires=1.5).expires_after == 1.5


@pytest.mark.parametrize("option", ["eta", "expires"])
def test_a_time_that_is_none_is_refused(option):
    with pytest.raises(ValueError, match="isoformat"):
        of(**{option: ""})
