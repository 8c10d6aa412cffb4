"""The checker of the workers' chaos finds what it is there to find: each fault of an ending or a run, put into a history that is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.workers.blow import Blow, BlowKind
from chaos.workers.checker import COMMIT_US, LOST, check
from chaos.workers.order import FAILED, SPAWNED, Order
from chaos.workers.poison import Ended
from chaos.workers.run import Run, runs_of

T = 1_790_000_000_000_000
SECOND = 1_000_000
WORKER = Blow(kind=BlowKind.WORKER, worker=1, pid=10, at_us=T + SECOND, fatal_us=T + SECOND)


def run(id_, *, attempt=0, task="step", order=0, worker=1, pid=11, start=0.5, end=0.6):
    end_us = None if end is None else T + round(end * SECOND)
    return Run(id_, attempt, task, order, worker, pid, T + round(start * SECOND), end_us)


class History:
    """One order of each shape, all of which ended as they should, each task run once."""

    def __init__(self):
        self.orders = [
            Order(0, "call", {"c": 1}),
            Order(1, "chord", {"m0": 2, "m1": 3, "b": 5}, body="b"),
            Order(2, "early", {"e": 3}),
            Order(3, "retry", {"r": 4}),
            Order(4, "error", {"f": FAILED}),
            Order(5, "spawn", {"s": "k", "k": 6}, child="k"),
        ]
        self.endings = {
            id_: ("FAILURE" if value == FAILED else "SUCCESS", value)
            for order in self.orders
            for id_, value in order.wanted.items()
        }
        runs = [
            run("c"),
            run("m0", order=1),
            run("m1", order=1),
            run("b", order=1, task="total"),
            run("e", order=2, task="early"),
            *(run("r", order=3, task="again", attempt=n) for n in range(3)),
            run("f", order=4, task="broken"),
            run("n", order=4, task="notice"),
            run("s", order=5, task="spawn"),
            run("k", order=5),
        ]
        self.runs = {(each.id, each.attempt): [each] for each in runs}
        self.blows = []
        self.dead = []
        self.remains = {}
        self.changed = []
        self.poisons = []

    def judge(self):
        return check(
            self.orders,
            self.endings,
            self.runs,
            self.blows,
            dead=self.dead,
            remains=self.remains,
            changed=self.changed,
            poisons=self.poisons,
        )

    def repeat(self, id_, *, first, task="step", order=0):
        """A second run, two seconds after a first one that is `first` of changes."""
        second = run(id_, task=task, order=order, worker=2, pid=21, start=2.5, end=2.6)
        self.runs[id_, 0] = [replace(self.runs[id_, 0][0], **first), second]

    def lose(self, id_):
        self.endings[id_] = ("FAILURE", LOST)
        self.dead.append(id_)


@pytest.fixture
def history():
    return History()


def test_a_run_that_is_right_is_right(history):
    verdict = history.judge()

    assert verdict.faults == []
    assert (verdict.orders, verdict.tasks, verdict.runs, verdict.max_runs) == (6, 9, 12, 1)


def test_a_task_that_never_ended_is_lost(history):
    del history.endings["m1"]

    assert history.judge().lost == ["chord 1: m1 never ended"]


@pytest.mark.parametrize("ending", [("SUCCESS", 7), ("FAILURE", "ValueError"), ("REVOKED", None)])
def test_another_ending_than_it_should_have_is_wrong(history, ending):
    history.endings["c"] = ending

    assert len(history.judge().wrong) == 1


def test_a_value_without_a_run_is_wrong(history):
    del history.runs["r", 1]

    assert "never ran attempts [1]" in history.judge().wrong[0]


def test_an_outcome_that_changed_is_a_fault(history):
    history.changed = ["c: first this, then that"]

    assert history.judge().faults == ["changed: c: first this, then that"]


def test_a_second_run_without_a_blow_is_unexplained(history):
    history.repeat("c", first={})

    assert len(history.judge().unexplained) == 1


def test_a_second_run_is_explained_by_the_death_of_the_worker_that_ran_it_first(history):
    history.repeat("c", first={"end_us": None})
    history.blows = [WORKER]

    verdict = history.judge()

    assert verdict.faults == []
    assert verdict.repeats == {"worker": 1}


@pytest.mark.parametrize(
    "blow",
    [
        replace(WORKER, worker=2),
        replace(WORKER, kind=BlowKind.CHILD, pid=12),
        replace(WORKER, fatal_us=T - 2 * SECOND),
        replace(WORKER, fatal_us=T + 2 * COMMIT_US + SECOND),
        replace(WORKER, kind=BlowKind.STOP),
    ],
    ids=["another worker", "another process", "before it began", "long after it ended", "in order"],
)
def test_a_blow_that_struck_something_else_explains_nothing(history, blow):
    history.repeat("c", first={})
    history.blows = [blow]

    assert len(history.judge().unexplained) == 1


def test_a_stop_explains_what_outlived_its_grace_only(history):
    history.blows = [replace(WORKER, kind=BlowKind.STOP)]
    history.repeat("c", first={"end_us": None})

    assert history.judge().repeats == {"stop": 1}


def test_a_child_that_died_took_one_run_with_it(history):
    history.blows = [replace(WORKER, kind=BlowKind.CHILD, pid=11)]
    history.repeat("c", first={"end_us": None})
    history.repeat("m0", first={"end_us": None}, order=1)

    assert len(history.judge().over_bound) == 1


def test_what_was_acknowledged_early_never_runs_twice_whatever_died(history):
    history.repeat("e", first={"end_us": None}, task="early", order=2)
    history.blows = [WORKER]

    assert len(history.judge().early_twice) == 1


def test_what_was_acknowledged_early_may_be_lost_with_its_worker(history):
    history.lose("e")
    history.runs["e", 0][0].end_us = None
    history.blows = [WORKER]

    verdict = history.judge()

    assert verdict.faults == []
    assert verdict.lost_early == 1


@pytest.mark.parametrize("id_", ["c", "e"])
def test_a_lost_task_that_nothing_explains_is_wrong_and_so_is_its_dead_letter(history, id_):
    history.lose(id_)

    verdict = history.judge()

    assert len(verdict.wrong) == 1
    assert verdict.dead_letters == [id_]


def test_a_task_that_took_three_claims_with_it_may_end_so_and_what_waits_for_it_fails(history):
    history.lose("m0")
    history.endings["b"] = ("FAILURE", "ChordError")
    history.blows = [
        replace(WORKER, worker=n, at_us=T + n * SECOND, fatal_us=T + n * SECOND) for n in (1, 2, 3)
    ]
    history.runs["m0", 0] = [run("m0", order=1, worker=n, start=n - 0.5, end=None) for n in (1, 2, 3)]
    del history.runs["b", 0]

    verdict = history.judge()

    assert verdict.faults == []
    assert verdict.capped == 1


def test_two_dead_claims_are_not_enough_to_give_a_task_up(history):
    history.lose("c")
    history.runs["c", 0][0].end_us = None
    history.blows = [WORKER, replace(WORKER, worker=2)]

    assert len(history.judge().wrong) == 1


def test_a_second_body_of_a_chord_is_a_stranger(history):
    history.runs["b2", 0] = [run("b2", order=1, task="total")]

    assert history.judge().strangers[0].startswith("chord 1: bodies")


def test_a_run_of_an_id_that_nobody_asked_for_is_a_stranger(history):
    history.runs["x", 0] = [run("x")]
    history.runs["y", 0] = [run("y", order=99)]

    assert history.judge().strangers == ["call 0: x", "order 99"]


def test_an_error_callback_that_never_came_is_lost(history):
    del history.runs["n", 0]

    assert len(history.judge().lost) == 1


def test_a_task_that_was_sent_by_a_task_and_never_ended_is_lost(history):
    del history.endings["k"]

    assert history.judge().lost == ["spawn 5: k never ended"]


def test_a_sender_of_which_nothing_is_known_is_lost(history):
    history.orders[5] = Order(5, "spawn", {"s": SPAWNED})
    del history.endings["s"]

    assert history.judge().lost == ["spawn 5: s never ended"]


NAMED = Ended(what="pickle", id="p", reason="not accepted", state="FAILURE", error="Reject")
NAMELESS = Ended(what="no id", id=None, reason="no id", state="", error="")


def test_poison_that_is_a_dead_letter_each_is_right(history):
    history.poisons = [NAMED, NAMELESS, replace(NAMELESS, what="list as id")]
    history.dead = ["p", "None", "None"]

    assert history.judge().faults == []


@pytest.mark.parametrize(
    ("poisons", "dead", "said"),
    [
        ([replace(NAMED, reason="")], ["p"], "pickle: its dead letter gives no reason"),
        ([replace(NAMED, state="SUCCESS")], ["p"], "pickle: its handle says 'SUCCESS'"),
        ([NAMED], ["p", "p"], "2 dead letters in place of 1: pickle"),
        ([NAMED, NAMELESS], ["p"], "0 dead letters in place of 1: no id"),
    ],
)
def test_poison_that_ended_otherwise_is_a_fault(history, poisons, dead, said):
    history.poisons, history.dead = poisons, dead

    assert history.judge().faults == [f"poison: {said}"]


def test_a_dead_letter_that_has_no_id_and_is_no_poison_is_a_fault(history):
    history.dead = ["None"]

    assert history.judge().faults == ["dead letter: None"]


def test_what_is_left_in_a_queue_is_a_fault(history):
    history.remains = {"messages in celery": 1}

    assert history.judge().faults == ["left: 1 messages in celery"]


def test_runs_are_put_together_from_the_lines_of_the_journal():
    fields = {"id": "c", "attempt": 0, "task": "step", "order": 0, "worker": 1}
    lines = [
        {"event": "start", "at": 1.0, "pid": 7, **fields},
        {"event": "start", "at": 1.5, "pid": 8, **fields},
        {"event": "end", "at": 2.0, "pid": 8, **fields},
    ]

    found = runs_of(lines)

    assert [(each.pid, each.start_us, each.end_us) for each in found["c", 0]] == [
        (7, 1_000_000, None),
        (8, 1_500_000, 2_000_000),
    ]
