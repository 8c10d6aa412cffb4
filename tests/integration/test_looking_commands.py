"""`next`, `explain` and `simulate`: the commands that look ahead and change nothing."""

from __future__ import annotations

import json

import pytest
from backbeat.scheduler.cli import main
from click.testing import CliRunner

SCHEDULES = """
timezone: Europe/Berlin
schedules:
  nightly: {task: app.nightly, cron: "30 2 * * *"}
  often: {task: app.often, every: 20m, jitter: 30s}
  careful: {task: app.careful, cron: "0 * * * *", overlap: skip}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "schedules.yaml").write_text(SCHEDULES)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        answer = CliRunner().invoke(main, arguments)
        return answer.exit_code, answer.output

    return run


def test_explain_says_an_expression_in_words_with_its_next_runs(run):
    code, output = run("explain", "30 2 * * 1-5", "--tz", "Europe/Berlin", "-n", "2")

    assert code == 0
    assert "at 02:30 on Monday to Friday (Europe/Berlin)" in output
    assert output.count("T02:30:00") == 2


def test_explain_knows_the_schedules_of_the_file_and_what_clock_changes_do_to_them(run):
    code, output = run("--json", "explain", "nightly")

    found = json.loads(output)
    assert code == 0
    assert found["words"] == "at 02:30 every day (Europe/Berlin)"
    assert len(found["clock_changes"]) == 2


def test_explain_takes_a_name_with_spaces_and_says_what_limits_it(run, tmp_path):
    (tmp_path / "schedules.yaml").write_text(
        "timezone: Europe/Berlin\n"
        "schedules:\n"
        '  monthly report: {task: t, cron: "30 2 * * *", max_runs: 2, jitter: 30s}\n'
        "  off: {task: t, every: 5m, enabled: false}\n"
        '  both: {task: t, any: [{cron: "0 1 * * *"}, {cron: "0 3 * * *"}]}\n'
    )

    code, limited = run("explain", "monthly report")
    off, both = run("explain", "off")[1], run("explain", "both")[1]

    assert code == 0
    assert "at most 2 times from now" in limited
    assert "each up to 30 seconds later (jitter)" in limited
    assert limited.split("clock changes")[0].count("T02:30:00") == 2
    assert "not while it is disabled" in off
    assert "next (Europe/Berlin):" in both


def test_explain_speaks_of_a_schedule_of_the_store(run, tmp_path):
    store = ("--store", f"sqlite:///{tmp_path}/s.db")
    assert run(*store, "schedules", "add", "db one", "--task", "t", "--every", "5m")[0] == 0

    code, output = run(*store, "explain", "db one", "--from-store")

    assert code == 0
    assert "db one: every 5 minutes" in output


def test_explain_names_what_is_wrong_with_an_expression(run):
    code, output = run("explain", "61 2 * * *")

    assert code == 2
    assert "minute 61 is out of range 0-59" in output


def test_explain_names_what_is_wrong_with_the_file_that_may_have_the_name(run, tmp_path):
    (tmp_path / "schedules.yaml").write_text("schedules:\n  monthly report: {task: t, cron: '61 2 * * *'}\n")

    name, expression = run("explain", "monthly report"), run("explain", "5 99 * * *")

    assert name[0] == expression[0] == 2
    assert "schedules.yaml:2" in name[1]
    assert "minute 61 is out of range" in name[1]
    assert "hour 99 is out of range" in expression[1]


def test_explain_says_what_of_an_expression_is_another_matter_in_a_file(run):
    seconds = run("explain", "0 30 2 * * *")
    hashed = run("explain", "H 2 * * *")
    plain = run("explain", "0 2 * * thu")
    every = run("explain", "@every 5m")

    assert "in a file this needs cron_fields: 6" in seconds[1]
    assert "H is drawn from the name of the schedule" in hashed[1]
    assert "in a file" not in plain[1]
    assert "drawn" not in plain[1]
    assert "every 5 minutes" in every[1]
    assert (seconds[0], hashed[0], plain[0], every[0]) == (0, 0, 0, 0)


def test_an_unknown_name_is_told_with_the_known_ones(run):
    code, output = run("next", "nighty")

    assert code == 2
    assert "there is no schedule 'nighty'; there are: careful, nightly, often" in output


def test_next_takes_a_span_and_a_zone(run):
    span = ("--from", "2026-03-28T12:00", "--until", "2026-03-30T12:00", "--tz", "Europe/Berlin")

    code, output = run("next", "nightly", *span)

    assert code == 0
    assert output.splitlines() == ["2026-03-29T03:00:00+02:00  nightly", "2026-03-30T02:30:00+02:00  nightly"]


def test_next_shows_when_a_delayed_one_is_sent(run):
    code, output = run("--json", "next", "often", "-n", "20")

    found = json.loads(output)
    assert (code, len(found)) == (0, 20)
    assert all(each["sent_at"] > each["at"] for each in found if "sent_at" in each)
    assert any("sent_at" in each for each in found)


def test_simulate_draws_the_load_and_names_clock_changes(run):
    code, output = run(
        "simulate", "--from", "2026-03-28T12:00", "--to", "2026-03-29T12:00", "--tz", "Europe/Berlin"
    )

    assert code == 0
    assert "█" in output
    assert "its time does not exist on that day: it runs at 03:00+0200" in output
    assert "overlap: skip depends on how long its runs take" in output
    assert "messages; the busiest minute is" in output


def test_simulate_gives_the_ledger_as_json_lines(run):
    code, output = run(
        "simulate", "nightly", "--from", "2026-03-28T12:00", "--to", "2026-03-31T12:00", "--ledger"
    )

    rows = [json.loads(line) for line in output.splitlines()]
    assert (code, len(rows)) == (0, 3)
    assert rows[0]["due_us"] == 1_774_746_000_000_000
    assert len({row["task_id"] for row in rows}) == 3


def test_a_span_that_ends_before_it_begins_is_refused(run):
    code, output = run("simulate", "--from", "+2h", "--to", "+1h")

    assert (code, "is not later than" in output) == (2, True)


def test_a_time_that_is_none_is_refused_with_the_forms_there_are(run):
    code, output = run("next", "--from", "yesterday")

    assert (code, '"yesterday" is not a time' in output) == (2, True)
