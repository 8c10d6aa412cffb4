"""How groups are written down for a store: in Celery's form, and of very large ones only the size (K4)."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import AsyncResult, GroupResult, group
from backbeat.canvas.errors import DecodeError
from backbeat.canvas.ids import derive
from backbeat.canvas.results.groups import LONGEST_LIST, text_of, written_of

from support.eager import Shop

HEAD = ("g", (("p", None), None))


def members(count):
    return [((derive("g", str(index)), None), None) for index in range(count)]


def plain(value):
    return json.loads(json.dumps(value))


def test_g9_the_form_is_celery_s():
    written = (HEAD, [(("a", None), None), (("in", None), [(("b", None), None)])])
    text, is_short = text_of("g", written)

    assert json.loads(text) == {
        "result": [["g", [["p", None], None]], [[["a", None], None], [["in", None], [[["b", None], None]]]]]
    }
    assert not is_short
    assert plain(written_of("g", text)) == plain(written)


def test_k4_of_many_members_whose_ids_follow_from_the_group_s_only_the_number_is_kept():
    written = (HEAD, members(LONGEST_LIST + 1))
    text, is_short = text_of("g", written)

    assert is_short
    assert json.loads(text) == {"result": [["g", [["p", None], None]], LONGEST_LIST + 1]}
    assert plain(written_of("g", text)) == plain(written)


@pytest.mark.parametrize(
    "listed",
    [
        members(LONGEST_LIST),
        [*members(LONGEST_LIST), (("another", None), None)],
        [*members(LONGEST_LIST), ((derive("g", str(LONGEST_LIST)), (("p", None), None)), None)],
        list(reversed(members(LONGEST_LIST + 1))),
    ],
    ids=["few", "another", "with-a-parent", "reversed"],
)
def test_k4_all_others_are_kept_one_by_one(listed):
    text, is_short = text_of("g", (HEAD, listed))

    assert not is_short
    assert json.loads(text)["result"][1] == plain(listed)


@pytest.mark.parametrize(
    "text", ["", "nothing", "[]", "{}", '{"result": 5}', '{"result": [["g", null]]}', '{"result": null}']
)
def test_what_is_no_saved_group_is_said_to_be_none(text):
    with pytest.raises(DecodeError, match="what is saved of group g is not a group of Celery's"):
        written_of("g", text)


@pytest.mark.parametrize("members", [True, None, "ab", {"a": 1}, [5]])
def test_a_group_whose_members_make_no_sense_is_said_to_be_none(members):
    shop = Shop()
    shop.app.results.groups.save("g", json.dumps({"result": [["g", None], members]}))

    with pytest.raises(DecodeError, match="what is saved of group g is not a group of Celery's"):
        GroupResult.restore("g", app=shop.app)


def test_k4_a_large_group_that_was_sent_is_saved_as_a_number_and_comes_back():
    shop = Shop()
    sent = group(shop.add.s(number) for number in range(LONGEST_LIST + 1)).freeze()
    handle = GroupResult(sent.id, [AsyncResult(each.id, app=shop.app) for each in sent], app=shop.app)
    handle.save()

    assert len(shop.store.state.groups[sent.id]) < 100
    assert shop.app.GroupResult.restore(sent.id) == handle
