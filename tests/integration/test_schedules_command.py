"""`backbeat schedules ...` and `backbeat audit` over a SQLite store, without a beat: what is printed, stored, and answered by exit code."""

from __future__ import annotations

import json

import pytest
from backbeat.scheduler.cli.main import main
from click.testing import CliRunner


@pytest.fixture
def bb(tmp_path, monkeypatch):
    """Run a command; `.json(...)` parses what --json prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBEAT_ACTOR", "anna")
    monkeypatch.setenv("BACKBEAT_STORE", f"sqlite:///{tmp_path}/store.db")
    return Commands()


class Commands:
    def __call__(self, *arguments, code=0, given=None):
        result = CliRunner().invoke(main, list(arguments), input=given, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *arguments):
        return json.loads(self("--json", *arguments))

    def schedules(self, *arguments, **known):
        return self("schedules", *arguments, **known)


REPORT = (
    "add",
    "report",
    "--task",
    "shop.report",
    "--cron",
    "30 2 * * mon-fri",
    "--timezone",
    "Europe/Berlin",
)


def test_a_schedule_is_added_listed_and_shown(bb):
    said = bb.schedules(*REPORT, "--args", "[1]", "--option", "queue=fast", "--max-runs", "9", "--tag", "x")

    assert "report: added, 30 2 * * mon-fri (Europe/Berlin), next 20" in said
    (line,) = bb.json("schedules", "list")
    assert (line["name"], line["owner"], line["state"], line["rev"]) == ("report", "db", "active", 1)
    assert line["entry"]["what"]["args"] == [1]
    assert line["entry"]["what"]["options"] == {"queue": "fast"}
    assert (line["entry"]["max_runs"], line["entry"]["tags"]) == (9, ["x"])
    assert 'cron: "30 2 * * mon-fri"' in bb.schedules("show", "report")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--cron", "61 * * * *"), 2, "E140: minute 61 is out of range"),
        (("--every", "0s"), 2, "E160"),
        (("--every", "5m", "--catch-up", "most"), 2, "latest"),
        (("--every", "5m", "--args", "{}"), 2, "--args takes a JSON list"),
        (("--every", "5m", "--args", "[1"), 2, "--args is not JSON"),
        (("--every", "5m", "--option", "queue"), 2, "write KEY=VALUE"),
        ((), 2, "E130"),
    ],
)
def test_what_makes_no_schedule_is_refused_in_the_words_of_the_files(bb, arguments, code, said):
    assert said in bb.schedules("add", "bad", "--task", "a", *arguments, code=code)


def test_a_dollar_on_the_command_line_is_a_dollar(bb):
    bb.schedules("add", "pay", "--task", "a", "--every", "1h", "--args", '["${HOME} $$"]')

    assert bb.json("schedules", "show", "pay")["entry"]["what"]["args"] == ["${HOME} $$"]


def test_a_name_that_is_there_is_not_added_again(bb):
    bb.schedules(*REPORT)

    assert "there is an entry 'report' already (owner db)" in bb.schedules(*REPORT, code=1)


def test_a_fragment_and_a_file_add_the_same(bb, tmp_path):
    keys = "task: shop.report\nevery: 5m\nargs: [one, 2]\n"
    (tmp_path / "keys.yaml").write_text(keys)
    (tmp_path / "file.yaml").write_text(
        "schedules:\n  b:\n" + "".join(f"    {line}\n" for line in keys.splitlines())
    )

    bb.schedules("add", "a", "--from-yaml", "keys.yaml")
    bb.schedules("add", "b", "--from-yaml", "file.yaml")
    bb.schedules("add", "c", "--from-yaml", "-", given=keys)

    specs = [line["entry"] for line in bb.json("schedules", "list")]
    assert len(specs) == 3
    assert specs[0] == specs[1] == specs[2]
    assert "name one of b" in bb.schedules("add", "d", "--from-yaml", "file.yaml", code=2)
    assert "E120" in bb.schedules("add", "e", "--from-yaml", "-", given="tsk: a\nevery: 5m\n", code=2)


def test_a_change_keeps_what_it_does_not_name(bb):
    bb.schedules(*REPORT, "--args", "[1]", "--grace", "5m")

    bb.schedules("change", "report", "--timezone", "America/New_York")
    bb.schedules("change", "report", "--option", "priority=9")

    spec = bb.json("schedules", "show", "report")["entry"]
    assert (spec["when"]["cron"], spec["when"]["timezone"]) == ("30 2 * * mon-fri", "America/New_York")
    assert (spec["what"]["args"], spec["grace_us"]) == ([1], 300_000_000)
    assert spec["what"]["options"] == {"priority": 9}


def test_another_kind_of_when_takes_the_place_of_the_one_before(bb):
    bb.schedules(*REPORT, "--day-match", "all")

    said = bb.schedules("change", "report", "--every", "5m", "--catch-up", "all")
    bb.schedules("change", "report", "--catch-up", "latest")

    assert "revision 2, every 5m" in said
    assert "catch_up" not in bb.json("schedules", "show", "report")["entry"]


def test_a_change_of_another_revision_is_a_conflict(bb):
    bb.schedules(*REPORT)
    bb.schedules("change", "report", "--every", "5m", "--expect-rev", "1")

    said = bb.schedules("change", "report", "--every", "6m", "--expect-rev", "1", code=1)

    assert "is at revision 2 and you have seen revision 1" in said


def test_a_pause_is_listed_with_who_why_and_until(bb):
    bb.schedules(*REPORT)

    bb.schedules("pause", "report", "--reason", "stocktaking", "--until", "+2h")

    listed = bb.schedules("list")
    assert "paused by anna until 20" in listed
    assert ": stocktaking" in listed
    assert "pause by anna at" in bb.schedules("overrides")
    assert [line["kind"] for line in bb.json("schedules", "overrides")] == ["pause"]
    assert "report: active, next 20" in bb.schedules("resume", "report")
    assert bb.schedules("overrides") == "there are no overrides\n"


def test_the_next_fire_times_can_be_skipped_and_not(bb):
    bb.schedules(*REPORT)
    first = bb.json("schedules", "show", "report")["next"]

    bb.schedules("skip-next", "report", "-n", "2")

    shown = bb.json("schedules", "show", "report")
    assert len(shown["skipped"]) == 2
    assert shown["skipped"][0] == first
    assert shown["next"] > shown["skipped"][1]
    bb.schedules("skip-next", "report", "--undo")
    assert bb.json("schedules", "show", "report")["next"] == first


def test_a_deleted_schedule_is_listed_only_when_asked_for(bb):
    bb.schedules(*REPORT)

    bb.schedules("delete", "report")

    assert bb.schedules("list") == "there are no such schedules\n"
    assert "removed" in bb.schedules("list", "--all")
    assert "there is no entry 'report'" in bb.schedules("delete", "report", code=1)


def test_deleting_several_asks_first(bb):
    for name in ("a", "b"):
        bb.schedules("add", name, "--task", "x", "--every", "5m")

    assert "Delete 2 schedules" in bb.schedules("delete", "a", "b", code=1, given="n\n")
    assert len(bb.json("schedules", "list")) == 2
    bb.schedules("delete", "a", "b", "--yes")
    assert bb.json("schedules", "list") == []


def test_a_run_now_is_one_for_each_request(bb):
    bb.schedules(*REPORT)

    first = bb.json("schedules", "run-now", "report", "--args", "[7]", "--request-id", "r1")
    again = bb.json("schedules", "run-now", "report", "--request-id", "r1")

    assert (first["new"], again["new"]) == (True, False)
    assert first["task_id"] == again["task_id"]
    (line,) = bb.json("schedules", "history", "report")
    assert (line["kind"], line["state"], line["task_id"]) == ("manual", "decided", first["task_id"])
    bb.schedules("pause", "report")
    assert "it is paused; this run goes out all the same" in bb.schedules("run-now", "report")


def test_a_backfill_is_rehearsed_asked_for_listed_and_cancelled(bb):
    bb.schedules("add", "tick", "--task", "a", "--every", "1h")
    span = ("tick", "--from", "2026-01-01T00:00", "--to", "2026-01-02T00:00")

    rehearsed = bb.json("schedules", "backfill", *span, "--dry-run")
    asked = bb.json("schedules", "backfill", *span, "--rate", "5", "--id", "b1")

    assert (rehearsed["count"], rehearsed["first"], rehearsed["last"]) == (
        24,
        "2026-01-01 00:00:00+00:00",
        "2026-01-01 23:00:00+00:00",
    )
    assert (asked["id"], asked["state"], asked["rate"]) == ("b1", "running", 5.0)
    assert [each["id"] for each in bb.json("schedules", "backfill", "--list")] == ["b1"]
    assert "is cancelled, 0 firings decided" in bb.schedules("cancel-backfill", "b1")
    assert "there is no backfill 'b2'" in bb.schedules("cancel-backfill", "b2", code=1)
    for rehearsal in ((), ("--dry-run",)):
        assert "of the past" in bb.schedules(
            "backfill", "tick", "--from", "now", "--to", "+1d", *rehearsal, code=2
        )


def test_an_export_is_a_file_that_adds_the_same_again(bb, tmp_path):
    bb.schedules(*REPORT, "--args", '["a$b", null, 1.5]', "--jitter", "10s", "--spread", "true")
    bb.schedules("add", "tick", "--task", "a", "--every", "90s", "--start", "2026-01-01T00:00Z")
    bb.schedules("pause", "tick")
    before = {line["name"]: line["entry"] for line in bb.json("schedules", "list")}

    bb.schedules("export", "-o", "out.yaml")

    assert bb("check", "--strict", "out.yaml") == "2 schedules, no problems\n"
    bb.schedules("delete", "report", "tick", "--yes")
    for name in ("report", "tick"):
        bb.schedules("add", name, "--from-yaml", "out.yaml")
    after = {line["name"]: line["entry"] for line in bb.json("schedules", "list")}
    del before["tick"]["enabled"]
    assert after == before


def test_a_diff_says_what_a_reload_would_do(bb, tmp_path):
    file = tmp_path / "schedules.yaml"
    file.write_text("schedules:\n  a: {task: x, every: 5m}\n")
    bb.schedules("add", "db-own", "--task", "x", "--every", "5m")

    said = bb.schedules("diff", "--exit-code", code=1)

    assert "+ a: added, next - -> 20" in said
    assert "db-own" not in said
    file.write_text("schedules:\n  db-own: {task: x, every: 5m}\n")
    assert "! db-own: belongs to another owner" in bb.schedules("diff")


def test_the_audit_says_who_what_and_from_what_to_what(bb):
    bb.schedules(*REPORT)
    bb.schedules("change", "report", "--grace", "5m", "--actor", "bob")

    said = bb("audit", "report")

    assert "bob  change  report" in said
    assert "grace: - -> 5 minutes" in said
    assert [line["action"] for line in bb.json("audit")] == ["change", "add"]


def test_a_store_that_is_not_there_is_not_made_by_looking(bb, tmp_path):
    assert "there is no store at" in bb.schedules("list", code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["show", "pause", "resume", "skip-next", "run-now", "history", "change"])
def test_a_schedule_that_is_not_there_is_said_to_be_missing(bb, command):
    bb.schedules("add", "tick", "--task", "a", "--every", "1h")
    more = ("--every", "5m") if command == "change" else ()

    assert "there is no entry 'nope'" in bb.schedules(command, "nope", *more, code=1)


def test_the_end_of_time_hurts_nobody(bb):
    bb.schedules("add", "far", "--task", "a.b", "--every", "1h", "--end", "9999-12-31T23:59")
    refused = bb.schedules("add", "f", "--task", "a", "--every", "1h", "--start", "9999-12-31T23:30", code=2)

    assert "never fires" in refused
    for command in (("list", "--tz", "Asia/Tokyo"), ("show", "far"), ("change", "far", "--description", "x")):
        assert "far" in bb.schedules(*command)


def test_an_argument_that_is_no_text_is_refused(bb):
    assert r"'caf\udce9' is not UTF-8 text" in bb.schedules("show", "caf\udce9", code=2)
