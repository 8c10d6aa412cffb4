"""Workflows of schedules.yaml with a real beat and a real worker: callbacks fire, an edit of a name reaches all who use it."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from support.journal import read_lines
from support.processes import wait_until
from support.stacks import open_stack
from support.thorough import in_turn

FILE = """\
workflows:
  pair:
    group: [{task: support.acceptance_tasks.add, args: [1, 1]}, {task: support.acceptance_tasks.add, args: [LAST, 1]}]
  sums:
    chord:
      header:
        - chord: {header: [{workflow: pair}, {task: support.acceptance_tasks.add, args: [0, 1]}], body: {task: support.acceptance_tasks.total}}
        - chain: [{task: support.acceptance_tasks.numbers, args: [5]}, {task: support.acceptance_tasks.total}]
      body: {task: support.acceptance_tasks.total}
  note: {task: support.acceptance_tasks.note_value, kwargs: {log: LOG}}
  complain: {task: support.acceptance_tasks.note_failure, kwargs: {log: LOG}}
schedules:
  good:
    every: 500ms
    workflow: sums
    on_success: {workflow: note}
    on_error: {workflow: complain}
  bad:
    every: 500ms
    max_runs: 3
    chord:
      header: [{workflow: sums}, {task: support.acceptance_tasks.fail, args: [out of paper]}]
      body: {task: support.acceptance_tasks.total}
    on_success: {workflow: note}
    on_error: [{workflow: complain}]
"""


@pytest.fixture(params=in_turn(["sqlite", "redis", "rabbitmq+postgres"], always=["redis"]))
def options(request, tmp_path):
    """Of the command line: broker and results, and a ledger of its own."""
    with open_stack(request.param, tmp_path) as stack:
        yield ["-q", *stack.options, "--store", f"sqlite:///{tmp_path}/ledger.db"]


def test_a_nested_chord_from_yaml_fires_its_callbacks_and_an_edit_of_a_name_reaches_it(
    options, programs, tmp_path, log, figure
):
    path = tmp_path / "schedules.yaml"

    def write(last):
        path.write_text(FILE.replace("LAST", str(last)).replace("LOG", str(log)))

    def came():
        return [line for line in read_lines(log) if line.get("event") == "came"]

    def failed():
        return [line for line in read_lines(log) if "failed" in line]

    write(2)  # 2 + 3 + 1 and 0 + 1 + 2 + 3 + 4
    worker = programs.start(*options, "worker")
    beat = programs.start(*options, "beat", "-s", path)
    wait_until(lambda: len(came()) >= 3 and len(failed()) >= 3, what=lambda: f"{beat.text}\n{worker.text}")
    write(12)
    wait_until(lambda: [line["value"] for line in came()].count(26) >= 2, what=lambda: beat.text)
    beat.send(signal.SIGTERM)
    assert beat.wait() == 0, beat.text
    sent = len(beat.matches(r"Scheduler: Sending due task good \(chord of 2 \(workflow sums\)\)"))
    wait_until(lambda: len(came()) >= sent, what=lambda: worker.text)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text

    values = [line["value"] for line in came()]
    assert set(values) == {16, 26}
    assert len(values) == sent
    assert set(Counter(line["id"] for line in came()).values()) == {1}
    assert [(line["failed"], line["error"].partition(":")[0]) for line in failed()] == [
        ("support.acceptance_tasks.total", "ChordError")
    ] * 3
    figure(f"{sent} nested chords, each followed by its callback once; 3 that failed, each told once")
