"""The elector: who leads, for how long, and what ends it; with a clock that only moves when told."""

from __future__ import annotations

import pytest
from backbeat.canvas.holder import Holder, LocalProcesses, Sighting
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.leader import Elector
from backbeat.scheduler.store.base import FENCED, Lease, StoreDown
from backbeat.scheduler.store.memory import MemoryStore
from msgspec.structs import replace

TTL = 10.0


class FakeProcesses:
    """Processes of one host, as the test says."""

    def __init__(self):
        self.seen = {}
        self.ended = []

    def look(self, holder):
        return self.seen.get(holder.nonce, Sighting.UNKNOWN)

    def end(self, holder):
        if self.look(holder) is not Sighting.ALIVE:
            return False
        self.ended.append(holder.nonce)
        return True


class FlakyRow:
    """A lease row whose answers can get lost: before the request arrives, or after it was done."""

    def __init__(self, store):
        self.store = store
        self.lose = ""

    def read_lease(self):
        if self.lose:
            raise StoreDown("cut")
        return self.store.read_lease()

    def swap_lease(self, seen, put):
        if self.lose == "before":
            raise StoreDown("cut")
        done = self.store.swap_lease(seen, put)
        if self.lose == "after":
            raise StoreDown("cut")
        return done


class Field:
    """One lease row, one clock, and candidates by name."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.row = FlakyRow(self.store)
        self.processes = FakeProcesses()

    def elector(self, name, row=None, **known):
        holder = Holder(host="h", host_id="boot/1", pid=abs(hash(name)) % 10_000, started=1, nonce=name)
        return Elector(row or self.store, self.clock, holder, self.processes, ttl_seconds=TTL, **known)

    def run(self, *electors, seconds, step=0.5):
        """Let time pass; the terms at the end."""
        terms = [None for _ in electors]
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            terms = [elector.hold() for elector in electors]
        return terms


@pytest.fixture
def field():
    return Field()


def test_a_free_lease_is_taken_at_once_and_only_once(field):
    a, b = field.elector("a"), field.elector("b")

    term = a.hold()

    assert term is not None
    assert term.epoch == 1
    assert b.hold() is None
    assert field.store.load_open(term.fence, 1) is not FENCED


def test_a_leader_that_renews_keeps_its_epoch(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()

    term, none = field.run(a, b, seconds=120)

    assert (term.epoch, none) == (1, None)
    assert field.store.read_lease().renewal >= 120 / (TTL / 5) * 0.8


@pytest.mark.parametrize(("seconds", "renewals"), [(1.4, 0), (1.6, 1)])
def test_in_a_quiet_moment_a_leader_renews_what_is_to_be_renewed_soon(field, seconds, renewals):
    a = field.elector("a")
    a.hold()
    before = field.store.read_lease().renewal
    field.clock.advance(seconds)

    a.renew_early()
    a.renew_early()

    assert field.store.read_lease().renewal == before + renewals
    field.clock.advance(seconds)
    a.hold()
    assert field.store.read_lease().renewal == before + 1


def test_who_does_not_lead_renews_nothing_in_a_quiet_moment(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()
    before = field.store.read_lease()
    field.clock.advance(5.0)

    b.renew_early()

    assert field.store.read_lease() == before


def test_a_silent_leader_is_followed_after_its_ttl_and_not_before(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()

    assert field.run(b, seconds=TTL - 1) == [None]
    (term,) = field.run(b, seconds=2.5)

    assert term.epoch == 2


def test_a_leader_that_was_paused_steps_down_and_its_fence_is_refused(field):
    a, b = field.elector("a"), field.elector("b")
    old = a.hold()
    field.run(b, seconds=30)

    assert not a.holds(old)
    assert a.hold() is None
    assert field.store.load_open(old.fence, 1) is FENCED
    assert field.run(a, b, seconds=30)[0] is None


def test_a_leader_that_was_paused_alone_goes_on_at_the_same_epoch(field):
    a = field.elector("a")
    old = a.hold()
    field.clock.advance(3600)

    assert not a.holds(old)
    term = a.hold()

    assert term.epoch == 1
    assert a.holds(term)


def test_the_deadline_counts_from_before_the_request(field):
    class SlowRow(FlakyRow):
        def swap_lease(self, seen, put):
            field.clock.advance(5.0)
            return super().swap_lease(seen, put)

    begun = field.clock.boottime()
    term = field.elector("a", SlowRow(field.store)).hold()

    assert term.deadline == pytest.approx(begun + TTL * 2 / 3)


def test_no_answer_means_no_term_until_the_row_has_been_seen(field):
    a = field.elector("a", field.row)
    a.hold()
    field.row.lose = "before"

    field.clock.advance(TTL / 5)
    assert a.hold() is None
    assert a.hold() is None
    field.row.lose = ""

    assert a.hold().epoch == 1


@pytest.mark.parametrize("renewals_before", [0, 3])
def test_a_swap_whose_answer_was_lost_is_recognised(field, renewals_before):
    a = field.elector("a", field.row)
    for _ in range(renewals_before):
        a.hold()
        field.clock.advance(TTL / 5)
    field.row.lose = "after"
    assert a.hold() is None
    field.row.lose = ""
    field.clock.advance(1.0)

    term = a.hold()

    assert term.epoch == field.store.read_lease().epoch == 1


def test_a_cut_off_leader_stops_before_a_standby_may_start(field):
    a, b = field.elector("a", field.row), field.elector("b")
    term = a.hold()
    b.hold()
    field.row.lose = "before"

    while (taken := b.hold()) is None:
        assert field.clock.boottime() < term.deadline + TTL
        field.clock.advance(0.25)

    assert not a.holds(term)
    assert taken.epoch == 2


def test_a_released_lease_is_taken_at_the_next_look(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()

    a.release()
    (term,) = field.run(b, seconds=1.0)

    assert term.epoch == 2
    a.release()
    assert field.store.read_lease().holder != ""


def test_a_candidate_that_was_paused_between_question_and_answer_does_not_take_a_live_row_for_old(field):
    class PausedRow(FlakyRow):
        pause = 3 * TTL

        def read_lease(self):
            field.clock.advance(self.pause)
            a.hold()
            self.pause = 0.0
            return super().read_lease()

    a, b = field.elector("a"), field.elector("b", PausedRow(field.store))
    a.hold()

    assert b.hold() is None
    field.clock.advance(1.0)
    assert b.hold() is None

    assert field.store.read_lease().epoch == 1


def test_wall_clock_steps_change_nothing(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    for seconds in (3600, -86_400, 10 * 365 * 86_400):
        field.clock.step_wall(seconds)
        assert field.run(a, b, seconds=30)[1] is None

    assert field.store.read_lease().epoch == 1


def test_a_holder_of_this_host_that_is_gone_is_followed_at_once(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    assert b.hold() is None
    field.processes.seen["a"] = Sighting.GONE

    (term,) = field.run(b, seconds=1.0)

    assert term.epoch == 2


@pytest.mark.parametrize(("end_frozen", "ended"), [(True, ["a"]), (False, [])])
def test_a_frozen_holder_of_this_host_is_ended_on_sqlite_only(field, end_frozen, ended):
    a, b = field.elector("a"), field.elector("b", end_frozen=end_frozen)
    a.hold()
    field.processes.seen["a"] = Sighting.ALIVE

    assert field.run(b, seconds=TTL) == [None]
    assert field.processes.ended == []
    (term,) = field.run(b, seconds=1.5)

    assert (term.epoch, field.processes.ended) == (2, ended)


def test_a_term_that_was_renewed_meanwhile_may_be_acted_upon(field):
    """A round over a slow store takes longer than what is left of the term that it began with."""
    a = field.elector("a")
    term = a.hold()
    field.clock.advance(5.0)
    a.renew_early()
    field.clock.advance(3.0)

    assert field.clock.boottime() > term.deadline
    assert a.holds(term)
    a.doubt()
    assert not a.holds(term)


def test_a_restarted_beat_is_another_holder(field):
    a = field.elector("a")
    a.hold()
    again = field.elector("a2")

    assert again.hold() is None


def test_a_row_of_an_unknown_shape_is_waited_for(field):
    field.store.swap_lease(field.store.read_lease(), Lease("something else", 7, 1, 10_000))
    b = field.elector("b")
    b.hold()

    assert field.run(b, seconds=TTL - 1) == [None]
    assert field.run(b, seconds=2)[0].epoch == 8


def test_a_ttl_of_nothing_is_refused(field):
    with pytest.raises(ValueError, match="lease ttl"):
        Elector(field.store, field.clock, LocalProcesses().myself(), field.processes, ttl_seconds=0)


def test_a_holder_is_read_back_from_its_text():
    holder = Holder(host="h", host_id="", pid=3, started=4, nonce="n")

    assert Holder.parse(str(holder)) == holder
    assert Holder.parse("") is None


def test_this_process_is_seen_alive_and_others_as_they_are():
    processes = LocalProcesses()
    me = processes.myself()
    if not me.host_id:
        pytest.skip("this system has no /proc")

    assert processes.look(me) is Sighting.ALIVE
    assert processes.look(replace(me, started=me.started - 1)) is Sighting.GONE
    assert processes.look(replace(me, pid=2**22 + 1)) is Sighting.GONE
    assert processes.look(replace(me, host_id="elsewhere/1")) is Sighting.UNKNOWN
    assert processes.look(replace(me, host_id="")) is Sighting.UNKNOWN
    processes.end(me)  # never itself
    assert processes.myself() != me
