"""`backbeat import celery` on a real Celery project: what is written means what Celery's own scheduler does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from backbeat.scheduler.files import load
from backbeat.scheduler.imports.comparison import fire_times
from backbeat.scheduler.schedule import Crontab, DayMatch, Solar
from backbeat.scheduler.work_words import work_lines

from support.celery_env import celery_python, from_celery, run_celery
from support.celery_shop import NEXT_RUNS, write_shop

WINTER = ("2026-01-05T00:00:00+00:00", "2026-01-12T00:00:00+00:00")
AUTUMN = ("2026-10-22T00:00:00+00:00", "2026-10-29T00:00:00+00:00")
"""In the second one the clocks of Europe/Berlin go back."""
MOST = 650
"""Fire times of one entry that are compared."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with the project."""
    path = tmp_path_factory.mktemp("shop")
    write_shop(path)
    return path


def run_import(home, app, *arguments):
    """Run the command where the project is, by the interpreter that has Celery; its process."""
    command = [sys.executable, "-m", "backbeat.scheduler.cli", "--json", "import", "celery", "-A", app]
    return subprocess.run(
        [*command, "--python", str(celery_python()), *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def winter(home):
    """Report and file of a week without a clock change."""
    done = run_import(home, "shop", "--from", WINTER[0], "-o", "winter.yaml")
    assert done.returncode == 1, done.stderr  # three entries of the project cannot be mapped
    return json.loads(done.stdout), load(home / "winter.yaml", {})


def micros(text):
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000


def test_the_file_loads_and_holds_all_entries_but_those_that_are_named(winter):
    report, loaded = winter

    assert loaded.is_applicable, [problem.render() for problem in loaded.problems]
    assert len(loaded.entries) >= 29
    assert {each["name"]: each["reason"].split(":")[0] for each in report["not_imported"]} == {
        "lunar": "shop.celery.Lunar is a schedule class of its own. help",
        "object": "TypeError",
    }
    lost = {each["name"]: each["lost"] for each in report["schedules"] if each["lost"]}
    assert list(lost) == ["routed"]


def test_entries_keep_what_they_send(winter):
    entries = {entry.name: entry for entry in winter[1].entries}

    options = entries["options"]
    assert options.what["args"] == [16, "a $HOME ${x} $$"]
    assert options.what["kwargs"] == {"deep": {"no": [None, True, 1.5]}}
    assert options.what["options"] == {
        "queue": "media",
        "expires": 300,
        "priority": 3,
        "headers": {"tenant": "acme"},
    }
    assert entries["linked"].what["options"]["link"][0]["task"] == "shop.done"
    assert entries["typed"].what["args"][1] == {"__type__": "decimal", "__value__": "1.50"}
    assert entries["until"].end_us == micros("2027-01-01T00:00:00+00:00")
    queues = {name: entries[name].what["options"] for name in ("by route", "by task", "declared", "seconds")}
    assert queues == {
        "by route": {"queue": "video"},
        "by task": {"queue": "heavy", "priority": 7},
        "declared": {"queue": "stills"},
        "seconds": {},
    }
    friday = entries["friday the 13th"].when
    assert friday == Crontab(expression="0 0 13 * 5", timezone="Europe/Berlin", day_match=DayMatch.ALL)
    assert {"after-configure", "after-finalize"} <= entries.keys()


@from_celery("5.7", "its intervals that are relative to a round time are others")
def test_fire_times_of_a_week_are_those_of_celery(home, winter):
    """Celery is asked a second time, by a program that shares nothing with the importer."""
    theirs = run_celery(NEXT_RUNS, str(home), "shop", *WINTER)
    explained = {each["name"] for each in winter[0]["comparisons"] if each["verdict"] != "same"}
    begin, end = map(micros, WINTER)

    compared = 0
    for entry in winter[1].entries:
        expected = [micros(each) for each in theirs[entry.name]][:MOST]
        found = list(fire_times(entry, begin, end, len(expected) + 1 if len(expected) < MOST else MOST))
        if isinstance(entry.when, Solar):
            assert all(abs(a - b) < 180_000_000 for a, b in zip(found, expected, strict=True))
        elif entry.name not in explained:
            assert found == expected, entry.name
            compared += 1

    assert compared >= 24
    assert explained <= {"two days relative", "sunset"}


@from_celery("5.7", "its intervals that are relative to a round time are others")
def test_differences_at_a_clock_change_are_reported(home):
    done = run_import(home, "shop", "--from", AUTUMN[0], "-o", "autumn.yaml")
    comparisons = {each["name"]: each for each in json.loads(done.stdout)["comparisons"]}

    assert "different" not in {each["verdict"] for each in comparisons.values()}
    minutely = comparisons["every minute"]
    # Celery skips the hour that comes twice
    assert (minutely["verdict"], minutely["ours"] - minutely["theirs"]) == (
        "explained",
        60,
    )
    assert "clock of Europe/Berlin changes at 2026-10-25 01:00:00Z" in minutely["text"]


def test_a_project_with_the_old_names_of_settings_is_read(home):
    done = run_import(home, "old")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert "timezone: " in report["yaml"]
    assert "every: 10s" in report["yaml"]
    assert "options: {queue: q}" in report["yaml"]


FLOWS = """
from celery import Celery, chain, chord, group

app = Celery("flows", broker="memory://")

@app.task(name="t")
def t(*args):
    pass

nested = chord([t.s(1), chain(t.s(2), t.s(3))], t.s("body"))
nested.link_error(t.si("alarm"))
nested.link(t.s("one"))
nested.link(t.s("two"))
app.conf.beat_schedule = {
    "signature": {"task": t.s(2), "schedule": 60, "args": (1,), "options": {"queue": "q"}},
    "canvas": {"task": chain(t.s(1), group(t.s(2), t.s(3)), t.s(4)), "schedule": 60},
}

@app.on_after_finalize.connect
def hook(sender, **_):
    sender.add_periodic_task(60, nested, name="chord")
    sender.add_periodic_task(60, chain(t.s(1), nested.clone()), name="chain")
    sender.add_periodic_task(60, group(t.s(n) for n in range(3)), name="group")
"""


def test_canvases_are_written_as_workflows(home):
    (home / "flows.py").write_text(FLOWS)

    done = run_import(home, "flows", "-o", "flows.yaml")

    loaded = load(home / "flows.yaml", {})
    assert json.loads(done.stdout)["not_imported"] == []
    assert loaded.problems == ()
    nested = [
        "| t(1)",
        "| chain of 2",
        "  > t(2)",
        "  > t(3)",
        '> t("body")',
        '  on success: t("one")',
        '  on success: t("two")',
        '  on error: t("alarm")  [immutable]',
    ]
    assert {entry.name: work_lines(entry.what) for entry in loaded.entries} == {
        "signature": ['t(1, 2)  [queue "q"]'],
        "canvas": ["chain of 2", "  > t(1)", "  > chord of 2", "    | t(2)", "    | t(3)", "    > t(4)"],
        "chord": ["chord of 2", *(f"  {line}" for line in nested)],
        "chain": ["chain of 2", "  > t(1)", "  > chord of 2", *(f"    {line}" for line in nested)],
        "group": ["group of 3", "  | t(0)", "  | t(1)", "  | t(2)"],
    }


def test_a_project_that_cannot_be_loaded_says_why(home):
    (home / "broken.py").write_text("import nothing_like_this")

    absent = run_import(home, "no_such_project")
    broken = run_import(home, "broken")

    assert (absent.returncode, broken.returncode) == (2, 2)
    assert "No module named 'no_such_project'" in absent.stderr
    assert "No module named 'nothing_like_this'" in broken.stderr


def test_an_interpreter_without_celery_is_told_from_a_broken_project(home):
    command = [sys.executable, "-m", "backbeat.scheduler.cli", "import", "celery", "-A", "shop"]
    bare = {**os.environ, "PYTHONPATH": ""}

    done = subprocess.run(
        command, cwd=home, capture_output=True, text=True, env=bare, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "--python" in done.stderr


def test_a_file_is_not_replaced_unawares(home, winter):
    before = (home / "winter.yaml").read_text()

    done = run_import(home, "old", "-o", "winter.yaml")

    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (home / "winter.yaml").read_text() == before
