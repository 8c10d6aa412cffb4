"""Run the benchmarks that are named, or all."""

from __future__ import annotations

import sys

from . import beat, chord

ALL = {"beat": beat.main, "chord": chord.main}

for name in sys.argv[1:] or ALL:
    ALL[name]()
