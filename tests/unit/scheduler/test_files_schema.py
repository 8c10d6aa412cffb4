"""The JSON Schema of schedules files: it has the keys of the vocabulary and no others, and it says what the loader says."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from backbeat.scheduler.files import parse
from backbeat.scheduler.files.document import compose
from backbeat.scheduler.files.node import Mapping, Scalar, Sequence
from backbeat.scheduler.files.schema import DRAFT, schedules_schema
from backbeat.scheduler.files.vocabulary import (
    CHORD,
    DEFAULTS,
    EXCEPT,
    FILE,
    OPTION,
    PART,
    PING,
    SCHEDULE,
    SOLAR,
    STEP,
    WEBHOOK,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from support.schedules_examples import TWELVE

SCHEMA = schedules_schema()
VALIDATOR = Draft7Validator(SCHEMA)
LEVELS = {
    "schedule": SCHEDULE,
    "step": STEP,
    "chord": CHORD,
    "options": OPTION,
    "part": PART,
    "solar": SOLAR,
    "window": EXCEPT,
    "webhook": WEBHOOK,
    "ping": PING,
}


def value(node):
    """What an editor's YAML reader makes of a node; dates stay text, as in YAML 1.2."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [value(item) for item in node.items]
        case Mapping():
            return {key: value(pair.value) for key, pair in node.pairs.items()}


def read(text: str):
    """The data of a file with its variables as they are written."""
    return value(compose(text.replace("$", "$$"), "s", {}).root)


def accepts(data) -> bool:
    return not list(VALIDATOR.iter_errors(data))


def test_the_schema_is_valid_draft_7_and_every_reference_has_a_definition():
    Draft7Validator.check_schema(SCHEMA)

    text = json.dumps(SCHEMA)
    named = set(re.findall(r'"#/definitions/(\w+)"', text))

    assert SCHEMA["$schema"] == DRAFT
    assert named == set(SCHEMA["definitions"])


def test_every_key_of_the_vocabulary_is_in_the_schema_and_no_other():
    assert set(SCHEMA["properties"]) == set(FILE.keys)
    for name, level in LEVELS.items():
        assert set(SCHEMA["definitions"][name]["properties"]) == set(level.keys), name
    assert DEFAULTS.keys == SCHEDULE.keys


def mappings(form):
    if isinstance(form, dict):
        if form.get("additionalProperties") is False:
            yield form
        for each in form.values():
            yield from mappings(each)
    elif isinstance(form, list):
        for each in form:
            yield from mappings(each)


def test_every_key_has_a_description_and_no_mapping_takes_unknown_ones():
    found = list(mappings(SCHEMA))

    assert len(found) == len(LEVELS) + 1
    for each in found:
        for key, form in each["properties"].items():
            assert form["description"].endswith((".", "…")), key


def test_the_twelve_examples_are_valid():
    assert list(VALIDATOR.iter_errors(read(TWELVE))) == []


SCHEDULE_OF = "schedules: {{ping: {{task: t, every: 5m, {}}}}}"
RIGHT = [
    "# nothing",
    "null",
    "version: 1",
    "x-anything: [1, {a: b}]",
    "serial: 3\ninclude: a.yaml\ncalendars: {a: [2026-12-25], b: holidays.ics}",
    "defaults: {options: {queue: q, expires: null}, jitter: 5s, overlap: skip, on_except: defer}",
    *(
        SCHEDULE_OF.format(key)
        for key in (
            "jitter: 10",
            "webhook: https://h.example/x",
            "webhook: {url: https://h.example/x, on: [late, failed]}",
            "webhook: {url: https://h.example/x, on: missed}",
            "on_done_url: https://h.example/x",
            "ping: https://h.example/x",
            "ping: {start: https://h.example/x}",
            'ping: "${PING}"',
            'jitter: "${JITTER:-5s}"',
            "spread: true",
            "spread: 1m",
            "catch_up_rate: 10/s",
            "catch_up_rate: 2.5",
            'overlap: "${OVERLAP}"',
            "cron: null",
            "args: [1, {a: b}], kwargs: {a: [1]}",
            "tags: a",
            "tags: [a, b]",
            "start: 2026-01-01, end: 2026-01-01T10:00:30+01:00",
            'except: {from: "22:00", to: "06:00"}',
            'except: [{cron: ["* 3 * * *"]}, {calendar: a, timezone: UTC}], on_except: defer',
            "on_error: {task: a, args: [x]}, on_success: {chain: [{task: a, immutable: true}]}",
        )
    ),
    "schedules: {ping: {task: t, every: 1y6mo, anchor: 2026-01-31T09:00}}",
    'schedules: {ping: {task: t, cron: ["@daily", "H H L * ?"], day_match: all, dst: skip, cron_fields: 5}}',
    "schedules: {ping: {task: t, solar: {event: sunset, lat: 52.5, lon: 13}}}",
    "schedules: {ping: {task: t, any: [{every: 1h}, {at: 2026-01-01, timezone: Asia/Tokyo}]}}",
    "schedules: {ping: {chord: {header: [{task: a}], body: {task: b}}, rrule: FREQ=DAILY}}",
    (
        "workflows: {w: {task: a}, v: {chain: [{workflow: w, immutable: true, options: {queue: q}}, {workflow: w}]}}\n"
        "schedules: {ping: {every: 1m, workflow: v, on_error: [{workflow: w}, {task: a}], on_success: {workflow: w}}}"
    ),
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_the_loader_takes_is_valid(text):
    data = read(text)

    assert accepts({} if data is None else data)


WRONG = [
    "shedules: {}",
    "version: 2",
    "serial: x",
    "schedules: [{task: t}]",
    "schedules: {ping: t}",
    "calendars: {a: b}",
    "calendars: {a: [tomorrow]}",
    "workflows: {w: {steps: []}}",
    *(
        SCHEDULE_OF.format(key)
        for key in (
            "interval: 5m",
            "queue: fast",
            'cron: "0 3 * * *"',
            "chain: [{task: a}]",
            "enabled: yes",
            "tz: UTC",
            "jitter: 5 minuts",
            "jitter: true",
            "jitter: -1",
            "overlap: forbid",
            "catch_up: lates",
            "delivery: exactly_once",
            "dst: never",
            "max_runs: 0",
            "max_runs: 1.5",
            "catch_up_rate: fast",
            "args: 5",
            "kwargs: [1]",
            "options: {quue: a}",
            "options: {priority: high}",
            "options: {priority: 300}",
            "start: 12:30",
            "start: tomorrow",
            "timezone: ''",
            "tags: []",
            "except: []",
            "except: [{calender: a}]",
            "except: {cron: '* 3 * * *', calendar: a}",
            "on_error: alert",
            "webhook: example.org",
            "webhook: {on: [late]}",
            "webhook: {url: https://h.example/x, on: [done]}",
            "webhook: {url: https://h.example/x, of: [late]}",
            "on_done_url: ftp://h.example/x",
            "ping: {end: https://h.example/x, stop: 1}",
            "django_task: a",
        )
    ),
    "schedules: {ping: {task: t, every: 5 minuts}}",
    "schedules: {ping: {task: t, every: yes}}",
    "schedules: {ping: {task: t, every: 0}}",
    "schedules: {ping: {task: t, every: 1:30:00}}",
    "schedules: {ping: {task: t, cron: 5}}",
    "schedules: {ping: {task: t, cron: ''}}",
    "schedules: {ping: {task: t, cron: '0 3 * * *', cron_fields: 8}}",
    "schedules: {ping: {task: t, at: 12:30}}",
    "schedules: {ping: {task: t, solar: {event: noon, lat: 1, lon: 2}}}",
    "schedules: {ping: {task: t, solar: {event: sunset, lat: 91, lon: 2}}}",
    "schedules: {ping: {task: t, solar: {event: sunset}}}",
    "schedules: {ping: {task: t, any: [{any: []}]}}",
    "schedules: {ping: {task: t, any: [{every: 1h, at: 2026-01-01}]}}",
    "schedules: {ping: {every: 1m, chain: []}}",
    "schedules: {ping: {every: 1m, task: t, on_error: []}}",
    "schedules: {ping: {every: 1m, task: t, on_error: [t]}}",
    "workflows: {w: {task: a}}\nschedules: {ping: {every: 1m, chain: [{workflow: [w]}]}}",
    "workflows: {w: {task: a}}\nschedules: {ping: {every: 1m, chain: [{workflow: w, task: t}]}}",
    "workflows: {w: {task: a, every: 1m}}",
    "schedules: {ping: {every: 1m, chain: [a.b]}}",
    "schedules: {ping: {every: 1m, chain: [{tsk: a}]}}",
    "schedules: {ping: {every: 1m, chord: {header: [{task: a}]}}}",
    "schedules: {ping: {task: 5, every: 1m}}",
    "schedules: {" + "x" * 121 + ": {task: t, every: 1m}}",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_typical_mistake_is_rejected_as_the_loader_rejects_it(text):
    assert not accepts(read(text))
    assert not parse(text, "s", {}).is_applicable


LENGTHS = st.one_of(
    st.from_regex(r"\A ?[0-9]{0,3}(y|mo|w|d|h|m|s|ms)?([0-9]{1,2}(mo|d|h|m|s|ms))? ?\Z"),
    st.sampled_from(["5m30s", "30s5m", "1.5", "1.5h", "1e3", ".5", "5 m", "-5m", "1h1h", "0s", "1d12h"]),
)


BEYOND = re.compile("100 years|too short|cannot be waited for")


@given(LENGTHS, st.sampled_from(["every", "jitter"]))
@settings(max_examples=300, deadline=None)
def test_the_schema_and_the_loader_agree_about_durations(text, key):
    """But for what a pattern cannot count: lengths of zero, and those that are too short or too long."""
    data = {"schedules": {"it": {"task": "t", "every": "5m", key: text}}}
    loaded = parse(json.dumps(data), "s", {})
    zero = not re.search("[1-9]", text)
    errors = [problem for problem in loaded.problems if problem.code in {"E160", "E112"}]

    if not zero and not any(BEYOND.search(each.message) for each in errors):
        assert accepts(data) == (not errors), errors


def test_a_schema_in_a_file_is_what_a_language_server_reads():
    again = yaml.safe_load(json.dumps(SCHEMA))

    assert again == SCHEMA
