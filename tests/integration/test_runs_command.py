"""`backbeat runs`: list, show, retry, revoke and tail, over the history in a store and a broker of its own."""

from __future__ import annotations

import json
import threading

import pytest
from backbeat.scheduler.cli.main import main
from backbeat.scheduler.history.argument_text import Arguments
from backbeat.scheduler.history.gap import Gap
from backbeat.scheduler.history.task_run import Attempt, TaskRun
from backbeat.scheduler.history.wiring import open_history
from backbeat.scheduler.schedules import Schedules
from backbeat.scheduler.store.wiring import open_store
from click.testing import CliRunner

from support.history_app import NAME, app

T0 = 1_700_000_000_000_000
ROWS = [
    TaskRun(
        id="aaa-1",
        at_us=T0,
        name="shop.add",
        state="SUCCESS",
        queue="fast",
        worker="w1",
        entry="sums",
        root_id="root-1",
        parent_id="aaa-0",
        arguments=Arguments('[1, {"api_key": "s3cret"}]', '{"password": "s3cret", "y": 2}', is_whole=True),
        result="3",
        seconds=0.25,
        ended_us=T0 + 5,
        attempts=(Attempt(state="SUCCESS", worker="w1", ended_us=T0 + 5),),
    ),
    TaskRun(
        id="aaa-2",
        at_us=T0 + 1,
        name="shop.add",
        state="FAILURE",
        error="ValueError('no')",
        traceback="Traceback\n  line",
        arguments=Arguments("[1, 2]", "{}", is_whole=True),
    ),
    TaskRun(
        id="bbb-3",
        at_us=T0 + 2,
        name="shop.\x1b[31mred\u202e",
        state="STARTED",
        parent_id="aaa-1",
        arguments=Arguments("(1, ...)", "{}"),
    ),
    TaskRun(id="abc-0", at_us=T0 - 1, name="shop.add", arguments=Arguments("('x...',)", "{}")),
    TaskRun(id="ccc-4", at_us=T0 + 3, name="backbeat.start", state="SENT", entry="flow"),
]


class Shop:
    """A history with some runs, and commands about it."""

    def __init__(self, home):
        self.store = f"sqlite:///{home}/store.db"
        self.broker = f"sqlite:///{home}/broker.db"
        open_store(self.store, cluster="shop").close()
        self.history = open_history(self.store)
        self.history.put(ROWS, [])

    def run(self, *arguments, **known):
        app.close()
        given = ["-A", f"{NAME}:app", "-b", self.broker, "--store", self.store]
        return CliRunner().invoke(main, [*given, *arguments], **known)

    def data(self, *arguments):
        done = self.run("--json", "runs", *arguments)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def waiting(self):
        """Tasks that wait in the broker, as (name, queue, args)."""
        from backbeat.canvas.envelope import unpack
        from backbeat.canvas.wire import from_wire
        from sqlalchemy import create_engine, text

        with create_engine(self.broker).connect() as connection:
            rows = connection.execute(text("SELECT queue, body FROM bb_message ORDER BY seq")).all()
        found = [from_wire(unpack(row.body), row.queue) for row in rows]
        return [(each.task, each.queue, json.loads(each.args)) for each in found]

    def audit(self):
        with Schedules(self.store) as schedules:
            return [(line.action, line.target, line.actor) for line in schedules.audit()]


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.history.close()
    app.close()


def ids(data):
    return [run["id"] for run in data["runs"]]


def test_runs_are_listed_newest_first_and_page_by_page(shop):
    first = shop.data("list", "-n", "3")
    second = shop.data("list", "-n", "3", "--after", first["next"])

    assert (ids(first), ids(second), second["next"]) == (
        ["ccc-4", "bbb-3", "aaa-2"],
        ["aaa-1", "abc-0"],
        None,
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--schedule", "sums"], ["aaa-1"]),
        (["--task", "shop.add", "--state", "failure"], ["aaa-2"]),
        (["--state", "SENT", "--state", "STARTED"], ["ccc-4", "bbb-3", "abc-0"]),
        (["--worker", "w1"], ["aaa-1"]),
        (["--queue", "fast"], ["aaa-1"]),
        (["--root", "root-1"], ["aaa-1"]),
        (["--id", "aaa"], ["aaa-2", "aaa-1"]),
        (["--text", "ValueError"], ["aaa-2"]),
        (["--since", "-1h"], []),
        (["--until", "2023-01-01"], []),
    ],
)
def test_a_list_is_narrowed_by_options(shop, options, found):
    assert ids(shop.data("list", *options)) == found


def test_a_run_is_shown_with_its_tries_and_its_family_and_without_secrets(shop):
    shown = shop.run("runs", "show", "aaa-1")

    assert shown.exit_code == 0, shown.output
    assert "s3cret" not in shown.output
    assert "s3cret" not in json.dumps(shop.data("show", "aaa-1"))
    for part in (
        "shop.add",
        "fast",
        '"y": 2',
        "try 1",
        "SUCCESS",
        "child",
        "bbb-3",
        "backbeat canvas show root-1",
    ):
        assert part in shown.output


def test_what_a_terminal_would_obey_is_not_printed(shop):
    for command in (["list"], ["show", "bbb"]):
        output = shop.run("runs", *command).output
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_a_beginning_that_several_ids_have_is_refused(shop):
    done = shop.run("runs", "show", "aaa")

    assert done.exit_code == 1
    assert "several runs in the history with an id that begins with 'aaa'" in done.output
    assert "no run in the history" in shop.run("runs", "show", "zzz").output


def test_a_run_is_sent_again_as_a_new_task_and_that_is_audited(shop):
    sent = shop.data("retry", "aaa-1", "--actor", "ann")["sent"]

    assert list(sent) == ["aaa-1"]
    assert sent["aaa-1"] != "aaa-1"
    assert shop.waiting() == [("shop.add", "fast", [1, {"api_key": "s3cret"}])]
    assert shop.audit() == [("run.retry", "aaa-1", "ann")]


def test_a_run_is_sent_again_with_other_arguments(shop):
    shop.data("retry", "abc-0", "--args", "[7, 8]", "--kwargs", "{}")

    assert [args for _, _, args in shop.waiting()] == [[7, 8]]


@pytest.mark.parametrize(
    ("id_", "why"),
    [
        ("abc-0", "its arguments are not known in full: give them with --args and --kwargs"),
        ("ccc-4", "it started a canvas: `backbeat schedules run-now flow` starts it again"),
    ],
)
def test_what_cannot_be_sent_again_is_refused_with_the_reason(shop, id_, why):
    done = shop.run("runs", "retry", id_)

    assert done.exit_code == 1
    assert why in done.output
    assert shop.audit() == []


def test_all_that_fit_are_counted_and_asked_about_first(shop):
    refused = shop.run("runs", "retry", "--all", "--task", "shop.add", "--id", "aaa", input="n\n")
    done = shop.run("runs", "retry", "--all", "--task", "shop.add", "--id", "aaa", input="y\n")

    assert refused.exit_code == 1
    assert "Send 2 runs again?" in refused.output
    assert done.exit_code == 0, done.output
    assert len(shop.waiting()) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["retry"], "name runs by their ids"),
        (["retry", "aaa-1", "--all"], "name runs by their ids"),
        (["retry", "--all"], "--all needs options that choose"),
        (["retry", "--all", "--state", "FAILURE", "--args", "[]"], "--args and --kwargs are for one run"),
        (["retry", "aaa-1", "--args", "{"], "--args is not JSON"),
        (["retry", "aaa-1", "--args", "{}"], "--args must be a JSON list"),
        (["list", "--after", "soon"], "is no key"),
        (["list", "--since", "soon"], "is not a time"),
    ],
)
def test_a_mistake_is_told(shop, arguments, why):
    done = shop.run("runs", *arguments)

    assert done.exit_code == 2, done.output
    assert why in done.output


def test_a_task_that_waits_is_revoked_and_one_that_ended_is_not(shop):
    shop.data("retry", "aaa-2")
    new = app.send_task("shop.add", [1, 2])
    shop.history.put([TaskRun(id=new.id, at_us=T0 + 9, name="shop.add")], [])

    done = shop.run("runs", "revoke", new.id, "aaa-1")

    assert done.exit_code == 1
    assert "aaa-1: it has ended: SUCCESS" in done.output
    assert app.AsyncResult(new.id).state == "REVOKED"
    assert ("run.revoke", new.id) in [(action, target) for action, target, _ in shop.audit()]


def test_changes_are_told_as_they_come(shop):
    ended = TaskRun(id="bbb-3", at_us=T0 + 2, state="SUCCESS", name="shop.add")
    change = threading.Timer(0.2, lambda: shop.history.put([ended], ["bbb-3"]))
    change.start()

    done = shop.run("runs", "tail", "--for", "2s")
    change.join()

    (line,) = done.output.splitlines()
    assert "SUCCESS" in line
    assert "bbb-3" in line


def test_where_nobody_listened_is_told_with_the_list(shop):
    shop.history.note_gap(Gap(T0 + 1, T0 + 2_000_000, "nobody recorded"))

    done = shop.run("runs", "list")

    assert (
        "not all may be known from 2023-11-14T22:13:20Z to 2023-11-14T22:13:22Z: nobody recorded"
        in done.stderr
    )


def test_a_store_that_is_not_there_is_named(tmp_path):
    done = CliRunner().invoke(main, ["--store", f"sqlite:///{tmp_path}/none.db", "runs", "list"])

    assert done.exit_code == 2
    assert "there is no store at" in done.output
