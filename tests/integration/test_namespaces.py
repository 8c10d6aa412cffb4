"""Processes in namespaces of their own: one that lives must not be taken for one that has ended, whatever its pid or start time reads as."""

from __future__ import annotations

import subprocess
import sys

import pytest
from backbeat.canvas.holder import LocalProcesses, Sighting

from support.processes import own_clocks, why_no_own_clocks

LOOK = """
import sys
from backbeat.canvas.holder import Holder, LocalProcesses
print(LocalProcesses().look(Holder.parse(sys.argv[1])).value)
"""


def test_a_process_with_other_clocks_is_not_taken_for_one_that_has_ended():
    if why := why_no_own_clocks():
        pytest.skip(f"no time namespace can be made here: {why}")
    myself = str(LocalProcesses().myself())
    looking = [sys.executable, "-c", LOOK, myself]

    here = subprocess.run(looking, capture_output=True, text=True, timeout=30, check=True)
    there = subprocess.run(
        [*own_clocks(86_400), *looking], capture_output=True, text=True, timeout=30, check=True
    )

    assert here.stdout.strip() == Sighting.ALIVE.value
    assert there.stdout.strip() == Sighting.UNKNOWN.value


def test_a_process_that_sees_the_pids_of_others_knows_nothing_of_any_process():
    """`unshare --pid` alone leaves /proc as it was: what it says of a pid is said of another process."""
    inside = ["unshare", "--pid", "--fork"]
    if why := subprocess.run([*inside, "true"], capture_output=True, text=True, timeout=30).stderr:
        pytest.skip(f"no pid namespace can be made here: {why}")
    myself = [
        sys.executable,
        "-c",
        "from backbeat.canvas.holder import LocalProcesses as P; print(P().myself())",
    ]
    holder = subprocess.run([*inside, *myself], capture_output=True, text=True, timeout=30, check=True)

    looking = [*inside, sys.executable, "-c", LOOK, holder.stdout.strip()]
    there = subprocess.run(looking, capture_output=True, text=True, timeout=30, check=True)

    assert there.stdout.strip() == Sighting.UNKNOWN.value
