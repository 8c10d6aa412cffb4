"""A leader in another time namespace: it lives, and its start time reads otherwise there; nobody may take it for one that has ended."""

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
