"""Options of Amazon SQS: kombu's names, checked before anything is opened."""

from __future__ import annotations

import pytest
from backbeat.canvas.brokers.sqs import open_sqs
from backbeat.canvas.brokers.sqs_queue import pause_of, visibility_of, wait_of
from backbeat.canvas.errors import ImproperlyConfigured


def test_what_is_not_said_has_defaults():
    assert (visibility_of({}), wait_of({}), pause_of({})) == (60, 10, 0)


def test_without_long_polling_there_is_a_second_between_questions():
    assert pause_of({"wait_time_seconds": 0}) == 1
    assert pause_of({"wait_time_seconds": 0, "polling_interval": 0.2}) == 0.2
    assert pause_of({"polling_interval": 5}) == 5


def test_the_visibility_timeout_is_in_whole_seconds_at_least_as_long_as_asked_for():
    assert visibility_of({"visibility_timeout": 2.5}) == 3
    assert visibility_of({"visibility_timeout": "3600"}) == 3600
    assert visibility_of({"visibility_timeout": ""}) == 60


@pytest.mark.parametrize(
    "options",
    [
        {"visibility_timeout": 0},
        {"visibility_timeout": 43_201},
        {"visibility_timeout": "long"},
        {"wait_time_seconds": 21},
        {"wait_time_seconds": -1},
        {"wait_time_seconds": None},
        {"polling_interval": -1},
        {"polling_interval": float("nan")},
    ],
)
def test_what_sqs_does_not_take_is_refused_with_what_it_takes(options):
    (name,) = options
    with pytest.raises(
        ImproperlyConfigured, match=f"broker_transport_options: {name} is .*; write a number from"
    ):
        open_sqs("sqs://", transport_options=options)
