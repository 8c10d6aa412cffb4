"""Limits by key over several real workers: rate and concurrency, also when one of them is killed."""

from __future__ import annotations

import signal

import pytest

from support.journal import read_events
from support.keyed_app import NAME, PLAIN
from support.processes import wait_until
from support.stacks import IS_WHOLE, SHORT_LEASE, STACKS, open_stack

KEYED = f"{NAME}.two_at_once"


@pytest.fixture(params=STACKS if IS_WHOLE else ["redis"])
def stack(request, tmp_path):
    with open_stack(request.param, tmp_path) as opened:
        opened.tasks = f"{NAME}:app"
        yield opened


def most_at_once(log, tenant):
    spans = [(line["began"], line["at"]) for line in read_events(log, f"ends {tenant}")]
    return max(sum(began <= start < end for began, end in spans) for start, _ in spans)


@pytest.mark.timeout(120)
def test_r19_four_workers_together_start_no_more_of_a_key_than_they_may_and_block_no_other(
    start_worker, stack, tmp_path
):
    log = tmp_path / "log.jsonl"
    limited = [stack.app.send_task(f"{NAME}.by_tenant", [str(log), "acme", number]) for number in range(70)]
    others = [stack.app.send_task(f"{NAME}.by_tenant", [str(log), "other", number]) for number in range(5)]
    plain = [stack.app.send_task(PLAIN, [str(log), number]) for number in range(20)]
    for _ in range(4):
        start_worker(concurrency=2)

    assert [handle.get(timeout=60) for handle in limited] == list(range(70))
    assert [handle.get(timeout=60) for handle in (*others, *plain)] == [*range(5), *range(20)]
    starts = sorted(line["at"] for line in read_events(log, "acme"))
    # a body begins some time after it may, and how long that takes is not always the same
    spans = [later - first for first, later in zip(starts, starts[20:], strict=False)]
    assert min(spans) > 0.7
    for event in ("other", "plain"):
        assert max(line["at"] for line in read_events(log, event)) < starts[-1]


@pytest.mark.timeout(120)
def test_r19_two_at_once_over_three_workers_and_no_limit_for_what_has_no_key(start_worker, stack, tmp_path):
    log = tmp_path / "log.jsonl"
    for _ in range(3):
        start_worker(concurrency=3)
    limited = [stack.app.send_task(KEYED, [str(log), "acme", number]) for number in range(40)]
    free = [stack.app.send_task(KEYED, [str(log), "free", number]) for number in range(40)]

    assert [handle.get(timeout=60) for handle in limited] == list(range(40))
    assert [handle.get(timeout=60) for handle in free] == list(range(40))
    assert most_at_once(log, "acme") == 2
    assert most_at_once(log, "free") > 2
    took = (
        max(line["at"] for line in read_events(log, "ends acme")) - read_events(log, "begins acme")[0]["at"]
    )
    assert took < 15  # 40 tasks of 0.05 s in two slots: who waits is woken, and does not look now and then


@pytest.mark.timeout(120)
def test_r19_a_slot_of_a_killed_worker_is_free_again_soon_after_its_lease(start_worker, stack, tmp_path):
    log, gate = tmp_path / "log.jsonl", tmp_path / "gate"
    victim = start_worker(concurrency=2)
    first = [stack.app.send_task(KEYED, [str(log), "acme", number, str(gate)]) for number in range(2)]
    wait_until(lambda: len(read_events(log, "begins acme")) == 2)
    waiting = [stack.app.send_task(KEYED, [str(log), "acme", number, str(gate)]) for number in range(2, 6)]
    start_worker(concurrency=4)
    plain = [stack.app.send_task(PLAIN, [str(log), number]) for number in range(5)]
    assert [handle.get(timeout=30) for handle in plain] == list(
        range(5)
    )  # those that wait have been put off by then
    assert len(read_events(log, "begins acme")) == 2

    victim.send_to_group(signal.SIGKILL)
    wait_until(lambda: len(read_events(log, "begins acme")) == 4, SHORT_LEASE + 10)
    again = stack.app.send_task(PLAIN, [str(log), 99])
    assert again.get(timeout=30) == 99
    assert len(read_events(log, "begins acme")) == 4  # and no more
    gate.touch()

    assert [handle.get(timeout=60) for handle in (*first, *waiting)] == list(range(6))
    assert most_at_once(log, "acme") <= 2


def test_r19_remote_control_changes_the_rate_of_a_key(start_worker, stack, tmp_path):
    log, app = tmp_path / "log.jsonl", stack.app
    for name in ("one", "two"):  # each hears orders by a queue of its name
        start_worker("-n", f"{name}@limits", concurrency=1)
    wait_until(lambda: len(app.control.ping(timeout=1)) == 2, 30)

    replies = app.control.rate_limit(f"{NAME}.by_tenant", "2/s", reply=True, timeout=30, limit=2)
    assert [list(reply.values()) for reply in replies] == [[{"ok": "new rate limit set successfully"}]] * 2
    handles = [app.send_task(f"{NAME}.by_tenant", [str(log), "acme", number]) for number in range(5)]
    assert [handle.get(timeout=60) for handle in handles] == list(range(5))

    starts = sorted(line["at"] for line in read_events(log, "acme"))
    assert starts[4] - starts[0] > 1.5


def test_a_task_whose_key_cannot_be_made_fails_and_says_why(start_worker, stack):
    start_worker(concurrency=1)
    handle = stack.app.send_task(f"{NAME}.without_key")

    error = handle.get(timeout=30, propagate=False)

    assert "the task cannot be started: its limit_key cannot be made: division by zero" in str(error)
    assert [letter["task_id"] for letter in stack.dead_letters()] == [handle.id]
