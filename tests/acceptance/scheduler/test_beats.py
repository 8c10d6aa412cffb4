"""Several beats on one store: leaders that are killed, and schedules files that change while they run."""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import signal
import socket
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas.holder import Holder
from sqlalchemy import create_engine, text

from support import servers
from support.acceptance_tasks import NAME
from support.processes import percentiles, wait_until
from support.thorough import long

KILLS = int(os.environ.get("BACKBEAT_KILLS", "5"))
"""More of them, on more databases and brokers: make chaos."""
PERIODS_MS = {f"entry-{number:02}": (250, 300, 400, 500, 750, 1000)[number % 6] for number in range(20)}
SENT = r"Scheduler: Sending due task "
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(params=[long("sqlite"), "postgres"])
def database(request, tmp_path):
    """The URL of a database of its own: broker and ledger."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/beats.db"
    else:
        with servers.own_database("postgres") as url:
            yield url


@pytest.mark.timeout(600)
def test_two_beats_and_many_kills_of_the_leader(database, programs, tmp_path, figure):
    seed = secrets.randbits(32)
    draw = random.Random(seed)
    print(f"seed {seed}")
    path = tmp_path / "schedules.yaml"
    path.write_text(
        "defaults: {catch_up: all}\nschedules:\n"
        + "".join(
            f"  {name}: {{every: {period_ms}ms, task: support.acceptance_tasks.add, args: [1, 2]}}\n"
            for name, period_ms in PERIODS_MS.items()
        )
    )

    def start():
        return programs.start("-q", "-A", NAME, "-b", database, "beat", "-s", path)

    leader, standby, beats, failovers = start(), None, [], []
    leader.wait_for("Leading, epoch 1:")
    beats.append(leader)
    engine = create_engine(database)
    with engine.connect() as connection:
        for _ in range(KILLS):
            standby = start()
            beats.append(standby)
            standby.wait_for("Standing by")
            leader.wait_for(SENT, count=len(leader.matches(SENT)) + draw.randrange(1, 60))
            holder = Holder.parse(connection.execute(text("SELECT holder FROM bb_lease")).scalar_one())
            connection.rollback()
            assert holder.pid == leader.pid
            killed_at = time.monotonic()
            os.kill(holder.pid, signal.SIGKILL)
            standby.wait_for("Leading, epoch")
            failovers.append(standby.lines_like("Leading, epoch")[0] - killed_at)
            leader = standby
        standby = start()
        standby.wait_for("Standing by")
        leader.wait_for(SENT, count=50)
        for beat in (standby, leader):
            beat.send(signal.SIGTERM)
            assert beat.wait() == 0, beat.text
        holder, epoch = connection.execute(text("SELECT holder, epoch FROM bb_lease")).one()
        ledger = connection.execute(text("SELECT entry, due_us, kind, task_id FROM bb_firing")).all()
        bodies = connection.execute(text("SELECT body FROM bb_message ORDER BY seq")).scalars().all()
        still_open = connection.execute(text("SELECT count(*) FROM bb_batch WHERE state = 1")).scalar_one()
        skipped = connection.execute(text("SELECT count(*) FROM bb_skip")).scalar_one()
    engine.dispose()

    assert (holder, epoch, still_open, skipped) == ("", KILLS + 1, 0, 0)
    check_the_grid(ledger)
    copies = check_the_messages(bodies, {(row.entry, row.due_us): row.task_id for row in ledger}, beats)
    again = sum(copies.values()) - len(ledger)
    figure(
        f"{database.split(':')[0]}: {KILLS} kills, {len(ledger)} firings, 0 missing, 0 second ids, {again} second copies, "
        f"failover {percentiles(failovers)}"
    )
    assert again == 0, "I-ATOMIC: broker and ledger are one database"


def check_the_grid(ledger):
    """One row for each instant of each entry, from its first to its last."""
    dues = defaultdict(list)
    for row in ledger:
        assert row.kind == "regular"
        dues[row.entry].append(row.due_us)
    assert dues.keys() == PERIODS_MS.keys()
    for entry, period_ms in PERIODS_MS.items():
        first, last = min(dues[entry]), max(dues[entry])
        assert sorted(dues[entry]) == list(range(first, last + 1, period_ms * 1000)), entry


def check_the_messages(bodies, ids, beats):
    """Each firing has at least one message, all of them with the firing's id. Returns how many each has."""
    copies = Counter()
    origins = {f"gen{beat.pid}@{socket.gethostname()}" for beat in beats}
    for envelope in bodies:
        message = json.loads(envelope)
        headers = message["headers"]
        fire_time = datetime.fromisoformat(headers["fire_time"])
        assert fire_time.utcoffset() == timedelta(0)
        key = headers["periodic_task_name"], (fire_time - EPOCH) // timedelta(microseconds=1)
        assert headers["id"] == headers["root_id"] == ids[key]
        assert headers["task"] == "support.acceptance_tasks.add"
        assert headers["origin"] in origins
        assert json.loads(base64.b64decode(message["body"]))[0] == [1, 2]
        copies[key] += 1
    assert copies.keys() == ids.keys()
    return copies


# --- reloading -------------------------------------------------------------------------------------------------------------------

FIRST = """schedules:
  old: {every: 250ms, task: support.acceptance_tasks.add, args: [1, 1]}
"""
SECOND = FIRST + "  new: {every: 250ms, task: support.acceptance_tasks.add, args: [2, 2]}\n"
BAD = FIRST + "  worse: {cron: '61 * * * *', task: support.acceptance_tasks.add}\n"


def test_sighup_and_change_reload_schedules_and_a_bad_file_keeps_the_running_set(programs, tmp_path, figure):
    path = tmp_path / "schedules.yaml"
    path.write_text(FIRST)
    beat = programs.start("-q", "-A", NAME, "-b", "sqlite:///reload.db", "beat", "-s", path)
    beat.wait_for(SENT + "old")

    def seconds_until(pattern, count=1):
        begun = time.monotonic()
        beat.wait_for(pattern, count=count)
        return time.monotonic() - begun

    beat.send(signal.SIGHUP)
    unchanged = seconds_until("Schedules applied: 0 changes")
    path.write_text(SECOND)
    beat.send(signal.SIGHUP)
    asked = seconds_until(SENT + "new")
    path.write_text(BAD)
    noticed = seconds_until(r"schedules.yaml:3.*61")
    for name in ("old", "new"):
        beat.wait_for(SENT + name, count=len(beat.matches(SENT + name)) + 4)
    beat.send(signal.SIGHUP)
    refused_again = seconds_until(r"schedules.yaml:3.*61", count=2)
    beat.wait_for(SENT + "new", count=len(beat.matches(SENT + "new")) + 4)
    applied = len(beat.matches("Schedules applied"))
    path.write_text(FIRST)
    seconds_until("Schedules applied: 1 changes", count=3)
    gone = len(beat.matches(SENT + "new"))
    beat.wait_for(SENT + "old", count=len(beat.matches(SENT + "old")) + 8)

    assert applied == 3
    assert not beat.matches(SENT + "worse")
    assert len(beat.matches(SENT + "new")) <= gone + 1
    beat.send(signal.SIGTERM)
    assert beat.wait() == 0
    assert "Traceback" not in beat.text
    figure(
        f"SIGHUP without a change {unchanged:.2f} s, SIGHUP with a new entry to its first firing {asked:.2f} s, "
        f"a changed file without SIGHUP noticed after {noticed:.2f} s, a bad file refused twice ({refused_again:.2f} s)"
    )


def test_a_beat_does_not_start_with_a_bad_file_and_says_where_it_is_wrong(programs, tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text(BAD)

    code, output = programs.run("-q", "-A", NAME, "-b", "sqlite:///reload.db", "beat", "-s", path)

    assert code == 2
    assert "schedules.yaml:3" in output
    assert "Traceback" not in output


def test_a_leader_that_stops_in_order_leaves_the_lease_to_the_standby_at_once(
    database, programs, tmp_path, figure
):
    path = tmp_path / "schedules.yaml"
    path.write_text(FIRST)
    pair = [programs.start("-q", "-A", NAME, "-b", database, "beat", "-s", path) for _ in range(2)]
    wait_until(lambda: sorted(bool(beat.matches("Leading, epoch")) for beat in pair) == [False, True])
    leader, standby = sorted(pair, key=lambda beat: not beat.matches("Leading, epoch"))
    standby.wait_for("Standing by")
    leader.wait_for(SENT)

    begun = time.monotonic()
    leader.send(signal.SIGTERM)
    standby.wait_for("Leading, epoch 2")

    seconds = time.monotonic() - begun
    assert leader.wait() == 0
    standby.wait_for(SENT, count=4)
    standby.send(signal.SIGTERM)
    assert standby.wait() == 0
    assert seconds < 5
    figure(f"{database.split(':')[0]}: hand-over {seconds:.2f} s after SIGTERM")
