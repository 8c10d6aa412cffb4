"""Beats that are watched: their pages, `backbeat health`, and what both say when a beat is killed, stopped, or loses its broker."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.request

import pytest

from support.processes import wait_until

SCHEDULES = "schedules: {fast: {every: 200ms, task: demo.nothing}}\n"
APP = "from backbeat.canvas import App\napp = App('demo', broker='sqlite:///demo.db')\n"


@pytest.fixture
def start(programs, tmp_path):
    """Starts a beat that serves its pages; the program, and where they are."""
    (tmp_path / "schedules.yaml").write_text(SCHEDULES)
    (tmp_path / "demo.py").write_text(APP)
    known = {"PYTHONPATH": str(tmp_path)}

    def run(*options):
        beat = programs.start(
            "-A", "demo:app", "beat", "-s", "schedules.yaml", "--web", "127.0.0.1:0", *options, environ=known
        )
        return beat, beat.wait_for(r"probes +(http://\S+)/status")[1]

    return run


def page(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def status(url):
    return json.loads(page(f"{url}/status")[1])


def number(url, name):
    found = re.search(rf"(?m)^{name} (\S+)$", page(f"{url}/metrics")[1])
    return None if found is None else float(found[1])


def test_a_standby_is_healthy_and_tells_how_long_the_failover_took(start, figure):
    leader, leading = start()
    wait_until(lambda: status(leading)["role"] == "leading")
    _, standing = start()
    wait_until(lambda: status(standing)["role"] == "standby")
    assert page(f"{standing}/readyz") == (200, "ready: standing by\n")
    assert status(standing)["leader"]["pid"] == leader.pid
    ages = [number(standing, "backbeat_beat_lease_age_seconds")]
    wait_until(
        lambda: ages.append(number(standing, "backbeat_beat_lease_age_seconds")) or ages[-1] < ages[-2]
    )

    leader.send(signal.SIGKILL)
    wait_until(lambda: status(standing)["role"] == "leading")
    wait_until(lambda: number(standing, "backbeat_beat_sent_total") > 0)

    seconds = number(standing, "backbeat_beat_failover_seconds")
    assert number(standing, "backbeat_beat_failovers_total") == 1
    assert 0 < seconds < 15.0
    assert page(f"{standing}/healthz")[0] == 200
    figure(f"failover, as the standby saw it: {seconds:.2f} s")


def test_health_of_one_beat_and_of_all(start, programs):
    beat, url = start()
    wait_until(lambda: page(f"{url}/readyz")[0] == 200, what=lambda: page(f"{url}/readyz"))
    store = ("--store", "sqlite:///demo.db")

    assert programs.run("health", "--url", url)[0] == 0
    assert programs.run(*store, "health")[0] == 0

    beat.send(signal.SIGSTOP)
    stopped = programs.run("health", "--url", url)
    stopped_store = programs.run(*store, "health", "--max-age", "4")
    beat.send(signal.SIGCONT)
    assert stopped[0] == 69
    assert "does not answer" in stopped[1]
    assert stopped_store[0] == 1
    assert "no sign of life within 4 s: the lease is held by" in stopped_store[1]

    beat.send(signal.SIGTERM)
    assert beat.wait() == 0
    assert programs.run("health", "--url", url)[0] == 69
    none = programs.run(*store, "health", "--max-age", "1")
    assert (none[0], "no beat leads" in none[1]) == (1, True)


def test_a_beat_without_its_store_and_broker_is_alive_and_not_ready(programs, tmp_path):
    (tmp_path / "schedules.yaml").write_text(SCHEDULES)
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"

    beat = programs.start("-b", nowhere, "beat", "-s", "schedules.yaml", "--web", "127.0.0.1:18790")
    beat.wait_for("trying again")

    assert page("http://127.0.0.1:18790/healthz")[0] == 200
    assert page("http://127.0.0.1:18790/readyz") == (
        503,
        "the role is not known yet: the store was not reached\n",
    )
    beat.send(signal.SIGTERM)
    beat.wait()
