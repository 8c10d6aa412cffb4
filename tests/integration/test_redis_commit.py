"""What only RedisCommit has: decisions in Lua, leases of dead processes, and races."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from backbeat.canvas.commit.dead_letter import DeadLetter
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.redis import RedisCommit
from backbeat.canvas.commit.role import Role
from backbeat.canvas.commit.run import begin_early, judge, revoke, settle
from backbeat.canvas.commit.taken import Taken
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.commit.verdict import Later, Poison, Run, Settled, Standing
from backbeat.canvas.continuation import JoinRecord
from backbeat.canvas.delivery import Delivery
from backbeat.canvas.effect import AddPart, OpenJoin, Settle
from backbeat.canvas.envelope import pack
from backbeat.canvas.incarnation import incarnation, is_gone
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import CONTROL_QUEUE, us_of_iso
from backbeat.canvas.outcome import Error, Failure, Retry, Success
from backbeat.canvas.results.redis import RedisResults
from backbeat.canvas.signing import Key, Keyring
from backbeat.canvas.wire import to_wire
from msgspec.structs import replace

from support.gone import gone_incarnation
from support.redis_orders import QUEUE, message, now_us, publish

ALIVE, DEAD = Limits(lease_seconds=1_000.0), Limits(lease_seconds=0.0)


def random_step(rng, now):
    eta = rng.choice([None, None, None, now - 10_000_000, now + 3_600_000_000])
    known = {"generation": rng.choice([0, 0, 0, 1]), "attempt": rng.randrange(3), "eta_us": eta}
    outcomes = [Success(value=Json("1")), Success(value=Json("2")), Retry(eta_us=5)]
    return message(f"id{rng.randrange(3)}", root_id="root", **known), rng.choice(outcomes)


def test_lua_decides_as_python_does(ours):
    """Random claims and outcomes over few ids; a claim is alive or dead by the lease of who took it, and by its process."""
    over = gone_incarnation()
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    for number in range(60):
        rng, model, revoked = random.Random(f"{seed}/{number}"), {}, set()
        opened = {
            (w, limits): ours(w, role=Role.STORE, limits=limits)
            for w in ("v", incarnation("w"), over)
            for limits in (ALIVE, DEAD)
        }
        for step in range(25):
            worker, limits = rng.choice(list(opened))
            commit, (each, outcome) = opened[worker, limits], random_step(rng, now_us())
            each = replace(each, id=f"{number}-{each.id}")
            if rng.random() < 0.02:
                revoked.add(each.id)
                commit.revoke([each.id])
                model[each.id] = revoke(model.get(each.id), now_us()) or model.get(each.id)
            if rng.random() < 0.1:
                commit.exchange([Transition(early=each)])
                begun = begin_early(model.get(each.id), each, worker)
                model[each.id] = begun or model.get(each.id)
            if rng.random() < 0.7:
                taken = Taken(Delivery("1", QUEUE, None, ""), each, Run())
                got = commit.exchange([], claim=[taken]).claimed[0].verdict
                want, record = judge(
                    model.get(each.id),
                    each,
                    worker=worker,
                    now_us=now_us(),
                    limits=limits,
                    revoked=each.id in revoked,
                    is_gone=is_gone,
                )
                if isinstance(got, Later) and isinstance(want, Later):
                    assert got.holder == want.holder
                    assert abs(got.until_us - want.until_us) < 5_000_000
                    got = want
            else:
                (got,) = commit.exchange([Transition(message=each, outcome=outcome)]).standing
                want, record = settle(model.get(each.id), each, outcome)
            assert got == want, (number, step, each, outcome)
            if record is not None:
                model[each.id] = record
        for commit in opened.values():
            commit.close()


@pytest.mark.parametrize(
    "eta",
    [
        "2031-02-28T23:59:59.123456+00:00",
        "2031-02-28T23:59:59+05:30",
        "2032-02-29T00:00:00.5-08:00",
        "2100-03-01T12:00:00Z",
        "2031-12-31 23:59:59",
        "20310101T000000Z",  # only Python reads this one: it is claimed with a second call
        "2031-01-01T00:00",
    ],
)
def test_lua_reads_an_eta_as_python_does(ours, client, redis_prefix, eta):
    envelope = json.loads(pack(to_wire(message()), QUEUE))
    envelope["headers"]["eta"] = eta
    client.lpush(redis_prefix + QUEUE, json.dumps(envelope))

    (taken,) = ours().exchange([], take=1).taken

    assert taken.verdict == Later(us_of_iso(eta))


def test_lua_reads_random_times_as_python_does(ours, client, redis_prefix):
    rng, wanted = random.Random(7), []
    for _ in range(300):
        zone = timezone(timedelta(minutes=rng.randrange(-14 * 60, 14 * 60)))
        moment = datetime.fromtimestamp(rng.randrange(2_000_000_000, 9_000_000_000), UTC)
        text = moment.replace(microsecond=rng.choice([0, 7, 999_999])).astimezone(zone).isoformat()
        envelope = json.loads(pack(to_wire(message(f"t{len(wanted)}")), QUEUE))
        envelope["headers"]["eta"] = text
        client.lpush(redis_prefix + QUEUE, json.dumps(envelope))
        wanted.append(Later(us_of_iso(text)))

    assert [taken.verdict for taken in ours().exchange([], take=300).taken] == wanted


def test_an_id_made_of_half_a_character_stops_nothing(ours):
    worker = ours()
    publish(worker, message("\ud800"), message("b"))

    odd, plain = worker.exchange([], take=9).taken
    assert (odd.message, plain.verdict) == (None, Run())
    failure = Failure(error=Error(type="Reject", text=odd.reason))
    dead = DeadLetter(odd.reason, odd.delivery.raw, "\ud800")
    settled = Settle("\ud800", failure)
    worker.exchange([Transition(effects=(settled,), delivery=odd.delivery, dead=dead)])

    worker.release([plain])
    assert worker.exchange([], take=9).taken[0].message == plain.message


@pytest.mark.parametrize("id_", ["a\0b", "\ud800", "a\nb", "a\u2028b"])
def test_an_id_that_is_none_leaves_no_claim(ours, client, redis_prefix, id_):
    envelope = json.loads(pack(to_wire(message()), QUEUE))
    envelope["headers"]["id"] = id_
    client.lpush(redis_prefix + QUEUE, json.dumps(envelope))

    (taken,) = ours().exchange([], take=1).taken

    assert taken.message is None
    assert client.keys(f"{redis_prefix}backbeat:run:*") == []


def test_an_id_of_other_letters_is_claimed_as_any(ours, client, redis_prefix):
    envelope = json.loads(pack(to_wire(message("Übung")), QUEUE))
    client.lpush(redis_prefix + QUEUE, json.dumps(envelope))

    assert [taken.verdict for taken in ours().exchange([], take=1).taken] == [Run()]
    assert client.exists(f"{redis_prefix}backbeat:run:Übung")


def test_the_last_two_parts_of_a_join_dispatch_it_once(redis_prefixed):
    url, prefix = redis_prefixed
    races = 1_000
    workers = [RedisCommit(url, worker=f"w{i}", queues=["backbeat"], prefix=prefix) for i in range(2)]
    joins = [JoinRecord(join_id=f"j{n}", then=None, root_id="r") for n in range(races)]
    workers[0].exchange([Transition(effects=tuple(OpenJoin(join, 2) for join in joins))])
    barrier = threading.Barrier(2)

    def bring(index):
        for join in joins:
            part = AddPart(join.join_id, index, f"m{index}", Success(value=Json(str(index))))
            barrier.wait()
            workers[index].exchange([Transition(effects=(part,))])

    threads = [threading.Thread(target=bring, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sent = [json.loads(t.message.args)[0] for t in workers[0].exchange([], take=races * 2).taken]
    assert sorted(sent) == sorted(join.join_id for join in joins)
    assert all(state.complete for state in workers[1].load(joins=["j0", f"j{races - 1}"]).joins.values())
    for worker in workers:
        worker.close()


def test_k19_a_join_of_many_parts_is_gathered_in_slices(ours):
    worker, size = ours(), 12_000
    join = JoinRecord(join_id="big", then=None, root_id="r")
    parts = [AddPart("big", i, f"m{i}", Success(value=Json(str(i)))) for i in range(size)]
    worker.exchange([Transition(effects=(OpenJoin(join, size), *parts))])

    state = worker.load(joins=["big"]).joins["big"]

    assert state.complete
    assert sorted(part.index for part in state.parts) == list(range(size))


def test_what_a_dead_process_held_comes_back_at_once_and_its_claim_counts(ours):
    gone = gone_incarnation()
    publish(ours(), message("a"), message("b"))
    dead, alive = ours(gone), ours(incarnation("alive"))
    assert len(dead.exchange([], take=1).taken) == 1
    assert len(alive.exchange([], take=1).taken) == 1

    ours().sweep()

    (again,) = ours("next").exchange([], take=9).taken
    assert (again.message.id, again.verdict) == ("a", Run(lost=1))
    publish(ours(), message("b"))
    (other,) = ours("next").exchange([], take=9).taken
    assert isinstance(other.verdict, Later)


def test_handed_back_messages_keep_their_order_and_only_lost_ones_count(ours):
    worker = ours(limits=Limits(max_lost=1))
    publish(worker, *[message(f"m{i}") for i in range(5)])
    held = worker.exchange([], take=3).taken
    worker.release(held)
    worker.release(held)

    again = worker.exchange([], take=9).taken

    assert [t.message.id for t in again] == [f"m{i}" for i in range(5)]
    assert {t.verdict for t in again} == {Run()}
    worker.release(again[:1], lost=True)
    (poisoned,) = worker.exchange([], take=9).taken
    assert poisoned.verdict.lost == 1


def test_a_later_outcome_does_not_replace_the_one_that_stands(ours):
    first, second = ours("v"), ours("w")
    one, two = (Success(value=Json(text)) for text in "12")
    assert first.exchange([Transition(message=message(), outcome=one)]).standing == [None]

    assert second.exchange([Transition(message=message(), outcome=two)]).standing == [Standing(one, 0)]
    assert second.exchange([Transition(message=message(), outcome=one)]).standing == [None]
    publish(first, message())
    assert first.exchange([], take=1).taken[0].verdict == Settled(Standing(one, 0))


def test_a_queue_that_is_always_full_starves_no_other_also_where_messages_are_signed(redis_prefixed):
    url, prefix = redis_prefixed
    ring = Keyring([Key(id="k", secret=b"0123456789abcdef")])
    worker = RedisCommit(url, worker="w", queues=[QUEUE, CONTROL_QUEUE], prefix=prefix, keyring=ring)
    publish(worker, *[message(f"m{number}") for number in range(9)])
    publish(worker, replace(message("control"), queue=CONTROL_QUEUE))

    taken = [item.message.id for _ in range(4) for item in worker.exchange([], take=1).taken]

    worker.close()
    assert "control" in taken


def test_a_run_is_one_text(ours, client, redis_prefix):
    worker = ours("w", limits=Limits(lease_seconds=1))
    publish(worker, message(attempt=2))
    (taken,) = worker.exchange([], take=1).taken
    key = f"{redis_prefix}backbeat:run:a"

    generation, attempt, lease_us, lost, name = client.get(key).decode().partition("\n")[0].split(" ")
    assert (generation, attempt, lost, name) == ("0", "2", f"0@{taken.verdict.started_us}", "w")
    assert abs(taken.verdict.started_us - now_us()) < 5_000_000
    assert abs(int(lease_us) - now_us()) < 5_000_000

    worker.exchange([Transition(message=taken.message, outcome=Success(value=Json("1")))])
    head, _, outcome = client.get(key).decode().partition("\n")
    assert head == "0 2 0 0 "
    assert json.loads(outcome) == {"kind": "success", "value": "1", "children": []}


@pytest.mark.parametrize(("flags", "verdict"), [("1", Run(lost=2)), ("1e", Poison(2, early=True))])
def test_a_run_that_was_written_without_its_beginning_is_read(ours, client, redis_prefix, flags, verdict):
    worker = ours("w")
    publish(worker, message())
    client.set(f"{redis_prefix}backbeat:run:a", f"0 0 5 {flags} somebody|else's\n")
    results = RedisResults(client, prefix=redis_prefix)

    (document,) = results.get(["a"])
    (taken,) = worker.exchange([], take=1).taken

    assert (document.state, document.worker, document.date_started) == ("STARTED", "somebody", None)
    assert taken.verdict == verdict
