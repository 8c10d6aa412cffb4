"""A beat and the doctor before a damaged store, and the way out of it."""

from __future__ import annotations

import json
import os
import signal

from support.acceptance_tasks import NAME

SENT = r"Scheduler: Sending due task "
SCHEDULES = "schedules: {tick: {every: 100ms, task: support.acceptance_tasks.add, args: [1, 2]}}\n"


def test_a_beat_refuses_a_damaged_store_until_its_loss_is_accepted(programs, tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    store = tmp_path / "store.db"
    options = ("-q", "-A", NAME, "-b", "memory://", "--store", f"sqlite:///{store}", "beat", "-s", path)
    first = programs.start(*options)
    first.wait_for(SENT, count=3)
    first.send(signal.SIGTERM)
    assert first.wait() == 0
    os.truncate(store, store.stat().st_size // 2)

    code, said = programs.run(*options)
    assert code == 2
    assert str(store) in said
    assert "--accept-state-loss" in said
    assert "Traceback" not in said
    code, said = programs.run("--store", f"sqlite:///{store}", "--json", "doctor", path)
    assert code == 1
    assert "damaged" in next(each["text"] for each in json.loads(said)["checks"] if each["verdict"] == "fail")

    again = programs.start(*options, "--accept-state-loss")
    again.wait_for(r"ERROR.*moved to .*store\.db\.damaged-")
    again.wait_for(SENT, count=3)
    again.end()
    assert len(list(tmp_path.glob("store.db.damaged-*"))) >= 1


def test_the_doctor_looks_at_everything_and_a_leader_that_renews_is_well(common, programs, tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text(SCHEDULES)
    options = [*common, "--store", f"sqlite:///{tmp_path}/store.db"]
    beat = programs.start(*options, "beat", "--lease-ttl", "2", "-s", path)
    beat.wait_for(SENT)

    code, said = programs.run(*options, "--json", "doctor", path)

    report = json.loads(said)
    found = {each["check"]: each["verdict"] for each in report["checks"]}
    wanted = "version python zones schedules app broker results store schema clock lease".split()
    assert (code, report["healthy"]) == (0, True), said
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, "ok")
    assert found["store writes"] == found["store file"] == "ok"


def test_the_doctor_tells_what_is_wrong_and_what_to_do(programs, tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text("schedules: {bad: {cron: '61 * * * *', task: a}}\n")
    path.chmod(0o666)

    code, said = programs.run(
        "-A",
        NAME,
        "-b",
        "amqp://guest@127.0.0.1:1//",
        "--store",
        "postgresql://x@127.0.0.1:1/x",
        "doctor",
        path,
    )

    assert code == 1
    for part in ("fail  schedules:", "chmod o-w", "backbeat check", "fail  broker:", "fail  store:"):
        assert part in said
    assert "Traceback" not in said
