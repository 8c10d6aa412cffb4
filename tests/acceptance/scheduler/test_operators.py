"""An operator at the command line, or in Python, beside a real beat: how soon it sees what was done, and what the ledger says."""

from __future__ import annotations

import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from backbeat.scheduler import Schedules
from backbeat.scheduler.store.registry import Which

from support.processes import wait_until

TASK = "support.acceptance_tasks.add"
SENT = r"Scheduler: Sending due task "
FILE = f"schedules:\n  filed: {{every: 200ms, task: {TASK}, args: [1, 1]}}\n"


@pytest.fixture
def database(store):
    """The store's URL, as people write it."""
    return store.replace("+psycopg", "").replace("+pymysql", "")


def test_a_beat_sees_within_a_second_what_an_operator_does(database, common, programs, tmp_path, figure):
    path = tmp_path / "schedules.yaml"
    path.write_text(FILE)
    before = [*common, "--store", database]
    beat = programs.start(*before, "beat", "-s", path)
    beat.wait_for(SENT + "filed", count=2)
    seen = {}

    with Schedules(database, actor="anna") as schedules:

        def watch(name, pattern, act):
            number = len(beat.matches(pattern))
            begun = time.monotonic()
            act()
            beat.wait_for(pattern, count=number + 1)
            seen[name] = beat.lines_like(pattern)[number] - begun

        watch("add", SENT + "added", lambda: schedules.add("added", task=TASK, every="100ms", args=[2, 2]))
        schedules.pause("filed", reason="a test")
        schedules.run_now("filed", request_id="r1")
        manual = wait_until(lambda: _sent(schedules), what="the run of what is paused")
        seen["run-now of a paused one"] = manual.lateness_seconds
        watch("resume", SENT + "filed", lambda: schedules.resume("filed"))
        now = datetime.now(UTC)
        start = now - timedelta(hours=1)
        asked = schedules.backfill("added", start, start + timedelta(minutes=1), reason="a test")
        done = wait_until(lambda: _done(schedules, asked.id), what="the end of the backfill")
        code, said = programs.run(*before, "schedules", "list")
        beat.send(signal.SIGTERM)
        assert beat.wait() == 0, beat.text

        assert done.decided == 600
        history = schedules.history("added", 100_000)
        kinds = Counter(line.kind for line in history)
        assert kinds["backfill"] == 600
        assert {line.state for line in history} == {"sent"}
        assert len({line.task_id for line in history}) == len(history)
        assert [line.kind for line in schedules.history("filed", 1_000)].count("manual") == 1
        regular = [line.fire_time for line in history if line.kind == "regular"]
        assert {later - earlier for later, earlier in pairwise(regular)} == {timedelta(milliseconds=100)}
        assert [view.name for view in schedules.list(Which.OVERRIDDEN)] == []
        assert [line.action for line in schedules.audit("filed")] == ["resume", "run-now", "pause", "reload"]
    assert code == 0
    assert "added  every 100ms" in said
    assert max(seen.values()) < 1.0, seen
    figure(
        f"{database.split(':')[0]}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in seen.items())
    )


def _sent(schedules):
    manual = [line for line in schedules.history("filed", 9) if line.kind == "manual"]
    return manual[0] if manual and manual[0].sent else None


def _done(schedules, id_):
    view = schedules.get_backfill(id_)
    return view if view.state == "done" else None
