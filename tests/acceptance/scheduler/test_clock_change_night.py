"""The night of a clock change with real beats, and a leader that is killed in it.

The change is a minute from now: the beats have zone data to which two zones of our own were added. It is one of twenty seconds, so
that a repeated time comes twice, and a missing one is missed, while the test runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tzdata
from sqlalchemy import create_engine, text

from support.processes import TESTS, wait_until

SHIFT = 20
AHEAD = 30
"""Seconds from the start of the beats to the change; a repeated time comes 10 s before and 10 s after it."""
HOUR = 3600
SENT = r"Scheduler: Sending due task "


def tzif(changes_at, before, after):
    """A zone file with one change: of version 2, whose first block is empty."""
    header = struct.pack(">4s1s15x6l", b"TZif", b"2", 0, 0, 0, 0, 1, 4)
    first = header + struct.pack(">lbb", 0, 0, 0) + b"BBT\0"
    second = struct.pack(">4s1s15x6l", b"TZif", b"2", 0, 0, 0, 1, 2, 4)
    second += struct.pack(">qB", changes_at, 1)
    second += struct.pack(">lbblbb", before, 0, 0, after, 0, 0) + b"BBT\0"
    return first + second + b"\n\n"


def zone_data(directory, zones):
    """A copy of the tzdata package with more zones, in a directory for PYTHONPATH."""
    package = shutil.copytree(Path(tzdata.__file__).parent, directory / "tzdata")
    folder = package / "zoneinfo" / "Backbeat"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, content in zones.items():
        (folder / name).write_bytes(content)
    with (package / "zones").open("a") as names:
        names.writelines(f"Backbeat/{name}\n" for name in zones)
    return directory


@pytest.mark.timeout(180)
def test_a_night_in_which_the_clocks_change_and_the_leader_is_killed(store, common, programs, tmp_path):
    change = int(time.time()) + AHEAD
    zones = {
        "Spring": tzif(change, HOUR - SHIFT, HOUR),
        "Autumn": tzif(change, HOUR, HOUR - SHIFT),
    }
    local = datetime.fromtimestamp(change + HOUR - SHIFT / 2, UTC)  # missing in spring, repeated in autumn
    fixed = f"{local.second} {local.minute} {local.hour} * * *"
    path = tmp_path / "schedules.yaml"
    path.write_text(
        "defaults: {task: support.acceptance_tasks.add, args: [1, 2], catch_up: all}\nschedules:\n"
        + "".join(
            f"  {zone}-{rule}: {{cron: '{fixed}', cron_fields: 6, timezone: Backbeat/{zone}, dst: {rule}}}\n"
            f"  {zone}-{rule}-each: {{cron: '* * * * * *', cron_fields: 6, timezone: Backbeat/{zone}, dst: {rule}}}\n"
            for zone in zones
            for rule in ("once", "skip", "twice")
        )
    )
    environ = {"PYTHONPATH": os.pathsep.join([str(zone_data(tmp_path / "zones", zones)), str(TESTS)])}
    arguments = [*common, "--store", store, "beat", "--lease-ttl", "3", "-s", path]

    leader = programs.start(*arguments, environ=environ)
    leader.wait_for("Leading, epoch 1:")
    standby = programs.start(*arguments, environ=environ)
    standby.wait_for("Standing by")
    assert time.time() < change - SHIFT / 2 - 1, "the machine is too slow for this night: raise AHEAD"
    wait_until(lambda: time.time() > change - 1, AHEAD + 5)
    leader.send(signal.SIGKILL)
    standby.wait_for("Leading, epoch 2:")
    wait_until(lambda: time.time() > change + SHIFT / 2 + 2, 2 * SHIFT)
    standby.send(signal.SIGTERM)
    assert standby.wait() == 0, standby.text

    engine = create_engine(store)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT entry, due_us FROM bb_firing")).all()
        skips = connection.execute(text("SELECT count(*) FROM bb_skip")).scalar_one()
    engine.dispose()
    fired = defaultdict(list)
    for entry, due_us in sorted(rows):
        fired[entry].append(due_us / 1_000_000 - change)
    assert skips == 0
    assert {entry: times for entry, times in fired.items() if not entry.endswith("each")} == {
        "Spring-once": [0],
        "Spring-twice": [0],
        "Autumn-once": [-SHIFT / 2],
        "Autumn-skip": [-SHIFT / 2],
        "Autumn-twice": [-SHIFT / 2, SHIFT / 2],
    }
    for entry in (f"{zone}-{rule}-each" for zone in zones for rule in ("once", "skip", "twice")):
        times = fired[entry]
        assert times == [times[0] + k for k in range(len(times))], entry
        assert times[-1] >= SHIFT / 2
