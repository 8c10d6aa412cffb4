"""`backbeat.scheduler.Schedules`, as a program uses it: aware times in and out, and nothing that a store could misread."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from backbeat.canvas import App, chain, signature
from backbeat.scheduler import Schedules
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.order import Conflict, NoSuchEntry, OrderRefused
from backbeat.scheduler.store.base import Fence, Lease

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def schedules(tmp_path):
    with Schedules(f"sqlite:///{tmp_path}/store.db", actor="anna") as opened:
        yield opened


def file_owned(schedules, **keys):
    """An entry of a file, as a leader applies it."""
    from dataclasses import replace

    from backbeat.scheduler.entry import Owner
    from backbeat.scheduler.fragment import entry_of

    store = schedules.store
    row = store.read_lease()
    store.swap_lease(row, Lease("a", row.epoch + 1, row.renewal + 1, 10_000))
    entry = replace(entry_of("filed", keys), owner=Owner.FILE, source="schedules.yaml:3")
    store.reconcile([entry], time.time_ns() // 1000, Fence("a", row.epoch + 1), batch_id=row.epoch + 1)


def test_times_come_and_go_with_their_zones(schedules):
    until = datetime.now(UTC) + timedelta(hours=2)
    schedules.add(
        "tick", task="a", every=timedelta(minutes=5), start=JANUARY, end=JANUARY + timedelta(days=9999)
    )

    view = schedules.pause("tick", reason="r", until=until)

    assert (view.state, view.next, view.pause.until, view.pause.actor) == ("paused", None, until, "anna")
    assert schedules.resume("tick").next.utcoffset() == timedelta(0)
    assert schedules.get("tick").entry.start_us == 1_767_225_600_000_000


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.pause("tick", until=datetime(2030, 1, 1)),
        lambda s: s.change("tick", every="6m", until=datetime(2030, 1, 1)),
        lambda s: s.add("t", task="a", at=datetime(2030, 1, 1)),
        lambda s: s.backfill("tick", datetime(2026, 1, 1), JANUARY),
        lambda s: s.history("tick", before=datetime(2026, 1, 1)),
    ],
)
def test_naive_times_are_refused(schedules, call):
    schedules.add("tick", task="a", every="5m")

    with pytest.raises(ScheduleError, match="has no time zone"):
        call(schedules)


def test_a_change_of_what_was_not_seen_is_a_conflict(schedules):
    seen = schedules.add("tick", task="a", every="5m")
    schedules.change("tick", every="6m")

    with pytest.raises(Conflict):
        schedules.change("tick", expected_rev=seen.rev, every="7m")

    assert schedules.get("tick").when == "every 6m"


def test_what_is_not_there_is_said_to_be_missing(schedules):
    for call in (schedules.get, schedules.pause, schedules.remove, schedules.run_now, schedules.get_backfill):
        with pytest.raises(NoSuchEntry):
            call("nope")


def test_a_canvas_is_stored_and_takes_no_arguments(schedules):
    steps = chain(signature("a", args=(1,)), signature("b"))

    schedules.add("flow", signature=steps, every="5m")

    what = schedules.get("flow").entry.what
    assert (what["subtask_type"], [step["task"] for step in what["kwargs"]["tasks"]]) == ("chain", ["a", "b"])
    assert schedules.run_now("flow").is_new
    with pytest.raises(ScheduleError, match="it has no arguments"):
        schedules.run_now("flow", args=[1])


def test_a_run_with_some_arguments_keeps_the_others(schedules):
    schedules.add("tick", task="a", every="5m", args=[1], kwargs={"x": 1}, options={"queue": "q"})

    schedules.run_now("tick", request_id="r1", kwargs={"x": 2})

    with schedules.store._engine.connect() as conn:
        row = conn.exec_driver_sql("SELECT spec FROM bb_revision WHERE rev = -1").scalar()
    assert '"args":[1]' in row
    assert '"kwargs":{"x":2}' in row
    assert '"options":{"queue":"q"}' in row


def test_an_app_names_the_store_and_the_cluster(tmp_path):
    app = App("shop", broker_url=f"sqlite:///{tmp_path}/all.db")

    with Schedules(app) as schedules:
        schedules.add("tick", task="a", every="5m")

    assert schedules.cluster == "shop"
    with Schedules(f"sqlite:///{tmp_path}/all.db") as again:
        assert [view.name for view in again.list()] == ["tick"]


def test_an_entry_of_a_file_is_changed_on_top_and_reverted(schedules):
    file_owned(schedules, task="a", every="5m")

    changed = schedules.change("filed", every="1h", reason="it is slow")

    assert (changed.owner, changed.when, changed.overrides[0].reason) == ("file", "every 1h", "it is slow")
    assert [view.name for view in schedules.overrides()] == ["filed"]
    with pytest.raises(OrderRefused, match=r"belongs to owner file, schedules\.yaml:3"):
        schedules.remove("filed")
    assert schedules.revert("filed").when == "every 5m"


def test_a_diff_shows_what_lies_on_top_of_a_file(schedules, tmp_path, monkeypatch):
    from backbeat.scheduler.cli.main import main
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    file_owned(schedules, task="a", every="5m")
    schedules.change("filed", every="1h", until=datetime.now(UTC) + timedelta(days=1))
    file = tmp_path / "schedules.yaml"
    store = ("--store", f"sqlite:///{tmp_path}/store.db", "schedules", "diff")

    def diff(text, *options, code=0):
        file.write_text(text)
        result = CliRunner().invoke(main, [*store, *options], catch_exceptions=False)
        assert result.exit_code == code
        return result.output

    said = diff("schedules:\n  filed: {task: a, every: 5m}\n")
    assert said.startswith("^ filed: change by anna lies on top until 2")
    assert "    when: every 5 minutes -> every hour\n" in said
    said = diff("schedules:\n  filed: {task: a, every: 7m}\n", "--exit-code", code=1)
    assert said.startswith(
        "~ filed: the file says something else, below what an operator laid over it\n"
        "    when: every 5 minutes -> every 7 minutes\n"
    )
    said = diff("schedules:\n  filed: {task: b, every: 7m}\n")
    assert "~ filed: revised, next 20" in said
    assert "~ filed: the file says something else, below" in said
    assert "    what: a -> b\n" in said
    assert "- filed: removed" in diff("schedules: {}\n")
