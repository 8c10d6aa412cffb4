"""Celery's own tools against our workers: what `celery inspect` and `celery control` of a real Celery 5.7 get is shaped as what a worker of Celery's says."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack, contextmanager

import pytest

from support import servers
from support.celery_env import celery_python, run_celery
from support.celery_zygote import COMMAND_LINE, celery_zygote
from support.processes import wait_until
from support.stacks import IS_WHOLE, own_redis_database
from support.two_sides import TwoSides

TASKS = """
import time

@app.task(name="{side}.add", queue="{side}")
def add(x, y):
    return x + y

@app.task(name="{side}.wait", queue="{side}")
def wait(path):
    import pathlib
    while not pathlib.Path(path).exists():
        time.sleep(0.02)
"""
ASK = """
import json, sys
from celery import Celery
broker, method, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
app = Celery("client", broker=broker)
answer = app.control.broadcast(method, arguments=arguments, reply=True, timeout=8, limit=int(sys.argv[4]))
print(json.dumps({node: payload for each in answer for node, payload in each.items()}))
"""
ONLY_OURS = ASK.replace("reply=True", "reply=True, destination=['a@new']").replace("int(sys.argv[4])", "1")
SEND = """
import json, sys
from celery import Celery
app = Celery("client", broker=sys.argv[1], backend=sys.argv[2])
sent = []
for side in ("new", "old"):
    for name, args, options in json.loads(sys.argv[3]):
        sent.append(app.send_task(f"{side}.{name}", args, queue=side, **options).id)
print(json.dumps(sent))
"""


class Fleet:
    """A worker of ours and one of Celery's on one broker, of two slots each."""

    def __init__(self, home, broker, backend):
        self.home, self.broker, self.backend = home, broker, backend

    def ask(self, method, *, limit=2, **arguments):
        """What both answer to a real Celery client: ours first."""
        found = self._run(ASK, self.broker, method, json.dumps(arguments), str(limit))
        assert len(found) == limit, (method, found)
        return [payload for _, payload in sorted(found.items())]

    def ask_ours(self, method, **arguments):
        """What ours alone answers."""
        (answer,) = self._run(ONLY_OURS, self.broker, method, json.dumps(arguments)).values()
        return answer

    def send(self, *tasks):
        """Send each to both; their ids, of ours and of Celery's."""
        ids = self._run(SEND, self.broker, self.backend, json.dumps(tasks))
        return ids[: len(tasks)], ids[len(tasks) :]

    def cli(self, *arguments):
        return celery_zygote(celery_python()).run(COMMAND_LINE, "-b", self.broker, *arguments)

    def _run(self, script, *arguments):
        return run_celery(script, *arguments)


@contextmanager
def fleet_on(kind, home):
    with ExitStack() as lent:
        backend = lent.enter_context(own_redis_database())
        broker = lent.enter_context(servers.own_vhost()) if kind == "rabbitmq" else backend
        settings = {"worker_prefetch_multiplier": 1, "task_acks_late": True}
        sides = TwoSides(
            home=home, broker=broker, backend=backend, tasks=TASKS, old_settings=settings, slots=2
        )
        lent.enter_context(sides.both("-Q", "old"))
        yield Fleet(home, broker, backend)


@pytest.fixture(scope="module", params=["redis", "rabbitmq"] if IS_WHOLE else ["redis"])
def fleet(request, tmp_path_factory):
    with fleet_on(request.param, tmp_path_factory.mktemp("fleet")) as opened:
        yield opened


def shape(value):
    """Names of a map and kinds of values, to be compared; of a list that of its first."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case bool() | None:
            return "flag or none"
        case int() | float():
            return "number"
    return type(value).__name__


@pytest.mark.parametrize("method", ["ping", "clock", "report", "registered", "active_queues", "memsample"])
def test_a_question_is_answered_as_a_worker_of_celerys_answers_it(fleet, method):
    ours, theirs = fleet.ask(method)

    if method == "registered":
        assert ours == ["new.add", "new.wait"]
        assert "old.add" in theirs
    elif method == "active_queues":
        assert [queue["name"] for queue in ours] == ["new"]
        assert ours[0].keys() >= theirs[0].keys()
        assert ours[0]["exchange"].keys() >= theirs[0]["exchange"].keys()
    elif method == "memsample":  # where Celery finds no psutil it says nothing
        assert ours.endswith("MB")
    else:
        assert shape(ours) == shape(theirs)


def test_stats_have_all_that_celerys_have(fleet):
    ours, theirs = fleet.ask("stats")

    assert ours.keys() >= theirs.keys()
    assert ours["broker"].keys() >= theirs["broker"].keys()
    assert ours["pool"].keys() >= theirs["pool"].keys() - {"start-method"}
    assert {name for name, value in theirs["rusage"].items() if isinstance(value, float)} <= ours[
        "rusage"
    ].keys()
    assert len(ours["pool"]["processes"]) == ours["pool"]["max-concurrency"] == 2
    assert shape(ours["total"]) == dict.fromkeys(ours["total"], "number")
    assert isinstance(ours["uptime"], int)


def test_conf_shows_settings_and_no_password(fleet):
    ours, theirs = fleet.ask("conf", with_defaults=True)

    assert ours["task_default_queue"] == "new"
    assert theirs["task_default_queue"] == "old"
    assert "guest:guest" not in json.dumps(ours)


def test_tasks_that_run_wait_and_are_scheduled_are_told_as_celery_tells_them(fleet, tmp_path):
    go = tmp_path / "go"
    waiting = ["wait", [str(go)], {}]
    later_ours, later_theirs = fleet.send(*[["add", [1, 2], {"countdown": 3600}]] * 2)
    wait_until(lambda: [len(scheduled) for scheduled in fleet.ask("scheduled")] == [2, 2], 30)
    now_ours, _ = fleet.send(waiting, waiting, waiting)
    try:
        wait_until(lambda: [len(active) for active in fleet.ask("active")] == [2, 2], 30)
        ours, theirs = fleet.ask("active")
        assert {info["id"] for info in ours} <= set(now_ours)
        assert ours[0].keys() >= theirs[0].keys()
        assert (ours[0]["args"], ours[0]["kwargs"], ours[0]["hostname"]) == ([str(go)], {}, "a@new")
        assert {info["worker_pid"] for info in ours} <= set(fleet.ask("stats")[0]["pool"]["processes"])
        assert abs(ours[0]["time_start"] - theirs[0]["time_start"]) < 60

        ours, theirs = fleet.ask("scheduled")
        assert sorted(each["request"]["id"] for each in ours) == sorted(later_ours)
        assert shape(ours[0]).keys() == shape(theirs[0]).keys()
        found = fleet.ask("query_task", ids=[*now_ours, *later_ours])[0]
        assert {state for state, _ in found.values()} >= {"active", "scheduled"}
        assert found[later_ours[0]][1]["id"] == later_ours[0]
    finally:
        go.touch()
    wait_until(lambda: fleet.ask("active") == [[], []], 30)
    fleet.ask("revoke", task_id=[*later_ours, *later_theirs])
    wait_until(lambda: fleet.ask("scheduled")[0] == [], 30)


def words(answer):
    """The words of an answer, in order; but ids, which Celery tells in any."""
    text = json.dumps(answer)
    return sorted(re.findall(r"\w+", text)), re.sub(r"\w+", "", text)


def test_orders_are_answered_word_for_word(fleet):
    for method, arguments in (
        ("revoke", {"task_id": "never"}),
        ("revoke", {"task_id": ["never", "ever"]}),
        ("revoke", {"task_id": "never", "terminate": True}),
        ("terminate", {"signal": "TERM", "task_id": "never"}),
        ("enable_events", {}),
        ("enable_events", {}),
        ("disable_events", {}),
        ("disable_events", {}),
        ("heartbeat", {}),
        ("add_consumer", {"queue": "other"}),
        ("cancel_consumer", {"queue": "other"}),
        ("time_limit", {"task_name": "nobodys", "hard": 2}),
        ("rate_limit", {"task_name": "nobodys", "rate_limit": "10/m"}),
        ("pool_grow", {"n": 1}),
        ("pool_shrink", {"n": 1}),
    ):
        ours, theirs = fleet.ask(method, **arguments)
        assert words(ours) == words(theirs), (method, ours, theirs)
    for side in ("new", "old"):
        answers = fleet.ask("time_limit", task_name=f"{side}.add", soft=1, hard=2)
        assert {"ok": "time limits set successfully"} in answers
    for rate, answer in (
        ("10/m", "new rate limit set successfully"),
        (5, "new rate limit set successfully"),
        (0, "rate limit disabled successfully"),
    ):
        for side in ("new", "old"):
            assert {"ok": answer} in fleet.ask("rate_limit", task_name=f"{side}.add", rate_limit=rate)


def test_an_order_that_breaks_is_an_error_in_the_answer(fleet):
    ours, theirs = fleet.ask("no_such_order")
    assert ours.keys() == theirs.keys() == {"error"}

    ours, theirs = fleet.ask("revoke", task_id=["x"], terminate=True, signal="NOSUCH")
    assert ours.keys() == {"error"}
    assert "NOSUCH" in ours["error"]


def test_a_task_that_celerys_client_terminates_ends_as_revoked(fleet, tmp_path):
    (id_,), (theirs,) = fleet.send(["wait", [str(tmp_path / "never")], {}])
    wait_until(lambda: id_ in [info["id"] for info in fleet.ask("active")[0]], 30)

    assert {"ok": f"terminate: {id_}"} in fleet.ask("revoke", task_id=[id_], terminate=True)
    fleet.ask("revoke", task_id=[theirs], terminate=True)

    wait_until(lambda: id_ not in [info["id"] for info in fleet.ask("active")[0]], 30)
    done = fleet.cli("--result-backend", fleet.backend, "result", id_)
    assert "TaskRevokedError" in done.stdout + done.stderr
    assert id_ in fleet.ask("revoked")[0]


def test_a_queue_that_is_added_while_it_runs_is_served_and_no_more_when_it_is_cancelled(fleet):
    fleet.ask("add_consumer", queue="later")
    assert "later" in [queue["name"] for queue in fleet.ask("active_queues")[0]]
    send = (
        "import json, sys; from celery import Celery; app = Celery(broker=sys.argv[1], backend=sys.argv[2]); "
        "print(json.dumps(app.send_task('new.add', [20, 22], queue='ours-only').get(timeout=30)))"
    )
    fleet.ask("cancel_consumer", queue="later")
    assert "later" not in [queue["name"] for queue in fleet.ask("active_queues")[0]]

    assert fleet.ask_ours("add_consumer", queue="ours-only") == {"ok": "add consumer ours-only"}
    assert fleet._run(send, fleet.broker, fleet.backend) == 42


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["inspect", "ping"],
        ["inspect", "stats"],
        ["inspect", "active"],
        ["inspect", "reserved"],
        ["inspect", "scheduled"],
        ["inspect", "revoked"],
        ["inspect", "registered"],
        ["inspect", "active_queues"],
        ["inspect", "conf"],
        ["inspect", "report"],
        ["inspect", "clock"],
        ["inspect", "memsample"],
        ["inspect", "memdump"],
        ["inspect", "objgraph"],
        ["inspect", "query_task", "an-id"],
    ],
    ids=" ".join,
)
def test_celerys_command_line_shows_our_worker(fleet, command):
    done = fleet.cli(*command, "--timeout", "5", "--destination", "a@new")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "a@new: OK" in done.stdout


def test_a_pool_grows_shrinks_and_is_restarted_by_celerys_client(fleet):
    def pool():
        return fleet.ask("stats")[0]["pool"]

    before = pool()["processes"]
    assert fleet.ask_ours("pool_grow", n=2) == {"ok": "pool will grow"}
    wait_until(lambda: len(pool()["processes"]) == 4, 30)
    assert pool()["max-concurrency"] == 4
    assert fleet.ask_ours("pool_shrink", n=2) == {"ok": "pool will shrink"}
    wait_until(lambda: len(pool()["processes"]) == 2, 30)

    assert fleet.ask_ours("pool_restart") == {"ok": "reload started"}
    wait_until(lambda: len(pool()["processes"]) == 2 and not {*pool()["processes"]} & {*before}, 30)

    assert fleet.ask_ours("autoscale", max=3, min=1) == {"ok": "autoscale now max=3 min=1"}
    scaling = fleet.ask("stats")[0]["autoscaler"]
    assert (scaling["max"], scaling["min"]) == (3, 1)
    assert "at least 1" in fleet.ask_ours("pool_grow", n=0)["error"]


def test_celerys_command_line_reads_results_purges_queues_and_hears_events_of_ours(fleet):
    command = [str(celery_python()), "-m", "celery", "-b", fleet.broker, "events", "--dump"]
    with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True) as listening:
        try:
            fleet.ask("enable_events")
            heard = ""
            (id_,), _ = fleet.send(["add", [20, 22], {}])
            for line in listening.stdout:  # it hears the heartbeats of both at least
                heard += line
                if "a@new heartbeat" in heard or "a@new" in heard:
                    break
        finally:
            listening.terminate()
    wait_until(lambda: fleet.cli("--result-backend", fleet.backend, "result", id_).stdout.strip() == "42", 30)

    send = "import sys; from celery import Celery; app = Celery(broker=sys.argv[1])\n"
    send += "for _ in range(3): app.send_task('new.add', [1, 2], queue='to-purge')\nprint(3)"
    assert fleet._run(send, fleet.broker) == 3
    done = fleet.cli("purge", "-f", "-Q", "to-purge")
    assert "Purged 3 messages" in done.stdout, done.stdout + done.stderr


def test_shutdown_by_celerys_command_line_ends_a_worker_of_ours_in_good_order(tmp_path):
    with fleet_on("redis", tmp_path) as fleet:
        fleet.cli("control", "shutdown", "--destination", "a@new")
        wait_until(lambda: "it was told to" in (tmp_path / "new" / "worker.log").read_text(), 30)
        wait_until(lambda: len(fleet._run(ASK, fleet.broker, "ping", "{}", "1")) == 1, 30)
