"""status, inspect, control, events, report and shell of our command line, with a real worker on Redis, RabbitMQ and SQLite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest
from backbeat.scheduler.cli.main import main
from click.testing import CliRunner

from support import servers
from support.celery_env import ready_program
from support.processes import CLI, wait_until
from support.stacks import IS_WHOLE, own_redis_database

PROJECT = """
from backbeat.canvas import App
from backbeat.canvas.worker.control import control_command, inspect_command

app = App("shop", broker={broker!r}, backend={backend!r})

@app.task
def add(x, y):
    return x + y

@inspect_command(args=[("n", int)], signature="[N=1]")
def doubled(state, n=1):
    "Twice a number."
    return {{"ok": 2 * n}}

@control_command
def refuse(state):
    "Refuse."
    raise ValueError("never")
"""


class Shop:
    def __init__(self, home, broker):
        self.home, self.broker = home, broker

    def run(self, *arguments, **known):
        """A command, in this process, which has imported it all."""
        return CliRunner().invoke(main, ["-A", "shop_app:app", *arguments], **known)

    def data(self, *arguments):
        done = self.run("--json", *arguments)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["redis", "rabbitmq", "sqlite"] if IS_WHOLE else ["rabbitmq"])
def shop(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("shop")
    with ExitStack() as lent, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(home)
        lent.callback(sys.modules.pop, "shop_app", None)
        match request.param:
            case "redis":
                broker = backend = lent.enter_context(own_redis_database())
            case "rabbitmq":
                broker, backend = (
                    lent.enter_context(servers.own_vhost()),
                    lent.enter_context(own_redis_database()),
                )
            case _:
                broker = backend = f"sqlite:///{home}/shop.db"
        (home / "shop_app.py").write_text(PROJECT.format(broker=broker, backend=backend))
        command = [sys.executable, "-m", "backbeat.scheduler.cli", "-A", "shop_app:app", "worker"]
        lent.enter_context(
            ready_program(home, *command, "-c", "2", "-n", "a@shop", "--heartbeat-interval", "0.5")
        )
        yield Shop(home, broker)


def test_status_names_the_workers_that_are_there(shop, tmp_path):
    store = f"sqlite:///{tmp_path}/ledger.db"
    rare = shop.home / "rare.yaml"
    rare.write_text("schedules:\n  rare: {task: shop_app.add, args: [1, 2], every: 300d}\n")
    assert shop.run("--store", store, "beat", "--once", "-s", str(rare)).exit_code == 0

    assert shop.data("--store", store, "status")["workers"] == ["a@shop"]
    assert re.search(r"workers +a@shop\n", shop.run("--store", store, "status").stdout)


def test_inspect_asks_and_prints_for_people_and_for_programs(shop):
    done = shop.run("inspect", "ping")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "->  a@shop: OK\n    pong\n\n1 node online.\n"

    assert shop.data("inspect", "ping") == {"a@shop": {"ok": "pong"}}
    assert shop.data("inspect", "registered")["a@shop"] == ["shop_app.add"]
    assert shop.data("inspect", "stats", "-d", "a@shop")["a@shop"]["pool"]["max-concurrency"] == 2
    assert json.loads(shop.run("inspect", "-j", "active").stdout) == {"a@shop": []}


def test_a_command_that_the_project_added_is_known_to_worker_and_command_line(shop):
    assert shop.data("inspect", "doubled", "21") == {"a@shop": {"ok": 42}}
    assert "doubled [N=1]" in shop.run("inspect", "--list").stdout
    done = shop.run("control", "refuse")
    assert done.exit_code == 1
    assert "->  a@shop: ERROR\n    ValueError('never')" in done.stdout


def test_an_order_that_no_one_could_obey_is_refused_before_it_is_sent(shop):
    done = shop.run("inspect", "doubled", "many")
    assert (done.exit_code, "doubled: n is no int: 'many'" in done.stderr) == (2, True)
    done = shop.run("control", "pong")
    assert (done.exit_code, "there is no control command 'pong'" in done.stderr) == (2, True)
    done = shop.run("inspect", "ping", "pong")
    assert (done.exit_code, "ping takes no arguments, found pong" in done.stderr) == (2, True)


def test_nobody_answered_says_who_was_asked_where_and_why_that_may_be(shop):
    done = shop.run("inspect", "ping", "-d", "nobody@shop", "-t", "0.5")

    assert done.exit_code == 69
    assert "No nodes replied within time constraint" in done.stderr
    assert "workers nobody@shop of broker" in done.stderr
    assert "guest:guest" not in done.stderr


def test_events_shows_what_workers_and_tasks_do(shop):
    command = [*CLI, "-A", "shop_app:app", "--json", "events", "--enable"]
    with subprocess.Popen(command, cwd=shop.home, stdout=subprocess.PIPE, text=True) as listening:
        try:
            events = [
                json.loads(listening.stdout.readline())
            ]  # the worker's heart beats: it listens from now on
            wait_until(lambda: "already" in shop.run("control", "enable_events").stdout, 30)
            shop.run("call", "shop_app.add", "-a", "[20, 22]", "--wait", "20")
            for line in listening.stdout:
                events.append(json.loads(line))
                if events[-1]["type"] == "task-succeeded":
                    break
        finally:
            listening.terminate()

    kinds = [event["type"] for event in events if event["type"].startswith("task-")]
    assert kinds == ["task-received", "task-started", "task-succeeded"]
    (done,) = [event for event in events if event["type"] == "task-succeeded"]
    assert (done["result"], done["hostname"]) == ("42", "a@shop")
    assert any(event["type"] == "worker-heartbeat" and event["freq"] == 0.5 for event in events)


def test_list_queues_tells_what_waits_and_who_serves_it_and_purge_takes_it_away(shop):
    for _ in range(3):
        shop.run("call", "shop_app.add", "-a", "[1, 2]", "-Q", "unserved")
    ((served, unserved),) = [shop.data("list", "queues", "-Q", "unserved")]
    assert (served["name"], served["workers"]) == ("celery", ["a@shop"])
    assert (unserved["name"], unserved["messages"], unserved["workers"]) == ("unserved", 3, [])
    assert "unserved" in shop.run("list", "queues", "-Q", "unserved").stdout

    refused = shop.run("purge", "-Q", "unserved", input="n\n")
    assert (refused.exit_code, "There is no undo" in refused.stderr) == (1, True)
    assert shop.data("purge", "-f", "-Q", "unserved") == {"purged": 3, "queues": ["unserved"]}
    assert shop.data("list", "queues", "-Q", "unserved")[1]["messages"] == 0


def test_report_shows_versions_and_settings_and_no_password(shop):
    done = shop.run("report")

    assert "software -> backbeat:" in done.stdout
    assert "guest:guest" not in done.stdout
    assert shop.data("report")["app"] == "shop"


def test_shell_has_the_app_and_its_tasks_at_hand(shop):
    command = [*CLI, "-A", "shop_app:app", "shell"]
    typed = "print(add.delay(20, 22).get(timeout=20), group, app.name)"
    done = subprocess.run(command, cwd=shop.home, input=typed, capture_output=True, text=True, timeout=60)

    assert done.stdout.startswith("42 "), done.stdout + done.stderr
    assert done.stdout.endswith(" shop\n")


@pytest.mark.parametrize("command", [["inspect", "ping"], ["control", "heartbeat"], ["events", "-t", "1"]])
def test_a_broker_that_is_away_is_one_sentence_and_69(command):
    answer = CliRunner().invoke(main, ["-b", "redis://127.0.0.1:1/0", *command])

    assert answer.exit_code == 69
    assert "the broker redis://127.0.0.1:1/0 cannot be reached" in answer.output


def test_a_broker_that_carries_nothing_to_all_is_told():
    answer = CliRunner().invoke(main, ["-b", "memory://", "inspect", "ping"])

    assert answer.exit_code == 2
    assert "memory:// carries no remote control: redis://, amqp:// and databases do" in answer.output
