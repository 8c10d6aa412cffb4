"""The elector beside a crash hint: how soon a leader is followed, and that a wrong hint does no harm."""

from __future__ import annotations

import pytest
from backbeat.canvas.holder import Holder, Sighting
from backbeat.scheduler.clock import FakeClock
from backbeat.scheduler.leader import HINT_SECONDS, Elector
from backbeat.scheduler.lease_info import LeaseInfo
from backbeat.scheduler.store.base import FENCED, StoreDown
from backbeat.scheduler.store.hint import MemoryHint, NoHint
from backbeat.scheduler.store.memory import MemoryStore

TTL = 10.0


class Strangers:
    """Processes of other hosts: nothing is known of them."""

    def look(self, holder):
        return Sighting.UNKNOWN

    def end(self, holder):
        raise AssertionError("nobody is to be ended")


class Sessions:
    """Notes which sessions were ended."""

    def __init__(self, mine=""):
        self._mine = mine
        self.ended = []

    def mine(self):
        return self._mine

    def end(self, sessions):
        self.ended.append(sessions)


class Row:
    """A lease row that counts its readers, and may lose answers."""

    def __init__(self, store):
        self.store, self.reads, self.lose, self.dead = store, 0, False, 0

    def read_lease(self):
        self.reads += 1
        if self.dead:
            self.dead -= 1
            raise StoreDown("a connection that had died")
        return self.store.read_lease()

    def swap_lease(self, seen, put):
        done = self.store.swap_lease(seen, put)
        if self.lose:
            raise StoreDown("the answer was lost")
        return done


class Field:
    def __init__(self):
        self.clock, self.store, self.locks = FakeClock(), MemoryStore(), {}
        self.row = Row(self.store)
        self.hints = {}

    def elector(self, name, *, hint=None, **known):
        self.hints[name] = hint or MemoryHint(self.locks)
        holder = Holder(host="h", host_id="boot/1", pid=7, started=1, nonce=name)
        return Elector(
            self.row, self.clock, holder, Strangers(), ttl_seconds=TTL, hint=self.hints[name], **known
        )

    def wait_for_a_term(self, elector):
        """Call `hold` whenever it wants to be called; the term, and the seconds it took."""
        begun = self.clock.boottime()
        while (term := elector.hold()) is None:
            assert self.clock.boottime() < begun + 60
            self.clock.advance(max(0.001, elector.next_look()))
        return term, self.clock.boottime() - begun


@pytest.fixture
def field():
    return Field()


def test_a_leader_that_crashed_is_followed_when_its_hint_is_free(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    assert b.hold() is None

    field.hints["a"].end()
    term, seconds = field.wait_for_a_term(b)

    assert term.epoch == 2
    assert seconds <= HINT_SECONDS


def test_a_connection_that_had_died_unnoticed_delays_a_standby_by_one_look_at_the_hint(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    assert b.hold() is None

    field.hints["a"].end()
    field.row.dead = 1
    term, seconds = field.wait_for_a_term(b)

    assert term.epoch == 2
    assert seconds <= 2 * HINT_SECONDS + 0.01


def test_a_standby_asks_a_store_that_is_down_no_more_than_once_a_second(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    assert b.hold() is None
    field.row.dead, reads, begun = 1000, field.row.reads, field.clock.boottime()

    while field.clock.boottime() < begun + 10:
        assert b.hold() is None
        field.clock.advance(max(0.001, b.next_look()))

    assert field.row.reads - reads <= 12


def test_a_leader_that_stops_in_order_is_followed_at_the_next_look_at_its_hint(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()
    field.clock.advance(0.05)

    a.release()
    term, seconds = field.wait_for_a_term(b)

    assert term.epoch == 2
    assert seconds <= HINT_SECONDS
    assert list(field.locks) == ["2-b"]


def test_a_leader_that_holds_its_hint_is_waited_for(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()

    for _ in range(round((TTL - 1) / 0.1)):
        field.clock.advance(0.1)
        assert b.hold() is None

    assert field.wait_for_a_term(b)[1] <= 2.1


def test_looking_at_a_hint_does_not_read_the_row(field):
    a, b = field.elector("a"), field.elector("b")
    a.hold()
    b.hold()
    reads = field.row.reads

    for _ in range(100):
        field.clock.advance(0.1)
        a.hold()
        b.hold()

    assert field.row.reads - reads <= 11


def test_a_leader_without_a_hint_says_so_and_is_judged_by_its_ttl(field):
    a, b = field.elector("a", hint=NoHint()), field.elector("b")
    a.hold()
    b.hold()

    _, seconds = field.wait_for_a_term(b)

    assert seconds >= TTL


def test_a_wrong_hint_moves_the_lead_and_the_old_leader_decides_nothing(field):
    a, b = field.elector("a"), field.elector("b")
    old = a.hold()
    b.hold()
    field.locks.clear()

    term, _ = field.wait_for_a_term(b)

    assert term.epoch == 2
    assert field.store.load_open(old.fence, 1) is FENCED
    field.clock.advance(TTL / 5)
    assert a.hold() is None
    assert field.store.read_lease().epoch == 2


def test_a_hint_that_was_lost_is_held_again_at_the_next_renewal(field):
    a = field.elector("a")
    a.hold()
    field.locks.clear()

    field.clock.advance(TTL / 5)
    a.hold()

    assert list(field.locks) == ["1-a"]
    assert LeaseInfo.parse(field.store.read_lease().info).hint


def test_a_hint_that_cannot_be_held_at_once_is_tried_again_before_the_next_renewal(field):
    a = field.elector("a")
    a.hold()
    field.locks["1-a"] = "the session that was cut, as long as the server has not noticed"
    field.clock.advance(TTL / 5)
    a.hold()
    assert not LeaseInfo.parse(field.store.read_lease().info).hint

    field.locks.clear()
    assert a.next_look() == pytest.approx(HINT_SECONDS)
    field.clock.advance(HINT_SECONDS)
    a.hold()

    assert LeaseInfo.parse(field.store.read_lease().info).hint
    assert a.next_look() == pytest.approx(TTL / 5)


def test_a_hint_that_stays_away_costs_no_more_renewals(field):
    a = field.elector("a")
    a.hold()
    field.locks["1-a"] = "somebody else"
    renewals = field.store.read_lease().renewal

    for _ in range(100):
        field.clock.advance(0.1)
        a.hold()

    assert field.store.read_lease().renewal - renewals <= 7


def test_who_loses_the_swap_holds_no_hint(field):
    class Late(MemoryHint):
        def hold(self, key):
            field.elector("a").hold()  # another candidate comes between the look and the swap
            return super().hold(key)

    b = field.elector("b", hint=Late(field.locks))

    assert b.hold() is None

    assert list(field.locks) == ["1-a"]


def test_who_loses_the_swap_looks_at_the_winners_hint_from_then_on(field):
    class Late(MemoryHint):
        def hold(self, key):
            if not field.locks:
                a.hold()
            return super().hold(key)

    a = field.elector("a")
    b = field.elector("b", hint=Late(field.locks))
    assert b.hold() is None

    field.hints["a"].end()

    assert field.wait_for_a_term(b)[1] <= HINT_SECONDS


def test_the_sessions_of_a_leader_that_shows_no_life_are_ended_and_no_others(field):
    sessions = Sessions()
    a = field.elector("a", sessions=Sessions("4,5@99"))
    b = field.elector("b", sessions=sessions)
    a.hold()
    b.hold()
    field.clock.advance(TTL - 0.1)
    assert b.hold() is None
    assert sessions.ended == []

    field.clock.advance(1)

    assert b.hold().epoch == 2
    assert sessions.ended == ["4,5@99"]


def test_an_elector_that_is_not_fit_takes_nothing_and_leaves_what_it_has(field):
    fit = True
    a = field.elector("a", fit=lambda: fit)
    term = a.hold()

    fit = False
    assert a.hold() is None

    assert not a.holds(term)
    assert field.store.read_lease().holder == ""
    field.clock.advance(2)
    assert a.hold() is None
    fit = True
    field.clock.advance(2)
    assert a.hold().epoch == 2


def test_two_beats_under_the_same_name_never_both_lead(field):
    first, second = field.elector("same"), field.elector("same")
    led = []

    for _ in range(600):
        field.clock.advance(0.1)
        terms = [(elector, term) for elector in (first, second) if (term := elector.hold()) is not None]
        led.append([term.epoch for elector, term in terms if elector.holds(term)])

    assert max(map(len, led)) == 1
    assert field.store.read_lease().epoch == 1


@pytest.mark.parametrize("lost_by", ["first", "second"])
def test_two_beats_under_the_same_name_and_lost_answers_never_share_an_epoch_for_long(field, lost_by):
    electors = {"first": field.elector("same"), "second": field.elector("same")}
    field.row.lose = True
    assert electors[lost_by].hold() is None
    field.row.lose = False
    field.clock.advance(1)

    other = next(name for name in electors if name != lost_by)
    assert electors[other].hold() is None
    assert electors[lost_by].hold().epoch == 1


@pytest.mark.parametrize("text", ["", "null", "[1]", "{", '{"hint": "yes"}'])
def test_an_info_of_another_shape_says_nothing(text):
    assert not LeaseInfo.parse(text).hint
    assert LeaseInfo.parse(text).version == ""


def test_an_info_comes_back_as_it_was_written():
    info = LeaseInfo(mark="m", hint=True, session="1@2", version="0.1")

    assert LeaseInfo.parse(str(info)) == info
