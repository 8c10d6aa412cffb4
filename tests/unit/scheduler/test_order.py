"""Orders and edits without a store: what comes of an entry, its overrides and its cursor."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.edit import (
    EditKind,
    KeptEntry,
    added,
    defined,
    edits,
    edits_anew,
    laid_over,
    revise,
    spec_text,
)
from backbeat.scheduler.entry import DAY_US, SECOND_US, CatchUp, Entry, Overlap, Owner
from backbeat.scheduler.order import (
    Add,
    Change,
    Conflict,
    NoSuchEntry,
    OrderRefused,
    Pause,
    Remove,
    Resume,
    Revert,
    SkipNext,
    Unskip,
    action_of,
    check_revision,
    obey,
    overdue,
)
from backbeat.scheduler.override import Override, OverrideKind, laid, lifted, overrides_text, parse_overrides
from backbeat.scheduler.schedule import Interval
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_040 * SECOND_US  # a whole minute
MINUTE, HOUR = 60 * SECOND_US, 3_600 * SECOND_US


def entry(seconds=60, **known) -> Entry:
    return Entry(name="tick", when=Interval(every=timedelta(seconds=seconds)), what={"task": "a"}, **known)


def kept(owner=Owner.FILE, given=None, **known) -> KeptEntry:
    return replace(added(given or entry(**known), owner, NOW).after, source="schedules.yaml:3")


def after(before, order, now_us=NOW, actor="anna"):
    edit = obey("tick", order, before, actor=actor, now_us=now_us)
    return before if edit is None else edit.after


def test_a_pause_decides_what_was_owed_until_then_and_nothing_after_it():
    before = kept(catch_up=CatchUp.ALL)

    edit = obey("tick", Pause(), before, actor="anna", now_us=NOW + 3 * MINUTE)

    assert edit.kind is EditKind.RETIMED
    assert [due.due_us for due in edit.dues] == [NOW + k * MINUTE for k in (1, 2, 3)]
    assert (edit.next_us, edit.after.cursor_us, edit.old_rev) == (None, NOW + 3 * MINUTE, 1)


def test_a_resume_owes_nothing_of_the_pause():
    paused = after(kept(catch_up=CatchUp.ALL), Pause())

    edit = obey("tick", Resume(), paused, actor="anna", now_us=NOW + DAY_US)

    assert (edit.dues, edit.skips) == ((), ())
    assert (edit.after.cursor_us, edit.next_us) == (NOW + DAY_US, NOW + DAY_US + MINUTE)


def test_a_pause_again_has_the_new_reason_and_end_and_is_no_revision():
    paused = after(kept(), Pause(reason="one"))

    again = after(paused, Pause(reason="two", until_us=NOW + HOUR), actor="bob")

    assert again.rev == paused.rev
    (override,) = again.overrides
    assert (override.reason, override.actor, override.until_us) == ("two", "bob", NOW + HOUR)


def test_an_overdue_pause_ends_when_it_said_however_late_that_is_noticed():
    paused = after(kept(catch_up=CatchUp.ALL), Pause(until_us=NOW + 5 * MINUTE))
    assert overdue(paused, NOW + 5 * MINUTE - 1) is None

    lifted_entry, begins_us = overdue(paused, NOW + HOUR)
    edit = revise(paused, lifted_entry, NOW + HOUR, begins_us)

    assert (edit.dues, edit.skips) == ((), ()), "nothing fires by itself"
    assert edit.after.cursor_us == NOW + 5 * MINUTE - 1
    assert edit.next_us == NOW + 5 * MINUTE, "the fire time at its very end is the entry's again"
    assert edit.after.overrides == ()


def test_an_overdue_change_of_when_leaves_each_revision_its_own_instants():
    changed = after(
        kept(catch_up=CatchUp.ALL),
        Change(changes={"when": {"every_us": 20 * SECOND_US, "anchor_us": 0}}, until_us=NOW + MINUTE),
    )

    edit = revise(changed, overdue(changed, NOW + 10 * MINUTE)[0], NOW + 10 * MINUTE, NOW + MINUTE)

    assert [due.due_us - NOW for due in edit.dues] == [20 * SECOND_US, 40 * SECOND_US]
    assert (edit.after.cursor_us, edit.next_us) == (NOW + MINUTE - 1, NOW + MINUTE)


def test_only_what_has_ended_comes_off():
    both = after(
        after(kept(), Pause(until_us=NOW + MINUTE)), Change(changes={"grace_us": 5}, until_us=NOW + HOUR)
    )

    left, begins_us = overdue(both, NOW + MINUTE)

    assert [each.kind for each in left.overrides] == [OverrideKind.CHANGE]
    assert begins_us == NOW + MINUTE
    assert (left.entry().enabled, left.entry().grace_us) == (True, 5)


def test_a_change_of_a_file_lies_on_top_and_one_of_the_store_is_the_definition():
    on_file = after(kept(Owner.FILE), Change(changes={"grace_us": 5}))
    on_db = after(kept(Owner.DB), Change(changes={"grace_us": 5}))

    assert on_file.spec == on_db.spec
    assert (on_file.definition, on_db.definition) == (kept().spec, on_db.spec)
    assert (len(on_file.overrides), on_db.overrides) == (1, ())


def test_changes_of_a_file_add_up_and_come_off_together():
    twice = after(after(kept(), Change(changes={"grace_us": 5})), Change(changes={"catch_up": "all"}))

    assert (twice.entry().grace_us, twice.entry().catch_up) == (5, CatchUp.ALL)
    reverted = after(twice, Revert())
    assert (reverted.spec, reverted.overrides, reverted.defined) == (kept().spec, (), "")


def test_a_lasting_change_of_the_stores_own_entry_shows_through_one_that_ends():
    for_a_while = after(
        kept(Owner.DB), Change(changes={"grace_us": 5, "catch_up": "all"}, until_us=NOW + HOUR)
    )

    lasting = after(for_a_while, Change(changes={"grace_us": 7}))

    assert (lasting.entry().grace_us, lasting.entry().catch_up) == (7, CatchUp.ALL)
    assert json.loads(lasting.definition)["grace_us"] == 7
    assert dict(lasting.overrides[0].changes) == {"catch_up": "all"}


def test_a_change_back_to_the_definition_is_the_same_text():
    before = kept(grace_us=5)

    changed = after(before, Change(changes={"grace_us": 60 * SECOND_US}))

    assert changed.spec == kept().spec
    assert "grace_us" not in json.loads(changed.spec), "a default is left out, whoever said it"


def test_fire_times_to_skip_follow_those_that_are_skipped_already():
    before = kept()

    first = after(before, SkipNext(count=2))
    more = after(first, SkipNext())

    assert first.entry().skip_us == (NOW + MINUTE, NOW + 2 * MINUTE)
    assert more.entry().skip_us == tuple(NOW + k * MINUTE for k in (1, 2, 3))
    assert more.cursor_us == before.cursor_us
    assert after(more, Unskip()).entry().skip_us == ()


def test_skipping_begins_behind_now_where_a_beat_is_late():
    assert after(kept(), SkipNext(), now_us=NOW + 10 * MINUTE).entry().skip_us == (NOW + 11 * MINUTE,)


def test_an_entry_that_ends_has_only_so_many_fire_times_to_skip():
    assert after(kept(end_us=NOW + 2 * MINUTE), SkipNext(count=9)).entry().skip_us == (
        NOW + MINUTE,
        NOW + 2 * MINUTE,
    )


def test_more_fire_times_to_skip_than_an_entry_can_carry_are_refused():
    with pytest.raises(OrderRefused, match="1000 is the most"):
        after(kept(), SkipNext(count=1_001))


def test_nothing_can_be_asked_of_what_is_not_there():
    removed = replace(kept(Owner.DB), removed=True)

    for order in (Change(changes={}), Pause(), Resume(), SkipNext(), Unskip(), Revert(), Remove()):
        for before in (None, removed):
            with pytest.raises(NoSuchEntry):
                obey("tick", order, before, actor="anna", now_us=NOW)


def test_an_entry_that_was_a_files_and_is_added_here_is_the_stores_own_without_what_lay_on_it():
    removed = replace(after(kept(), Pause()), removed=True)

    edit = obey("tick", Add(entry=entry(seconds=5)), removed, actor="anna", now_us=NOW + HOUR)

    assert edit.kind is EditKind.RESTORED
    assert (edit.after.owner, edit.after.overrides, edit.after.entry().enabled) == (Owner.DB, (), True)
    assert (edit.dues, edit.after.cursor_us) == ((), NOW + HOUR)


def test_a_revision_that_was_not_seen_is_a_conflict_and_one_that_was_is_none():
    check_revision(kept(), 1, "tick")
    check_revision(kept(), None, "tick")
    check_revision(None, 3, "tick")

    with pytest.raises(Conflict, match="at revision 1 and you have seen revision 3"):
        check_revision(kept(), 3, "tick")


def test_every_order_has_the_name_that_the_command_line_gives_it():
    orders = [
        Add(entry=entry()),
        Change(changes={}),
        Revert(),
        Pause(),
        Resume(),
        SkipNext(),
        Unskip(),
        Remove(),
    ]

    assert [
        action_of(each) for each in orders
    ] == "add change revert pause resume skip-next unskip remove".split()


def override(kind, **changes):
    return Override(kind=kind, changes=changes, actor="anna", at_us=NOW, reason="é", until_us=None)


def test_overrides_come_back_as_they_were_written():
    given_ones = laid(
        (override(OverrideKind.PAUSE, enabled=False),), override(OverrideKind.CHANGE, grace_us=5)
    )

    assert [each.kind for each in given_ones] == [OverrideKind.CHANGE, OverrideKind.PAUSE]
    assert parse_overrides(overrides_text(given_ones)) == given_ones
    assert (overrides_text(()), parse_overrides(None), parse_overrides("")) == (None, (), ())
    assert lifted(given_ones, OverrideKind.PAUSE) == given_ones[:1]


def test_a_reload_under_an_override_is_judged_by_what_comes_of_both():
    before = after(kept(), Change(changes={"when": {"every_us": HOUR, "anchor_us": 0}}))

    hidden = edits({"tick": before}, [entry(seconds=7)], Owner.FILE, NOW + MINUTE)
    shown = edits({"tick": before}, [entry(grace_us=3)], Owner.FILE, NOW + MINUTE)

    assert [edit.kind for edit in hidden.edits] == [EditKind.MOVED]
    assert [edit.kind for edit in shown.edits] == [EditKind.REVISED]
    assert shown.edits[0].after.entry().grace_us == 3
    assert shown.edits[0].after.cursor_us == before.cursor_us


def test_an_entry_that_is_added_while_a_file_is_compared_belongs_to_who_added_it():
    wanted = [entry(), replace(entry(), name="b")]
    wish = edits({}, wanted, Owner.FILE, NOW)
    mine = replace(kept(Owner.DB), name="b")

    anew = edits_anew(wish, {"b": mine}, wanted, Owner.FILE, NOW)

    assert [edit.after.name for edit in anew.edits] == ["tick"]
    assert anew.foreign == ("b",)


ORDERS = st.sampled_from(
    [
        Pause(reason="x"),
        Pause(until_us=NOW + 10 * DAY_US),
        Resume(),
        SkipNext(),
        SkipNext(count=3),
        Unskip(),
        Revert(),
        Change(changes={"grace_us": 7}),
        Change(changes={"when": {"every_us": 7 * MINUTE, "anchor_us": 0}}),
        Change(changes={"what": {"task": "b"}}, until_us=NOW + 10 * DAY_US),
    ]
)


@given(st.lists(st.tuples(ORDERS, st.integers(0, 3 * HOUR)), max_size=12), st.sampled_from(Owner))
def test_no_order_of_orders_moves_a_cursor_back_decides_twice_or_loses_the_definition(orders, owner):
    known = kept(owner, catch_up=CatchUp.ALL)
    definition, now_us, decided = known.definition, NOW, []
    for order, wait_us in orders:
        now_us += wait_us
        try:
            edit = obey("tick", order, known, actor="anna", now_us=now_us)
        except OrderRefused:
            continue
        if edit is None:
            continue
        assert edit.after.cursor_us >= known.cursor_us
        assert edit.after.rev in (known.rev, known.rev + 1)
        decided += [due.due_us for due in edit.dues]
        assert all(due.due_us > known.cursor_us for due in edit.dues)
        assert all(due.due_us <= now_us for due in edit.dues)
        known = edit.after
        assert known.spec == laid_over("tick", known.definition, known.overrides)
        assert known.overrides == parse_overrides(overrides_text(known.overrides))
    assert len(decided) == len(set(decided))
    if owner is not Owner.DB:
        assert known.definition == definition
        bare = defined(known, known.definition, ())
        assert (bare.spec, bare.defined) == (spec_text(entry(catch_up=CatchUp.ALL)), "")


def test_overrides_that_ended_one_after_the_other_come_off_in_that_order():
    both = after(
        after(kept(catch_up=CatchUp.ALL), Change(changes={"grace_us": 5}, until_us=NOW + MINUTE)),
        Pause(until_us=NOW + HOUR),
    )

    first, first_us = overdue(both, NOW + 2 * HOUR)
    edit = revise(both, first, NOW + 2 * HOUR, first_us)
    second, second_us = overdue(edit.after, NOW + 2 * HOUR)
    last = revise(edit.after, second, NOW + 2 * HOUR, second_us)

    assert (first_us, second_us) == (NOW + MINUTE, NOW + HOUR)
    assert (edit.dues, last.dues) == ((), ())
    assert last.after.cursor_us == NOW + HOUR - 1, "it was paused until then, also where nobody looked"
    assert last.after.overrides == ()


def test_an_override_that_ends_on_a_removed_entry_fires_nothing():
    changed = after(kept(catch_up=CatchUp.ALL), Change(changes={"grace_us": 5}, until_us=NOW + HOUR))
    (removal,) = edits({"tick": changed}, [], Owner.FILE, NOW).edits

    lifted_entry, ended_us = overdue(removal.after, NOW + 2 * HOUR)
    edit = revise(removal.after, lifted_entry, NOW + 2 * HOUR, ended_us)

    assert (edit.kind, edit.dues, edit.skips) == (EditKind.MOVED, (), ())
    assert (edit.after.removed, edit.after.overrides) == (True, ())


def test_an_overdue_override_on_a_damaged_definition_stays():
    changed = after(kept(), Change(changes={"grace_us": 5}, until_us=NOW + MINUTE))

    assert overdue(replace(changed, defined="{"), NOW + HOUR) is None


def test_a_reload_passes_over_an_entry_whose_override_cannot_be_laid_on_it():
    strange = Override(kind=OverrideKind.CHANGE, changes={"of_tomorrow": 1}, actor="anna", at_us=NOW)
    damaged = replace(kept(), defined=kept().spec, overrides=(strange,))
    other = replace(entry(seconds=5), name="other")

    wish = edits({"tick": damaged}, [entry(seconds=5), other], Owner.FILE, NOW)

    assert [edit.after.name for edit in wish.edits] == ["other"]


def test_more_runs_for_an_entry_that_had_all_of_its_runs_count_from_now_on():
    ended = replace(kept(max_runs=2, catch_up=CatchUp.ALL), runs=2, cursor_us=NOW + 2 * MINUTE)

    edit = revise(ended, replace(ended, spec=spec_text(entry(max_runs=5, catch_up=CatchUp.ALL))), NOW + HOUR)

    assert (edit.kind, edit.dues, edit.skips) == (EditKind.RETIMED, (), ())
    assert (edit.after.cursor_us, edit.next_us) == (NOW + HOUR, NOW + HOUR + MINUTE)


def test_more_runs_for_an_entry_that_has_some_left_lose_no_instant():
    alive = replace(kept(max_runs=3, catch_up=CatchUp.ALL), runs=2, cursor_us=NOW + 2 * MINUTE)

    edit = revise(alive, replace(alive, spec=spec_text(entry(max_runs=5, catch_up=CatchUp.ALL))), NOW + HOUR)

    assert (edit.kind, edit.after.cursor_us) == (EditKind.REVISED, NOW + 2 * MINUTE)


@pytest.mark.parametrize(
    ("overlap", "sent", "reason"),
    [("skip", 1, "overlap"), ("queue", 3, "superseded"), ("cancel", 3, "superseded")],
)
def test_what_must_not_overlap_is_not_owed_at_once(overlap, sent, reason):
    before = kept(overlap=Overlap(overlap), catch_up=CatchUp.ALL)

    edit = obey("tick", Pause(), before, actor="anna", now_us=NOW + 3 * MINUTE)

    assert [due.due_us for due in edit.dues] == [NOW + sent * MINUTE]
    assert [(skip.from_us, skip.count, skip.reason.value) for skip in edit.skips] == [
        (NOW + k * MINUTE, 1, reason) for k in (1, 2, 3) if k != sent
    ]
