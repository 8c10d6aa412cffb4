"""Marked values: what somebody sees who does not know them."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.codec import dumps
from backbeat.canvas.mark import is_marked, plain


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ((1, (2, [3])), [1, [2, [3]]]),
        ([{"a": {1}}], [{"a": [1]}]),
        ({"__backbeat__": "tuple", "value": (1,)}, {"__backbeat__": "tuple", "value": [1]}),
        ([1, "__backbeat__"], [1, "__backbeat__"]),
        (b"x", {"__type__": "bytes", "__value__": "x"}),
        ((b"x",), [{"__type__": "bytes", "__value__": "x"}]),
    ],
    ids=repr,
)
def test_the_nearest_plain_value_takes_the_place_of_a_marked_one(value, seen):
    assert json.loads(plain(dumps(value))) == seen


def test_what_is_not_marked_is_not_touched():
    text = ' [1, {"a":"\\u00e9"}]'

    assert not is_marked(text)
    assert plain(text) is text


def test_maps_that_only_look_like_it_are_kept():
    text = (
        '[{"__backbeat__": "tuple"}, {"__backbeat__": 5, "value": 1}, {"__backbeat__": "dict", "value": 7}]'
    )

    assert json.loads(plain(text)) == [*json.loads(text)[:2], 7]


def test_a_value_too_deep_to_be_rewritten_is_kept():
    text = '{"__backbeat__": "tuple", "value": [' * 50_000 + "]}" * 50_000

    assert plain(text) == text
