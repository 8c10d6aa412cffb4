"""The examples of the schedules, and what each key becomes in an Entry. Pure: text in, entries out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler.entry import CatchUp, Entry, Overlap, Owner
from backbeat.scheduler.files import Loaded, parse
from backbeat.scheduler.schedule import AnyOf, Clocked, Crontab, DayMatch, Dst, Interval

from support.schedules_examples import TWELVE

PERIODIC = {"queue": "periodic", "expires": 600}


def signature(task, args=(), kwargs=None, options=None, subtask_type=None, *, immutable=False):
    return {
        "task": task,
        "args": list(args),
        "kwargs": kwargs or {},
        "options": options or {},
        "subtask_type": subtask_type,
        "immutable": immutable,
    }


def us(text: str) -> int:
    instant = datetime.fromisoformat(text)
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def entries_of(loaded: Loaded) -> dict[str, Entry]:
    assert [problem.render() for problem in loaded.problems] == []
    return {entry.name: entry for entry in loaded.entries}


def one(body: str, top: str = "", environ: dict[str, str] | None = None) -> Entry:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return entries_of(parse(f"{top}schedules:\n  it:\n{indented}", "s.yaml", environ or {}))["it"]


@pytest.fixture(scope="module")
def twelve() -> dict[str, Entry]:
    return entries_of(parse(TWELVE, "schedules.yaml", {}))


def test_the_twelve_examples_load_without_a_problem(twelve):
    assert len(twelve) == 12
    assert all(entry.owner is Owner.FILE for entry in twelve.values())
    assert twelve["heartbeat"].source == "schedules.yaml:18"


def test_the_twelve_examples_fire_when_they_say(twelve):
    berlin = {name: Crontab(expression=text, timezone="Europe/Berlin") for name, text in CRONS.items()}

    assert twelve["heartbeat"].when == Interval(every=timedelta(seconds=30))
    assert {name: twelve[name].when for name in CRONS} == berlin
    assert twelve["market-open"].when == AnyOf(
        schedules=tuple(
            Crontab(expression=text, timezone="America/New_York")
            for text in ("25 9 * * mon-fri", "55 15 * * mon-fri")
        )
    )
    assert twelve["migrate-users"].when == Clocked(times_us=(us("2026-12-01T03:00+01:00"),))


CRONS = {
    "nightly-report": "30 2 * * *",
    "invoice-run": "0 6 1 * *",
    "etl": "0 4 * * *",
    "import-feed": "*/20 7-19 * * *",
    "rebuild-search": "0 */6 * * *",
}


def test_the_twelve_examples_send_celery_signatures(twelve):
    steps = [
        signature("etl.extract"),
        signature("etl.transform"),
        signature("etl.load", options={"queue": "heavy"}),
    ]
    shards = [signature("shop.index", kwargs={"shard": number}) for number in (0, 1)]
    feed = [
        signature("shop.fetch_feed"),
        signature("celery.group", kwargs={"tasks": shards}, subtask_type="group"),
        signature("shop.publish"),
    ]
    alert = signature("ops.alert", ["thumbnails"])
    thumbs = {
        "header": [signature("img.thumb", ["small"]), signature("img.thumb", ["large"])],
        "body": signature("img.notify", options={"link_error": [alert]}),
        "kwargs": {},
    }

    assert twelve["heartbeat"].what == signature("ops.ping", options=PERIODIC)
    assert twelve["resize-images"].what == signature(
        "media.resize", [1280, "webp"], {"quality": 85, "dry_run": False}, PERIODIC
    )
    assert twelve["invoice-run"].what["options"] == {
        "queue": "billing",
        "priority": 9,
        "expires": 7200,
        "time_limit": 3600,
        "headers": {"tenant": "acme"},
    }
    assert twelve["etl"].what == signature("celery.chain", (), {"tasks": steps}, PERIODIC, "chain")
    named = signature("celery.chain", (), {"tasks": feed}, PERIODIC, "chain")
    assert twelve["import-feed"].what == {**named, "workflow": "import-feed"}
    assert twelve["thumbnails"].what == signature("celery.chord", (), thumbs, PERIODIC, "chord")
    assert twelve["migrate-users"].what["kwargs"] == {"bucket": "staging-bucket"}


def test_the_twelve_examples_keep_their_policies(twelve):
    sale = twelve["black-friday-prices"]

    assert twelve["rebuild-search"].catch_up is CatchUp.NONE
    assert (twelve["rebuild-search"].overlap, twelve["rebuild-search"].late_after_us) == (
        Overlap.SKIP,
        300_000_000,
    )
    assert (twelve["poll-partners"].spread_us, twelve["poll-partners"].jitter_us) == (None, 10_000_000)
    assert (sale.tags, sale.team) == (("campaign", "shop"), "pricing-team")
    assert twelve["heartbeat"].catch_up is CatchUp.LATEST
    assert (sale.enabled, sale.description) == (False, "Only while the campaign runs.")
    assert (sale.start_us, sale.end_us) == (us("2026-11-26T00:00+01:00"), us("2026-11-30T23:59+01:00"))


def test_every_entry_survives_its_spec(twelve):
    assert {name: Entry.from_spec(name, entry.to_spec()) for name, entry in twelve.items()} == twelve


def test_all_policies_are_read():
    entry = one(
        'task: a\ncron: "0 0 13 * fri"\nday_match: all\ndst: skip\ncatch_up: all\ncatch_up_window: 2d\n'
        "catch_up_limit: 5\ngrace: 0s"
    )

    assert entry.when == Crontab(expression="0 0 13 * fri", dst=Dst.SKIP, day_match=DayMatch.ALL)
    assert entry.catch_up is CatchUp.ALL
    assert (entry.catch_up_window_us, entry.catch_up_limit, entry.grace_us) == (172_800_000_000, 5, 0)


def test_options_of_a_schedule_win_key_by_key_and_null_unsets_a_default():
    top = "defaults:\n  options: {queue: a, expires: 90s, countdown: 1.5}\n"

    entry = one("task: t\nevery: 1m\noptions: {queue: b, expires: null}", top)

    assert entry.what["options"] == {"queue": "b", "countdown": 1.5}


def test_a_schedule_replaces_the_when_and_the_what_of_defaults():
    entry = one("chain: [{task: b}]\nevery: 1m", 'defaults: {task: a, cron: "0 0 * * *"}\n')

    assert entry.when == Interval(every=timedelta(minutes=1))
    assert entry.what["task"] == "celery.chain"


def test_defaults_can_give_the_what_and_the_when():
    entry = one("args: [1]", 'defaults: {task: a, cron: "0 0 * * *", timezone: Europe/Paris}\n')

    assert entry.when == Crontab(expression="0 0 * * *", timezone="Europe/Paris")
    assert entry.what == signature("a", [1])


@pytest.mark.parametrize(
    "word", ["no", "on", "off", "yes", "12:30", "1:30:00", "2026-01-01", "1_000", "0b1", "+", "."]
)
def test_what_yaml_1_1_would_convert_stays_text(word):
    assert one(f"task: t\nevery: 1m\nargs: [{word}]").what["args"] == [word]


def test_json_types_stay_what_they_are():
    entry = one('task: t\nevery: 1m\nargs: [1, -2, 0o17, 0x1F, 1.5, 1e3, true, null, ~, "1", [a, {b: c}]]')

    assert entry.what["args"] == [1, -2, 15, 31, 1.5, 1000.0, True, None, None, "1", ["a", {"b": "c"}]]


def test_variables_are_put_into_text_values_and_never_parsed():
    environ = {"HOST": "db, x: 1", "N": "5", "EMPTY": ""}

    entry = one(
        'task: t\nevery: 1m\nargs: ["${HOST}", "${N}", "${EMPTY:-d}", "$${N} $5", a$$b, "${X:-}"]',
        environ=environ,
    )

    assert entry.what["args"] == ["db, x: 1", "5", "d", "${N} $5", "a$b", ""]


def test_aliases_repeat_a_value():
    text = "x-a: &a [1, 2]\nschedules:\n  it: {task: t, every: 1m, args: *a, kwargs: {b: *a}}\n"

    what = entries_of(parse(text, "s", {}))["it"].what

    assert (what["args"], what["kwargs"]) == ([1, 2], {"b": [1, 2]})


def test_callbacks_go_where_celery_puts_them():
    chain = one("chain: [{task: a}, {task: b}]\nevery: 1m\non_error: {task: e}\non_success: {task: s}").what
    group = one("group: [{task: a}, {task: b, on_error: {task: f}}]\nevery: 1m\non_error: {task: e}").what
    step = one("chain: [{task: a, immutable: true, on_success: {chain: [{task: x}]}}]\nevery: 1m").what

    assert chain["options"] == {"link": [signature("s")], "link_error": [signature("e")]}
    errbacks = [member["options"]["link_error"] for member in group["kwargs"]["tasks"]]
    once = signature("e", immutable=True)
    assert errbacks == [[once], [signature("f"), once]]
    assert step["kwargs"]["tasks"][0]["immutable"] is True
    assert step["kwargs"]["tasks"][0]["options"]["link"][0]["subtask_type"] == "chain"


def test_a_workflow_that_two_schedules_share_is_not_changed_by_either():
    text = (
        "workflows:\n  w: {chord: {header: [{task: h}], body: {task: b}}, options: {queue: w}}\n"
        "schedules:\n  one: {workflow: w, every: 1m, on_error: {task: e}, options: {queue: own}}\n"
        "  two: {workflow: w, every: 1m}\n"
    )

    entries = entries_of(parse(text, "s", {}))

    assert entries["one"].what["options"] == {"queue": "own"}
    assert entries["two"].what["options"] == {"queue": "w"}
    assert entries["two"].what["kwargs"]["body"] == signature("b")


def test_several_local_times_are_sorted_and_may_carry_an_offset():
    entry = one(
        'task: t\nat: ["2026-07-01 12:00", 2026-01-01, "2026-01-01T00:00:00Z"]', "timezone: Europe/Berlin\n"
    )

    times = ("2026-01-01T00:00+01:00", "2026-01-01T00:00+00:00", "2026-07-01T12:00+02:00")
    assert entry.when == Clocked(times_us=tuple(us(time) for time in times))


@pytest.mark.parametrize(
    ("zone", "written", "instant"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T03:00+02:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-04T02:30+11:00"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-31T00:00+14:00"),
    ],
)
def test_a_time_in_a_gap_warns_and_is_the_first_instant_after(zone, written, instant):
    loaded = parse(f"timezone: {zone}\nschedules:\n  it: {{task: t, at: {written}}}\n", "s", {})

    assert [problem.code for problem in loaded.problems] == ["W192"]
    assert loaded.is_applicable
    assert loaded.entries[0].when == Clocked(times_us=(us(instant),))


def test_a_time_that_comes_twice_is_its_first():
    entry = one("task: t\nat: 2026-10-25T02:30", "timezone: Europe/Berlin\n")

    assert entry.when == Clocked(times_us=(us("2026-10-25T02:30+02:00"),))


@pytest.mark.parametrize(
    "text",
    ["# nothing\n", "---\n", "schedules:\n", "schedules: {}", "null", "version: 1"],
)
def test_a_file_that_names_no_schedules_has_none(text):
    assert parse(text, "s", {}) == Loaded()


def test_a_thousand_schedules_load():
    text = "schedules:\n" + "".join(f"  s{n}: {{task: t, cron: '{n % 60} 2 * * *'}}\n" for n in range(1000))

    assert len(entries_of(parse(text, "s", {}))) == 1000


def test_options_null_takes_no_options_of_defaults():
    entry = one("task: t\nevery: 1m\noptions: null", "defaults: {options: {queue: a}}\n")

    assert entry.what["options"] == {}


def test_policies_and_times_may_come_from_variables():
    environ = {"CRON": "5 4 * * *", "UP": "none"}

    entry = one("task: t\ncron: ${CRON}\ncatch_up: ${UP}\ngrace: ${GRACE:-2m}", environ=environ)

    assert entry.when == Crontab(expression="5 4 * * *")
    assert (entry.catch_up, entry.grace_us) == (CatchUp.NONE, 120_000_000)


def test_a_variable_that_is_not_text_is_refused():
    loaded = parse("schedules: {it: {task: t, every: 1m, args: ['${A}']}}", "s", {"A": "\udcff"})

    assert [problem.code for problem in loaded.problems] == ["E190"]
