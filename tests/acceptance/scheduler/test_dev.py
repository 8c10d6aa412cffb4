"""`backbeat dev`: beat and worker in one program on a SQLite file: seen from outside, interrupted, and killed."""

from __future__ import annotations

import signal
import sqlite3
import textwrap
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from support.acceptance_tasks import NAME
from support.journal import read_lines
from support.processes import wait_until

SHOWN = """
schedules:
  tick:
    every: 1s
    task: support.acceptance_tasks.add
    args: [20, 22]

  flow:
    every: 2s
    chain:
      - {task: support.acceptance_tasks.numbers, args: [10]}
      - chord:
          header:
            - {task: support.acceptance_tasks.pick, args: [3]}
            - {task: support.acceptance_tasks.pick, args: [4]}
          body: {task: support.acceptance_tasks.total}

  broken:
    every: 2s
    task: support.acceptance_tasks.fail
    args: [out of paper]
    on_error: {task: support.acceptance_tasks.note_failure, kwargs: {log: LOG}}
"""

NOTED = """
defaults: {catch_up: all}
schedules:
  quick: {every: 250ms, task: support.acceptance_tasks.note_firing, kwargs: {log: LOG}}
  second: {every: 1s, task: support.acceptance_tasks.note_firing, kwargs: {log: LOG}}
  slow: {every: 2s, task: support.acceptance_tasks.note_firing, kwargs: {log: LOG}}
"""
PERIODS_US = {"quick": 250_000, "second": 1_000_000, "slow": 2_000_000}


@pytest.fixture
def start(programs, tmp_path, log):
    """Starts `backbeat dev` with these schedules."""

    def run(schedules, *arguments):
        path = tmp_path / "schedules.yaml"
        path.write_text(textwrap.dedent(schedules).replace("LOG", str(log)))
        return programs.start("-A", NAME, "-b", "sqlite:///dev.db", "dev", "-s", path, *arguments)

    return run


def test_dev_shows_firings_tasks_and_workflows_and_ends_by_itself(start, log, figure):
    dev = start(SHOWN, "--for", "15s")

    code = dev.wait(90)

    seconds = time.monotonic() - dev.started_at
    assert code == 0, dev.text
    assert dev.matches(r"fired +tick  support.acceptance_tasks.add  due \d\d:\d\d:\d\d\+0000  \d+ ms late")
    assert dev.matches(r"done +support.acceptance_tasks.add  \d+ ms  42$")
    assert dev.matches(r"workflow +flow finished: 7$")
    assert dev.matches(r"failed +support.acceptance_tasks.fail  \d+ ms  ValueError: out of paper")
    assert dev.matches(r"done +support.acceptance_tasks.note_failure")
    assert "Traceback" not in dev.text
    assert {line["error"] for line in read_lines(log)} == {"ValueError: out of paper"}
    (summary,) = dev.matches(r"^summary: (\d+) fired, (\d+) done, (\d+) failed, (\d+) workflows, (\d+) .*")
    fired, done, failed, workflows, workflows_failed = map(int, summary.groups())
    assert fired >= 20
    assert done >= 40
    assert failed >= 5
    assert workflows >= 4
    assert workflows_failed == 0
    assert dev.processes == []
    figure(f"{summary.group(0)}; the program lived {seconds:.1f} s")


def test_ctrl_c_ends_dev_and_its_children_without_a_traceback(start, figure):
    dev = start(SHOWN)
    dev.wait_for("workflow +flow finished: 7")
    children = len(dev.processes) - 1

    begun = time.monotonic()
    dev.send_to_group(signal.SIGINT)
    code = dev.wait(30)

    seconds = time.monotonic() - begun
    assert code == 0, dev.text
    assert "Traceback" not in dev.text
    assert dev.matches("^summary: ")
    assert dev.processes == []
    figure(f"ended {seconds:.2f} s after Ctrl-C, with {children} processes beside itself")


def test_dev_killed_and_started_again_goes_on_where_it_was(start, programs, tmp_path, log, figure):
    first = start(NOTED)
    first.wait_for("done +.*note_firing", count=12)

    killed_at = time.monotonic()
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = start(NOTED)
    wait_until(lambda: not first.processes, what=lambda: f"the end of {first.processes}")
    orphaned = time.monotonic() - killed_at
    second.wait_for("fired +")
    pause = second.lines_like("fired +")[0] - second.started_at
    second.wait_for("done +.*note_firing", count=20)
    second.send_to_group(signal.SIGINT)
    assert second.wait(30) == 0, second.text
    dues = ledger_of(tmp_path / "dev.db")
    decided = {(entry, due) for entry in dues for due in dues[entry]}
    drain(programs, lambda: decided <= runs(log).keys())

    ids = runs(log)
    assert pause < 8, second.text  # of a lease of 10 s
    for entry, period_us in PERIODS_US.items():
        assert dues[entry] == list(range(dues[entry][0], dues[entry][-1] + 1, period_us)), entry
    assert ids.keys() == decided
    assert {len(each) for each in ids.values()} == {1}
    figure(
        f"first firing {pause:.2f} s after the start, children of the killed one gone after {orphaned:.2f} s; "
        f"{len(decided)} ledger rows, 0 missing, 0 second ids, {len(read_lines(log)) - len(decided)} second runs"
    )


def ledger_of(path):
    """The fire times of each entry, in microseconds, one for each row of the ledger."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT entry, due_us FROM bb_firing ORDER BY due_us").fetchall()
        assert connection.execute("SELECT count(*) FROM bb_skip").fetchone() == (0,)
    connection.close()
    dues = defaultdict(list)
    for entry, due_us in rows:
        dues[entry].append(due_us)
    return dues


def runs(log):
    """The ids under which each firing ran."""
    epoch, ids = datetime(1970, 1, 1, tzinfo=UTC), defaultdict(set)
    for line in read_lines(log):
        due_us = (datetime.fromisoformat(line["fire_time"]) - epoch) // timedelta(microseconds=1)
        ids[line["entry"], due_us].add(line["id"])
    return ids


def drain(programs, done):
    """Have a worker run what is left in the queue."""
    worker = programs.start("-A", NAME, "-b", "sqlite:///dev.db", "worker", "-c", 2)
    worker.wait_for("ready$")
    wait_until(done, what=lambda: worker.text)
    worker.send(signal.SIGTERM)
    assert worker.wait(30) == 0, worker.text
