"""JSON with Celery's extension types; what JSON cannot hold is refused by name."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from uuid import UUID

import pytest
from backbeat.canvas.codec import dumps, loads
from backbeat.canvas.errors import DecodeError, EncodeError
from backbeat.canvas.json_text import EMPTY_LIST, json_list, json_string, prepend

VALUES = [
    None,
    True,
    1,
    -1.5,
    "é\x00\U0001f600",
    [1, [2]],
    {"a": {"b": []}},
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    dt.date(2026, 1, 2),
    dt.time(3, 4, 5),
    Decimal("1.10"),
    UUID(int=5),
    b"text",
    b"\xff\x00",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(value):
    assert loads(dumps(value)) == value
    assert type(loads(dumps(value))) is type(value)
    assert loads(dumps([{"a": value}])) == [{"a": value}]


def test_tuples_become_lists():
    assert loads(dumps((1, (2, 3)))) == [1, [2, 3]]


@pytest.mark.parametrize("value", [{1, 2}, 1j, object(), {(1, 2): 3}, print], ids=repr)
def test_what_json_cannot_hold_is_refused_by_its_type(value):
    with pytest.raises(EncodeError, match=f"^{type(value).__name__} cannot be written"):
        dumps(value)


def test_a_value_in_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(EncodeError):
        dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        b"\xff",
        '{"__type__": "nonsense", "__value__": 1}',
        '{"__type__": "datetime", "__value__": "tomorrow"}',
        '{"__type__": "uuid", "__value__": {}}',
        '{"__type__": "decimal", "__value__": "x"}',
        "[" * 100_000,
    ],
    ids=lambda text: str(text[:40]),
)
def test_what_is_no_json_or_no_known_type_is_a_decode_error(text):
    with pytest.raises(DecodeError):
        loads(text)


def test_texts_are_joined_without_decoding_them():
    assert json_list(["1", '{"a":2}']) == '[1,{"a":2}]'
    assert json.loads(json_string('a"b')) == 'a"b'
    assert prepend("1", EMPTY_LIST) == "[1]"
    assert json.loads(prepend("1", "[ ]")) == [1]
    assert json.loads(prepend("[0]", '["a", 2]')) == [[0], "a", 2]
