"""The loop and the policies of entries: what may go out once only, runs that overlap, what waits, expires, piles up or fails.

Each is driven through a crash before and after every effect, and through a lost answer at every effect (on SQLite through a sample
of them; BACKBEAT_SWEEPS=1 takes all): whatever happens, every instant is one row or in one skip record (I-SKIP), and the promise of its
policy holds.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from backbeat.scheduler.beat import Beat
from backbeat.scheduler.entry import SECOND_US, CatchUp, Delivery, Entry, Overlap
from backbeat.scheduler.firing import FiringState
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.listener import SilentListener
from backbeat.scheduler.relay import MemoryOutlet, OutletDown, Published
from backbeat.scheduler.runs import MemoryRuns
from backbeat.scheduler.schedule import Interval
from backbeat.scheduler.store.base import StoreDown
from backbeat.scheduler.store.memory import MemoryStore

from support.beat_world import START, Crash, World, entries, struck

ONCE = Delivery.AT_MOST_ONCE
RUN_SECONDS = 2.5


class Ears(SilentListener):
    """Notes what it hears, with the name of the entry."""

    def __init__(self):
        self.heard = []

    def late(self, firing, lateness_us):
        self.heard.append(("late", firing.entry, lateness_us // SECOND_US))

    def failed(self, firing, reason):
        self.heard.append(("failed", firing.entry, reason))

    def doubtful(self, firing):
        self.heard.append(("doubtful", firing.entry, firing.due_us - START))

    def skipped(self, skip):
        self.heard.append(("skipped", skip.entry, skip.reason.value))

    def quarantined(self, entry, fault):
        self.heard.append(("quarantined", entry, fault))


class TimedOutlet(MemoryOutlet):
    """Notes when each firing was first sent, and sees to it that what it cancels was revoked before."""

    def __init__(self, world):
        super().__init__()
        self.world = world
        self.sent_at = {}

    def publish(self, firings):
        published = super().publish(firings)
        for firing in firings:
            self.sent_at.setdefault(firing.task_id, self.world.clock.now_us())
            assert not firing.cancels or firing.cancels in self.world.runs.revoked
        return published


class TimedRuns(MemoryRuns):
    """A run is over RUN_SECONDS after it was sent."""

    def __init__(self, world):
        super().__init__()
        self.world = world

    def over(self, task_ids):
        now_us = self.world.clock.now_us()
        sent_at = self.world.outlet.sent_at
        return [
            id_ for id_ in task_ids if id_ in sent_at and now_us >= sent_at[id_] + RUN_SECONDS * SECOND_US
        ]


@pytest.fixture
def make_timed(make_world):
    def make(**known):
        world = make_world()
        world.outlet, world.runs = TimedOutlet(world), TimedRuns(world)
        world.wanted = entries(2, seconds=(1, 3), **known)
        return world.seed()

    return make


def struck_in(world, seconds):
    """The effects of one fault-free run that a sweep strikes, and their places."""
    seen = []
    world.run(world.beat(lambda name, when: seen.append((name, when))), seconds)
    return struck(world.store, seen)


def crashes(make, seconds):
    """(effect, world) after a crash at each effect of a run of so many seconds, and a second beat that went on."""
    for k, effect in struck_in(make(), seconds):
        world, left = make(), [k]

        def strike(*_, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        with pytest.raises(Crash):
            world.run(world.beat(strike), seconds)
        world.run(world.beat(), seconds + 4)
        yield effect, world


def doubts(make, seconds):
    """(effect, world) after an answer that was lost at each effect, where the same beat went on."""
    for k, effect in struck_in(make(), seconds):
        world, left = make(), [k]

        def strike(name, when, left=left):
            left[0] -= 1
            if left[0] == -1 and name != "revoke":
                raise OutletDown("cut") if name in {"publish", "reach"} else StoreDown("cut")

        world.run(world.beat(strike), seconds + 4)
        yield effect, world


# ---- at most once ----


def test_what_may_go_out_once_only_never_goes_out_twice_whatever_crashes(make_timed):
    """I-AMO. What nobody can know is doubtful, and at no other effect than those between sending and mark."""
    doubtful = Counter()
    for effect, world in crashes(lambda: make_timed(delivery=ONCE), 4):
        ends = world.account()
        assert set(ends.values()) <= {"sent", "doubtful"}
        copies = Counter(f.task_id for f in world.outlet.sent)
        assert max(copies.values()) == 1
        sent = {(f.entry, f.due_us) for f in world.outlet.sent}
        assert {instant for instant, end in ends.items() if end == "sent"} <= sent
        doubtful[effect] += sum(end == "doubtful" for end in ends.values())
    assert {effect for effect, count in doubtful.items() if count} <= {
        ("settle", "after"),
        ("publish", "before"),
        ("publish", "after"),
        ("mark", "before"),
        ("decide", "before"),
        ("swap_lease", "before"),
    }
    assert doubtful["publish", "after"]


def test_what_may_go_out_once_only_never_goes_out_twice_whatever_answer_is_lost(make_timed):
    """I-AMO, with the same beat going on in doubt."""
    for _, world in doubts(lambda: make_timed(delivery=ONCE), 4):
        ends = world.account()
        assert set(ends.values()) <= {"sent", "doubtful"}
        assert max(Counter(f.task_id for f in world.outlet.sent).values()) == 1


def test_a_broker_that_is_away_makes_nothing_doubtful(world):
    world.wanted = entries(3, delivery=ONCE)
    beat = world.beat()
    world.run(beat, 3)
    world.outlet.up = False
    world.run(beat, 60)
    assert set(world.states().values()) == {FiringState.SENT, FiringState.DECIDED}
    world.outlet.up = True
    world.run(beat, 31)

    world.audit(copies=1)


def test_silence_after_a_publish_is_doubtful_a_return_has_failed_and_both_are_told(world, caplog):
    class Silent(MemoryOutlet):
        def publish(self, firings):
            good = [f for f in firings if f.entry == "e0"]
            super().publish(good)
            return Published(good, returned=[f for f in firings if f.entry == "e1"])

    world.wanted = entries(3, seconds=(10,), delivery=ONCE)
    world.outlet, ears = Silent(), Ears()
    beat = world.beat(listener=ears)

    world.run(beat, 10)
    world.run(beat, 5)
    beat.retire()

    assert sorted(world.account().values()) == ["doubtful", "failed", "sent"]
    assert sorted(kind for kind, *_ in ears.heard) == ["doubtful", "failed"]
    assert {r.action for r in caplog.records if r.levelno == logging.ERROR} == {"doubtful", "failed"}


def test_at_most_32_that_may_go_out_once_only_are_with_the_broker_at_once(world):
    world.wanted = entries(100, seconds=(10,), delivery=ONCE)
    sizes = []

    class Counting(MemoryOutlet):
        def publish(self, firings):
            sizes.append(len(firings))
            return super().publish(firings)

    world.outlet = Counting()
    world.run(world.beat(), 10)

    world.audit()
    assert max(sizes) == 32


# ---- overlap ----


def runs_overlap(world):
    """Pairs of runs of one entry of which the second was sent before the first was over."""
    found = []
    for name in {f.entry for f in world.outlet.sent}:
        times = sorted({world.outlet.sent_at[f.task_id] for f in world.outlet.sent if f.entry == name})
        found += [(name, a, b) for a, b in itertools.pairwise(times) if b < a + RUN_SECONDS * SECOND_US]
    return found


@pytest.mark.parametrize("hit", [crashes, doubts])
def test_a_run_is_skipped_while_the_one_before_it_goes_on(make_timed, hit):
    for effect, world in hit(lambda: make_timed(overlap=Overlap.SKIP), 5):
        ends = world.account()
        assert set(ends.values()) == {"sent", "overlap"}, effect
        assert runs_overlap(world) == [], effect


@pytest.mark.parametrize("hit", [crashes, doubts])
def test_a_run_is_held_until_the_one_before_it_is_over_and_only_the_newest(make_timed, hit):
    for effect, world in hit(lambda: make_timed(overlap=Overlap.QUEUE), 5):
        ends = world.account()
        assert set(ends.values()) <= {"sent", "superseded", "held"}, effect
        assert Counter(ends.values())["held"] <= 2, effect  # one for each entry
        assert runs_overlap(world) == [], effect


@pytest.mark.parametrize("hit", [crashes, doubts])
def test_the_run_before_is_revoked_before_its_successor_is_sent(make_timed, hit):
    for effect, world in hit(lambda: make_timed(overlap=Overlap.CANCEL), 5):
        ends = world.account()
        assert set(ends.values()) == {"sent"}, effect
        assert world.runs.revoked, effect  # TimedOutlet has seen each before its successor


def test_a_run_that_cannot_be_revoked_keeps_its_successor_back(world):
    world.wanted = entries(1, seconds=(1,), overlap=Overlap.CANCEL)
    beat = world.beat()
    world.run(beat, 1)
    world.runs.up = False
    world.run(beat, 20)
    assert len(world.outlet.sent) == 1
    world.runs.up = True
    world.run(beat, 31)

    world.audit(copies=1)
    assert len(set(world.runs.revoked)) == len(world.outlet.sent) - 1


def test_a_run_whose_end_is_never_seen_counts_as_over_after_its_timeout(world):
    world.wanted = entries(1, seconds=(1,), overlap=Overlap.SKIP, overlap_timeout_us=10 * SECOND_US)
    world.run(world.beat(), 25)

    assert [(f.due_us - START) // SECOND_US for f in world.outlet.sent] == [1, 11, 21]


def test_a_burst_of_one_batch_overlaps_in_itself(world):
    """Each fire time of a batch is in the way of the next one."""
    world.wanted = entries(1, seconds=(1,), overlap=Overlap.QUEUE)
    world.seed()
    world.clock.advance(5)
    beat = world.beat()

    world.run(beat, 0.1)

    ends = [end for _, end in sorted(world.account().items())]
    assert ends == ["sent", "superseded", "superseded", "superseded", "held"]
    world.runs.ended.update(f.task_id for f in world.outlet.sent)
    world.run(beat, 1)
    assert [(f.due_us - START) // SECOND_US for f in world.outlet.sent] == [1, 5]


def test_a_firing_that_never_leaves_is_in_nobodys_way(world):
    class Picky(MemoryOutlet):
        def publish(self, firings):
            bad = [f for f in firings if f.due_us == START + SECOND_US]
            super().publish([f for f in firings if f not in bad])
            return Published([f for f in firings if f not in bad], [(f, "too large") for f in bad])

    world.wanted = entries(1, seconds=(1,), overlap=Overlap.SKIP)
    world.outlet = Picky()

    world.run(world.beat(), 3)

    assert [end for _, end in sorted(world.account().items())] == ["failed", "sent", "overlap"]


def test_overlap_without_anybody_who_knows_runs_is_quarantined_with_what_to_do(world):
    world.wanted = [*entries(1, seconds=(1,), overlap=Overlap.SKIP), *entries(2, seconds=(1,))[1:]]
    ears = Ears()
    given = [world.wanted]
    beat = world.beat()
    holder = beat._elector
    assert isinstance(holder, Elector)
    beat = Beat(
        world.store,
        world.outlet,
        world.clock,
        holder,
        cluster="test",
        listener=ears,
        entries_source=lambda: given.pop() if given else None,
    )

    world.run(beat, 3)

    assert {f.entry for f in world.outlet.sent} == {"e1"}
    assert [(kind, name) for kind, name, _ in ears.heard] == [("quarantined", "e0")]
    assert "result backend" in ears.heard[0][2]


# ---- so many runs ----


def test_an_entry_runs_as_often_as_it_may_whatever_crashes(make_timed):
    for effect, world in crashes(lambda: make_timed(max_runs=3), 4):
        runs = Counter(key[1] for key in world.states())
        assert runs == {"e0": 3, "e1": 3}, effect
        assert len({f.task_id for f in world.outlet.sent}) == 6


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE])
def test_what_overlap_keeps_back_does_not_use_up_runs(make_timed, overlap):
    for effect, world in crashes(lambda: make_timed(max_runs=3, overlap=overlap), 4):
        world.run(world.beat(), 12)
        sent = Counter(key[1] for key, state in world.states().items() if state is FiringState.SENT)
        assert sent == {"e0": 3, "e1": 3}, effect


# ---- what waits ----


def test_a_firing_with_jitter_leaves_at_its_own_time_and_not_before(world):
    world.wanted = entries(20, seconds=(10,), jitter_us=8 * SECOND_US)
    world.outlet = TimedOutlet(world)
    beat = world.beat()

    world.run(beat, 19.999)

    assert len(world.outlet.sent) == 20
    for f in world.outlet.sent:
        assert 0 <= world.outlet.sent_at[f.task_id] - f.due_us - f.hold_us < 1000
        assert f.hold_us < 8 * SECOND_US
    assert len({f.hold_us for f in world.outlet.sent}) > 10


def test_a_firing_that_waits_for_its_time_survives_a_crash_and_leaves_at_the_same_time(world):
    world.wanted = entries(20, seconds=(10,), jitter_us=8 * SECOND_US)
    world.outlet = TimedOutlet(world)
    world.run(world.beat(), 14)  # and this beat is never heard of again
    before = len(world.outlet.sent)
    assert 0 < before < 20
    world.run(world.beat(), 6)

    assert len({f.task_id for f in world.outlet.sent}) >= 20
    for f in world.outlet.sent[before:]:
        assert 0 <= world.outlet.sent_at[f.task_id] - f.due_us - f.hold_us < 1000


def test_late_ones_leave_at_the_rate_of_their_entry_and_hold_up_nobody(world):
    world.wanted = [*entries(1, seconds=(1,), catch_up_rate=2.0), *entries(2, seconds=(1,))[1:]]
    world.outlet = TimedOutlet(world)
    beat = world.beat()
    world.run(beat, 1)
    world.outlet.up = False
    world.run(beat, 100)
    world.outlet.up = True
    begun = len(world.outlet.sent)
    world.run(beat, 31)
    back_us = world.outlet.sent_at[world.outlet.sent[begun].task_id]

    late = [
        f for f in world.outlet.sent[begun:] if world.outlet.sent_at[f.task_id] - f.due_us > 61 * SECOND_US
    ]
    times = [world.outlet.sent_at[f.task_id] for f in late if f.entry == "e0"]
    assert len(times) > 10
    assert min(b - a for a, b in itertools.pairwise(times)) >= SECOND_US // 2
    assert max(world.outlet.sent_at[f.task_id] for f in late if f.entry == "e1") == back_us
    assert [f.due_us for f in late if f.entry == "e0"] == sorted(f.due_us for f in late if f.entry == "e0")


def test_what_expires_while_the_broker_is_down_is_skipped_and_says_so(world):
    world.wanted = [replace(e, what={**e.what, "options": {"expires": 10}}) for e in entries(2, seconds=(1,))]
    ears = Ears()
    beat = world.beat(listener=ears)
    world.run(beat, 2)
    world.outlet.up = False
    world.run(beat, 60)
    world.outlet.up = True
    world.run(beat, 31)

    ends = Counter(world.account().values())
    assert set(ends) == {"sent", "expired"}
    assert ends["expired"] == len([kind for kind, *_ in ears.heard if kind == "skipped"]) > 50
    assert not [f for f in world.outlet.sent if ("skipped", f) in ears.heard]


def test_of_more_firings_than_an_entry_may_have_waiting_the_oldest_are_given_up(world):
    """I-NOLOSS with B10: what is given up has a row that says so, and what is left leaves oldest first."""
    world.wanted = entries(2, seconds=(1,), catch_up_limit=20)
    beat = world.beat()
    world.run(beat, 2)
    world.outlet.up = False
    world.run(beat, 100)
    before = len(world.outlet.sent)
    world.outlet.up = True
    world.run(beat, 31)

    ends = world.account()
    assert set(ends.values()) == {"sent", "backlog"}
    late = [f.due_us for f in world.outlet.sent[before:]]
    assert late == sorted(late)
    given_up = [due for (name, due), end in ends.items() if end == "backlog" and name == "e0"]
    kept = [f.due_us for f in world.outlet.sent[before:] if f.entry == "e0"]
    assert max(given_up) < min(kept)


def test_the_limit_of_waiting_firings_holds_also_for_those_that_memory_does_not_hold():
    world = World(MemoryStore("test"))
    world.wanted = entries(250, seconds=(1,), catch_up_limit=50)
    beat = world.beat()
    world.run(beat, 1)
    world.outlet.up = False
    world.run(beat, 90)
    assert len(beat._relay) <= 20_500
    world.outlet.up = True
    before = len(world.outlet.sent)
    world.run(beat, 31)

    assert set(world.account().values()) == {"sent", "backlog"}
    back_us = world.clock.now_us() - 31 * SECOND_US
    old = Counter(f.entry for f in world.outlet.sent[before:] if f.due_us <= back_us)
    assert max(old.values()) <= 51


# ---- what fails, and is told ----


def test_what_can_never_be_sent_fails_visibly_and_holds_up_nobody(world, caplog):
    class Picky(MemoryOutlet):
        def publish(self, firings):
            bad = [f for f in firings if f.entry == "e0"]
            super().publish([f for f in firings if f not in bad])
            return Published(
                [f for f in firings if f not in bad], [(f, "EncodeError: too large") for f in bad]
            )

    world.outlet, ears = Picky(), Ears()
    beat = world.beat(listener=ears)
    world.run(beat, 6)
    beat.retire()

    ends = world.account()
    assert {name for (name, _), end in ends.items() if end == "failed"} == {"e0"}
    assert {end for (name, _), end in ends.items() if name != "e0"} == {"sent"}
    assert ears.heard == [("failed", "e0", "EncodeError: too large")] * 6
    assert world.store.load_open(beat_fence(world), 10).firings == ()
    assert "too large" in caplog.text


def beat_fence(world):
    """The fence of a new leader."""
    beat = world.beat()
    beat.step()
    return beat._elector.hold().fence


def test_a_late_firing_is_told_each_time_and_warned_about_once_a_minute(world, caplog):
    world.wanted = entries(1, seconds=(1,), late_after_us=5 * SECOND_US)
    ears = Ears()
    beat = world.beat(listener=ears)
    world.run(beat, 2)
    world.outlet.up = False
    world.run(beat, 20)
    world.outlet.up = True
    world.run(beat, 31)

    late = [seconds for kind, _, seconds in ears.heard if kind == "late"]
    assert len(late) > 10
    assert min(late) >= 5
    warnings = [r for r in caplog.records if getattr(r, "action", "") == "late"]
    assert len(warnings) == 1


def test_an_entry_whose_row_is_bad_is_quarantined_and_the_others_go_on(world):
    world.seed()
    if isinstance(world.store, MemoryStore):
        world.store._entries["e1"] = replace(world.store._entries["e1"], spec="{")
    else:
        with world.store._engine.begin() as conn:
            conn.exec_driver_sql("UPDATE bb_revision SET spec = '{' WHERE entry = 'e1'")
    ears = Ears()

    world.run(world.beat(listener=ears, source=lambda: None), 4)

    assert {f.entry for f in world.outlet.sent} == {"e0", "e2"}
    assert [(kind, name) for kind, name, _ in ears.heard] == [("quarantined", "e1")]


def test_a_fire_time_that_an_operator_wants_skipped_is_skipped(world):
    world.wanted = entries(1, seconds=(1,), skip_us=(START + 2 * SECOND_US, START + 3 * SECOND_US))
    world.run(world.beat(), 5)

    assert [end for _, end in sorted(world.account().items())] == [
        "sent",
        "operator",
        "operator",
        "sent",
        "sent",
    ]


def test_a_take_over_after_an_hour_sends_by_policy_and_accounts_for_every_instant(world):
    world.wanted = [
        Entry(
            name=f"e{k}",
            when=Interval(every=timedelta(seconds=10)),
            what={"task": f"app.t{k}", "args": [k]},
            catch_up=policy,
            catch_up_limit=100,
        )
        for k, policy in enumerate(CatchUp)
    ]
    world.run(world.beat(), 20)
    world.clock.advance(3600)
    world.run(world.beat(), 20)

    ends = world.account()
    by_entry = {f"e{k}": Counter(end for (name, _), end in ends.items() if name == f"e{k}") for k in range(3)}
    assert set(by_entry["e0"]) == {"sent", "catch_up_none"}
    assert set(by_entry["e1"]) == {"sent", "superseded"}
    assert set(by_entry["e2"]) == {"sent", "limit"}


class FullQueue(MemoryOutlet):
    """A broker that returns all but the firings of one entry."""

    def publish(self, firings):
        taken = [firing for firing in firings if firing.entry == "healthy"]
        super().publish(taken)
        return Published(taken, (), [firing for firing in firings if firing.entry != "healthy"])


def healthy():
    return replace(entries(1, seconds=(1,))[0], name="healthy")


def test_a_queue_that_takes_nothing_holds_up_nobody_else_and_its_entries_give_up_what_is_too_much(
    world, monkeypatch
):
    monkeypatch.setattr("backbeat.scheduler.relay.HELD_IN_MEMORY", 100)
    world.wanted = [*entries(5, seconds=(1,), catch_up_limit=30), healthy()]
    world.outlet, ears = FullQueue(), Ears()

    world.run(world.beat(listener=ears), 90)

    assert sum(firing.entry == "healthy" for firing in world.outlet.sent) >= 90
    given_up = Counter(heard[1] for heard in ears.heard if heard[0] == "skipped" and heard[2] == "backlog")
    assert min(given_up[f"e{n}"] for n in range(5)) >= 50


def test_late_ones_that_wait_for_their_turn_hold_up_nobody_else(world, monkeypatch):
    monkeypatch.setattr("backbeat.scheduler.relay.HELD_IN_MEMORY", 100)
    world.wanted = [
        *entries(3, seconds=(1,), catch_up=CatchUp.ALL, catch_up_rate=0.2, catch_up_limit=1_000),
        replace(healthy(), catch_up=CatchUp.NONE),
    ]
    beat = world.beat()
    world.run(beat, 1)
    beat.retire()
    world.clock.advance(1_000)

    world.run(world.beat(), 60)

    recent = [f for f in world.outlet.sent if f.entry == "healthy" and f.due_us > START + 1_002 * SECOND_US]
    assert len(recent) >= 58
