"""The pytest plugin, as it is installed: each test here runs pytest in a project of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROJECT = """
from backbeat.canvas import App

app = App("shop", broker="redis://nowhere.invalid")

@app.task(bind=True, max_retries=10)
def pay(task, order):
    if task.request.retries < 10:
        raise task.retry(countdown=590 * 2**task.request.retries)
    return order

@app.task(name="shop.sync")
def sync():
    return "done"
"""
SCHEDULES = """
schedules:
  hourly:
    task: shop.sync
    cron: "0 * * * *"
"""
INI = """
[pytest]
backbeat_app = shop:app
backbeat_schedules = schedules.yaml
addopts = -p no:cacheprovider
pythonpath = .
"""


@pytest.fixture
def project(tmp_path):
    """A project that says in its ini file what its app is."""
    (tmp_path / "shop.py").write_text(PROJECT)
    (tmp_path / "schedules.yaml").write_text(SCHEDULES)
    (tmp_path / "pytest.ini").write_text(INI)
    return tmp_path


def run(project, text, *options):
    """Run the test file `text`; how it ended, and what it said."""
    (project / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", *options]
    answer = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=100, check=False)
    return answer.returncode, answer.stdout + answer.stderr


def test_a_project_has_a_world_for_its_app_and_time_that_jumps(project):
    code, said = run(
        project,
        """
import time
import shop

def test_a_week_of_retries(backbeat):
    result = shop.pay.delay(7)
    backbeat.assert_sent(shop.pay, args=[7], queue="celery")
    begun = time.perf_counter()
    backbeat.advance("7d")
    assert result.get() == 7
    assert time.perf_counter() - begun < 1  # some 10 ms; the bound is for a machine that is busy

def test_the_next_test_has_another_world(backbeat):
    backbeat.assert_not_sent(shop.pay)

def test_a_day_of_the_beat(backbeat, backbeat_beat):
    fires = backbeat_beat.advance("1d")
    assert len(fires) == 24
    assert fires == sorted(fires, key=lambda fire: fire.fire_time)
    backbeat.assert_sent("shop.sync", times=24)
    assert backbeat.drain() == 24

def test_the_app_of_the_ini_file(backbeat_app):
    assert backbeat_app is shop.app
    assert shop.app.conf.broker_url == "redis://nowhere.invalid"
""",
    )

    assert code == 0, said
    assert "4 passed" in said


def test_fixtures_of_the_project_come_first(project):
    code, said = run(
        project,
        """
import pytest
from backbeat.canvas import App

@pytest.fixture
def backbeat_app():
    app = App("mine", set_as_current=False)
    app.task(name="mine.tick")(lambda: 1)
    return app

@pytest.fixture
def backbeat_schedules():
    return "schedules: {tick: {task: mine.tick, every: 10m}}"

def test_it(backbeat, backbeat_app, backbeat_beat):
    assert len(backbeat_beat.advance("1h")) == 6
    assert backbeat.app is backbeat_app
    assert backbeat.drain() == 6
""",
    )

    assert code == 0, said


def test_a_failure_says_what_was_sent(project):
    code, said = run(
        project,
        "import shop\n\ndef test_it(backbeat):\n    shop.sync.delay()\n    backbeat.assert_sent('shop.synk')\n",
    )

    assert code == 1
    assert "shop.synk was sent never, not once" in said
    assert "did you mean 'shop.sync'?" in said
    assert "canvas/testing" not in said


def test_without_an_ini_option_there_is_a_new_app(project):
    (project / "pytest.ini").unlink()

    code, said = run(
        project,
        """
def test_it(backbeat, backbeat_beat):
    backbeat.app.task(name="one")(lambda: 1)
    assert backbeat.app.send_task("one").get() == 1
    assert backbeat_beat.advance("1d") == []
""",
    )

    assert code == 0, said


def test_the_plugin_loads_nothing_that_no_fixture_asks_for(project):
    code, said = run(
        project,
        """
import sys

def test_it():
    loaded = {name for name in sys.modules if name.startswith("backbeat.")}
    assert loaded == {"backbeat.scheduler", "backbeat.scheduler.pytest_plugin"}, loaded
    assert "kombu" not in sys.modules
""",
    )

    assert code == 0, said


def test_the_fixtures_are_listed_with_what_they_are(project):
    code, said = run(project, "def test_it(): pass\n", "--fixtures")

    assert code == 0, said
    for name in ("backbeat_app", "backbeat --", "backbeat_schedules", "backbeat_beat"):
        assert name in said
