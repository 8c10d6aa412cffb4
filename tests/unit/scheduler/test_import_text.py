"""What importers write: YAML that every reader takes for the same, definitions that the loader reads back, crontab lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml
from backbeat.scheduler.entry import CatchUp, Entry, Overlap
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.files import parse
from backbeat.scheduler.imports.celery_option import mapped
from backbeat.scheduler.imports.comparison import Verdict, compare
from backbeat.scheduler.imports.crontab import read_crontab
from backbeat.scheduler.imports.definition import definition_of
from backbeat.scheduler.imports.haul import Draft, Fires, Haul, Unmapped, signature
from backbeat.scheduler.imports.page import page_of
from backbeat.scheduler.imports.yaml_text import flow, mapping_text
from backbeat.scheduler.schedule import AnyOf, Clocked, Crontab, DayMatch, Dst, Interval, RRule, Solar
from hypothesis import example, given
from hypothesis import strategies as st

HOUR_US = 3_600_000_000
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    [
        "no",
        "1e5",
        "0123",
        "089",
        "0o17",
        "12:30",
        "2026-01-01",
        "~",
        "$HOME",
        "${A}",
        "$$",
        "- x",
        "a: b",
        "a #b",
        "é\u2028",
    ]
)
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def entry(name="x", when=None, **more):
    when = when or Interval(every=timedelta(seconds=30))
    return Entry(
        name=name,
        when=when,
        what=signature("t", more.pop("args", []), more.pop("kwargs", {}), more.pop("options", {})),
        **more,
    )


def written(*entries):
    """The page of some entries, read by the loader: by name."""
    page = page_of(Haul(origin="a test", drafts=tuple(Draft(entry=each) for each in entries)))
    loaded = parse(page.text, "x.yaml", {})
    assert page.unmapped == ()
    assert loaded.is_applicable, [problem.render() for problem in loaded.problems]
    return {each.name: each for each in loaded.entries}


@given(DATA)
@example([1e16, 5e-324, -1.5e300, 0.1])
def test_data_means_the_same_to_readers_of_yaml_1_1(value):
    text = flow(value)

    # `$` is doubled for our loader alone, and only outside keys
    assert _undoubled(yaml.safe_load(text)) == value


@given(st.dictionaries(TEXTS, DATA, max_size=3))
def test_arguments_survive_the_way_through_a_file(kwargs):
    page = page_of(Haul(origin="a test", drafts=(Draft(entry=entry(kwargs=kwargs)),)))

    loaded = parse(page.text, "x.yaml", {})

    # what the loader refuses (NUL, half a surrogate pair) is listed and not written
    assert len(page.unmapped) + len(loaded.entries) == 1
    if loaded.entries:
        assert loaded.entries[0].what["kwargs"] == kwargs


def _undoubled(value):
    match value:
        case str():
            return value.replace("$$", "$")
        case list():
            return [_undoubled(each) for each in value]
        case dict():
            return {key: _undoubled(each) for key, each in value.items()}
        case _:
            return value


@pytest.mark.parametrize(
    "when",
    [
        Interval(every=timedelta(seconds=90)),
        Interval(every=timedelta(days=2), anchor_us=1_767_225_600_000_000),
        Interval(every=timedelta(milliseconds=1500)),
        Interval(every=timedelta(microseconds=1500)),
        Crontab(expression="0 0 13 * 5", timezone="Asia/Tokyo", day_match=DayMatch.ALL, dst=Dst.SKIP),
        Crontab(expression="*/5 * * * * *", fields=6),
        Clocked(times_us=(1_767_225_600_000_000, 1_767_225_600_500_000)),
        Solar(event="sunrise", latitude=-33.9, longitude=18.4),
        RRule(rule="FREQ=DAILY;INTERVAL=2", start="2024-01-01T00:00:00", timezone="Europe/Berlin"),
        AnyOf(schedules=(Crontab(expression="0 1 * * *"), Interval(every=timedelta(hours=5)))),
    ],
)
def test_every_kind_of_schedule_is_read_back(when):
    assert written(entry(when=when))["x"].when == when


def test_policies_options_and_callbacks_are_read_back():
    full = entry(
        name="with all: of them",
        args=[1, "two"],
        kwargs={"deep": {"a": [None, True]}},
        options={
            "queue": "q",
            "expires": 90,
            "headers": {"a": "b"},
            "link": [signature("done", [], {}, {})],
            "link_error": [signature("failed", [1], {}, {"queue": "alerts"})],
        },
        enabled=False,
        start_us=1_767_225_600_000_000,
        end_us=1_798_761_599_999_999,
        max_runs=3,
        catch_up=CatchUp.NONE,
        catch_up_window_us=HOUR_US,
        overlap=Overlap.SKIP,
        jitter_us=10_000_000,
        spread_us=None,
        description="What it is for.",
        tags=("a", "b"),
        team="ops",
    )
    flow_entry = Entry(
        name="flow",
        when=Interval(every=timedelta(hours=1)),
        what=signature(
            "celery.chain", [], {"tasks": [signature("a", [], {}, {}), signature("b", [1], {}, {})]}, {}
        ),
    )

    assert written(full, flow_entry) == {"with all: of them": full, "flow": flow_entry}


def test_several_callbacks_are_a_list_and_a_chord_of_celery_has_a_group_in_its_header():
    links = [signature("a", [], {}, {}), signature("b", [2], {}, {})]
    header = [signature("h", [number], {}, {}) for number in range(3)]
    body = signature("body", [], {}, {"link_error": links})
    two = entry(name="two", options={"link": links})
    chord = entry(name="chord")
    group = signature("celery.group", [], {"tasks": header}, {})
    given, read = (
        replace(
            chord,
            what=signature("celery.chord", [], {"header": members, "body": body, "kwargs": {}}, {}),
        )
        for members in (group, header)
    )

    assert written(two, given) == {"two": two, "chord": read}


@pytest.mark.parametrize(
    ("options", "said"),
    [({"on_done": [{"task": "t"}]}, "on_done"), ({"failure_policy": "drop"}, "failure_policy")],
)
def test_what_a_file_has_no_key_for_is_refused_and_not_written_as_an_option(options, said):
    flow = signature("celery.group", [], {"tasks": [signature("a", [], {}, {})]}, options)

    with pytest.raises(ScheduleError, match=f"a schedules file has no {said}"):
        definition_of(replace(entry(), what=flow), "UTC")


def test_what_a_file_cannot_say_is_listed_with_its_reason():
    huge = entry(name="huge", args=[2**70])
    long = entry(name="n" * 200)
    twice = [entry(name="twice"), entry(name="twice", args=[1])]

    page = page_of(
        Haul(
            origin="a test",
            drafts=tuple(Draft(entry=each) for each in (huge, long, *twice)),
            unmapped=(Unmapped(name="lunar", reason="a class of its own", text="<Lunar>"),),
        )
    )

    reasons = {each.name: each.reason for each in page.unmapped}
    assert "64 bits" in reasons["huge"]
    assert reasons["twice"] == "another schedule has this name"
    assert [draft.entry.what["args"] for draft in page.drafts] == [[]]
    assert "200 characters" in reasons["n" * 200]
    assert "# lunar: a class of its own [<Lunar>]" in page.text
    assert parse(page.text, "x", {}).is_applicable


def test_long_mappings_stand_on_lines_of_their_own():
    text = mapping_text({"kwargs": {"a" * 40: "b" * 40, "c": 1}, "cron": "0 0 * * *", "short": {"a": 1}}, 4)

    assert text.splitlines() == [
        "    kwargs:",
        f"      {'a' * 40}: {'b' * 40}",
        "      c: 1",
        '    cron: "0 0 * * *"',
        "    short: {a: 1}",
    ]


# --- options -----------------------------------------------------------------------------------------------------------------------------


def test_options_of_celery_become_those_of_a_file():
    found = mapped(
        {
            "queue": "q",
            "priority": 3,
            "expires": 300.0,
            "time_limit": 1.5,
            "serializer": "json",
            "routing_key": "q",
            "retry_policy": {},
            "eta": None,
        }
    )

    assert found.options == {"queue": "q", "priority": 3, "expires": 300, "time_limit": 1.5}
    assert found.lost == []
    assert any("retry_policy" in note for note in found.notes)


def test_an_absolute_expiry_is_the_end():
    assert mapped({"expires": "2027-01-01T00:00:00+00:00"}).end_us == 1_798_761_600_000_000


def test_what_has_no_place_is_lost_aloud():
    found = mapped({"exchange": "e", "routing_key": "k", "serializer": "pickle", "shadow": "x"})

    assert found.options == {}
    assert [text.split(":")[0] for text in found.lost] == [
        "exchange 'e', routing_key 'k'",
        "serializer 'pickle'",
        "option shadow='x' has no place in a schedule",
    ]


# --- comparison --------------------------------------------------------------------------------------------------------------------------


def draft(when, times, *, to_us=10 * HOUR_US, from_us=0):
    return Draft(entry=entry(when=when), theirs=Fires(from_us=from_us, to_us=to_us, times_us=tuple(times)))


def test_equal_fire_times_are_the_same():
    found = compare(draft(Crontab(expression="0 */5 * * *"), (5 * HOUR_US, 10 * HOUR_US)))

    assert (found.verdict, found.theirs, found.ours) == (Verdict.SAME, 2, 2)


def test_an_interval_in_another_phase_is_explained_and_another_distance_is_not():
    hourly = Interval(every=timedelta(hours=1))

    shifted = compare(draft(hourly, [HOUR_US // 2 + number * HOUR_US for number in range(10)]))
    other = compare(draft(hourly, [2 * number * HOUR_US for number in range(1, 6)]))

    assert shifted.verdict is Verdict.EXPLAINED
    assert (other.verdict, other.first_us) == (Verdict.DIFFERENT, HOUR_US)
    assert "the first is 1970-01-01 01:00:00Z, by backbeat alone" in other.text


def test_a_difference_at_a_clock_change_is_explained_and_one_elsewhere_is_not():
    day_us = 24 * HOUR_US
    spring_us = 1_774_746_000_000_000  # 2026-03-29 01:00Z, Berlin's clocks go forward
    half_past_two = Crontab(expression="30 2 * * *", timezone="Europe/Berlin")
    ours = [spring_us, spring_us + day_us - HOUR_US // 2]
    begin, end = spring_us - HOUR_US, spring_us + 2 * day_us - HOUR_US

    late = compare(draft(half_past_two, [ours[0] + HOUR_US // 2, ours[1]], from_us=begin, to_us=end))
    wrong = compare(
        draft(
            half_past_two, [ours[0], ours[1] + HOUR_US], from_us=begin + 30 * day_us, to_us=end + 30 * day_us
        )
    )

    assert late.verdict is Verdict.EXPLAINED, late
    assert "2026-03-29 01:00:00Z" in late.text
    assert wrong.verdict is Verdict.DIFFERENT


# --- crontab -----------------------------------------------------------------------------------------------------------------------------

CRONTAB = """\
SHELL=/bin/sh
MAILTO=ops@example.org

# Nightly dump
# of the database
0 2 * * * /usr/local/bin/dump --all
CRON_TZ=Asia/Tokyo
30 9 13 * 5 report send
@daily report send
@reboot start-me
61 * * * * wrong
* * * * *
*/5 * * * * date +\\%H%first%second
"""


def test_lines_of_a_crontab_become_schedules():
    haul = read_crontab(iter(CRONTAB.splitlines(keepends=True)), task="shell.run", zone="Europe/Berlin")
    page = page_of(haul)

    found = {each.entry.name: each.entry for each in page.drafts}
    assert list(found) == ["dump-all", "report-send", "report-send-2", "date-h"]
    assert found["dump-all"].when == Crontab(expression="0 2 * * *", timezone="Europe/Berlin")
    assert found["dump-all"].what["args"] == ["/usr/local/bin/dump --all"]
    assert found["dump-all"].description == "Nightly dump of the database"
    assert found["dump-all"].catch_up is CatchUp.NONE
    assert found["report-send"].when == Crontab(expression="30 9 13 * 5", timezone="Asia/Tokyo")
    assert found["report-send-2"].when == Crontab(expression="@daily", timezone="Asia/Tokyo")
    assert found["date-h"].what["args"] == ["date +%H"]
    assert [draft.lost != () for draft in page.drafts] == [False, False, False, True]
    assert [(each.name, each.text) for each in page.unmapped] == [
        ("line 10", "@reboot start-me"),
        ("line 11", "61 * * * * wrong"),
        ("line 12", "* * * * *"),
    ]
    assert any("MAILTO=ops@example.org" in remark for remark in haul.remarks)
    assert any("SHELL=/bin/sh" in remark for remark in haul.remarks)


def test_a_system_crontab_names_users():
    haul = read_crontab(
        iter(["17 * * * * root cd / && run-parts /etc/cron.hourly\n"]), task="t", zone="UTC", is_system=True
    )

    assert haul.drafts[0].entry.what["args"] == ["cd / && run-parts /etc/cron.hourly"]
    assert "root" in haul.drafts[0].notes[1]
