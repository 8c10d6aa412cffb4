"""What each key of a schedule that is more than its task becomes: when it fires, its windows, its policies. Pure: text in, entries out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from backbeat.scheduler.entry import Delivery, Entry, Overlap
from backbeat.scheduler.files import Loaded, parse
from backbeat.scheduler.schedule import (
    AnyOf,
    Crontab,
    CronWindow,
    DailyWindow,
    DayMatch,
    DaysWindow,
    Dst,
    Except,
    Interval,
    Months,
    OnExcept,
    RRule,
    Solar,
    SpanWindow,
)

BERLIN = "timezone: Europe/Berlin\n"


def load(body: str, top: str = "") -> Loaded:
    indented = "".join(f"    {line}\n" for line in ("task: t\n" + body).splitlines())
    return parse(f"{top}schedules:\n  it:\n{indented}", "s.yaml", {})


def one(body: str, top: str = "") -> Entry:
    loaded = load(body, top)
    assert [problem.render() for problem in loaded.problems] == []
    (entry,) = loaded.entries
    assert Entry.from_spec(entry.name, entry.to_spec()) == entry
    return entry


def told(body: str, top: str = "") -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in load(body, top).problems]


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("body", "when"),
    [
        (
            "every: 1h\nanchor: 2026-01-01T00:20",
            Interval(every=timedelta(hours=1), anchor_us=us("2026-01-01T00:20+01:00")),
        ),
        ("every: 1mo", Months(months=1, anchor="1970-01-01T00:00:00", timezone="Europe/Berlin")),
        (
            "every: 1y6mo\nanchor: 2026-01-31 09:00\ndst: skip",
            Months(months=18, anchor="2026-01-31T09:00:00", timezone="Europe/Berlin", dst=Dst.SKIP),
        ),
        ('cron: "@every 5m"', Interval(every=timedelta(minutes=5))),
        ('cron: "H 3 * * *"', Crontab(expression="H 3 * * *", timezone="Europe/Berlin", hash_key="it")),
        (
            'cron: "30 0 3 L * ?"\ncron_fields: 6',
            Crontab(expression="30 0 3 L * ?", timezone="Europe/Berlin", fields=6),
        ),
        (
            'cron: "0 0 3 1 1 ? 2027-2030"\ncron_fields: 7',
            Crontab(expression="0 0 3 1 1 ? 2027-2030", timezone="Europe/Berlin", fields=7),
        ),
        (
            "rrule: FREQ=WEEKLY;BYDAY=MO\nanchor: 2026-01-05T09:00",
            RRule(rule="FREQ=WEEKLY;BYDAY=MO", start="2026-01-05T09:00:00", timezone="Europe/Berlin"),
        ),
        (
            "rrule: FREQ=DAILY",
            RRule(rule="FREQ=DAILY", start="1970-01-01T00:00:00", timezone="Europe/Berlin"),
        ),
        (
            "solar: {event: sunset, lat: 52.5, lon: 13}",
            Solar(event="sunset", latitude=52.5, longitude=13),
        ),
    ],
)
def test_each_kind_of_when_becomes_its_schedule(body, when):
    assert one(body, BERLIN).when == when


def test_a_rule_without_an_anchor_starts_at_start():
    entry = one("rrule: FREQ=DAILY\nstart: 2026-07-01T09:30Z", BERLIN)

    assert entry.when == RRule(rule="FREQ=DAILY", start="2026-07-01T11:30:00", timezone="Europe/Berlin")
    assert entry.start_us == us("2026-07-01T09:30+00:00")


def test_parts_of_any_take_details_of_the_whole_and_may_have_their_own():
    entry = one(
        "dst: skip\nday_match: all\nany:\n"
        '  - {cron: "0 3 13 * 5"}\n'
        '  - {cron: "0 4 1 * 1", timezone: Asia/Tokyo, day_match: any}\n'
        "  - {every: 6h}",
        BERLIN,
    )

    assert entry.when == AnyOf(
        schedules=(
            Crontab(expression="0 3 13 * 5", timezone="Europe/Berlin", dst=Dst.SKIP, day_match=DayMatch.ALL),
            Crontab(expression="0 4 1 * 1", timezone="Asia/Tokyo", dst=Dst.SKIP),
            Interval(every=timedelta(hours=6)),
        )
    )


def test_a_union_of_one_is_that_one():
    assert one("any: [{every: 6h}]").when == Interval(every=timedelta(hours=6))


def test_windows_of_every_kind_are_out():
    entry = one(
        "every: 1h\nexcept:\n"
        '  - {cron: "* 3 * * *"}\n'
        '  - {from: "22:00", to: "06:00", timezone: UTC}\n'
        "  - {from: 2026-12-24T18:00, to: 2026-12-27}\n"
        "  - calendar: holidays\n"
        "on_except: defer",
        f"{BERLIN}calendars: {{holidays: [2026-12-26, 2026-12-25]}}\n",
    )

    assert entry.when == Except(
        when=Interval(every=timedelta(hours=1)),
        out=(
            CronWindow(crontab=Crontab(expression="* 3 * * *", timezone="Europe/Berlin")),
            DailyWindow(start="22:00", end="06:00", timezone="UTC"),
            SpanWindow(from_us=us("2026-12-24T18:00+01:00"), to_us=us("2026-12-27T00:00+01:00")),
            DaysWindow(days=("2026-12-25", "2026-12-26"), timezone="Europe/Berlin"),
        ),
        on_except=OnExcept.DEFER,
    )


def test_one_window_needs_no_list():
    assert one('every: 1h\nexcept: {from: "22:00", to: "06:00"}').when == Except(
        when=Interval(every=timedelta(hours=1)), out=(DailyWindow(start="22:00", end="06:00"),)
    )


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ("max_runs: 3", "max_runs", 3),
        ("jitter: 10s", "jitter_us", 10_000_000),
        ("spread: true", "spread_us", None),
        ("spread: false", "spread_us", 0),
        ("spread: 2m", "spread_us", 120_000_000),
        ("catch_up_rate: 2.5", "catch_up_rate", 2.5),
        ('catch_up_rate: "10/s"', "catch_up_rate", 10.0),
        ("catch_up_rate: 600/m", "catch_up_rate", 10.0),
        ("catch_up_rate: 1800/h", "catch_up_rate", 0.5),
        ("overlap: queue", "overlap", Overlap.QUEUE),
        ("overlap: cancel\noverlap_timeout: 2h", "overlap_timeout_us", 7_200_000_000),
        ("delivery: at_most_once\ncatch_up: all", "delivery", Delivery.AT_MOST_ONCE),
        ("late_after: 1m30s", "late_after_us", 90_000_000),
        ("webhook: https://h.example/x", "webhook_url", "https://h.example/x"),
        ("webhook: https://h.example/x", "webhook_on", ("late", "missed", "failed")),
        ("webhook: {url: https://h.example/x, on: [failed, late]}", "webhook_on", ("late", "failed")),
        ("webhook: {url: https://h.example/x, on: missed}", "webhook_on", ("missed",)),
        ("ping: https://h.example/x", "ping_start", "https://h.example/x/start"),
        ("ping: https://h.example/x/?key=1", "ping_start", "https://h.example/x/start?key=1"),
        ("ping: {start: https://h.example/x}", "ping_start", "https://h.example/x"),
        ("ping: {done: https://h.example/x}", "ping_start", ""),
        ("tags: [a, b, a]", "tags", ("a", "b")),
        ("tags: a", "tags", ("a",)),
        ("owner: data-team", "team", "data-team"),
    ],
)
def test_each_policy_becomes_its_field(body, field, value):
    assert getattr(one(f"every: 10m\n{body}"), field) == value


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("on_done_url: https://h.example/x", {"on_done_url": "https://h.example/x"}),
        (
            "ping: https://h.example/x",
            {"ping": {"done": "https://h.example/x", "fail": "https://h.example/x/fail"}},
        ),
        ("ping: {done: https://h.example/x}", {"ping": {"done": "https://h.example/x"}}),
        ("ping: {start: https://h.example/x}", {}),
    ],
)
def test_who_hears_how_a_run_ended_travels_with_what_is_sent(body, options):
    assert one(f"every: 10m\n{body}").what["options"] == options
    assert one("every: 10m", f"defaults: {{{body}}}\n").what["options"] == options


def test_defaults_give_policies_too_and_null_unsets_one():
    top = "defaults: {jitter: 10s, max_runs: 5, overlap: skip, spread: true, cron_fields: 6, anchor: 2026-01-01}\n"

    entry = one('cron: "0 0 3 * * *"\nmax_runs: null\nspread: false', top)

    assert (entry.jitter_us, entry.max_runs, entry.spread_us) == (10_000_000, None, 0)
    assert entry.overlap is Overlap.SKIP
    assert entry.when == Crontab(expression="0 0 3 * * *", fields=6)


def test_a_serial_orders_versions_of_a_file():
    assert parse("serial: 12\n", "s", {}).serial == 12
    assert parse("version: 1\n", "s", {}).serial is None
    assert [each.code for each in parse("serial: -1\n", "s", {}).problems] == ["E112"]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        # What cannot be read.
        ("every: 1mo\nanchor: soon", "E161", '"soon" is not a local time'),
        ("every: 0mo", "E160", '"0mo" is not'),
        ("every: 1mo2d", "E160", '"1mo2d" is not'),
        ('cron: "@every"', "E160", "lacks its distance"),
        ("cron: '0 0 3 * * *'\ncron_fields: 5", "E141", "has 6 fields, expected 5"),
        ("cron: '0 3 * * *'\ncron_fields: 6", "E141", "has 5 fields"),
        ("cron: '0 3 * * *'\ncron_fields: 8", "E112", "cron_fields must be from 5 to 7"),
        ("rrule: monday", "E162", '"MONDAY" is not a part of a recurrence rule'),
        ("rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "E182", "never fires"),
        ("solar: {event: noon, lat: 1, lon: 2}", "E163", '"noon" is not an event of the sun'),
        ("solar: {event: sunset, lat: 91, lon: 2}", "E112", "lat must be from -90 to 90, found 91"),
        ("solar: {event: sunset, lat: 1}", "E132", "solar has no lon"),
        ("solar: {event: sunset, lat: 1, lon: 2, alt: 3}", "E120", 'unknown key of solar "alt"'),
        ("any: []", "E112", "any must have from 1 to 100 parts, found 0"),
        ("any: [{every: 1h}, {dst: skip}]", "E130", "any, part 2: does not say when"),
        ("any: [{every: 1h, cron: '0 3 * * *'}]", "E131", "any, part 1: has both every"),
        ("any: [{any: [{every: 1h}]}]", "E120", 'any, part 1: unknown key of any "any"'),
        ("any: [{every: 1h, task: b}]", "E120", 'unknown key of any "task"'),
        ("any: {every: 1h}", "E111", "any must be a list, found a mapping"),
        ("every: 1h\nexcept: []", "E112", "except must have from 1 to 100 windows, found 0"),
        ("every: 1h\nexcept: [{}]", "E132", "except: a window says nothing"),
        ("every: 1h\nexcept: [{to: 2026-01-01}]", "E132", "except: to has no from"),
        ("every: 1h\nexcept: [{from: 2026-01-01}]", "E132", "except: from has no to"),
        ("every: 1h\nexcept: [{cron: '* 1 * * *', to: '03:00'}]", "E132", "except: to has no from"),
        (
            "every: 1h\nexcept: [{from: '22:00', to: 2026-01-01}]",
            "E161",
            "both be local times, or both times of day",
        ),
        ("every: 1h\nexcept: [{from: '22:00', to: '22:00'}]", "E182", "from and to are the same"),
        ("every: 1h\nexcept: [{from: 2026-01-02, to: 2026-01-01}]", "E182", "to does not lie after from"),
        ("every: 1h\nexcept: [{cron: '* * * * *'}]", "E182", "all time"),
        ("every: 1h\nexcept: [{cron: '61 * * * *'}]", "E140", "except: minute 61"),
        (
            "every: 1h\nexcept: [{cron: '* 1 * * *'}, {calender: a}]",
            "E120",
            "except, window 2: unknown key of except",
        ),
        ("every: 1h\nexcept: [{cron: '* 1 * * *', calendar: a}]", "E131", "except: has both cron"),
        ("every: 1h\nexcept: [{calendar: a}]", "E194", 'calendar "a" is not defined'),
        ("every: 1h\nspread: maybe", "E160", '"maybe" is not a duration'),
        ("every: 1h\nmax_runs: 0", "E112", "max_runs must be from 1"),
        ("every: 1h\ncatch_up_rate: 0", "E112", "catch_up_rate must be from"),
        ("every: 1h\ncatch_up_rate: fast", "E112", '"fast" is not a rate'),
        ("every: 1h\ncatch_up_rate: 0/s", "E112", "catch_up_rate must be from one a day"),
        ("every: 1h\nlate_after: 0", "E160", "late_after must be longer than 0"),
        ("every: 1h\noverlap: forbid", "E112", "overlap must be one of allow, skip, queue, cancel"),
        ("every: 1h\ndelivery: exactly_once", "E112", "delivery must be one of at_least_once, at_most_once"),
        (
            "every: 1h\nwebhook: example.org",
            "E112",
            "webhook: the URL of a webhook must be https://host/path",
        ),
        ("every: 1h\nwebhook: {on: [late]}", "E132", "webhook has no url"),
        (
            "every: 1h\nwebhook: {url: https://h.example, on: [done]}",
            "E112",
            'on must be of late, missed, failed, found "done"',
        ),
        (
            "every: 1h\nwebhook: {url: https://h.example, events: a}",
            "E120",
            'unknown key of webhook "events"',
        ),
        ("every: 1h\non_done_url: https://me:pw@h.example/", "E112", "without user or password"),
        ("every: 1h\nping: {}", "E132", "ping has no URL"),
        ("every: 1h\nping: {success: https://h.example}", "E120", 'unknown key of ping "success"'),
        ("every: 1h\nwebhooks: https://h.example", "E120", 'unknown key "webhooks"'),
        # What cannot have been meant.
        ("every: 1h\non_except: skip", "E134", '"on_except" says nothing without except:'),
        ("every: 1h\noverlap_timeout: 1h", "E134", '"overlap_timeout" says nothing without overlap:'),
        ("every: 1h\ncron_fields: 6", "E134", '"cron_fields" says nothing without cron: or any:'),
        ("every: 1h\nday_match: all", "E134", '"day_match" says nothing'),
        (
            "cron: '0 3 * * *'\nanchor: 2026-01-01",
            "E134",
            '"anchor" says nothing without every: or rrule: or any:',
        ),
        # What never fires.
        ("at: 2026-01-01T03:00\nend: 2025-01-01", "E182", "never fires: end leave"),
        ("at: 2026-01-01T03:00\nstart: 2026-01-02", "E182", "never fires: start leave"),
        (
            "at: 2026-01-01T03:00\nexcept: {from: 2026-01-01, to: 2026-01-02}",
            "E182",
            "never fires: except leave",
        ),
        ("cron: '0 3 30 2 *'", "E182", "never fires"),
    ],
)
def test_a_wrong_value_or_a_contradiction_is_an_error(body, code, message):
    ((found, text),) = told(body)

    assert found == code
    assert message in text


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            "every: 7m",
            "W183",
            "runs at :00, :07 … and not at the same times of every hour: 7m does not divide it",
        ),
        ("every: 7s", "W183", "runs at :00, :00:07 … and not at the same times of every hour"),
        ("every: 7h", "W183", "runs at 00:00, 07:00 … and not at the same times of every day"),
        (
            "every: 5m\noverlap: skip\noptions: {ignore_result: true}",
            "W180",
            "overlap: skip needs to see the end of a run, but ignore_result leaves no trace",
        ),
        (
            "every: 5m\njitter: 2m\noptions: {expires: 30s}",
            "W181",
            "expires after 30s, but jitter may hold a sending back for 2m",
        ),
        (
            "every: 5m\nspread: true\noptions: {expires: 30s}",
            "W181",
            "expires after 30s, but spread may hold a sending back for 5m",
        ),
        (
            "every: 5m\njitter: 4m\nspread: 2m",
            "W184",
            "jitter and spread of 6m is longer than the 5m between two fire times",
        ),
        ('cron: "*/10 * * * *"\njitter: 15m', "W184", "longer than the 10m between two fire times"),
        ("at: 2026-03-29T02:30\ntimezone: Europe/Berlin", "W192", "does not exist in Europe/Berlin"),
        ('cron: "0 3 13 * fri"', "W142", "runs on the 13th and also every Friday"),
        ('cron: "0 3 1,2 * 1-3"', "W142", "runs on days 1,2 of the month and also on every weekday 1-3"),
        ('cron: "0 0 3 13 * fri"\ncron_fields: 6', "W142", "runs on the 13th and also every Friday"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(body, code, message):
    loaded = load(body)

    assert [problem.code for problem in loaded.problems] == [code]
    assert message in loaded.problems[0].message
    assert loaded.is_applicable
    assert len(loaded.entries) == 1


@pytest.mark.parametrize(
    "body",
    [
        *(
            f"every: {text}"
            for text in ("1s", "7500ms", "90s", "15m", "20m", "90m", "8h", "1d", "3d", "500ms")
        ),
        "every: 7m\nanchor: 2026-01-01",
        "every: 5m\njitter: 5m",
        "every: 5m\nspread: true\njitter: 10s",
        "every: 5m\njitter: 30s\noptions: {expires: 30s}",
        "every: 5m\noverlap: skip",
        'cron: "0 3 13 * ?"',
        'cron: "0 3 */2 * 1"',
        "at: 2026-03-29T03:30\ntimezone: Europe/Berlin",
    ],
)
def test_what_is_meant_is_no_warning(body):
    assert told(body) == []


def test_calendars_are_shared_and_a_broken_one_is_told_once():
    text = (
        "calendars: {a: [2026-02-30], b: 5, c: [2026-12-25], d: x.ics}\n"
        "schedules:\n"
        "  one: {task: t, every: 1h, except: {calendar: a}}\n"
        "  two: {task: t, every: 1h, except: {calendar: c}}\n"
    )

    loaded = parse(text, "s", {})

    assert [(each.code, each.schedule, each.message[:12]) for each in loaded.problems] == [
        ("E161", "", 'calendar "a"'),
        ("E111", "", 'calendar "b"'),
        ("E195", "", 'calendar "d"'),
    ]
    assert [entry.name for entry in loaded.entries] == ["two"]


def test_a_wrong_default_of_each_kind_is_told_at_its_place():
    text = (
        "defaults:\n  jitter: long\n  except: {calendar: a}\n  cron_fields: 9\n  on_except: hide\n"
        "  anchor: soon\n  dst: never\nschedules: {it: {task: t, every: 1h}}\n"
    )

    loaded = parse(text, "s", {})

    assert [(each.line, each.code) for each in loaded.problems] == [
        (2, "E160"),
        (3, "E194"),
        (4, "E112"),
        (5, "E112"),
        (6, "E161"),
        (7, "E112"),
    ]
    assert [entry.name for entry in loaded.entries] == ["it"]
