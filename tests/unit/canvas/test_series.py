"""The text of a message in a series is byte for byte what encoding it for itself gives."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.continuation import Inline, Member
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.node import Call
from backbeat.canvas.series import _INDEX, Series
from backbeat.canvas.signing import NO_KEYS, Key, Keyring
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

odd_texts = st.sampled_from(
    [
        "%s",
        "%(id)s",
        "%%",
        '"',
        "\\",
        "\1id\1",
        "\1args\1",
        "é",
        "\N{PILE OF POO}",
        "",
        str(_INDEX),
        "x" * 1_030,
    ]
) | st.text(max_size=20)
args_texts = st.lists(odd_texts | st.integers(), max_size=3).map(lambda value: Json(json.dumps(value)))
kwargs_texts = st.dictionaries(odd_texts, odd_texts, max_size=2).map(lambda value: Json(json.dumps(value)))
continuations = st.sampled_from(
    [
        None,
        Member("join", 0),
        Member("join", 0, hasty=True),
        Member("join", 0, key="added"),
        Inline((Call(task="t", id="n"),)),
    ]
)


def message(id_, index, args="[1]", kwargs="{}", **known):
    return Message(
        id=id_,
        args=Json(args),
        kwargs=Json(kwargs),
        **{
            "task": "shop.pay",
            "queue": "q",
            "root_id": "root",
            "group_id": "group",
            "group_index": index,
            **known,
        },
    )


def placed(each, index):
    then = replace(each.then, index=index) if isinstance(each.then, Member) else each.then
    return replace(each, group_index=index, then=then)


@given(
    task=odd_texts.filter(bool),
    then=continuations,
    headers=st.dictionaries(odd_texts, odd_texts, max_size=2),
    calls=st.lists(st.tuples(odd_texts, args_texts, kwargs_texts), min_size=1, max_size=5),
    change=st.none() | st.integers(0, 4),
)
def test_each_text_of_a_series_is_that_of_its_message(task, then, headers, calls, change):
    """Also where one in the middle is another kind, and where ids and arguments look like blanks."""
    messages = [
        placed(message(f"{id_}.{index}", index, args, kwargs, task=task, headers=headers, then=then), index)
        for index, (id_, args, kwargs) in enumerate(calls)
    ]
    if change is not None and change < len(messages):
        messages[change] = replace(messages[change], task="another", group_index=None)
    series = Series(NO_KEYS)

    assert [series.text(each) for each in messages] == [NO_KEYS.text(each) for each in messages]


class Counting(Keyring):
    """Notes which messages are encoded for themselves."""

    def __init__(self):
        super().__init__()
        self.encoded = []

    def text(self, message):
        self.encoded.append(message.id)
        return super().text(message)


@pytest.mark.parametrize("then", [None, Member("join", 0)], ids=["a plain group", "a header"])
def test_of_a_series_one_message_is_encoded_and_the_others_are_filled_in(then):
    ring = Counting()
    series = Series(ring)

    for index in range(50):
        series.text(placed(message(f"m{index}", index, then=then), index))

    assert ring.encoded == ["m0"]


def test_so_it_is_of_messages_of_one_trace_and_not_of_two():
    ring = Counting()
    series = Series(ring)
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    other = dict(reversed(trace.items()))
    messages = [
        placed(
            message(f"m{index}", index, headers=other if index == 5 else trace, then=Member("join", 0)), index
        )
        for index in range(5 + 4)
    ]

    assert [series.text(each) for each in messages] == [NO_KEYS.text(each) for each in messages]
    assert ring.encoded == ["m0", "m5", "m6"]


def test_values_that_are_equal_and_not_the_same_are_each_written_as_they_are():
    series = Series(NO_KEYS)
    messages = [message(f"m{index}", index, headers={"a": a}) for index, a in enumerate([1, 1, True, 1.0, 1])]

    assert [series.text(each) for each in messages] == [NO_KEYS.text(each) for each in messages]


def test_signed_messages_are_each_encoded_for_themselves():
    ring = Keyring([Key(id="k", secret=b"s" * 32)])
    series = Series(ring)
    messages = [message(f"m{index}", index) for index in range(4)]

    assert [series.text(each) for each in messages] == [ring.text(each) for each in messages]


@pytest.mark.parametrize("mark", [str(_INDEX), "\1id\1", "\1args\1"])
def test_there_is_no_form_where_something_else_looks_like_a_blank(mark):
    ring = Counting()
    series = Series(ring)
    messages = [message(f"m{index}", index, shadow=f"a{mark}") for index in range(9)]
    whole = [message(f"m{index}", index, shadow=mark) for index in range(9)]

    assert [series.text(each) for each in messages] == [NO_KEYS.text(each) for each in messages]
    assert [series.text(each) for each in whole] == [NO_KEYS.text(each) for each in whole]
    assert [each.id for each in whole] == ring.encoded[-9:]  # none was filled in


def test_calls_of_one_task_are_filled_in_too():
    ring = Counting()
    series = Series(ring)
    calls = [
        message(f"m{index}", None, f"[{index}]", root_id=f"m{index}", group_id=None) for index in range(50)
    ]

    assert [series.text(each) for each in calls] == [NO_KEYS.text(each) for each in calls]
    assert ring.encoded == ["m0"]


def test_a_call_with_a_root_of_its_own_and_one_below_another_are_not_alike():
    series = Series(NO_KEYS)
    calls = [message(f"m{n}", None, root_id=f"m{n}" if n % 3 else "root", group_id=None) for n in range(20)]

    assert [series.text(each) for each in calls] == [NO_KEYS.text(each) for each in calls]
