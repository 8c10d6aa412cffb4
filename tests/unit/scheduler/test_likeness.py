"""Entries that are alike share parts, and are what they would be if each were parsed for itself."""

from __future__ import annotations

import gc
import json
from dataclasses import FrozenInstanceError, replace

import pytest
from backbeat.scheduler import likeness
from backbeat.scheduler.collection import long_lived
from backbeat.scheduler.entry import CatchUp, Entry, Overlap, Owner
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.likeness import abridged
from hypothesis import given, settings
from hypothesis import strategies as st

plain = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3)
whens = st.sampled_from(
    [
        {"every_us": 1_000_000},
        {"every_us": 1_000_000, "anchor_us": 1},
        {"cron": "5 4 * * *"},
        {"at_us": [1, 2]},
    ]
)
whats = st.fixed_dictionaries(
    {"task": st.sampled_from(["a", "b"])},
    optional={
        "args": st.lists(plain, max_size=2),
        "kwargs": st.dictionaries(st.text(max_size=2), plain, max_size=2),
        "options": st.fixed_dictionaries({}, optional={"expires": st.sampled_from([1, 1.0, True, "x"])}),
        "subtask_type": st.none(),
        "immutable": st.booleans(),
        "workflow": st.sampled_from(["w", ',"when":']),
    },
)
specs = st.fixed_dictionaries(
    {"when": whens, "what": whats},
    optional={
        "owner": st.sampled_from([owner.value for owner in Owner]),
        "source": st.sampled_from(["", "x.yaml:1"]),
        "enabled": st.booleans(),
        "catch_up": st.sampled_from([each.value for each in CatchUp]),
        "catch_up_limit": st.sampled_from([1, 1000]),
        "overlap": st.sampled_from([each.value for each in Overlap]),
        "skip_us": st.sampled_from([[], [1, 2]]),
        "tags": st.sampled_from([[], ["a"]]),
        "max_runs": st.sampled_from([None, 1]),
    },
)


whole = st.sampled_from(
    [{"when": {"cron": "1 1 * * *"}, "what": {"args": [7]}}, ["args", ',"when":'], '"what":{"args":[1]}']
)


@given(st.lists(st.tuples(st.text(max_size=3), specs), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_an_entry_is_the_same_however_many_like_it_came_before(known):
    for name, spec in known:
        assert_same(name, text_of(spec), spec.get("owner", "file"), spec.get("source", ""))


@given(
    specs,
    whole,
    st.sampled_from(["args", "kwargs", "options", "subtask_type", "team", "a", "when", "zone"]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_text_is_not_cut_where_other_data_looks_like_arguments_or_a_schedule(spec, odd, place, usual):
    odd = {"k": odd, "when": odd, "what": odd} if place in {"kwargs", "options", "a"} else [odd]
    spec = {**spec, "team": odd} if place == "team" else {**spec, "what": {**spec["what"], place: odd}}
    for args in ([1], [2]):
        spec = {**spec, "what": {**spec["what"], "args": args}}

        assert_same("e", text_of(spec) if usual else json.dumps(dict(reversed(spec.items()))), "db", "s")


@pytest.mark.parametrize("put", ["", " ", "}", "]", '"', "x"])
def test_a_damaged_text_is_refused_however_many_good_ones_came_before(put):
    what = {"task": "t", "args": [1, "a"], "kwargs": {"k": 2}, "immutable": False}
    text = text_of({"when": {"every_us": 10**6}, "what": what})
    abridged("e", text)
    refused = 0

    for place in range(len(text)):
        damaged = text[:place] + put + text[place + 1 :]
        try:
            json.loads(damaged)
        except ValueError:
            refused += 1
            with pytest.raises((ValueError, LookupError, TypeError)):
                abridged("e", damaged)

    assert refused > len(text) / 4


def text_of(spec: dict[str, object]) -> str:
    known = {key: value for key, value in spec.items() if key not in {"owner", "source"}}
    return json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def assert_same(name: str, text: str, owner: str, source: str) -> None:
    """Parsed for itself, and parsed like all."""
    own = Entry.from_spec(name, {**json.loads(text), "owner": owner, "source": source})
    brief = abridged(name, text, owner, source)
    shared = brief.entry()

    assert type(shared) is Entry
    assert shared == own
    assert (shared.owner, shared.source, shared.terms) == (own.owner, own.source, own.terms)
    # 1, 1.0 and True are three things
    assert json.dumps(shared.to_spec(), sort_keys=True) == json.dumps(own.to_spec(), sort_keys=True)
    assert (brief.name, brief.next_after(10**15)) == (name, own.next_after(10**15))
    assert replace(brief.model, name=name, when=own.when, what=own.what) == own


def test_entries_that_differ_in_name_and_arguments_share_all_else():
    what = {"task": "t", "args": [1], "options": {"queue": "q"}, "kwargs": {"a": 1}, "immutable": False}
    spec = {"when": {"cron": "1 2 * * *"}, "what": what}
    other = {**spec, "what": {**what, "args": [2], "kwargs": {"b": 2}}}

    first, second = abridged("one", text_of(spec)), abridged("two", text_of(other), source="elsewhere")

    assert first.kind is second.kind
    assert first.when is second.when
    assert (first.entry().what, second.entry().what) == (what, other["what"])


def test_an_entry_that_is_made_of_its_abridged_form_is_frozen_as_any_other():
    entry = abridged("one", text_of({"when": {"every_us": 10**6}, "what": {"task": "t"}})).entry()

    with pytest.raises(FrozenInstanceError):
        entry.name = "two"


def test_what_is_remembered_is_bounded():
    for number in range(likeness.KEPT + 10):
        abridged("e", text_of({"when": {"at_us": [number]}, "what": {"task": f"t{number}"}}))

    assert 10 <= len(likeness._schedules) <= likeness.KEPT
    assert 10 <= len(likeness._kinds) <= likeness.KEPT


@pytest.mark.parametrize(
    "spec", [{}, {"when": {"every_us": 0}, "what": {}}, {"when": {"every_us": 10**6}, "what": {}, "odd": 1}]
)
def test_what_is_no_spec_is_refused_as_ever(spec):
    with pytest.raises(Exception) as own:
        Entry.from_spec("e", spec)
    with pytest.raises(type(own.value)):
        abridged("e", text_of(spec))
    assert isinstance(own.value, (ScheduleError, KeyError, TypeError))


def test_collections_go_on_after_what_lasts_was_made():
    assert gc.isenabled()
    before = gc.get_freeze_count()

    with long_lived():
        assert not gc.isenabled()
        kept = [[number] for number in range(1_000)]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)
    gc.unfreeze()
